//! Moves the frames of one HTTP/2 connection: as a rule on the I/O thread, and for a lone call on the caller's own.
//!
//! A call that finds its connection idle would wake the I/O thread only to have its request written, and a switch of
//! threads costs as much as the writing. So the caller may write the request itself: connections that it wakes are
//! noted and driven right away, instead of by the I/O thread. That thread, asleep on the socket, first hears of the
//! call with the response.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::client::Connection;
use tokio::runtime::Handle;

use super::frame_watch::FrameWatch;

type Driven = Connection<FrameWatch, Bytes>;
type End = Result<(), h2::Error>;

thread_local! {
    /// Connections that were woken during [`drive_here`]; `None` outside of it.
    static NOTED: RefCell<Option<Vec<Arc<Driver>>>> = const { RefCell::new(None) };
}

/// Runs `work`, then drives the connections that it woke, on this thread.
///
/// `runtime` is the I/O thread's: sockets and timers belong to it wherever they are used.
pub fn drive_here<R>(runtime: &Handle, work: impl FnOnce() -> R) -> R {
    let _entered = runtime.enter();
    let noting = Noting::begin();
    let result = work();
    let noted = NOTED.take().unwrap_or_default();
    drop(noting);
    for driver in noted {
        driver.drive_if_free();
    }
    result
}

/// Notes woken connections up to the end of its scope, also by a panic.
struct Noting;

impl Noting {
    fn begin() -> Self {
        NOTED.set(Some(Vec::new()));
        Self
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        NOTED.set(None);
    }
}

/// One connection, driven by the I/O thread or by a caller.
pub(super) struct Driver {
    connection: Mutex<Option<Driven>>,
    /// The connection's end, if a caller drove it to there.
    end: Mutex<Option<End>>,
    /// Wakes the task on the I/O thread.
    task: Mutex<Option<Waker>>,
}

impl Driver {
    pub(super) fn new(connection: Driven) -> Arc<Self> {
        Arc::new(Self { connection: Mutex::new(Some(connection)), end: Mutex::default(), task: Mutex::default() })
    }

    /// Drives the connection to its end, on the I/O thread.
    pub(super) async fn run(self: &Arc<Self>) -> End {
        let waker = Waker::from(self.clone());
        poll_fn(|context| {
            // ORDERING: the waker is known before anything is looked at, so that later changes wake this task.
            self.remember(context.waker());
            if let Some(end) = lock(&self.end).take() {
                return Poll::Ready(end);
            }
            match lock(&self.connection).as_mut() {
                Some(connection) => Pin::new(connection).poll(&mut Context::from_waker(&waker)),
                None => Poll::Ready(Ok(())),
            }
        })
        .await
    }

    /// Closes the connection's socket.
    pub(super) fn close(&self) {
        let connection = lock(&self.connection).take();
        drop(connection);
    }

    /// Drives the connection as far as it goes without waiting, unless the I/O thread is driving it.
    fn drive_if_free(self: &Arc<Self>) {
        let Ok(mut place) = self.connection.try_lock() else { return self.wake_task() };
        let Some(connection) = place.as_mut() else { return };
        // The waker of the I/O thread, which waits for everything from here on.
        let waker = Waker::from(self.clone());
        if let Poll::Ready(end) = Pin::new(connection).poll(&mut Context::from_waker(&waker)) {
            lock(&self.end).replace(end);
            drop(place);
            self.wake_task();
        }
    }

    fn remember(&self, task: &Waker) {
        let mut place = lock(&self.task);
        if !place.as_ref().is_some_and(|known| known.will_wake(task)) {
            *place = Some(task.clone());
        }
    }

    fn wake_task(&self) {
        let task = lock(&self.task).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let noted = NOTED.with_borrow_mut(|noted| noted.as_mut().map(|noted| noted.push(self.clone())).is_some());
        if !noted {
            self.wake_task();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
