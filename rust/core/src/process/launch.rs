//! What a launch needs and how it can fail, on every platform.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::process::Pid;

use crate::settings::Limits;

/// What to execute, and how.
pub struct Launch<'a> {
    /// The program's file.
    pub program: &'a Path,
    /// The very file to execute, if it was opened and checked already: what the path names may have changed since.
    pub executable: Option<BorrowedFd<'a>>,
    /// Its arguments, the name it is called by first.
    pub arguments: &'a [OsString],
    /// Its whole environment.
    pub environment: &'a BTreeMap<OsString, OsString>,
    /// Its working directory, or the host's.
    pub working_directory: Option<&'a Path>,
    /// What it may use.
    pub limits: Limits,
    /// Whether it dies with the thread that starts it.
    pub die_with_host: bool,
}

/// The standard streams of what is started, each beyond the numbers of standard streams.
pub(super) struct Streams<'a> {
    /// The host's own, if there is none.
    pub(super) stdin: Option<BorrowedFd<'a>>,
    pub(super) stdout: BorrowedFd<'a>,
    pub(super) stderr: BorrowedFd<'a>,
}

/// A process that was started, of which nobody has taken care yet.
pub(super) struct Started {
    pub(super) pid: Pid,
    /// Where the kernel gives one.
    pub(super) pidfd: Option<OwnedFd>,
    /// Why it ends without having executed anything.
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
