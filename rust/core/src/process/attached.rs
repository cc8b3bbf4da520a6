//! A process that another host started: its end is noticed, its status stays unknown.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, test_kill_process};
use tokio::sync::watch;

use super::pidfd;
use crate::error::{Error, ErrorKind};
use crate::exit_status::ExitStatus;

/// How often the process is looked for without a pidfd.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A process that was attached to by its id.
pub(super) struct Attached {
    pub(super) pid: Pid,
    /// Names this very process, also after its number is another's.
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
        let pidfd = match pidfd::open(pid) {
            Ok(pidfd) => Some(pidfd),
            Err(Errno::SRCH | Errno::INVAL) => return Err(gone()),
            // The kernel, or a sandbox, has no pidfd.
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
        // Errors mean that it has ended, or is another user's: the stop goes on either way.
        let _ = match &self.pidfd {
            Some(pidfd) => pidfd::send(pidfd.as_fd(), signal),
            None => rustix::process::kill_process(self.pid, signal),
        };
    }
}

/// Whether there is such a process; another user's, which cannot be signalled, counts.
fn is_alive(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

async fn ended(pid: Pid, pidfd: Option<OwnedFd>) {
    if let Some(watched) = pidfd.as_ref().and_then(|pidfd| pidfd::watch(pidfd.as_fd()).ok()) {
        let _ = watched.readable().await;
        return;
    }
    while is_alive(pid) {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}
