//! The one thread on which all I/O happens: a current-thread tokio runtime that never runs Python.
//!
//! It holds no Python object but the bytes of large requests, which cannot change, and lets go of them without the
//! interpreter.
//!
//! It starts with the first plugin or connection and lives as long as the process.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use ferrule_core::grpc::driver::drive_here;
use ferrule_core::transport::LOOKUPS;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;

use crate::errors::refused_by_system;

/// Threads for work that blocks: looking up names, and two more, which are always left for decompressing large messages.
const BLOCKING_THREADS: usize = LOOKUPS + 2;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct IoThread {
    process_id: u32,
    desk: Arc<Desk>,
    runtime: Handle,
}

/// Where work is left for the I/O thread. Waking it costs a system call, so it is woken once for however much was left.
#[derive(Default)]
struct Desk {
    piles: Mutex<Piles>,
    filled: Notify,
}

#[derive(Default)]
struct Piles {
    new: Vec<Work>,
    /// Begun elsewhere, and able to go on.
    woken: Vec<Arc<Begun>>,
}

impl Desk {
    fn piles(&self) -> MutexGuard<'_, Piles> {
        self.piles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leave(&self, add: impl FnOnce(&mut Piles)) {
        let mut piles = self.piles();
        let first = piles.new.is_empty() && piles.woken.is_empty();
        add(&mut piles);
        drop(piles);
        // ORDERING: the I/O thread takes everything under the same lock, so whoever finds it empty is the one to wake it.
        if first {
            self.filled.notify_one();
        }
    }

    async fn serve(&self) {
        loop {
            let Piles { new, woken } = std::mem::take(&mut *self.piles());
            if new.is_empty() && woken.is_empty() {
                self.filled.notified().await;
            }
            for begun in woken {
                begun.go_on();
            }
            for work in new {
                tokio::spawn(work);
            }
        }
    }
}

/// Work whose first part was done by its caller; the rest is done on the I/O thread, without a task of the runtime's,
/// which could not be made without waking that thread.
struct Begun {
    work: Mutex<Option<Work>>,
    desk: Arc<Desk>,
    is_woken: AtomicBool,
}

impl Begun {
    fn go_on(self: &Arc<Self>) {
        // ORDERING: before the work looks at anything, so that what changes afterwards wakes it again.
        self.is_woken.store(false, Ordering::SeqCst);
        let mut place = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(work) = place.as_mut() else { return };
        let waker = Waker::from(self.clone());
        let advance = || work.as_mut().poll(&mut Context::from_waker(&waker));
        // As with the runtime's tasks, a panic is the end of this work alone; what it leaves behind is dropped.
        if !matches!(catch_unwind(AssertUnwindSafe(advance)), Ok(Poll::Pending)) {
            *place = None;
        }
    }
}

impl Wake for Begun {
    fn wake(self: Arc<Self>) {
        if !self.is_woken.swap(true, Ordering::SeqCst) {
            let desk = self.desk.clone();
            desk.leave(|piles| piles.woken.push(self));
        }
    }
}

static IO_THREAD: Mutex<Option<IoThread>> = Mutex::new(None);

/// Runs `work` on the I/O thread, starting that if need be.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
    with_thread(|thread| thread.desk.leave(|piles| piles.new.push(Box::pin(work))))
}

/// The same, but does here what can be done without waiting, and so may spare the I/O thread a wake-up.
pub(crate) fn begin(work: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
    with_thread(|thread| (thread.desk.clone(), thread.runtime.clone())).map(|(desk, runtime)| {
        let work: Work = Box::pin(work);
        let begun = Begun { work: Mutex::new(Some(work)), desk, is_woken: AtomicBool::new(false) };
        drive_here(&runtime, || Arc::new(begun).go_on());
    })
}

/// Does something here that may leave tasks for the I/O thread.
pub(crate) fn entered<R>(act: impl FnOnce() -> R) -> PyResult<R> {
    let runtime = with_thread(|thread| thread.runtime.clone())?;
    let _entered = runtime.enter();
    Ok(act())
}

/// Whether the I/O thread exists, or is being started.
static BEGUN: AtomicBool = AtomicBool::new(false);
/// Whether it does so in a process of which this one is a fork.
static FORKED: AtomicBool = AtomicBool::new(false);

/// Whether this process is a fork of the one that has the I/O thread.
///
/// Told without a lock, which that thread may have held at the fork, and without a system call: every call asks.
#[pyfunction]
pub(crate) fn is_forked() -> bool {
    // ORDERING: set while the process has one thread alone.
    FORKED.load(Ordering::Relaxed)
}

/// For the interpreter's functions after a fork, in the child.
#[pyfunction]
pub(crate) fn after_fork() {
    // ORDERING: a fork on another thread comes before or after the store as a whole.
    if BEGUN.load(Ordering::SeqCst) {
        FORKED.store(true, Ordering::Relaxed);
    }
}

/// The error of a process that is a fork of the one that has the I/O thread.
pub(crate) fn refuse_fork() -> PyResult<()> {
    if is_forked() { Err(forked()) } else { Ok(()) }
}

fn with_thread<R>(act: impl FnOnce(&IoThread) -> R) -> PyResult<R> {
    refuse_fork()?;
    let mut place = IO_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = place.as_ref() {
        // A fork that the interpreter did not hear of.
        return if thread.process_id == process::id() { Ok(act(thread)) } else { Err(forked()) };
    }
    BEGUN.store(true, Ordering::SeqCst);
    let started = start();
    BEGUN.store(started.is_ok(), Ordering::SeqCst);
    let thread = started.map_err(|error| refused_by_system("thread for input and output", &error))?;
    Ok(act(place.insert(thread)))
}

fn forked() -> PyErr {
    PyRuntimeError::new_err(
        "ferrule was used before this process was forked, and its I/O thread exists only in the parent. \
         Start plugins and open channels after the fork, or have multiprocessing use the start method \"spawn\".",
    )
}

fn start() -> std::io::Result<IoThread> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let handle = runtime.handle().clone();
    let desk = Arc::new(Desk::default());
    let served = desk.clone();
    // A task of its own: waking the outermost future costs a system call even on its own thread.
    let serve = async { tokio::spawn(async move { served.serve().await }).await };
    let run = move || drop(runtime.block_on(serve));
    std::thread::Builder::new().name("ferrule-io".to_owned()).spawn(run)?;
    Ok(IoThread { process_id: process::id(), desk, runtime: handle })
}
