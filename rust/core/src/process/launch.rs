//! What a launch needs and how it can fail, on every platform.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;

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

/// Why a child could not be started.
#[derive(Debug)]
pub enum SpawnError {
    /// The host lacks something: descriptors, memory, processes.
    Resources(io::Error),
    /// The working directory could not be entered.
    Directory(io::Error),
    /// The program could not be executed.
    Execute(io::Error),
}
