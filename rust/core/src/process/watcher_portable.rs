//! Nobody watches here: what a killed host leaves behind stays.

use std::path::Path;

use rustix::process::Pid;

use super::launch::SpawnError;

/// There is none.
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

/// Nobody.
pub const SHELL: &str = "";

/// Starts nothing.
pub fn start() -> Result<(), SpawnError> {
    Ok(())
}
