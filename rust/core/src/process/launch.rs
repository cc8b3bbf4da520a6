//! The parameters of a launch, and its errors, on every platform.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

use crate::settings::Limits;

/// The parameters of a launch.
pub struct Launch<'a> {
    /// The program's file.
    pub program: &'a Path,
    /// The file to execute if it was opened and checked already: the path may name another file by now.
    pub executable: Option<BorrowedFd<'a>>,
    /// Its arguments; the first is the name that it is called by.
    pub arguments: &'a [OsString],
    /// Its whole environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Its working directory, or the host's.
    pub working_directory: Option<&'a Path>,
    /// Its resource limits.
    pub limits: Limits,
    /// Whether it dies with the thread that starts it.
    pub die_with_host: bool,
}

/// The standard streams of a process; each number is beyond those of standard streams.
pub(super) struct Streams<'a> {
    /// `None` for the host's own.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
}

/// A process that was started and has to be reaped.
pub(super) struct Started {
    pub(super) pid: Pid,
    /// `None` if the kernel gives none.
    pub(super) pidfd: Option<OwnedFd>,
    /// Why the process ends without executing anything.
    pub(super) failure: Option<SpawnError>,
}

/// Why a child could not be started.
#[derive(Debug)]
pub enum SpawnError {
    /// The host or its kernel lacks something: descriptors, memory, processes, a system call.
    Resources(io::Error),
    /// The working directory could not be entered.
    Directory(io::Error),
    /// The program could not be executed.
    Execute(io::Error),
}
