//! Sockets whose bytes a thread waits for by itself, in place of the I/O thread.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// Sockets looked at per turn. Those left over are reported again.
const SOCKETS_PER_TURN: usize = 16;

/// What stands for a socket in a set.
pub(super) trait Member: Send + Sync {
    /// The socket is readable. Called on the thread that watches the set.
    fn drive(&self);
    /// Whether a write was put off, and none has been made since.
    fn has_deferred(&self) -> bool;
    /// Writes what was put off. Called on the same thread.
    fn write(&self);
}

thread_local! {
    /// The set to whose sockets this thread puts off writes; null for none.
    static DEFERRING: Cell<*const SocketSet> = const { Cell::new(std::ptr::null()) };
}

/// A set of sockets with a descriptor of its own, which is readable while one of them is. So the thread watches one
/// descriptor for ever, and any thread moves sockets in and out. The set reports levels, not edges: whatever was left
/// unread is reported again.
pub struct SocketSet {
    epoll: OwnedFd,
    members: Mutex<HashMap<u64, Weak<dyn Member>>>,
}

impl SocketSet {
    /// An empty set; `None` where the system has no such sets.
    pub fn new() -> io::Result<Option<Arc<Self>>> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Some(Arc::new(Self { epoll, members: Mutex::default() })))
    }

    /// Whether it has no sockets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.members().is_empty()
    }

    /// Drives the connections whose sockets are readable.
    pub fn drive_readable(&self) {
        for member in self.readable() {
            member.drive();
        }
    }

    /// Runs `work`, and puts off what this thread would write meanwhile to sockets of the set. What answers the bytes that
    /// were read, such as the acknowledgement of a ping, then travels with the next request, if that follows before
    /// [`SocketSet::write_deferred`].
    pub fn deferring_writes<R>(&self, work: impl FnOnce() -> R) -> R {
        let _deferring = Deferring(DEFERRING.replace(self));
        work()
    }

    /// Whether there is something for [`SocketSet::write_deferred`].
    #[must_use]
    pub fn has_deferred(&self) -> bool {
        !self.deferred().is_empty()
    }

    /// Writes what was put off and has not been written since.
    pub fn write_deferred(&self) {
        self.deferred().iter().for_each(|member| member.write());
    }

    /// Whether this thread is to put off a write to a socket of the set.
    pub(super) fn defers_writes(&self) -> bool {
        std::ptr::eq(DEFERRING.get(), self)
    }

    pub(super) fn add(&self, socket: BorrowedFd<'_>, number: u64, member: Weak<dyn Member>) -> io::Result<()> {
        epoll::add(&self.epoll, socket, EventData::new_u64(number), EventFlags::IN)?;
        self.members().insert(number, member);
        Ok(())
    }

    /// To be called before the socket is closed: a fork of this process may hold it open, and the kernel would go on
    /// reporting it.
    pub(super) fn remove(&self, socket: BorrowedFd<'_>, number: u64) {
        self.members().remove(&number);
        // Cannot fail: the socket is open and in the set.
        let _ = epoll::delete(&self.epoll, socket);
    }

    fn readable(&self) -> Vec<Arc<dyn Member>> {
        // The kernel need not say which of one socket is readable.
        if let Some(only) = self.only_member() {
            return only;
        }
        let mut events = Vec::with_capacity(SOCKETS_PER_TURN);
        let found = epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default()));
        // Whatever an interrupted call would have found is reported again.
        if found.is_err() {
            return Vec::new();
        }
        let members = self.members();
        events.iter().filter_map(|event: &Event| members.get(&{ event.data }.u64())?.upgrade()).collect()
    }

    fn deferred(&self) -> Vec<Arc<dyn Member>> {
        self.members().values().filter_map(Weak::upgrade).filter(|member| member.has_deferred()).collect()
    }

    fn only_member(&self) -> Option<Vec<Arc<dyn Member>>> {
        let members = self.members();
        (members.len() == 1).then(|| members.values().filter_map(Weak::upgrade).collect())
    }

    fn members(&self) -> MutexGuard<'_, HashMap<u64, Weak<dyn Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts off writes up to the end of its scope, also by a panic.
struct Deferring(*const SocketSet);

impl Drop for Deferring {
    fn drop(&mut self) {
        DEFERRING.set(self.0);
    }
}

impl AsFd for SocketSet {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl AsRawFd for SocketSet {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}
