//! Waiting without the interpreter, safely up to its end.
//!
//! A daemon thread that wants the interpreter back while that is being finalised is ended by it on the spot
//! (`pthread_exit`), which unwinds the thread's stack by force. Through Rust's frames that is undefined, and it crashes
//! where the unwinder is linked statically, as in the wheels. So before finalisation such threads are stopped where they
//! hold nothing: they sleep until the process is gone.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::io_thread;

/// How long the interpreter's end waits for threads to stop; a blocked one looks up every tenth of a second.
const PATIENCE: Duration = Duration::from_secs(1);

static ENDING: AtomicBool = AtomicBool::new(false);
/// The thread that finalises the interpreter, and goes on.
static LAST: OnceLock<ThreadId> = OnceLock::new();
/// Threads that are without the interpreter, and how many of them have stopped for good.
///
/// ORDERING: sequentially consistent, with `ENDING`: a thread is counted before it looks at the flag, and the flag is set
/// before the counts are looked at.
static OUTSIDE: AtomicUsize = AtomicUsize::new(0);
static STOPPED: AtomicUsize = AtomicUsize::new(0);

/// Does `work` without the interpreter.
pub(crate) fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    let _outside = Outside::new();
    py.detach(|| {
        let result = work();
        stop_if_ending();
        result
    })
}

/// A thread that is counted, also when what it does panics.
struct Outside;

impl Outside {
    fn new() -> Self {
        OUTSIDE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        OUTSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

fn stop_if_ending() {
    if ENDING.load(Ordering::SeqCst) && LAST.get() != Some(&thread::current().id()) {
        STOPPED.fetch_add(1, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

/// Stops all other threads that are without the interpreter, or will be. For the last of the interpreter's exit functions.
#[pyfunction]
pub(crate) fn stop_other_threads(py: Python<'_>) {
    // Those that were counted are the parent's.
    if io_thread::is_forked() || LAST.set(thread::current().id()).is_err() {
        return;
    }
    ENDING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let begun = Instant::now();
        while OUTSIDE.load(Ordering::SeqCst) > STOPPED.load(Ordering::SeqCst) && begun.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(1));
        }
    });
}
