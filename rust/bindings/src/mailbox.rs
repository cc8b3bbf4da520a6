//! Carries results from the I/O thread to futures and listeners on an event loop's thread.
//!
//! One mailbox per event loop. The I/O thread pushes plain Rust values and, if the mailbox was idle, rings a bell that
//! the loop watches. The loop's callback drains the queue in one go: one wake-up for any number of letters. A result
//! becomes a Python object by PyO3's own trait, which each type implements where it is defined, so that no file has to
//! know them all.

use std::collections::HashMap;
use std::convert::Infallible;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::grpc::call::Watcher;
use ferrule_core::transport::SocketSet;
use ferrule_core::wake::Wake;
use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, intern};

use crate::arrival::{Resumption, collect_arrived};
use crate::bell::Bell;
use crate::detached::calling_python;
use crate::errors::{refused_by_system, to_exception};
use crate::{io_thread, panic_hook};

/// Letters handled per wake-up. The rest waits for the loop's next turn, so that a flood cannot starve the loop.
const LETTERS_PER_DRAIN: usize = 1024;

type Id = u64;
/// Makes a result a Python object, on the thread that holds the interpreter.
type Conversion = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum Letter {
    /// The end of an operation: resolves a future.
    Done(Id, Result<Conversion, Error>),
    /// Calls a listener.
    Wake(Id),
    /// Calls a listener for the last time, and forgets it.
    Last(Id),
    /// An object was let go of without the interpreter. Reading any letter makes up for that.
    Released,
}

/// The mailbox as the I/O thread has it.
struct LetterQueue {
    letters: Mutex<Vec<Letter>>,
    idle: AtomicBool,
    bell: Bell,
}

impl LetterQueue {
    /// Whoever holds the bell empties the queue before long: letters need not ring meanwhile.
    fn hold_bell(&self) -> HeldBell<'_> {
        self.idle.store(false, Ordering::SeqCst);
        HeldBell(self)
    }

    fn post(&self, letter: Letter) {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).push(letter);
        // ORDERING: sequentially consistent together with `drain`, which sets the flag before it empties the queue. So
        // either that emptying sees this letter, or this swap sees the flag and rings.
        if self.idle.swap(false, Ordering::SeqCst) {
            self.bell.ring();
        }
    }
}

/// Rings once more when it is let go of by a panic, so that no letter is forgotten.
struct HeldBell<'a>(&'a LetterQueue);

impl Drop for HeldBell<'_> {
    fn drop(&mut self) {
        self.0.bell.ring();
    }
}

/// Delivers results to one event loop. Made once per loop. All methods are called on the loop's thread.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Mailbox {
    queue: Arc<LetterQueue>,
    receivers: Mutex<Receivers>,
    /// Sockets that the loop reads.
    sockets: Option<Arc<SocketSet>>,
}

#[derive(Default)]
struct Receivers {
    last: Id,
    by_id: HashMap<Id, Py<PyAny>>,
}

#[pymethods]
impl Mailbox {
    /// `reads_sockets` says that the loop watches the second descriptor, too.
    #[new]
    #[pyo3(signature = (reads_sockets = false))]
    fn new(reads_sockets: bool) -> PyResult<Self> {
        let queue = LetterQueue { letters: Mutex::default(), idle: AtomicBool::new(true), bell: Bell::new()? };
        let sockets = if reads_sockets { SocketSet::new() } else { Ok(None) };
        let sockets = sockets.map_err(|error| refused_by_system("epoll", &error))?;
        Ok(Self { queue: Arc::new(queue), receivers: Mutex::default(), sockets })
    }

    /// The descriptor that becomes readable when there are letters to drain.
    fn fileno(&self) -> i32 {
        self.queue.bell.fileno()
    }

