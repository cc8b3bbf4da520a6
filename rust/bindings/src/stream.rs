//! A connection that is driven by its event loop's thread, for `ClientConnection` and asyncio's interface to it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrule_core::certificate::Identity;
use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::grpc::frame_decoder::{message_length, prefix, truncated};
use ferrule_core::grpc::framing::PREFIX_BYTES;
use ferrule_core::settings::TlsFiles;
use ferrule_core::tls::{Trust, client_config};
use ferrule_core::transport::nonblocking::NonblockingStream;
use ferrule_core::transport::{Dialer, Tls, Traffic};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes};
use tokio::sync::Notify;

use crate::arrival::{Arrival, Resumption, Waiting, Want};
use crate::convert;
use crate::detached::calling_python;
use crate::errors::to_py_err;
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::mailbox::{Mailbox, Nothing};
use crate::settings::PassedTls;
use crate::stream_state::{FRAMES_BYTES, StreamState, TURN_BYTES, is_there, missing};

/// Unread bytes at which reading stops while nobody receives.
const MAX_UNREAD_BYTES: usize = 256 * 1024;

/// One connection.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Stream {
    dialer: ForkSafe<Arc<Dialer>>,
    traffic: Traffic,
    state: Arc<Mutex<StreamState>>,
    given_up: Arc<Notify>,
    waiting: Waiting,
    event_loop: Py<PyAny>,
}

#[pymethods]
impl Stream {
    /// A stream to (`unix`, path) or (`tcp`, `HOST:PORT`), not connected yet.
    #[new]
    fn new(network: &str, address: &str, tls: Option<PassedTls>, event_loop: Py<PyAny>) -> PyResult<Self> {
        let address = convert::address(network, address, ErrorKind::ConnectFailed)?;
        let tls = tls.map(|tls| protection(&tls.into())).transpose().map_err(|error| to_py_err(&error))?;
        let traffic = Traffic::default();
        let dialer = ForkSafe::new(Arc::new(Dialer::new(address, tls, traffic.clone())));
        let (state, given_up, waiting) = (Arc::default(), Arc::default(), Waiting::default());
        Ok(Self { dialer, traffic, state, given_up, waiting, event_loop })
    }

    /// Connects on the I/O thread; the future gets None.
    fn connect(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let (dialer, state, given_up) = (Arc::clone(&self.dialer), self.state.clone(), self.given_up.clone());
        mailbox.run(future, async move {
            let stream = tokio::select! {
                dialled = dialer.dial_nonblocking() => dialled?,
                () = given_up.notified() => return Err(Error::new(ErrorKind::Cancelled, "closed while it connected")),
            };
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.closed {
                state.stream = Some(stream);
            }
            Ok(Nothing)
        })
    }

    /// The socket's descriptor, -1 once the connection is closed or broken.
    fn fileno(&self) -> PyResult<i32> {
        let state = self.lock()?;
        Ok(state.stream.as_ref().and_then(NonblockingStream::descriptor).unwrap_or(-1))
    }

