//! No watcher on this system: what a killed host leaves behind stays.

use std::path::Path;

use rustix::process::Pid;

use super::launch::SpawnError;

/// No registration exists on this system.
#[derive(Debug)]
pub enum Registration {}

impl Registration {
    pub(super) fn of_group(_leader: Pid) -> Option<Self> {
        None
    }

    /// Registers nothing.
    pub fn of_directory(_path: &Path) -> Option<Self> {
        None
    }
}

/// There is no watcher.
pub const SHELL: &str = "";

/// Starts nothing.
pub fn start() -> Result<(), SpawnError> {
    Ok(())
}
