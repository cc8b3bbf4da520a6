//! A started child: signalled as long as its number is its own, noticed when it ends, reaped once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process, kill_process_group, waitid};
use tokio::sync::oneshot;

use super::launch::{Launch, SpawnError, Streams};
use super::pipe::pipe;
use super::watcher::Registration;
use super::{pidfd, spawn};
use crate::exit_status::ExitStatus;

/// A child that leads its own process group. Dropped before it was reaped, it is killed with all its group.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    /// `None` on kernels before 5.2, and other systems.
    pidfd: Option<OwnedFd>,
    state: Mutex<ChildState>,
    /// Read end of its standard output.
    pub stdout: Option<OwnedFd>,
    /// Read end of its standard error.
    pub stderr: Option<OwnedFd>,
}

#[derive(Debug)]
enum ChildState {
    /// The number is the child's own, and its group's, even if it has ended.
    Unreaped(#[expect(dead_code, reason = "held for its end")] Option<Registration>),
    /// The number may be another's.
    Reaped,
}

/// Stack of a thread that only waits.
const WAITER_STACK_BYTES: usize = 64 * 1024;

impl Child {
    /// Starts the child. The calling thread is blocked until the program is executed, usually a fraction of a
    /// millisecond, and has to outlive a child that dies with its host.
    pub fn spawn(launch: &Launch<'_>) -> Result<Self, SpawnError> {
        let (stdout, stdout_write) = pipe().map_err(SpawnError::Resources)?;
        let (stderr, stderr_write) = pipe().map_err(SpawnError::Resources)?;
        let streams = Streams { stdin: None, stdout: stdout_write.as_fd(), stderr: stderr_write.as_fd() };
        let started = spawn::start(launch, &streams)?;
        let registration = launch.die_with_host.then(|| Registration::of_group(started.pid)).flatten();
        let state = Mutex::new(ChildState::Unreaped(registration));
        let (pid, pidfd) = (started.pid, started.pidfd);
        let child = Self { pid, pidfd, state, stdout: Some(stdout), stderr: Some(stderr) };
        // Dropping a child that executed nothing reaps it.
        started.failure.map_or(Ok(child), Err)
    }

    /// The process id, which is also the id of its process group.
    #[must_use]
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Returns once the process has ended. It stays a zombie, so that its pid still names it.
    pub async fn ended(&self) -> io::Result<()> {
        if let Some(watched) = self.pidfd.as_ref().and_then(|pidfd| pidfd::watch(pidfd.as_fd()).ok()) {
            return watched.readable().await.map(drop);
        }
        // Without a pidfd a thread waits.
        let ((sender, ended), pid) = (oneshot::channel(), self.pid);
        let wait = move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = retry_on_intr(|| waitid(WaitId::Pid(pid), options));
            let _ = sender.send(());
        };
        thread::Builder::new().name("ferrule-wait".to_owned()).stack_size(WAITER_STACK_BYTES).spawn(wait)?;
        ended.await.map_err(io::Error::other)
    }

    /// Signals the process and its group, unless it was reaped.
    pub fn signal(&self, signal: Signal) {
        let state = self.state();
        if matches!(*state, ChildState::Unreaped(_)) {
            self.signal_unreaped(signal);
        }
    }

    fn signal_unreaped(&self, signal: Signal) {
        // A process may leave its group, so it is signalled by itself as well. Errors mean that it has ended.
        let left_group = kill_process_group(self.pid, signal).is_err();
        if left_group || signal == Signal::KILL {
            let _ = match &self.pidfd {
                // Another waiter's `waitpid(-1)` may have reaped it: then the number may be another's, the pidfd is
                // not.
                Some(pidfd) => pidfd::send(pidfd.as_fd(), signal),
                None => kill_process(self.pid, signal),
            };
        }
    }

    /// The signal that has stopped the process, if it is stopped.
    #[must_use]
    pub fn stopped_by(&self) -> Option<i32> {
        let state = self.state();
        // NOWAIT leaves the state for other waiters.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = matches!(*state, ChildState::Unreaped(_)).then(|| self.wait(options).ok()).flatten()?;
        status?.stopping_signal()
    }

    /// Reaps a child that has ended or is about to. From here on its pid may be another's.
    pub fn reap(&self) -> ExitStatus {
        let mut state = self.state();
        // The watcher forgets the group before its number can be another's.
        *state = ChildState::Reaped;
        match self.wait(WaitIdOptions::EXITED) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => ExitStatus::Code(code),
                (None, Some(signal)) => ExitStatus::Signal(signal),
                (None, None) => ExitStatus::Unknown,
            },
            // The caller's code waited for any child, and this one was among them.
            Ok(None) | Err(_) => ExitStatus::Unknown,
        }
    }

    fn wait(&self, options: WaitIdOptions) -> rustix::io::Result<Option<WaitIdStatus>> {
        let by_descriptor = self.pidfd.as_ref().map(|pidfd| retry_on_intr(|| pidfd::wait(pidfd.as_fd(), options)));
        match by_descriptor {
            None | Some(Err(Errno::INVAL)) => retry_on_intr(|| waitid(WaitId::Pid(self.pid), options)),
            Some(status) => status,
        }
    }

    fn state(&self) -> MutexGuard<'_, ChildState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if matches!(*self.state(), ChildState::Unreaped(_)) {
            self.signal_unreaped(Signal::KILL);
            self.reap();
        }
    }
}