    /// The next message; False at the end, None if it has not come yet or the stream is closed.
    fn take_frame<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Option<Bound<'py, PyAny>>> {
        let mut state = self.lock_to_receive()?;
        loop {
            let Some(stream) = state.open() else { return Ok(None) };
            let unread = stream.unread();
            let missing = match message_length(unread, limit) {
                Err(error) => {
                    drop(state);
                    return Err(to_py_err(&error));
                }
                Ok(length) => length.unwrap_or(0) + PREFIX_BYTES,
            };
            if unread.len() >= missing {
                let message = PyBytes::new(py, &unread[PREFIX_BYTES..missing]);
                stream.consume(missing);
                return Ok(Some(message.into_any()));
            }
            let arrived = unread.len();
            if state.refill(missing - arrived, FRAMES_BYTES) {
                continue;
            }
            if !state.has_ended()? {
                return Ok(None);
            }
            drop(state);
            return match arrived {
                0 => Ok(Some(PyBool::new(py, false).to_owned().into_any())),
                arrived => Err(to_py_err(&truncated(arrived))),
            };
        }
    }

    /// Up to `size` bytes; none at the end, None if nothing has come yet, `size` is negative, or the stream is closed.
    fn take<'py>(&self, py: Python<'py>, size: isize) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let Ok(size) = usize::try_from(size) else { return Ok(None) };
        let mut state = self.lock_to_receive()?;
        if state.open().is_some_and(|stream| stream.unread().is_empty()) && size > 0 {
            state.refill(size, TURN_BYTES);
        }
        let Some(stream) = state.open() else { return Ok(None) };
        let count = stream.unread().len().min(size);
        if count > 0 || size == 0 {
            let data = PyBytes::new(py, &stream.unread()[..count]);
            stream.consume(count);
            return Ok(Some(data));
        }
        Ok(state.has_ended()?.then(|| PyBytes::new(py, b"")))
    }

    /// Whether so many bytes are unread; None if they have not come yet, False if the end came before.
    fn fill(&self, count: usize) -> PyResult<Option<bool>> {
        let mut state = self.lock_to_receive()?;
        loop {
            let Some(stream) = state.open() else { return Ok(Some(false)) };
            let unread = stream.unread().len();
            if unread >= count {
                return Ok(Some(true));
            }
            if !state.refill(count - unread, TURN_BYTES) {
                return Ok(state.has_ended()?.then_some(false));
            }
        }
    }

    /// Waits for a whole message.
    fn arrival_of_frame<'py>(&self, py: Python<'py>, limit: usize) -> PyResult<Bound<'py, Arrival>> {
        self.waiting.begin(py, &self.event_loop, Want::Frame(limit))
    }

    /// Waits for so many unread bytes.
    fn arrival<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Bound<'py, Arrival>> {
        self.waiting.begin(py, &self.event_loop, Want::Bytes(count))
    }

    /// Reads what has arrived; returns the task that waited for it, if it can go on. Called in a callback of the loop;
    /// `changed` is called when reading is to stop: at the end, after an error, and when there is more unread than
    /// anybody asks for.
    fn readable(&self, py: Python<'_>, changed: &Bound<'_, PyAny>) -> PyResult<Vec<Resumption>> {
        let mut state = self.lock()?;
        state.turn_bytes = 0;
        let want = self.waiting.want();
        let missing = state.stream.as_ref().map_or(0, |stream| missing(stream, want));
        if want.is_some() || state.stream.as_ref().is_some_and(|stream| stream.unread().len() < MAX_UNREAD_BYTES) {
            let budget = if let Some(Want::Frame(_)) = want { FRAMES_BYTES } else { TURN_BYTES };
            state.refill(missing, budget);
        }
        let Some(stream) = &mut state.stream else { return Ok(Vec::new()) };
        let over = stream.input_ended() || stream.failure().is_some();
        let full = want.is_none() && stream.unread().len() >= MAX_UNREAD_BYTES;
        let arrival = if over || is_there(stream, want) { self.waiting.take() } else { None };
        drop(state);
        if (over || full)
            && let Err(error) = calling_python(py, || changed.call0())
        {
            arrival.map_or(Ok(()), |arrival| Arrival::wake_soon(arrival.bind(py)))?;
            return Err(error);
        }
        Ok(arrival.map_or_else(Vec::new, |arrival| Arrival::resumptions(arrival.bind(py))))
    }

    /// Reads what has arrived, and forgets it.
    fn discard(&self) -> PyResult<()> {
        let mut state = self.lock()?;
        state.turn_bytes = 0;
        state.refill(0, TURN_BYTES);
        if let Some(stream) = &mut state.stream {
            stream.consume(stream.unread().len());
        }
        Ok(())
    }

    /// Sends a message behind its prefix, as [`Stream::send`] does.
    fn send_frame(&self, message: &Bound<'_, PyBytes>, limit: usize) -> PyResult<Option<bool>> {
        let prefix = prefix(message.as_bytes().len(), limit).map_err(|error| to_py_err(&error))?;
        Ok(self.lock()?.send(&prefix, message))
    }

    /// Sends bytes. Returns whether more may follow at once: False when the loop is to be asked to flush, or the sender
    /// to wait; None when nothing was sent, because the stream is closed or broken.
    fn send(&self, data: &Bound<'_, PyBytes>) -> PyResult<Option<bool>> {
        Ok(self.lock()?.send(&[], data))
    }

    /// Sends what the kernel takes; returns how many bytes are unsent then.
    fn flush(&self) -> PyResult<usize> {
        let mut state = self.lock()?;
        let Some(stream) = &mut state.stream else { return Ok(0) };
        stream.flush();
        let unsent = stream.unsent();
        state.flushing = unsent > 0;
        Ok(unsent)
    }

    /// Says that the loop will call [`Stream::flush`], and over how many unsent bytes senders are to wait.
    fn expect_flush(&self, flushing: bool, high_water: usize) -> PyResult<()> {
        let mut state = self.lock()?;
        (state.flushing, state.high_water) = (flushing, high_water);
        Ok(())
    }

    /// Whether sent bytes wait for others, or for [`Stream::flush`] at the end of the loop's turn.
    #[getter]
    fn is_joining(&self) -> PyResult<bool> {
        Ok(self.lock()?.stream.as_ref().is_some_and(NonblockingStream::is_joining))
    }

    /// Bytes that the kernel has not taken.
    #[getter]
    fn unsent(&self) -> PyResult<usize> {
        Ok(self.lock()?.stream.as_ref().map_or(0, NonblockingStream::unsent))
    }

    /// Closes the sending side once all is sent.
    fn finish(&self) -> PyResult<()> {
        if let Some(stream) = &mut self.lock()?.stream {
            stream.finish();
        }
        Ok(())
    }

    /// Stops or resumes reading.
    fn pause(&self, paused: bool) -> PyResult<()> {
        self.lock()?.paused = paused;
        Ok(())
    }

    /// From now on nothing is sent or received by callers; what is unsent goes on.
    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.lock()?.closed = true;
        self.waiting.take().map_or(Ok(()), |arrival| Arrival::wake_soon(arrival.bind(py)))
    }

    /// Gives the socket back after an error; what is unread can still be taken.
    fn hang_up(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(stream) = &mut self.lock()?.stream {
            stream.hang_up();
        }
        self.waiting.take().map_or(Ok(()), |arrival| Arrival::wake_soon(arrival.bind(py)))
    }

    /// Ends the connection at once. In a forked child it is the parent's.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if io_thread::is_forked() {
            return Ok(());
        }
        self.given_up.notify_one();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.closed = true;
        if let Some(stream) = &mut state.stream {
            stream.close();
        }
        drop(state);
        self.waiting.take().map_or(Ok(()), |arrival| Arrival::wake_soon(arrival.bind(py)))
    }

    /// Whether the peer has sent its last byte.
    #[getter]
    fn input_ended(&self) -> PyResult<bool> {
        Ok(self.lock()?.stream.as_ref().is_none_or(NonblockingStream::input_ended))
    }

    /// Why the connection broke; None while it has not.
    #[getter]
    fn failure(&self) -> PyResult<Option<String>> {
        Ok(self.lock()?.stream.as_ref().and_then(NonblockingStream::failure).map(str::to_owned))
    }

    /// How many bytes have been read and wait for their receiver.
    #[getter]
    fn unread(&self) -> PyResult<usize> {
        Ok(self.lock()?.stream.as_ref().map_or(0, |stream| stream.unread().len()))
    }

    /// Where a separator begins among the unread bytes from `start` on; None if it is not there.
    fn find(&self, separator: &[u8], start: usize) -> PyResult<Option<usize>> {
        let state = self.lock()?;
        let unread = state.stream.as_ref().map_or(&[][..], NonblockingStream::unread);
        let rest = unread.get(start..).unwrap_or_default();
        Ok(rest.windows(separator.len().max(1)).position(|window| window == separator).map(|found| start + found))
    }

    /// Bytes on the socket and inside TLS: (sent, received, content sent, content received).
    #[getter]
    fn traffic(&self) -> (u64, u64, u64, u64) {
        let (wire, content) = (&self.traffic.wire, &self.traffic.content);
        (wire.sent(), wire.received(), content.sent(), content.received())
    }

    #[allow(clippy::needless_pass_by_value, reason = "the signature is PyO3's")]
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.event_loop)?;
        self.waiting.traverse(&visit)
    }

    fn __clear__(&self) {
        drop(self.waiting.take());
    }
}

impl Stream {
    fn lock(&self) -> PyResult<MutexGuard<'_, StreamState>> {
        io_thread::refuse_fork()?;
        Ok(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn lock_to_receive(&self) -> PyResult<MutexGuard<'_, StreamState>> {
        self.waiting.refuse_second()?;
        self.lock()
    }
}

fn protection(files: &TlsFiles) -> Result<Tls, Error> {
    let identity = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)?),
        _ => None,
    };
    let trust = Trust::Authorities(files.authorities.clone());
    Tls::new(client_config(&trust, identity.as_ref(), &[])?, &files.server_name)
}
