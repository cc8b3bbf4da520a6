//! Threads that wait for calls, and meanwhile read the sockets of their connections.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use ferrule_core::grpc::call::Reader;
use ferrule_core::transport::SocketSet;
use ferrule_core::wake::Wake;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::bell::Bell;
use crate::io_thread;

thread_local! {
    /// `None` where the system has no such sets, or no descriptors left: the I/O thread reads for such a thread.
    static CURRENT: OnceCell<Option<Arc<WaitingThread>>> = const { OnceCell::new() };
}

/// A thread that waits for calls. Two descriptors, from its first lone call to its end.
pub(crate) struct WaitingThread {
    sockets: Arc<SocketSet>,
    bell: Bell,
}

impl WaitingThread {
    /// The one that runs this.
    pub(crate) fn current() -> Option<Arc<Self>> {
        CURRENT.try_with(|current| current.get_or_init(Self::new).clone()).ok().flatten()
    }

    fn new() -> Option<Arc<Self>> {
        let (sockets, bell) = (SocketSet::new().ok()??, Bell::new().ok()?);
        Some(Arc::new(Self { sockets, bell }))
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
        let _ = io_thread::read_here(&self.sockets);
    }
}

impl Wake for WaitingThread {
    fn wake(&self) {
        self.bell.ring();
    }
}
