//! The one thread on which all I/O happens: a current-thread tokio runtime that never touches Python.
//!
//! It starts with the first plugin or connection and lives as long as the process. It must outlive every plugin, because
//! on Linux the parent-death signal that ends an orphaned plugin follows the *thread* that started it.

use std::future::Future;
use std::process;
use std::sync::{Mutex, PoisonError};

use pyo3::PyResult;
use pyo3::exceptions::PyRuntimeError;
use tokio::runtime::{Builder, Handle};

struct IoThread {
    process_id: u32,
    handle: Handle,
}

static IO_THREAD: Mutex<Option<IoThread>> = Mutex::new(None);

/// Runs `work` on the I/O thread, starting that if need be.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> PyResult<()> {
    drop(handle()?.spawn(work));
    Ok(())
}

/// Whether this process is a fork of the one that has the I/O thread.
pub(crate) fn is_forked() -> bool {
    let place = IO_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    place.as_ref().is_some_and(|thread| thread.process_id != process::id())
}

fn handle() -> PyResult<Handle> {
    let mut place = IO_THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(thread) = place.as_ref() {
        if thread.process_id != process::id() {
            return Err(PyRuntimeError::new_err(
                "ferrule was used before this process was forked, and its I/O thread exists only in the parent. \
                 Start plugins after the fork, or have multiprocessing use the start method \"spawn\".",
            ));
        }
        return Ok(thread.handle.clone());
    }
    let handle = start()?;
    *place = Some(IoThread { process_id: process::id(), handle: handle.clone() });
    Ok(handle)
}

fn start() -> PyResult<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("ferrule-io".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
