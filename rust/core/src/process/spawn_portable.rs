//! Starts a child process where there is no `pidfd`: by the standard library, its end noticed by looking.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions};

use super::ExitStatus;
use super::launch::{Launch, SpawnError};

/// How often to look whether a process has ended.
const INTERVAL: Duration = Duration::from_millis(10);

/// A started child: leader of its own process group, reaped by [`Child::reap`] alone.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    inner: Mutex<std::process::Child>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error.
    pub stderr: Option<OwnedFd>,
}

impl Child {
    /// Starts the child; `die_with_host`, `executable` and `limits` have no equivalent here.
    pub fn spawn(launch: &Launch<'_>) -> Result<Self, SpawnError> {
        let mut command = Command::new(launch.program);
        command.args(&launch.arguments[1..]).env_clear().envs(launch.environment);
        command.arg0(&launch.arguments[0]).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(directory) = launch.working_directory {
            if !directory.is_dir() {
                return Err(SpawnError::Directory(io::ErrorKind::NotFound.into()));
            }
            command.current_dir(directory);
        }
        let mut inner = command.spawn().map_err(SpawnError::Execute)?;
        let pid = Pid::from_child(&inner);
        let (stdout, stderr) = (inner.stdout.take().map(OwnedFd::from), inner.stderr.take().map(OwnedFd::from));
        Ok(Self { pid, inner: Mutex::new(inner), stdout, stderr })
    }

    /// Its process id, which is its process group's id too.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns once the process has ended; it stays a zombie, so that its pid still names it.
    pub async fn ended(&self) -> io::Result<()> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        while rustix::process::waitid(WaitId::Pid(self.pid), options)?.is_none() {
            tokio::time::sleep(INTERVAL).await;
        }
        Ok(())
    }

    /// Collects the status of a child that has ended. From here on the pid may be recycled.
    pub fn reap(&self) -> ExitStatus {
        let Ok(status) = self.inner.lock().unwrap_or_else(PoisonError::into_inner).wait() else {
            return ExitStatus::Unknown;
        };
        match (status.code(), status.signal()) {
            (Some(code), _) => ExitStatus::Code(code),
            (None, Some(signal)) => ExitStatus::Signal(signal),
            (None, None) => ExitStatus::Unknown,
        }
    }
}
