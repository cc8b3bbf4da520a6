//! Starts a process by the standard library, on systems with neither `pidfd` nor parent-death signal.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::Pid;

use super::launch::{Launch, SpawnError, Started, Streams};

/// Starts a child; `die_with_host`, `executable` and `limits` have no equivalent here.
pub(super) fn start(launch: &Launch<'_>, streams: &Streams<'_>) -> Result<Started, SpawnError> {
    let stream = |stream: std::os::fd::BorrowedFd<'_>| {
        stream.try_clone_to_owned().map(Stdio::from).map_err(SpawnError::Resources)
    };
    let mut command = Command::new(launch.program);
    command.args(&launch.arguments[1..]).env_clear().envs(launch.environment);
    command.arg0(&launch.arguments[0]).process_group(0);
    command.stdout(stream(streams.stdout)?).stderr(stream(streams.stderr)?);
    if let Some(directory) = launch.working_directory {
        if !directory.is_dir() {
            return Err(SpawnError::Directory(io::ErrorKind::NotFound.into()));
        }
        command.current_dir(directory);
    }
    let child = command.spawn().map_err(SpawnError::Execute)?;
    Ok(Started { pid: Pid::from_child(&child), pidfd: None, failure: None })
}
