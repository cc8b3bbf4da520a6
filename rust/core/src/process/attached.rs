//! A process that somebody else started: its end is noticed, its status unknown.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, test_kill_process};
use tokio::sync::watch;

use super::ExitStatus;
use crate::error::{Error, ErrorKind};

/// How often to look where the kernel cannot tell.
const INTERVAL: Duration = Duration::from_secs(1);

/// A hold on a process by its id, where there is one.
pub(super) struct Attached {
    pub(super) pid: Pid,
    /// Names this very process, whatever becomes of the number.
    pidfd: Option<OwnedFd>,
    /// Whether it may be signalled.
    owned: bool,
}

impl Attached {
    /// Finds the process and watches for its end.
    pub(super) fn find(pid: i32, owned: bool, exit: watch::Sender<Option<ExitStatus>>) -> Result<Self, Error> {
        let gone = || {
            let message = format!("there is no process {pid} to attach to");
            Error::new(ErrorKind::ReattachGone, message)
        };
        let pid = Pid::from_raw(pid).ok_or_else(gone)?;
        let pidfd = match open(pid) {
            Ok(pidfd) => Some(pidfd),
            Err(Errno::SRCH | Errno::INVAL) => return Err(gone()),
            // A kernel, or a sandbox, without it.
            Err(_) if is_alive(pid) => None,
            Err(_) => return Err(gone()),
        };
        let watched = pidfd.as_ref().and_then(|pidfd| pidfd.try_clone().ok());
        tokio::spawn(async move {
            tokio::select! {
                () = ended(pid, watched) => drop(exit.send_replace(Some(ExitStatus::Unknown))),
                () = exit.closed() => (),
            }
        });
        Ok(Self { pid, pidfd, owned })
    }

    pub(super) fn signal(&self, signal: Signal) {
        if !self.owned {
            return;
        }
        // Errors mean that it has ended, or is another user's: the ladder goes on either way.
        let _ = match &self.pidfd {
            Some(pidfd) => send(pidfd, signal),
            None => rustix::process::kill_process(self.pid, signal),
        };
    }
}

#[cfg(target_os = "linux")]
fn open(pid: Pid) -> rustix::io::Result<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

#[cfg(target_os = "linux")]
fn send(pidfd: &OwnedFd, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::pidfd_send_signal(pidfd, signal)
}

#[cfg(not(target_os = "linux"))]
fn open(_pid: Pid) -> rustix::io::Result<OwnedFd> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
fn send(_pidfd: &OwnedFd, _signal: Signal) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// Another user's process cannot be signalled, and lives.
fn is_alive(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

async fn ended(pid: Pid, pidfd: Option<OwnedFd>) {
    if let Some(watched) = pidfd.and_then(watch_descriptor) {
        let _ = watched.readable().await;
        return;
    }
    while is_alive(pid) {
        tokio::time::sleep(INTERVAL).await;
    }
}

fn watch_descriptor(pidfd: OwnedFd) -> Option<tokio::io::unix::AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "the successor is unsafe, for types that may give away their descriptor")]
    tokio::io::unix::AsyncFd::with_interest(pidfd, tokio::io::Interest::READABLE).ok()
}
