//! The one thread on which all I/O happens: a current-thread tokio runtime that never runs Python.
//!
//! It holds no Python object but the bytes of large requests, which cannot change, and lets go of them without the
//! interpreter.
//!
//! It starts with the first plugin or connection and lives as long as the process. It must outlive every plugin, because
//! on Linux the parent-death signal that ends an orphaned plugin follows the *thread* that started it.

use std::future::Future;
use std::pin::Pin;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use tokio::runtime::Builder;
use tokio::sync::Notify;

/// For what cannot be done without blocking: looking up names, decompressing large messages.
const BLOCKING_THREADS: usize = 4;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

struct IoThread {
    process_id: u32,
    desk: Arc<Desk>,
}

/// Where work is left for the I/O thread. Waking it costs a system call, so it is woken once for however much was left.
#[derive(Default)]
struct Desk {
    work: Mutex<Vec<Work>>,
    filled: Notify,
}

impl Desk {
    fn leave(&self, work: Work) {
        let mut waiting = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(work);
        let first = waiting.len() == 1;
        drop(waiting);
        // ORDERING: the I/O thread takes everything under the same lock, so whoever finds it empty is the one to wake it.
        if first {
            self.filled.notify_one();
        }
    }

    async fn serve(&self) {
        loop {
            let work = std::mem::take(&mut *self.work.lock().unwrap_or_else(PoisonError::into_inner));
            if work.is_empty() {
                self.filled.notified().await;
            }
            for work in work {
                tokio::spawn(work);
            }
        }
    }
}

static IO_THREAD: Mutex<Option<IoThread>> = Mutex::new(None);

/// Runs `work` on the I/O thread, starting that if need be.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
    desk()?.leave(Box::pin(work));
    Ok(())
}

/// Whether this process is a fork of the one that has the I/O thread.
pub(crate) fn is_forked() -> bool {
    let place = IO_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    place.as_ref().is_some_and(|thread| thread.process_id != process::id())
}

fn desk() -> PyResult<Arc<Desk>> {
    let mut place = IO_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = place.as_ref() {
        if thread.process_id != process::id() {
            return Err(PyRuntimeError::new_err(
                "ferrule was used before this process was forked, and its I/O thread exists only in the parent. \
                 Start plugins and open channels after the fork, or have multiprocessing use the start method \"spawn\".",
            ));
        }
        return Ok(thread.desk.clone());
    }
    let desk = start()?;
    *place = Some(IoThread { process_id: process::id(), desk: desk.clone() });
    Ok(desk)
}

fn start() -> PyResult<Arc<Desk>> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(BLOCKING_THREADS).build()?;
    let desk = Arc::new(Desk::default());
    let served = desk.clone();
    std::thread::Builder::new().name("ferrule-io".to_owned()).spawn(move || runtime.block_on(served.serve()))?;
    Ok(desk)
}
