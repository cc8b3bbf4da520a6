//! What a task awaits until bytes have come: asyncio's interface of a future, without its round through the loop.
//!
//! The callbacks of asyncio's own futures wait for the loop's next turn, which asks the system for events again. The loop
//! calls a stream in a turn of its own, where no task runs: so the task that waits goes on at once. Where a task may be
//! running, as in `cancel`, callbacks wait for the next turn here too.

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

/// The one task that waits for a stream, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Waiting(Arc<Mutex<Option<Py<Arrival>>>>);

impl Waiting {
    /// Has a task wait.
    pub(crate) fn begin<'py>(
        &self,
        py: Python<'py>,
        event_loop: &Py<PyAny>,
        want: Want,
    ) -> PyResult<Bound<'py, Arrival>> {
        let state = Mutex::new(ArrivalState::default());
        let arrival = Arrival { want, event_loop: event_loop.clone_ref(py), waiting: self.clone(), state };
        let arrival = Bound::new(py, arrival)?;
        let mut place = self.lock();
        if place.is_some() {
            return Err(second_receiver());
        }
        *place = Some(arrival.clone().unbind());
        Ok(arrival)
    }

    /// Refuses to receive while a task waits: what another takes, and the news of it, would be lost to that task.
    pub(crate) fn refuse_second(&self) -> PyResult<()> {
        if self.lock().is_some() { Err(second_receiver()) } else { Ok(()) }
    }

    /// What is waited for.
    pub(crate) fn want(&self) -> Option<Want> {
        self.lock().as_ref().map(|arrival| arrival.get().want)
    }

    /// Nobody waits any longer.
    pub(crate) fn take(&self) -> Option<Py<Arrival>> {
        self.lock().take()
    }

    fn forget(&self, arrival: &Arrival) {
        let mut place = self.lock();
        if place.as_ref().is_some_and(|other| std::ptr::eq(other.get(), arrival)) {
            let forgotten = place.take();
            drop(place);
            drop(forgotten);
        }
    }

    pub(crate) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self.0.try_lock() {
            Ok(place) => place.as_ref().map_or(Ok(()), |arrival| visit.call(arrival)),
            Err(_) => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Py<Arrival>>> {
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

/// One wait of one task.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Arrival {
    want: Want,
    event_loop: Py<PyAny>,
    waiting: Waiting,
    state: Mutex<ArrivalState>,
}

impl Arrival {
    /// Has the task go on now. Called by the loop, while no task runs.
    pub(crate) fn wake(arrival: &Bound<'_, Self>) -> PyResult<()> {
        let py = arrival.py();
        for (callback, context) in arrival.get().settle(Outcome::Arrived) {
            match context {
                Some(context) => context.bind(py).call_method1(intern!(py, "run"), (callback, arrival))?,
                None => callback.bind(py).call1((arrival,))?,
            };
        }
        Ok(())
    }

    /// Has the task go on in the loop's next turn.
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

    fn settle(&self, outcome: Outcome) -> Vec<(Py<PyAny>, Option<Py<PyAny>>)> {
        let mut state = self.lock();
        state.outcome = outcome;
        std::mem::take(&mut state.callbacks)
    }

    fn lock(&self) -> MutexGuard<'_, ArrivalState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Arrival {
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
        slf.get().waiting.forget(slf.get());
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
        self.waiting.forget(self);
        Err(PyErr::from_value(value.unwrap_or_else(|| kind.clone())))
    }

    /// Ends the wait of a coroutine that is closed.
    fn close(&self) {
        self.waiting.forget(self);
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
