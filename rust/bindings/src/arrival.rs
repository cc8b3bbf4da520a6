//! What a task awaits until bytes have come: asyncio's interface of a future, without its round through the loop.
//!
//! The callbacks of asyncio's own futures wait for the loop's next turn, which asks the system for events again. The loop
//! calls a stream, or a mailbox, in a turn of its own, where no task runs: so the task that waits goes on at once. Where a
//! task may be running, as in `cancel`, callbacks wait for the next turn here too.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::{CancelledError, InvalidStateError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// What has to be there before a task goes on.
#[derive(Clone, Copy)]
pub(crate) enum Want {
    /// So many unread bytes.
    Bytes(usize),
    /// A whole message of at most so many bytes.
    Frame(usize),
}

/// The one task that waits for a stream, if there is one, and what for.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<Option<Awaited>>>);

/// What is waited for, and by whom.
type Awaited = (Want, Py<Arrival>);

impl Waiting {
    /// Has a task wait.
    pub(crate) fn begin<'py>(
        &self,
        py: Python<'py>,
        event_loop: &Py<PyAny>,
        want: Want,
    ) -> PyResult<Bound<'py, Arrival>> {
        let arrival =
            Bound::new(py, Arrival { waiting: Some(self.clone()), ..Arrival::new(event_loop.clone_ref(py)) })?;
        let mut place = self.lock();
        if place.is_some() {
            return Err(second_receiver());
        }
        *place = Some((want, arrival.clone().unbind()));
        Ok(arrival)
    }

    /// Refuses to receive while a task waits: what another takes, and the news of it, would be lost to that task.
    pub(crate) fn refuse_second(&self) -> PyResult<()> {
        if self.lock().is_some() { Err(second_receiver()) } else { Ok(()) }
    }

    /// What is waited for.
    pub(crate) fn want(&self) -> Option<Want> {
        self.lock().as_ref().map(|(want, _)| *want)
    }

    /// Nobody waits any longer.
    pub(crate) fn take(&self) -> Option<Py<Arrival>> {
        self.lock().take().map(|(_, arrival)| arrival)
    }

    fn forget(&self, arrival: &Arrival) {
        let mut place = self.lock();
        if place.as_ref().is_some_and(|(_, other)| std::ptr::eq(other.get(), arrival)) {
            let forgotten = place.take();
            drop(place);
            drop(forgotten);
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(place) => place.as_ref().map_or(Ok(()), |(_, arrival)| visit.call(arrival)),
            Err(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Awaited>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn second_receiver() -> PyErr {
    PyRuntimeError::new_err("receive called while another coroutine is already waiting for incoming data")
}

#[derive(Default, PartialEq, Eq, Clone, Copy)]
enum Outcome {
    #[default]
    Pending,
    Arrived,
    Cancelled,
}

#[derive(Default)]
struct ArrivalState {
    outcome: Outcome,
    blocking: bool,
    cancel_message: Option<Py<PyAny>>,
    /// Functions of tasks, and the contexts to run them in.
    callbacks: Vec<(Py<PyAny>, Option<Py<PyAny>>)>,
}

impl ArrivalState {
    /// Whether nothing had ended the wait before.
    fn end(&mut self, outcome: Outcome) -> bool {
        let ends = self.outcome == Outcome::Pending;
        if ends {
            self.outcome = outcome;
        }
        ends
    }
}

thread_local! {
    /// What came during [`collect_arrived`]; `None` outside of it.
    static ARRIVED: RefCell<Option<Vec<Py<Arrival>>>> = const { RefCell::new(None) };
}

/// A function of a task that can go on, its argument, and the context to run it in.
pub(crate) type Resumption = (Py<PyAny>, Py<Arrival>, Option<Py<PyAny>>);

/// Runs `work`, and returns the tasks whose [`Arrival::arrive`] was called meanwhile. The caller has them go on, at a place
/// where neither what `work` holds nor a frame of Rust's outlasts the tasks' code.
pub(crate) fn collect_arrived(py: Python<'_>, work: impl FnOnce() -> PyResult<()>) -> PyResult<Vec<Resumption>> {
    let _collecting = Collecting(ARRIVED.replace(Some(Vec::new())));
    work()?;
    let arrived = ARRIVED.replace(Some(Vec::new())).unwrap_or_default();
    Ok(arrived.iter().flat_map(|arrival| Arrival::resumptions(arrival.bind(py))).collect())
}

/// Collects up to the end of its scope; then what was collected around it goes on. What is left, by an error or a panic,
/// waits for the loop's next turn.
struct Collecting(Option<Vec<Py<Arrival>>>);

impl Drop for Collecting {
    fn drop(&mut self) {
        let left = ARRIVED.replace(self.0.take()).unwrap_or_default();
        if !left.is_empty() {
            Python::attach(|py| left.iter().for_each(|arrival| drop(Arrival::wake_soon(arrival.bind(py)))));
        }
    }
}

/// One wait, as a rule of one task.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Arrival {
    event_loop: Py<PyAny>,
    /// The place among a stream's, which the end of the wait gives back.
    waiting: Option<Waiting>,
    state: Mutex<ArrivalState>,
}

impl Arrival {
    /// Ends the wait, and returns the tasks that can go on. The caller has them go on, as after [`collect_arrived`].
    pub(crate) fn resumptions(arrival: &Bound<'_, Self>) -> Vec<Resumption> {
        let callbacks = arrival.get().settle(Outcome::Arrived).into_iter();
        callbacks.map(|(callback, context)| (callback, arrival.clone().unbind(), context)).collect()
    }

    /// Has the tasks go on in the loop's next turn.
    pub(crate) fn wake_soon(arrival: &Bound<'_, Self>) -> PyResult<()> {
        Self::end_soon(arrival, Outcome::Arrived)
    }

    fn end_soon(arrival: &Bound<'_, Self>, outcome: Outcome) -> PyResult<()> {
        for (callback, context) in arrival.get().settle(outcome) {
            Self::call_soon(arrival, callback, context)?;
        }
        Ok(())
    }

    fn call_soon(arrival: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let py = arrival.py();
        let named = PyDict::new(py);
        named.set_item(intern!(py, "context"), context)?;
        let event_loop = arrival.get().event_loop.bind(py);
        event_loop.call_method(intern!(py, "call_soon"), (callback, arrival), Some(&named)).map(drop)
    }

    /// Ends the wait, if nothing has ended it before, and gives out the callbacks.
    fn settle(&self, outcome: Outcome) -> Vec<(Py<PyAny>, Option<Py<PyAny>>)> {
        let mut state = self.lock();
        state.end(outcome);
        std::mem::take(&mut state.callbacks)
    }

    fn end_waiting(&self) {
        if let Some(waiting) = &self.waiting {
            waiting.forget(self);
        }
    }

    fn lock(&self) -> MutexGuard<'_, ArrivalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Arrival {
    #[new]
    fn new(event_loop: Py<PyAny>) -> Self {
        Self { event_loop, waiting: None, state: Mutex::default() }
    }

    /// Has the tasks go on: once the mailbox that is at it has delivered all its letters, or else in the loop's next
    /// turn. Does nothing after the end.
    fn arrive(slf: &Bound<'_, Self>) -> PyResult<()> {
        if !slf.get().lock().end(Outcome::Arrived) {
            return Ok(());
        }
        let is_delivering = ARRIVED
            .with_borrow_mut(|arrived| arrived.as_mut().map(|arrived| arrived.push(slf.clone().unbind())).is_some());
        if is_delivering { Ok(()) } else { Self::wake_soon(slf) }
    }

    #[getter(_asyncio_future_blocking)]
    fn is_blocking(&self) -> bool {
        self.lock().blocking
    }

    #[setter(_asyncio_future_blocking)]
    fn set_blocking(&self, blocking: bool) {
        self.lock().blocking = blocking;
    }

    fn get_loop(&self, py: Python<'_>) -> Py<PyAny> {
        self.event_loop.clone_ref(py)
    }

    fn done(&self) -> bool {
        self.lock().outcome != Outcome::Pending
    }

    fn cancelled(&self) -> bool {
        self.lock().outcome == Outcome::Cancelled
    }

    fn result(&self, py: Python<'_>) -> PyResult<()> {
        let state = self.lock();
        match state.outcome {
            Outcome::Pending => Err(InvalidStateError::new_err("Result is not ready.")),
            Outcome::Arrived => Ok(()),
            Outcome::Cancelled => Err(match &state.cancel_message {
                Some(message) => CancelledError::new_err((message.clone_ref(py),)),
                None => CancelledError::new_err(()),
            }),
        }
    }

    fn exception(&self, py: Python<'_>) -> PyResult<()> {
        self.result(py)
    }

    #[pyo3(signature = (callback, *, context = None))]
    fn add_done_callback(slf: &Bound<'_, Self>, callback: Py<PyAny>, context: Option<Py<PyAny>>) -> PyResult<()> {
        let mut state = slf.get().lock();
        if state.outcome == Outcome::Pending {
            state.callbacks.push((callback, context));
            return Ok(());
        }
        drop(state);
        Self::call_soon(slf, callback, context)
    }

    fn remove_done_callback(&self, py: Python<'_>, callback: &Bound<'_, PyAny>) -> PyResult<usize> {
        let callbacks: Vec<_> = self.lock().callbacks.iter().map(|(each, _)| each.clone_ref(py)).collect();
        // Outside the lock: comparing may run Python code.
        let mut equal = Vec::new();
        for each in callbacks {
            if each.bind(py).eq(callback)? {
                equal.push(each);
            }
        }
        let mut state = self.lock();
        let callbacks = std::mem::take(&mut state.callbacks).into_iter();
        let (removed, kept): (Vec<_>, _) = callbacks.partition(|(each, _)| equal.iter().any(|other| other.is(each)));
        state.callbacks = kept;
        drop(state);
        Ok(removed.len())
    }

    /// Ends the wait; what has come meanwhile stays unread.
    #[pyo3(signature = (msg = None))]
    fn cancel(slf: &Bound<'_, Self>, msg: Option<Py<PyAny>>) -> PyResult<bool> {
        let replaced = {
            let mut state = slf.get().lock();
            if state.outcome != Outcome::Pending {
                return Ok(false);
            }
            std::mem::replace(&mut state.cancel_message, msg)
        };
        // Outside the lock: dropping an object may run Python code.
        drop(replaced);
        slf.get().end_waiting();
        Self::end_soon(slf, Outcome::Cancelled)?;
        Ok(true)
    }

    fn __await__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __iter__(slf: Bound<'_, Self>) -> Bound<'_, Self> {
        slf
    }

    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, Self>>> {
        let mut state = slf.get().lock();
        if state.outcome == Outcome::Pending {
            state.blocking = true;
            return Ok(Some(slf.clone()));
        }
        drop(state);
        slf.get().result(slf.py()).map(|()| None)
    }

    /// Ends the wait of a coroutine into which an exception is thrown.
    #[pyo3(signature = (kind, value = None, _traceback = None))]
    fn throw(
        &self,
        kind: &Bound<'_, PyAny>,
        value: Option<Bound<'_, PyAny>>,
        _traceback: Option<Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        self.end_waiting();
        Err(PyErr::from_value(value.unwrap_or_else(|| kind.clone())))
    }

    /// Ends the wait of a coroutine that is closed.
    fn close(&self) {
        self.end_waiting();
    }

    fn __repr__(&self) -> &'static str {
        match self.lock().outcome {
            Outcome::Pending => "<Arrival pending>",
            Outcome::Arrived => "<Arrival finished>",
            Outcome::Cancelled => "<Arrival cancelled>",
        }
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        let Ok(state) = self.state.try_lock() else { return Ok(()) };
        for (callback, context) in &state.callbacks {
            visit.call(callback)?;
            visit.call(context)?;
        }
        visit.call(&state.cancel_message)
    }

    fn __clear__(&self) {
        drop(self.settle(Outcome::Cancelled));
    }
}
