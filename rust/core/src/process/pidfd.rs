//! A descriptor that names one process, also after its number is another's; on kernels that have it.

use std::os::fd::{BorrowedFd, OwnedFd};

#[cfg(not(target_os = "linux"))]
use rustix::io::Errno;
use rustix::io::Result;
use rustix::process::{Pid, Signal, WaitIdOptions, WaitIdStatus};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[cfg(target_os = "linux")]
pub(super) fn open(pid: Pid) -> Result<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())
}

#[cfg(target_os = "linux")]
pub(super) fn send(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<()> {
    rustix::process::pidfd_send_signal(pidfd, signal)
}

/// Fails with `INVAL` before Linux 5.4.
#[cfg(target_os = "linux")]
pub(super) fn wait(pidfd: BorrowedFd<'_>, options: WaitIdOptions) -> Result<Option<WaitIdStatus>> {
    rustix::process::waitid(rustix::process::WaitId::PidFd(pidfd), options)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_pid: Pid) -> Result<OwnedFd> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn send(_pidfd: BorrowedFd<'_>, _signal: Signal) -> Result<()> {
    Err(Errno::NOSYS)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn wait(_pidfd: BorrowedFd<'_>, _options: WaitIdOptions) -> Result<Option<WaitIdStatus>> {
    Err(Errno::INVAL)
}

/// Becomes readable when the process has ended. Fails before Linux 5.3.
pub(super) fn watch(pidfd: BorrowedFd<'_>) -> std::io::Result<AsyncFd<BorrowedFd<'_>>> {
    #[expect(deprecated, reason = "the successor is unsafe, for types that may give away their descriptor")]
    AsyncFd::with_interest(pidfd, Interest::READABLE)
}
