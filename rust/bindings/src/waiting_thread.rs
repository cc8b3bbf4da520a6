//! Threads that wait for calls, and meanwhile read the sockets of their connections.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ferrule_core::grpc::call::Reader;
use ferrule_core::transport::SocketSet;
use ferrule_core::wake::Wake;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bell::Bell;
use crate::io_thread;

/// How many threads read by themselves: each has two descriptors to its end, a program may have hundreds of threads that
/// make calls, and as a rule it gets 1024 descriptors.
const MAX_READING_THREADS: usize = 64;

thread_local! {
    static CURRENT: OnceCell<Arc<WaitingThread>> = const { OnceCell::new() };
    static HAS_BEGUN_CALL: Cell<bool> = const { Cell::new(false) };
}

/// A thread that reads while it waits for calls. Two descriptors, from its second lone call to its end.
pub(crate) struct WaitingThread {
    sockets: Arc<SocketSet>,
    bell: Bell,
    _place: Place,
}

impl WaitingThread {
    /// The one that runs this, if it reads.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(|current| current.get().cloned()).ok().flatten()
    }

    /// The one that runs this, and begins a lone call. `None` for its first, since many threads make a single call, and
    /// where the system has no sets of sockets or no descriptors left: the I/O thread reads for such a thread.
    pub(crate) fn at_lone_call() -> Option<Arc<Self>> {
        if HAS_BEGUN_CALL.replace(true) {
            let _ = CURRENT
                .try_with(|current| current.get().is_some() || Self::new().is_some_and(|new| current.set(new).is_ok()));
        }
        Self::current()
    }

    fn new() -> Option<Arc<Self>> {
        let place = Place::take()?;
        let (sockets, bell) = (SocketSet::new().ok()??, Bell::new().ok()?);
        Some(Arc::new(Self { sockets, bell, _place: place }))
    }

    /// The sockets that the thread reads.
    pub(crate) fn sockets(&self) -> &Arc<SocketSet> {
        &self.sockets
    }
}

impl Reader for WaitingThread {
    fn has_sockets(&self) -> bool {
        !self.sockets.is_empty()
    }

    fn wait(&self, limit: Duration) -> bool {
        let mut awaited = [PollFd::new(&self.sockets, PollFlags::IN), PollFd::new(&self.bell, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        let found = poll(&mut awaited, limit.as_ref());
        if awaited[1].revents().contains(PollFlags::IN) {
            self.bell.silence();
        }
        found != Err(Errno::INTR)
    }

    fn read(&self) {
        // Cannot fail in a process that has begun a call.
        let _ = io_thread::read_here(&self.sockets).and(io_thread::write_here(&self.sockets));
    }
}

impl Wake for WaitingThread {
    fn wake(&self) {
        self.bell.ring();
    }
}

/// One of the [`MAX_READING_THREADS`].
struct Place;

static TAKEN_PLACES: AtomicUsize = AtomicUsize::new(0);

impl Place {
    fn take() -> Option<Self> {
        let place = Self;
        (TAKEN_PLACES.fetch_add(1, Ordering::Relaxed) < MAX_READING_THREADS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN_PLACES.fetch_sub(1, Ordering::Relaxed);
    }
}
