//! A channel for Python, asynchronous or blocking: the difference is only how a call's end is waited for.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ferrule_core::certificate::Identity;
use ferrule_core::error::Error;
use ferrule_core::grpc::call::{Call as CoreCall, Request};
use ferrule_core::grpc::channel::{Channel as CoreChannel, ConnectivityState};
use ferrule_core::grpc::compression::Encoding;
use ferrule_core::grpc::target::{Target, TargetConnector};
use ferrule_core::grpc::{Code, Framed, Status, frame, frame_in_place};
use ferrule_core::settings::TlsFiles;
use ferrule_core::tls::{ALPN_H2, Trust, client_config};
use ferrule_core::transport::read_interest::mode;
use ferrule_core::transport::{Tls, Traffic};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyString};

use crate::call::{Call, request_bytes};
use crate::channel_settings::{PassedChannelSettings, SendOptions};
use crate::detached::detached;
use crate::errors::to_py_err;
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::lent::{Lent, Loan};
use crate::mailbox::{Mailbox, Nothing};
use crate::metadata::read_metadata;
use crate::settings::PassedTls;
use crate::waiting_thread::WaitingThread;

/// The `:authority` of calls to a target.
#[pyfunction]
pub(crate) fn authority_of(target: &str) -> String {
    Target::parse(target).authority().to_string()
}

/// One channel.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Channel {
    core: ForkSafe<CoreChannel>,
    send_options: SendOptions,
}

impl Channel {
    pub(crate) fn new(core: CoreChannel, send_options: SendOptions) -> Self {
        Self { core: ForkSafe::new(core), send_options }
    }
}

#[pymethods]
impl Channel {
    #[new]
    #[pyo3(signature = (target, settings, tls))]
    fn connecting_to(target: &str, settings: PassedChannelSettings, tls: Option<PassedTls>) -> PyResult<Self> {
        let target = Target::parse(target);
        let (settings, send_options) = settings.read(Some((&target, tls.is_some())))?;
        let tls = tls.map(|tls| protection(tls.into(), &target)).transpose().map_err(|error| to_py_err(&error))?;
        let connector = TargetConnector::new(target, tls, Traffic::default(), send_options.connect_timeout);
        Ok(Self::new(CoreChannel::new(Box::new(connector), settings), send_options))
    }

    /// Starts a call.
    #[pyo3(signature = (mailbox, receiver, method, request, single_response, metadata, timeout, wait_for_ready, compression))]
    #[allow(clippy::too_many_arguments)] // By position, because names would cost time on the hottest path.
    fn call(
        &self,
        py: Python<'_>,
        mailbox: Option<Py<Mailbox>>,
        receiver: Option<Py<PyAny>>,
        method: &Bound<'_, PyAny>,
        request: Option<&Bound<'_, PyAny>>,
        single_response: bool,
        metadata: Option<&Bound<'_, PyAny>>,
        timeout: Option<f64>,
        wait_for_ready: bool,
        compression: Option<u32>,
    ) -> PyResult<Call> {
        let mut call = Request {
            path: path(method)?,
            metadata: http::HeaderMap::new(),
            encoding: compression.and_then(Encoding::from_number).unwrap_or(self.send_options.encoding),
            deadline: timeout.and_then(deadline),
            wait_for_ready,
            single_response,
            message: None,
            max_send: self.send_options.max_send,
        };
        if let Some(metadata) = metadata {
            read_metadata(metadata, &mut call)?;
        }
        let mut loan = None;
        let message = request.map(request_bytes).transpose()?;
        let framed = message.map(|message| framed(py, message, &call, &mut loan)).transpose();
        let refusal = match framed {
            Ok(message) => {
                call.message = message;
                None
            }
            Err(status) => Some(status),
        };
        self.start(py, mailbox, receiver, call, loan, refusal)
    }

    /// Begins to connect if the channel is idle.
    fn connect(&self) -> PyResult<()> {
        let core = CoreChannel::clone(&self.core);
        io_thread::spawn(async move { core.connect() })
    }

    /// The state, by gRPC's number.
    fn state(&self) -> u8 {
        self.core.state() as u8
    }

    /// Resolves a future once the state is another.
    fn watch_state(&self, last: u8, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let last = state(last)?;
        let core = CoreChannel::clone(&self.core);
        mailbox.run(future, async move {
            core.state_changed(last).await;
            Ok(Nothing)
        })
    }

    /// Ends the channel; calls that run end with this text and code, by default CANCELLED.
    #[pyo3(signature = (details, code = Code::Cancelled as u32))]
    fn close(&self, details: String, code: u32) {
        // In a forked child the channel is the parent's, and the I/O thread, gone here, may have held any of its locks.
        if io_thread::is_forked() {
            return;
        }
        self.core.close(Status::new(Code::from(code), details));
    }

    /// Numbers of calls, messages, streams, connections and bytes so far.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let stats = PyDict::new(py);
        for (name, value) in self.core.stats() {
            stats.set_item(name, value)?;
        }
        Ok(stats)
    }
}

