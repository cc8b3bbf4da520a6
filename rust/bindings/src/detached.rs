//! Keeps threads out of Rust's frames when the interpreter ends them, while they wait, work, or run callbacks.
//!
//! A daemon thread that wants the interpreter back while that is being finalised is ended by it on the spot
//! (`pthread_exit`), which unwinds the thread's stack by force. Through Rust's frames that is undefined, and it crashes
//! where the unwinder is linked statically, as in the wheels. So before finalisation such threads are stopped where
//! they hold nothing: they sleep until the process is gone.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::io_thread;

/// How long the interpreter's end waits for threads to stop; a blocked one looks up every tenth of a second.
const THREADS_STOP_LIMIT: Duration = Duration::from_secs(1);

static FINALIZING: AtomicBool = AtomicBool::new(false);
/// The thread that finalises the interpreter, and goes on.
static FINALIZING_THREAD: OnceLock<ThreadId> = OnceLock::new();
/// Threads that may want the interpreter back below Rust's frames, and how many of them have stopped for good.
///
/// ORDERING: sequentially consistent, with `FINALIZING`: a thread is counted before it looks at the flag, and the flag
/// is set before the counts are looked at.
static EXPOSED_THREADS: AtomicUsize = AtomicUsize::new(0);
static STOPPED_THREADS: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// How often this thread is exposed: a callback may wait in turn.
    static EXPOSURES: Cell<usize> = const { Cell::new(0) };
}

/// Runs `work` while other threads have the interpreter.
pub(crate) fn detached<R: Send>(py: Python<'_>, work: impl FnOnce() -> R + Send) -> R {
    let _exposed = Exposed::new();
    py.detach(|| {
        let result = work();
        stop_if_finalizing();
        result
    })
}

/// Runs `work`, which calls functions of Python: other threads may have the interpreter meanwhile.
pub(crate) fn calling_python<R>(py: Python<'_>, work: impl FnOnce() -> R) -> R {
    let _exposed = Exposed::new();
    if FINALIZING.load(Ordering::SeqCst) {
        py.detach(stop_if_finalizing);
    }
    work()
}

/// Counts a thread while it is exposed, also if its work panics.
struct Exposed;

impl Exposed {
    fn new() -> Self {
        if EXPOSURES.replace(EXPOSURES.get() + 1) == 0 {
            EXPOSED_THREADS.fetch_add(1, Ordering::SeqCst);
        }
        Self
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        EXPOSURES.set(EXPOSURES.get() - 1);
        if EXPOSURES.get() == 0 {
            EXPOSED_THREADS.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn stop_if_finalizing() {
    if FINALIZING.load(Ordering::SeqCst) && FINALIZING_THREAD.get() != Some(&thread::current().id()) {
        STOPPED_THREADS.fetch_add(1, Ordering::SeqCst);
        loop {
            thread::park();
        }
    }
}

/// Stops all other threads that are without the interpreter or run callbacks, or will. For the last of the interpreter's exit
/// functions.
#[pyfunction]
pub(crate) fn stop_other_threads(py: Python<'_>) {
    // Those that were counted are the parent's.
    if io_thread::is_forked() || FINALIZING_THREAD.set(thread::current().id()).is_err() {
        return;
    }
    FINALIZING.store(true, Ordering::SeqCst);
    let own = usize::from(EXPOSURES.get() > 0);
    py.detach(|| {
        let begun = Instant::now();
        while EXPOSED_THREADS.load(Ordering::SeqCst) > STOPPED_THREADS.load(Ordering::SeqCst) + own
            && begun.elapsed() < THREADS_STOP_LIMIT
        {
            thread::sleep(Duration::from_millis(1));
        }
    });
}
