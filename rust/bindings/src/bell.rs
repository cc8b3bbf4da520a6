//! Wakes a thread that waits for descriptors.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use pyo3::PyResult;

use crate::errors::refused_by_system;

/// A descriptor that is readable while it rings: an eventfd, or a pipe where there is none.
pub(crate) struct Bell {
    reader: OwnedFd,
    #[cfg(not(target_os = "linux"))]
    writer: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Bell {
    pub(crate) fn new() -> PyResult<Self> {
        use rustix::event::{EventfdFlags, eventfd};
        let reader = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|error| refused_by_system("eventfd", &error.into()))?;
        Ok(Self { reader })
    }

    pub(crate) fn ring(&self) {
        // Can fail only if it is ringing 2^64 times already.
        let _ = rustix::io::write(&self.reader, &1_u64.to_ne_bytes());
    }
}

#[cfg(not(target_os = "linux"))]
impl Bell {
    pub(crate) fn new() -> PyResult<Self> {
        Self::from_pipe().map_err(|error| refused_by_system("pipe", &error.into()))
    }

    fn from_pipe() -> rustix::io::Result<Self> {
        let (reader, writer) = rustix::pipe::pipe()?;
        for end in [&reader, &writer] {
            rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(end, true)?;
        }
        Ok(Self { reader, writer })
    }

    pub(crate) fn ring(&self) {
        // A full pipe rings already.
        let _ = rustix::io::write(&self.writer, &[1]);
    }
}

impl Bell {
    pub(crate) fn silence(&self) {
        let mut buffer = [0; 64];
        let _ = rustix::io::read(&self.reader, &mut buffer);
    }

    pub(crate) fn fileno(&self) -> i32 {
        self.reader.as_raw_fd()
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
