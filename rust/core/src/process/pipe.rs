//! Pipes for the standard streams of started processes.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// A pipe whose ends have numbers above the standard streams'. A host started without those gets 0 to 2 for its pipes,
/// and the child could not tell them from its own.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = io::pipe()?;
    Ok((above_standard(read.into())?, above_standard(write.into())?))
}

pub(super) fn above_standard(descriptor: OwnedFd) -> io::Result<OwnedFd> {
    if descriptor.as_raw_fd() > libc::STDERR_FILENO {
        return Ok(descriptor);
    }
    Ok(rustix::io::fcntl_dupfd_cloexec(&descriptor, libc::STDERR_FILENO + 1)?)
}
