//! Results of operations: plain Rust values until they are on the thread that holds the interpreter.

use std::ffi::OsString;

use ferrule_core::error::Error;
use ferrule_core::exit_status::ExitStatus;
use ferrule_core::grpc::channel;
use ferrule_core::{broker, host, server};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::broker::BrokerListener;
use crate::channel::{Channel, Outgoing};
use crate::convert::location;
use crate::errors::to_py_err;
use crate::io_thread;
use crate::mailbox::Mailbox;
use crate::server::ServerFacts;

/// What an operation can end with.
pub(crate) enum Outcome {
    Ready(Box<host::Facts>),
    Stopped(host::StopReport),
    Exited(ExitStatus),
    Connected(Box<(channel::Channel, Outgoing)>),
    Listening(Box<broker::BrokerListener>),
    Serving(Box<server::Facts>),
    Nothing,
}

/// Runs an operation on the I/O thread; `future` gets its outcome through the mailbox.
pub(crate) fn run(
    mailbox: &Mailbox,
    future: Py<PyAny>,
    work: impl Future<Output = Result<Outcome, Error>> + Send + 'static,
) -> PyResult<()> {
    let completion = mailbox.completion(future);
    io_thread::spawn(async move { completion.post(work.await) })
}

impl Outcome {
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match self {
            Self::Ready(facts) => Ok(Py::new(py, Facts(*facts))?.into_any()),
            Self::Stopped(report) => Ok(Py::new(py, StopReport(report))?.into_any()),
            Self::Exited(status) => Ok(status.return_code().into_pyobject(py)?.into_any().unbind()),
            Self::Connected(connected) => Ok(Py::new(py, Channel::new(connected.0, connected.1))?.into_any()),
            Self::Listening(listener) => Ok(Py::new(py, BrokerListener::of(*listener))?.into_any()),
            Self::Serving(facts) => Ok(Py::new(py, ServerFacts(*facts))?.into_any()),
            Self::Nothing => Ok(py.None()),
        }
    }
}

/// What is known of a plugin that is ready.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Facts(host::Facts);

#[pymethods]
impl Facts {
    /// Process id, or None where there is none.
    #[getter]
    fn pid(&self) -> Option<i32> {
        self.0.pid
    }

    /// Application protocol version in use.
    #[getter]
    fn protocol_version(&self) -> u32 {
        self.0.protocol_version
    }

    /// `unix` or `tcp`.
    #[getter]
    fn network(&self) -> &'static str {
        self.0.address.network()
    }

    /// Socket path, or `HOST:PORT`.
    #[getter]
    fn address(&self) -> OsString {
        location(&self.0.address)
    }

    /// The plugin's certificate as DER, if it announced one.
    #[getter]
    fn certificate<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.0.certificate.as_ref().map(|certificate| PyBytes::new(py, certificate))
    }

    /// The facts of that certificate.
    #[getter]
    fn certificate_facts(&self) -> PyResult<Option<CertificateFacts>> {
        let facts = self.0.certificate.as_ref().map(ferrule_core::certificate::CertificateFacts::of);
        Ok(facts.transpose().map_err(|error| to_py_err(&error))?.map(CertificateFacts))
    }

    /// The local socket for a stock gRPC library, if asked for.
    #[getter]
    fn bridge(&self) -> Option<std::path::PathBuf> {
        self.0.bridge.clone()
    }

    /// Seconds of each phase, in order.
    #[getter]
    fn timings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let timings = PyDict::new(py);
        for (phase, duration) in &self.0.timings {
            timings.set_item(phase, duration.as_secs_f64())?;
        }
        Ok(timings)
    }
}

/// What a person wants to know of a certificate.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct CertificateFacts(ferrule_core::certificate::CertificateFacts);

#[pymethods]
impl CertificateFacts {
    /// Distinguished name.
    #[getter]
    fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Kind of key, for example `P-521`.
    #[getter]
    fn key(&self) -> &str {
        &self.0.key
    }

    /// Start of validity, seconds since 1970.
    #[getter]
    fn not_before(&self) -> i64 {
        self.0.not_before
    }

    /// End of validity, seconds since 1970.
    #[getter]
    fn not_after(&self) -> i64 {
        self.0.not_after
    }
}

/// What stopping a plugin took.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct StopReport(host::StopReport);

#[pymethods]
impl StopReport {
    /// The last rung needed: `exited`, `shutdown`, `sigterm` or `sigkill`.
    #[getter]
    fn rung(&self) -> &'static str {
        self.0.rung.name()
    }

    /// How the process ended, as `subprocess` has it; None where unknown.
    #[getter]
    fn exit_status(&self) -> Option<i32> {
        self.0.exit_status.return_code()
    }

    /// Seconds spent on each rung that was tried, in order.
    #[getter]
    fn steps<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let steps = PyDict::new(py);
        for (rung, duration) in &self.0.steps {
            steps.set_item(rung.name(), duration.as_secs_f64())?;
        }
        Ok(steps)
    }

    /// Seconds in all.
    #[getter]
    fn seconds(&self) -> f64 {
        // Of no steps, the sum is -0.0, which looks odd.
        self.0.steps.iter().map(|(_, duration)| duration.as_secs_f64()).sum::<f64>() + 0.0
    }

    fn __repr__(&self) -> String {
        let (rung, status) = (self.rung(), self.0.exit_status);
        format!("<StopReport: {rung} after {:.4} s, {status}>", self.seconds())
    }
}
