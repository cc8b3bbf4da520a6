//! A runner that Python implements: the core's requests wait here until Python has answered them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ferrule_core::address::Address;
use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::exit_status::ExitStatus;
use ferrule_core::future::BoxFuture;
use ferrule_core::runner::{Order, Runner, Running};
use ferrule_core::wake::Wake;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use tokio::sync::oneshot;

use crate::convert::{address, location, reopened_pipe};
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::mailbox::Mailbox;

/// A request of the core to a runner.
enum RunnerRequest {
    Start(Box<Order>),
    Signal(bool),
    Translate(&'static str, Address),
}

/// A runner's reply.
enum RunnerReply {
    Running(Running),
    Address(Address),
}

#[derive(Default)]
struct RequestState {
    requests: Vec<(u64, RunnerRequest)>,
    waiting: HashMap<u64, oneshot::Sender<Result<RunnerReply, Error>>>,
    exit: Option<oneshot::Sender<ExitStatus>>,
    /// No request is answered any more.
    closed: bool,
}

struct RequestQueue {
    last: AtomicU64,
    state: Mutex<RequestState>,
    wake: Arc<dyn Wake>,
}

impl RequestQueue {
    fn lock(&self) -> MutexGuard<'_, RequestState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, request: RunnerRequest) -> oneshot::Receiver<Result<RunnerReply, Error>> {
        let (sender, receiver) = oneshot::channel();
        let number = self.last.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if state.closed {
            // The sender is dropped, which ends the wait for a reply.
            return receiver;
        }
        // Of a signal no answer is awaited.
        if !matches!(request, RunnerRequest::Signal(_)) {
            state.waiting.insert(number, sender);
        }
        state.requests.push((number, request));
        drop(state);
        self.wake.wake();
        receiver
    }
}

struct PythonRunner(Arc<RequestQueue>);

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::RunnerFailed, message)
}

async fn reply(receiver: oneshot::Receiver<Result<RunnerReply, Error>>) -> Result<RunnerReply, Error> {
    receiver.await.unwrap_or_else(|_| Err(failed("the runner was given up")))
}

impl PythonRunner {
    fn translate(&self, direction: &'static str, address: Address) -> BoxFuture<Result<Address, Error>> {
        let receiver = self.0.ask(RunnerRequest::Translate(direction, address));
        Box::pin(async move {
            match reply(receiver).await? {
                RunnerReply::Address(address) => Ok(address),
                RunnerReply::Running(_) => Err(failed(format!("the runner answered {direction} with no address"))),
            }
        })
    }
}

impl Runner for PythonRunner {
    fn start(&self, order: Order) -> BoxFuture<Result<Running, Error>> {
        let receiver = self.0.ask(RunnerRequest::Start(Box::new(order)));
        Box::pin(async move {
            match reply(receiver).await? {
                RunnerReply::Running(running) => Ok(running),
                RunnerReply::Address(_) => Err(failed("the runner answered start with an address")),
            }
        })
    }

    fn signal(&self, force: bool) {
        drop(self.0.ask(RunnerRequest::Signal(force)));
    }

    fn plugin_to_host(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        self.translate("plugin_to_host", address)
    }

    fn host_to_plugin(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        self.translate("host_to_plugin", address)
    }
}

/// Where the core's requests for a runner wait. `listener` is called without arguments when [`RunnerRequests::take`]
/// has some.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct RunnerRequests {
    queue: ForkSafe<Arc<RequestQueue>>,
    mailbox: Py<Mailbox>,
    listener: u64,
}

impl RunnerRequests {
    pub(crate) fn runner(&self) -> Arc<dyn Runner> {
        Arc::new(PythonRunner(Arc::clone(&self.queue)))
    }

    fn answer_with(&self, request: u64, answer: Result<RunnerReply, Error>) {
        let waiting = self.queue.lock().waiting.remove(&request);
        if let Some(waiting) = waiting {
            // The request may have been given up.
            let _ = waiting.send(answer);
        }
    }
}

