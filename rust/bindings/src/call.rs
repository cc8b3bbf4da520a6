//! One call for Python.

use std::time::{Duration, Instant};

use ferrule_core::grpc::call::Call as CoreCall;
use ferrule_core::grpc::{Code, Status};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::detached::detached;
use crate::fork_safe::ForkSafe;
use crate::frames::to_bytes;
use crate::io_thread;
use crate::mailbox::Mailbox;
use crate::metadata::pairs;
use crate::waiting_thread::WaitingThread;

/// How long a blocked caller goes without handling signals.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);
/// Bytes of a message from which on other Python threads may run while it is framed.
const DETACHED_FRAMING_BYTES: usize = 64 * 1024;

/// One call. Its receiver is called without arguments when something that was asked for has happened, and at the end.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Call {
    core: ForkSafe<CoreCall>,
    receiver: Option<(Py<Mailbox>, u64)>,
}

impl Call {
    pub(crate) fn new(core: CoreCall, receiver: Option<(Py<Mailbox>, u64)>) -> Self {
        Self { core: ForkSafe::new(core), receiver }
    }
}

#[pymethods]
impl Call {
    /// Number of the status, or None while the call runs.
    #[getter]
    fn code(&self) -> Option<u8> {
        self.core.code().map(|code| code as u8)
    }

    /// Message of the status.
    #[getter]
    fn details(&self) -> String {
        self.core.end().map(|end| end.status.message).unwrap_or_default()
    }

    /// Code and message of a status that is an error, for people.
    #[getter]
    fn debug_error_string(&self) -> String {
        match self.core.end() {
            Some(end) if end.status.code != Code::Ok => end.status.to_string(),
            _ => String::new(),
        }
    }

    /// Whether the peer may have seen the request; final once the call has ended.
    #[getter]
    fn begun(&self) -> bool {
        self.core.begun()
    }

    /// Whether the peer has ended the call by a status of its own.
    #[getter]
    fn answered(&self) -> bool {
        self.core.answered()
    }

    /// Pairs of initial metadata; none before it has arrived.
    #[getter]
    fn initial_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pairs(py, &self.core.initial_metadata().unwrap_or_default())
    }

    /// Pairs of trailing metadata; none before the end.
    #[getter]
    fn trailing_metadata<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        pairs(py, &self.core.end().map(|end| end.trailing).unwrap_or_default())
    }

    /// The answer of a call that has ended well and expects one.
    fn message<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyBytes>>> {
        if self.core.code() != Some(Code::Ok) {
            return Ok(None);
        }
        self.core.take().first().map(|message| to_bytes(py, message)).transpose()
    }

    /// The messages that have arrived, a bounded number.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let messages = PyList::empty(py);
        for message in self.core.take() {
            messages.append(to_bytes(py, &message)?)?;
        }
        Ok(messages)
    }

    /// Queues a request; whether the transport has taken it already.
    fn send(&self, py: Python<'_>, message: &Bound<'_, PyAny>) -> PyResult<bool> {
        let message = request_bytes(message)?.as_bytes();
        if message.len() < DETACHED_FRAMING_BYTES {
            return Ok(self.core.send(message));
        }
        Ok(detached(py, || self.core.send(message)))
    }

    /// No more requests follow.
    fn finish(&self) {
        self.core.half_close();
    }

    /// Ends the call here and now; whether it still ran.
    fn cancel(&self, code: u32, details: &str) -> bool {
        // In a forked child the call is the parent's.
        if io_thread::is_forked() {
            return false;
        }
        let cancelled = self.core.cancel(Status::new(Code::from(code), details));
        if let (true, Some((mailbox, id))) = (cancelled, &self.receiver) {
            mailbox.get().remove_listener(*id);
        }
        cancelled
    }

    /// Whether an event holds, or the call has ended; if not, the receiver will be called.
    fn holds(&self, event: u8) -> bool {
        self.core.holds(event)
    }

    /// Blocks until an event holds or the call has ended; False after `timeout` seconds.
    #[pyo3(signature = (event, timeout))]
    fn wait(&self, py: Python<'_>, event: u8, timeout: Option<f64>) -> PyResult<bool> {
        let thread = WaitingThread::current();
        wait_for(py, timeout, |limit| match &thread {
            Some(thread) => self.core.wait_reading(event, limit, thread),
            None => self.core.wait(event, limit),
        })
    }
}

/// Waits in slices without holding the interpreter, so that signals are handled and other threads run.
fn wait_for(py: Python<'_>, timeout: Option<f64>, wait: impl Fn(Duration) -> bool + Sync) -> PyResult<bool> {
    // A limit too large for a duration, infinity for one, is none.
    let limit = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let slice = deadline.map_or(SIGNAL_INTERVAL, |deadline| {
            deadline.saturating_duration_since(Instant::now()).min(SIGNAL_INTERVAL)
        });
        if detached(py, || wait(slice)) {
            return Ok(true);
        }
        py.check_signals()?;
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
    }
}

/// A request as gRPC takes it.
pub(crate) fn request_bytes<'a, 'py>(message: &'a Bound<'py, PyAny>) -> PyResult<&'a Bound<'py, PyBytes>> {
    message.cast::<PyBytes>().map_err(|_| match message.get_type().name() {
        Ok(kind) => PyTypeError::new_err(format!(
            "a serialised request is {kind}, expected bytes: check the request_serializer"
        )),
        Err(error) => error,
    })
}
