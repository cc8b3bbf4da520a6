//! The one thread on which all I/O happens: a current-thread tokio runtime that never runs Python.
//!
//! The thread holds no Python object but the bytes of large requests, which cannot change, and lets go of them without
//! the interpreter. It starts with the first plugin or connection, and lives as long as the process.

use std::future::Future;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ferrule_core::grpc::driver::{begin_here, drive_here};
use ferrule_core::transport::{MAX_LOOKUPS, SocketSet};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};

use crate::errors::refused_by_system;
use crate::work_queue::{CallerStartedTask, Work, WorkQueue, collect_woken};

/// Threads for work that blocks: looking up names, and two more, which are always left for decompressing large
/// messages.
const BLOCKING_THREADS: usize = MAX_LOOKUPS + 2;

struct IoThread {
    process_id: u32,
    queue: Arc<WorkQueue>,
    runtime: Handle,
}

static IO_THREAD: Mutex<Option<IoThread>> = Mutex::new(None);

/// Runs `work` on the I/O thread, starting that if need be.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
    with_thread(|thread| thread.queue.push(Box::pin(work)))
}

/// Runs `work` on the caller's thread until it has to wait, and then on the I/O thread, which is spared a wake-up, or on
/// the thread that waits for `sockets`.
pub(crate) fn start_here(work: Work, sockets: Option<&Arc<SocketSet>>) -> PyResult<()> {
    with_thread(|thread| (thread.queue.clone(), thread.runtime.clone())).map(|(queue, runtime)| {
        let task = CallerStartedTask::new(work, queue);
        begin_here(&runtime, sockets, || task.advance());
    })
}

/// Reads the sockets that this thread waits for, and runs what was started by [`start_here`] and can go on. What there is
/// to write waits for the next call, or for [`write_here`], which must follow.
pub(crate) fn read_here(sockets: &SocketSet) -> PyResult<()> {
    let runtime = with_thread(|thread| thread.runtime.clone())?;
    sockets.deferring_writes(|| {
        let mut woken = collect_woken(|| drive_here(&runtime, || sockets.drive_readable()));
        while !woken.is_empty() {
            woken = collect_woken(|| drive_here(&runtime, || woken.iter().for_each(CallerStartedTask::advance)));
        }
    });
    Ok(())
}

/// Writes what [`read_here`] has left, unless a call has taken it along.
pub(crate) fn write_here(sockets: &SocketSet) -> PyResult<()> {
    if !sockets.has_deferred() {
        return Ok(());
    }
    with_thread(|thread| thread.runtime.clone()).map(|runtime| drive_here(&runtime, || sockets.write_deferred()))
}

/// Runs `act` on the caller's thread, inside the I/O thread's runtime, so that tasks can be spawned.
pub(crate) fn inside_runtime<R>(act: impl FnOnce() -> R) -> PyResult<R> {
    let runtime = with_thread(|thread| thread.runtime.clone())?;
    let _entered = runtime.enter();
    Ok(act())
}

/// Whether the I/O thread exists, or is being started.
static STARTED: AtomicBool = AtomicBool::new(false);
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
    if STARTED.load(Ordering::SeqCst) {
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
    STARTED.store(true, Ordering::SeqCst);
    let started = start();
    STARTED.store(started.is_ok(), Ordering::SeqCst);
    match started {
        Ok(thread) => Ok(act(place.insert(thread))),
        Err(error) => {
            // An exception is made by Python code, during which other threads run that may ask for the lock.
            drop(place);
            Err(refused_by_system("thread for input and output", &error))
        }
    }
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
    let queue = Arc::new(WorkQueue::default());
    let served = queue.clone();
    // A task of its own: waking the outermost future costs a system call even on its own thread.
    let serve = async { tokio::spawn(async move { served.serve().await }).await };
    let run = move || drop(runtime.block_on(serve));
    std::thread::Builder::new().name("ferrule-io".to_owned()).spawn(run)?;
    Ok(IoThread { process_id: process::id(), queue, runtime: handle })
}
