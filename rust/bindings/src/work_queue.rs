//! Work that waits for the I/O thread.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Notify;

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Holds work for the I/O thread. Waking that thread costs a system call, so one wake-up serves all that waits.
#[derive(Default)]
pub(crate) struct WorkQueue {
    pending: Mutex<PendingWork>,
    filled: Notify,
}

#[derive(Default)]
struct PendingWork {
    new: Vec<Work>,
    /// Tasks that were begun by their callers, and can go on.
    woken: Vec<Arc<CallerStartedTask>>,
}

impl WorkQueue {
    pub(crate) fn push(&self, work: Work) {
        self.add(|pending| pending.new.push(work));
    }

    fn add(&self, add: impl FnOnce(&mut PendingWork)) {
        let mut pending = self.pending();
        let was_empty = pending.new.is_empty() && pending.woken.is_empty();
        add(&mut pending);
        drop(pending);
        // ORDERING: the I/O thread takes everything under the same lock, so whoever finds it empty is the one to wake
        // it.
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Does the work, on the I/O thread.
    pub(crate) async fn serve(&self) {
        loop {
            let PendingWork { new, woken } = std::mem::take(&mut *self.pending());
            if new.is_empty() && woken.is_empty() {
                self.filled.notified().await;
            }
            for task in woken {
                task.advance();
            }
            for work in new {
                tokio::spawn(work);
            }
        }
    }

    fn pending(&self) -> MutexGuard<'_, PendingWork> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Work that its caller begins and the I/O thread ends. The runtime has no task for such work, since making one would
/// wake the I/O thread.
pub(crate) struct CallerStartedTask {
    work: Mutex<Option<Work>>,
    queue: Arc<WorkQueue>,
    is_woken: AtomicBool,
}

impl CallerStartedTask {
    pub(crate) fn new(work: Work, queue: Arc<WorkQueue>) -> Arc<Self> {
        Arc::new(Self { work: Mutex::new(Some(work)), queue, is_woken: AtomicBool::new(false) })
    }

    /// Does what can be done without waiting.
    pub(crate) fn advance(self: &Arc<Self>) {
        // ORDERING: before the work looks at anything, so that what changes afterwards wakes the task again.
        self.is_woken.store(false, Ordering::SeqCst);
        let mut place = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = place.as_mut() else { return };
        let waker = Waker::from(self.clone());
        let advance = || work.as_mut().poll(&mut Context::from_waker(&waker));
        // As with the runtime's tasks, a panic is the end of this work alone. What the work leaves behind is dropped.
        if !matches!(catch_unwind(AssertUnwindSafe(advance)), Ok(Poll::Pending)) {
            *place = None;
        }
    }
}

thread_local! {
    /// Tasks that were woken during [`collect_woken`]; `None` outside of it.
    static WOKEN: RefCell<Option<Vec<Arc<CallerStartedTask>>>> = const { RefCell::new(None) };
}

/// Runs `work`, and returns the tasks that it woke, which the I/O thread does not hear of.
pub(crate) fn collect_woken(work: impl FnOnce()) -> Vec<Arc<CallerStartedTask>> {
    let collecting = Collecting::begin();
    work();
    let woken = WOKEN.take().unwrap_or_default();
    drop(collecting);
    woken
}

/// Collects woken tasks up to the end of its scope. Those that are left then, by a panic, are the I/O thread's.
struct Collecting;

impl Collecting {
    fn begin() -> Self {
        WOKEN.set(Some(Vec::new()));
        Self
    }
}

impl Drop for Collecting {
    fn drop(&mut self) {
        WOKEN.take().into_iter().flatten().for_each(CallerStartedTask::queue);
    }
}

impl CallerStartedTask {
    fn queue(self: Arc<Self>) {
        let queue = self.queue.clone();
        queue.add(|pending| pending.woken.push(self));
    }
}

impl Wake for CallerStartedTask {
    fn wake(self: Arc<Self>) {
        if self.is_woken.swap(true, Ordering::SeqCst) {
            return;
        }
        let elsewhere = WOKEN.with_borrow_mut(|woken| match woken {
            Some(woken) => {
                woken.push(self);
                None
            }
            None => Some(self),
        });
        if let Some(task) = elsewhere {
            task.queue();
        }
    }
}