impl Channel {
    fn start(
        &self,
        py: Python<'_>,
        mailbox: Option<Py<Mailbox>>,
        receiver: Option<Py<PyAny>>,
        request: Request,
        loan: Option<Loan>,
        refusal: Option<Status>,
    ) -> PyResult<Call> {
        let (watcher, receiver) = match (mailbox, receiver) {
            (Some(mailbox), Some(receiver)) => {
                let (id, watcher) = mailbox.get().watcher(receiver);
                (Some(watcher), Some((mailbox, id)))
            }
            _ => (None, None),
        };
        let call = CoreCall::new(&request, watcher);
        if let (Some(loan), Some((mailbox, _))) = (loan, &receiver) {
            let _ = loan.set((call.clone(), Box::new(mailbox.get().release())));
        }
        let begun = match refusal {
            Some(status) => {
                call.finish(status.into());
                Ok(())
            }
            // Many calls at once are sent together, by the I/O thread.
            None if mode::takes(self.core.admit()) && is_small(&request) => {
                // Without a receiver the thread itself waits for the end.
                let sockets = match &receiver {
                    Some((mailbox, _)) => mailbox.get().sockets().cloned(),
                    None => WaitingThread::at_lone_call().map(|thread| thread.sockets().clone()),
                };
                let work = Box::pin(CoreChannel::clone(&self.core).run(call.clone(), request));
                io_thread::start_here(work, sockets.as_ref())
            }
            None => io_thread::spawn(CoreChannel::clone(&self.core).run(call.clone(), request)),
        };
        if let (Err(_), Some((mailbox, id))) = (&begun, &receiver) {
            mailbox.bind(py).get().remove_listener(*id);
        }
        begun.map(|()| Call::new(call, receiver))
    }
}

/// Whether a request is sent with one write. More would hold up the interpreter.
fn is_small(request: &Request) -> bool {
    let message = request.message.as_ref();
    message.is_some_and(|message| message.head.len() + message.body.len() <= ONE_WRITE_BYTES)
}

/// The deadline that Rust keeps as well as the wire, so that it holds while Python is busy. `None` if it is too far
/// away to be represented.
fn deadline(seconds: f64) -> Option<Instant> {
    // NaN and negative timeouts have passed.
    let seconds = if seconds > 0.0 { seconds } else { 0.0 };
    Instant::now().checked_add(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Bytes of a request that are written at once.
const ONE_WRITE_BYTES: usize = 16 * 1024;
/// Bytes of a message from which on it is not copied unless it has to be, and other Python threads may run while it is
/// compressed.
const LARGE_REQUEST_BYTES: usize = 64 * 1024;

/// A large message travels as it is: a copy of a megabyte costs as much as the rest of a small call, and doubles what
/// many calls hold at a time.
fn framed(
    py: Python<'_>,
    message: &Bound<'_, PyBytes>,
    call: &Request,
    loan: &mut Option<Loan>,
) -> Result<Framed, Status> {
    let (bytes, encoding, limit) = (message.as_bytes(), call.encoding, call.max_send);
    if bytes.len() < LARGE_REQUEST_BYTES {
        return frame(bytes, encoding, limit).map(Framed::from);
    }
    if encoding == Encoding::Identity {
        let loan = loan.insert(Loan::default()).clone();
        return frame_in_place(Bytes::from_owner(Lent::new(message, loan)), limit);
    }
    detached(py, || frame(bytes, encoding, limit)).map(Framed::from)
}

fn path(method: &Bound<'_, PyAny>) -> PyResult<Bytes> {
    if let Ok(method) = method.cast::<PyString>() {
        return Ok(Bytes::copy_from_slice(method.to_cow()?.as_bytes()));
    }
    match method.cast::<PyBytes>() {
        Ok(method) => Ok(Bytes::copy_from_slice(method.as_bytes())),
        Err(_) => {
            Err(PyTypeError::new_err(format!("a method is {}, expected str or bytes", method.get_type().name()?)))
        }
    }
}

fn state(number: u8) -> PyResult<ConnectivityState> {
    let states = [
        ConnectivityState::Idle,
        ConnectivityState::Connecting,
        ConnectivityState::Ready,
        ConnectivityState::TransientFailure,
        ConnectivityState::Shutdown,
    ];
    let known = states.into_iter().find(|state| *state as u8 == number);
    known.ok_or_else(|| PyValueError::new_err(format!("state {number}, expected 0 to 4")))
}

fn protection(files: TlsFiles, target: &Target) -> Result<Tls, Error> {
    let identity = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)?),
        _ => None,
    };
    let name = if files.server_name.is_empty() { target.server_name() } else { &files.server_name };
    let trust = if files.authorities.is_empty() { Trust::System } else { Trust::Authorities(files.authorities) };
    Tls::new(client_config(&trust, identity.as_ref(), &[ALPN_H2])?, name)
}