#[pymethods]
impl RunnerRequests {
    #[new]
    fn new(mailbox: Py<Mailbox>, listener: Py<PyAny>) -> Self {
        let (listener, wake) = mailbox.get().listener(listener);
        let queue = RequestQueue { last: AtomicU64::new(1), state: Mutex::default(), wake };
        Self { queue: ForkSafe::new(Arc::new(queue)), mailbox, listener }
    }

    /// Requests as (number, kind, payload).
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyTuple>>> {
        let requests = std::mem::take(&mut self.queue.lock().requests);
        requests.into_iter().map(|(number, request)| request.into_python(py, number)).collect()
    }

    /// The plugin runs. Its descriptors stay the caller's, who may close them now.
    fn started(&self, request: u64, stdout: i32, stderr: i32, pid: Option<i32>) -> PyResult<()> {
        let (exited, exit) = oneshot::channel();
        let running = Running { stdout: reopened_pipe(stdout)?, stderr: reopened_pipe(stderr)?, pid, exit };
        self.queue.lock().exit = Some(exited);
        self.answer_with(request, Ok(RunnerReply::Running(running)));
        Ok(())
    }

    /// A translated address.
    fn translated(&self, request: u64, network: &str, location: &str) -> PyResult<()> {
        self.answer_with(request, Ok(RunnerReply::Address(address(network, location, ErrorKind::RunnerFailed)?)));
        Ok(())
    }

    /// A request cannot be fulfilled.
    fn fail(&self, request: u64, message: String) {
        self.answer_with(request, Err(failed(message)));
    }

    /// The plugin has ended, with this status as `subprocess` has it, or None if unknown.
    fn exited(&self, status: Option<i32>) {
        let status = match status {
            None => ExitStatus::Unknown,
            Some(signal) if signal < 0 => ExitStatus::Signal(-signal),
            Some(code) => ExitStatus::Code(code),
        };
        let exit = self.queue.lock().exit.take();
        if let Some(exit) = exit {
            // The host may be closed already.
            let _ = exit.send(status);
        }
    }

    /// Calls the listener no more, and ends all waits for replies.
    fn close(&self) {
        if io_thread::is_forked() {
            return;
        }
        self.mailbox.get().remove_listener(self.listener);
        let mut state = self.queue.lock();
        state.closed = true;
        let given_up = (std::mem::take(&mut state.requests), std::mem::take(&mut state.waiting), state.exit.take());
        drop(state);
        drop(given_up);
    }
}

/// A plugin that a runner is to start. No dict, since the environment must not show in tracebacks.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct LaunchOrder(Order);

#[pymethods]
impl LaunchOrder {
    /// The program and its arguments.
    #[getter]
    fn command(&self) -> &[OsString] {
        &self.0.command
    }

    /// The plugin's whole environment.
    #[getter]
    fn environment(&self) -> &BTreeMap<OsString, OsString> {
        &self.0.environment
    }

    /// The plugin's working directory, or None for the host's.
    #[getter]
    fn cwd(&self) -> Option<&OsStr> {
        self.0.working_directory.as_deref().map(Path::as_os_str)
    }

    /// The private directory for sockets.
    #[getter]
    fn socket_directory(&self) -> &OsStr {
        self.0.socket_directory.as_os_str()
    }
}

impl RunnerRequest {
    fn into_python(self, py: Python<'_>, number: u64) -> PyResult<Bound<'_, PyTuple>> {
        match self {
            Self::Start(order) => (number, "start", LaunchOrder(*order)).into_pyobject(py),
            Self::Signal(force) => (number, if force { "kill" } else { "terminate" }, py.None()).into_pyobject(py),
            Self::Translate(direction, address) => {
                (number, direction, (address.network(), location(&address))).into_pyobject(py)
            }
        }
    }
}