    /// The descriptor that becomes readable when there are sockets to read.
    fn sockets_fileno(&self) -> Option<i32> {
        self.sockets.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Reads sockets, then delivers what came of it, as [`Mailbox::drain`] does. [`Mailbox::write_sockets`] must follow.
    fn read_sockets(&self, py: Python<'_>) -> PyResult<Vec<Resumption>> {
        let Some(sockets) = self.own_sockets() else { return Ok(Vec::new()) };
        let held = self.queue.hold_bell();
        let result = io_thread::read_here(sockets);
        std::mem::forget(held);
        self.deliver_all(py, result)
    }

    /// Writes what [`Mailbox::read_sockets`] has left, unless the tasks that went on have sent it along.
    fn write_sockets(&self) -> PyResult<()> {
        self.own_sockets().map_or(Ok(()), |sockets| io_thread::write_here(sockets))
    }

    /// Resolves futures and calls listeners for everything that has arrived; returns the tasks that can go on.
    fn drain(&self, py: Python<'_>) -> PyResult<Vec<Resumption>> {
        self.queue.bell.silence();
        self.deliver_all(py, Ok(()))
    }

    /// Forgets a listener. Letters that are still under way to it are dropped.
    pub(crate) fn remove_listener(&self, listener: Id) {
        let listener = self.receivers().by_id.remove(&listener);
        // Outside the lock: dropping an object may run Python code.
        drop(listener);
    }

    /// Forgets all futures and listeners, of a loop that was closed. They may hold this mailbox, in a circle that the
    /// collector cannot see.
    fn forget_all(&self) {
        let forgotten = std::mem::take(&mut self.receivers().by_id);
        // Outside the lock: dropping an object may run Python code.
        drop(forgotten);
    }

    /// The number of futures and listeners that wait. For tests of leaks.
    fn __len__(&self) -> usize {
        self.receivers().by_id.len()
    }
}

impl Mailbox {
    /// The sockets that the loop reads, if it does so.
    pub(crate) fn sockets(&self) -> Option<&Arc<SocketSet>> {
        self.sockets.as_ref()
    }

    /// In a forked child the sockets are the parent's.
    fn own_sockets(&self) -> Option<&Arc<SocketSet>> {
        self.sockets.as_ref().filter(|_| !io_thread::is_forked())
    }

    fn deliver_all(&self, py: Python<'_>, read: PyResult<()>) -> PyResult<Vec<Resumption>> {
        calling_python(py, || collect_arrived(py, || self.deliver_letters(py).and(read)))
    }

    fn deliver_letters(&self, py: Python<'_>) -> PyResult<()> {
        // ORDERING: see `LetterQueue::post`; the other order loses a wake-up.
        self.queue.idle.store(true, Ordering::SeqCst);
        let mut letters = {
            let mut waiting = self.queue.letters.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() <= LETTERS_PER_DRAIN {
                std::mem::take(&mut *waiting)
            } else {
                waiting.drain(..LETTERS_PER_DRAIN).collect()
            }
        };
        if letters.len() == LETTERS_PER_DRAIN && self.queue.idle.swap(false, Ordering::SeqCst) {
            self.queue.bell.ring();
        }
        // An exception of one receiver must not lose the others' letters: the last one is reported to the loop.
        let mut result = Ok(());
        for letter in letters.drain(..) {
            if let Err(error) = self.deliver(py, letter) {
                result = Err(error);
            }
        }
        result
    }

    /// Runs an operation on the I/O thread, and resolves `future` with its result. After an error here, never.
    pub(crate) fn run<T: for<'py> IntoPyObject<'py> + Send + 'static>(
        &self,
        future: Py<PyAny>,
        operation: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> PyResult<()> {
        let id = self.register(future);
        let completion = Completion { queue: self.queue.clone(), id, posted: false };
        let begun = io_thread::spawn(async move { completion.post(operation.await) });
        if begun.is_err() {
            // The caller hears of it: the future, which nobody awaits then, has nothing to say.
            self.remove_listener(id);
        }
        begun
    }

