//! Moves the frames of one HTTP/2 connection: as a rule on the I/O thread, and for a lone call on the caller's own.
//!
//! A call that finds its connection idle would wake the I/O thread only to have its request written, and a switch of
//! threads costs as much as the writing. So the caller may write the request itself: connections that it wakes are
//! noted and driven right away, instead of by the I/O thread. That thread, asleep on the socket, first hears of the
//! call with the response.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use h2::client::Connection;
use tokio::runtime::Handle;
use tokio::time::sleep;

use super::frame_watch::FrameWatch;
use crate::transport::read_interest::{Check, Drive, HOLDER_CHECK_INTERVAL};
use crate::transport::{ReadInterest, SocketSet};

type Driven = Connection<FrameWatch, Bytes>;
type End = Result<(), h2::Error>;

thread_local! {
    /// Connections that were woken during [`drive_here`]; `None` outside of it.
    static NOTED: RefCell<Option<Vec<Arc<Driver>>>> = const { RefCell::new(None) };
}

/// Connections that wake each other again and again are left to the I/O thread after so many turns.
const TURNS: usize = 4;

/// Runs `work`, then drives the connections that it woke, on this thread.
///
/// `runtime` is the I/O thread's: sockets and timers belong to it wherever they are used.
pub fn drive_here<R>(runtime: &Handle, work: impl FnOnce() -> R) -> R {
    noting(runtime, work, Driver::drive_if_free)
}

/// Begins a lone call by `work`, then drives the connections that it woke, on this thread. `caller` has the sockets that
/// this thread waits for.
pub fn begin_here<R>(runtime: &Handle, caller: Option<&Arc<SocketSet>>, work: impl FnOnce() -> R) -> R {
    noting(runtime, work, |driver| driver.begin_lone_call(caller))
}

fn noting<R>(runtime: &Handle, work: impl FnOnce() -> R, drive: impl Fn(&Arc<Driver>)) -> R {
    let _entered = runtime.enter();
    let noting = Noting::begin();
    let result = work();
    for _ in 0..TURNS {
        let noted = NOTED.with_borrow_mut(|noted| noted.as_mut().map(std::mem::take)).unwrap_or_default();
        if noted.is_empty() {
            break;
        }
        noted.iter().for_each(&drive);
    }
    drop(noting);
    result
}

/// Notes woken connections up to the end of its scope, also by a panic. Those that are left then are the I/O thread's.
struct Noting;

impl Noting {
    fn begin() -> Self {
        NOTED.set(Some(Vec::new()));
        Self
    }
}

impl Drop for Noting {
    fn drop(&mut self) {
        NOTED.take().iter().flatten().for_each(|driver| driver.wake_task());
    }
}

/// One connection, driven by the I/O thread or by a caller.
pub(super) struct Driver {
    connection: Mutex<Option<Driven>>,
    /// Who waits for the connection's socket, if that can change. Changes are made under the connection's lock, except
    /// for the interest's return from a holder that stands still.
    read_interest: Option<Arc<ReadInterest>>,
    /// The connection's end, if a caller drove it to there.
    end: Mutex<Option<End>>,
    /// Wakes the task on the I/O thread.
    task: Mutex<Option<Waker>>,
}

impl Driver {
    pub(super) fn new(connection: Driven, read_interest: Option<Arc<ReadInterest>>) -> Arc<Self> {
        let connection = Mutex::new(Some(connection));
        let driver = Arc::new(Self { connection, read_interest, end: Mutex::default(), task: Mutex::default() });
        if let Some(interest) = &driver.read_interest {
            let driver = Arc::downgrade(&driver);
            interest.attach(driver);
        }
        driver
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
            let mut place = lock(&self.connection);
            if let Some(interest) = &self.read_interest {
                interest.give_back();
            }
            match place.as_mut() {
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

    /// Drives the connection as far as it goes without waiting, unless another thread is driving it.
    fn drive_if_free(self: &Arc<Self>) {
        match self.connection.try_lock() {
            Ok(place) => self.poll(place),
            Err(_) => self.wake_task(),
        }
    }

    /// Like [`Driver::drive_if_free`], after the beginning of a lone call.
    fn begin_lone_call(self: &Arc<Self>, caller: Option<&Arc<SocketSet>>) {
        let Ok(place) = self.connection.try_lock() else { return self.wake_task() };
        if self.read_interest.as_ref().is_some_and(|interest| interest.note_lone_call(caller)) {
            tokio::spawn(check_holder(Arc::downgrade(self)));
        }
        self.poll(place);
    }

    fn poll(self: &Arc<Self>, mut place: MutexGuard<'_, Option<Driven>>) {
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

impl Drive for Driver {
    fn drive(self: Arc<Self>) {
        self.drive_if_free();
        // Much has arrived, or the connection waits until it can write.
        if self.read_interest.as_ref().is_some_and(|interest| interest.has_more()) {
            self.wake_task();
        }
    }
}

/// Looks after a caller's thread that waits for the connection's socket, as long as it does. A thread that stands still
/// must not keep pings and windows, nor the news of the connection's end, waiting.
async fn check_holder(driver: Weak<Driver>) {
    loop {
        sleep(HOLDER_CHECK_INTERVAL).await;
        let Some(driver) = driver.upgrade() else { return };
        let Some(interest) = &driver.read_interest else { return };
        match interest.check() {
            Check::Alive => (),
            Check::Returned => return,
            Check::Expired => return driver.wake_task(),
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
