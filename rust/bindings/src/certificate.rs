//! Certificates and their keys: those that callers make or bring, and the checks of PEM in settings.

use std::net::IpAddr;

use ferrule_core::certificate::{self, CertificateDetails, Request, Usage};
use ferrule_core::tls_settings;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::duration;
use crate::detached::detached;
use crate::errors::to_py_err;
use crate::settings::curve;

/// Checks that `pem` holds certificates, all of them readable.
#[pyfunction]
pub(crate) fn check_certificates(setting: &str, pem: &[u8]) -> PyResult<()> {
    tls_settings::check_certificates(setting, pem).map_err(|error| to_py_err(&error))
}

/// Checks that the first certificate of a chain and a private key form a pair.
#[pyfunction]
pub(crate) fn check_pair(chain: &[u8], key: &[u8]) -> PyResult<()> {
    tls_settings::check_pair(chain, key).map_err(|error| to_py_err(&error))
}

/// A certificate, with its private key if that is known.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Certificate {
    core: certificate::Certificate,
    details: CertificateDetails,
}

impl Certificate {
    fn new(core: certificate::Certificate) -> PyResult<Self> {
        let details = CertificateDetails::of(core.der()).map_err(|error| to_py_err(&error))?;
        Ok(Self { core, details })
    }
}

#[pymethods]
impl Certificate {
    /// A new key and its certificate. The Python face has checked the values.
    #[staticmethod]
    #[pyo3(signature = (curve_name, common_name, names, usage_name, seconds, signed_by))]
    fn generate(
        py: Python<'_>,
        curve_name: &str,
        common_name: String,
        names: (Vec<String>, Vec<IpAddr>),
        usage_name: &str,
        seconds: f64,
        signed_by: Option<&Bound<'_, Self>>,
    ) -> PyResult<Self> {
        let validity = duration(seconds)?;
        let (dns_names, ip_addresses) = names;
        let request = Request {
            curve: curve(curve_name)?,
            common_name,
            dns_names,
            ip_addresses,
            usage: usage(usage_name)?,
            validity,
        };
        let signer = signed_by.map(|certificate| &certificate.get().core);
        let made = detached(py, || certificate::Certificate::generate(&request, signer));
        Self::new(made.map_err(|error| to_py_err(&error))?)
    }

    /// One certificate out of PEM, and its key, which may be in the same text.
    #[staticmethod]
    #[pyo3(signature = (certificate, private_key))]
    fn from_pem(certificate: &[u8], private_key: Option<&[u8]>) -> PyResult<Self> {
        let read = certificate::Certificate::from_pem(certificate, private_key);
        Self::new(read.map_err(|error| to_py_err(&error))?)
    }

    #[getter]
    fn der<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.core.der())
    }

    #[getter]
    fn certificate_pem(&self) -> String {
        self.core.certificate_pem().as_str().to_owned()
    }

    #[getter]
    fn private_key_pem<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.core.private_key_pem().map(|pem| PyString::new(py, &pem))
    }

    #[getter]
    fn has_private_key(&self) -> bool {
        self.core.has_private_key()
    }

    #[getter]
    fn fingerprint<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.core.fingerprint())
    }

    #[getter]
    fn subject(&self) -> &str {
        &self.details.facts.subject
    }

    #[getter]
    fn issuer(&self) -> &str {
        &self.details.issuer
    }

    #[getter]
    fn serial<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.details.serial)
    }

    #[getter]
    fn key(&self) -> &str {
        &self.details.facts.key
    }

    #[getter]
    fn is_authority(&self) -> bool {
        self.details.is_authority
    }

    #[getter]
    fn dns_names(&self) -> Vec<String> {
        self.details.dns_names.clone()
    }

    #[getter]
    fn ip_addresses(&self) -> Vec<String> {
        self.details.ip_addresses.iter().map(IpAddr::to_string).collect()
    }

    #[getter]
    fn not_before(&self) -> i64 {
        self.details.facts.not_before
    }

    #[getter]
    fn not_after(&self) -> i64 {
        self.details.facts.not_after
    }
}

fn usage(name: &str) -> PyResult<Usage> {
    match name {
        "authority" => Ok(Usage::Authority),
        "server" => Ok(Usage::Server),
        "client" => Ok(Usage::Client),
        "peer" => Ok(Usage::Peer),
        _ => Err(PyValueError::new_err(format!("usage {name:?}, expected authority, server, client or peer"))),
    }
}
