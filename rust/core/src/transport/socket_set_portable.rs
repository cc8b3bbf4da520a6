//! Where the system has no sets of sockets with a descriptor of their own, the I/O thread reads all sockets.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::sync::{Arc, Weak};

/// What would stand for a socket in a set.
pub(super) trait Member: Send + Sync {
    fn drive(&self);
    fn has_deferred(&self) -> bool;
    fn write(&self);
}

/// A set that cannot be made.
pub enum SocketSet {}

#[allow(missing_docs)] // As in `socket_set.rs`.
impl SocketSet {
    pub fn new() -> io::Result<Option<Arc<Self>>> {
        Ok(None)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        match *self {}
    }

    pub fn drive_readable(&self) {
        match *self {}
    }

    pub fn deferring_writes<R>(&self, _work: impl FnOnce() -> R) -> R {
        match *self {}
    }

    #[must_use]
    pub fn has_deferred(&self) -> bool {
        match *self {}
    }

    pub fn write_deferred(&self) {
        match *self {}
    }

    pub(super) fn defers_writes(&self) -> bool {
        match *self {}
    }

    pub(super) fn add(&self, _socket: BorrowedFd<'_>, _number: u64, _member: Weak<dyn Member>) -> io::Result<()> {
        match *self {}
    }

    pub(super) fn remove(&self, _socket: BorrowedFd<'_>, _number: u64) {
        match *self {}
    }
}

impl AsFd for SocketSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }
}

impl AsRawFd for SocketSet {
    fn as_raw_fd(&self) -> RawFd {
        match *self {}
    }
}
