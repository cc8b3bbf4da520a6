//! Facts of a plugin that is ready, and the report of its stop.

use std::ffi::OsString;
use std::path::PathBuf;

use ferrule_core::{certificate, host};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::convert::location;
use crate::errors::to_py_err;

/// A plugin that is ready.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Facts(pub(crate) host::PluginFacts);

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

    /// The facts of the plugin's certificate.
    #[getter]
    fn certificate_facts(&self) -> PyResult<Option<CertificateFacts>> {
        let facts = self.0.certificate.as_ref().map(certificate::CertificateFacts::of);
        Ok(facts.transpose().map_err(|error| to_py_err(&error))?.map(CertificateFacts))
    }

    /// The local socket for a stock gRPC library, if asked for.
    #[getter]
    fn bridge(&self) -> Option<PathBuf> {
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

/// Facts of a certificate, for people.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct CertificateFacts(certificate::CertificateFacts);

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

/// How a plugin was stopped.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct StopReport(pub(crate) host::StopReport);

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