    /// Keeps `listener`, called without arguments at each wake, until it is removed by the returned id.
    pub(crate) fn listener(&self, listener: Py<PyAny>) -> (Id, Arc<dyn Wake>) {
        let id = self.register(listener);
        let queue = self.queue.clone();
        (id, Arc::new(move || queue.post(Letter::Wake(id))))
    }

    /// Has the loop's thread make up for objects that were let go of without the interpreter.
    pub(crate) fn release(&self) -> impl Fn() + Send + Sync + use<> {
        let queue = self.queue.clone();
        move || queue.post(Letter::Released)
    }

    /// Keeps the receiver of a call's events, called without arguments at each, until the call's end, which is the
    /// last.
    pub(crate) fn watcher(&self, receiver: Py<PyAny>) -> (Id, Box<dyn Watcher>) {
        let id = self.register(receiver);
        (id, Box::new(CallWatcher { queue: self.queue.clone(), id }))
    }

    fn register(&self, receiver: Py<PyAny>) -> Id {
        let mut receivers = self.receivers();
        receivers.last += 1;
        let id = receivers.last;
        receivers.by_id.insert(id, receiver);
        id
    }

    fn receivers(&self) -> MutexGuard<'_, Receivers> {
        self.receivers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn deliver(&self, py: Python<'_>, letter: Letter) -> PyResult<()> {
        match letter {
            Letter::Done(id, result) => {
                let Some(future) = self.receivers().by_id.remove(&id) else { return Ok(()) };
                let future = future.bind(py);
                if future.call_method0(intern!(py, "done"))?.is_truthy()? {
                    return Ok(());
                }
                match result.map(|convert| convert(py)) {
                    Ok(Ok(value)) => future.call_method1(intern!(py, "set_result"), (value,)),
                    Ok(Err(error)) => future.call_method1(intern!(py, "set_exception"), (error,)),
                    Err(error) => future.call_method1(intern!(py, "set_exception"), (to_exception(py, &error)?,)),
                }
                .map(drop)
            }
            Letter::Wake(id) => {
                let listener = self.receivers().by_id.get(&id).map(|listener| listener.clone_ref(py));
                listener.map_or(Ok(()), |listener| listener.call0(py).map(drop))
            }
            Letter::Released => Ok(()),
            Letter::Last(id) => {
                let listener = self.receivers().by_id.remove(&id);
                listener.map_or(Ok(()), |listener| listener.call0(py).map(drop))
            }
        }
    }
}

/// Posts the events of one call.
struct CallWatcher {
    queue: Arc<LetterQueue>,
    id: Id,
}

impl Watcher for CallWatcher {
    fn event(&self) {
        self.queue.post(Letter::Wake(self.id));
    }

    fn ended(&self) {
        self.queue.post(Letter::Last(self.id));
    }
}

/// The promise of one result. Dropped without a result, by a panic or the end of the runtime, it posts an error
/// instead, so that no future waits for ever.
pub(crate) struct Completion {
    queue: Arc<LetterQueue>,
    id: Id,
    posted: bool,
}

impl Completion {
    pub(crate) fn post<T: for<'py> IntoPyObject<'py> + Send + 'static>(mut self, result: Result<T, Error>) {
        self.posted = true;
        let result = result.map(|value| -> Conversion { Box::new(move |py| value.into_py_any(py)) });
        self.queue.post(Letter::Done(self.id, result));
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if !self.posted {
            let what = panic_hook::take_latest().unwrap_or_else(|| "it has ended".to_owned());
            let message = format!("the operation was abandoned by the I/O thread: {what}; please report this");
            let error = Error::new(ErrorKind::Cancelled, message);
            self.queue.post(Letter::Done(self.id, Err(error)));
        }
    }
}

/// The result of an operation that has none: `None`, where PyO3 makes an empty tuple of `()`.
pub(crate) struct Nothing;

impl<'py> IntoPyObject<'py> for Nothing {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = Infallible;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Self::Error> {
        Ok(py.None().into_bound(py))
    }
}
