//! Keys and certificates, as PEM.

use ferrule_core::certificate::Identity;
use ferrule_core::settings::Curve;
use ferrule_core::tls_settings;
use pyo3::prelude::*;

use crate::errors::to_py_err;

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

/// A fresh self-signed certificate of go-plugin's profile on P-256, and its private key: for a test plugin on grpcio.
#[pyfunction]
pub(crate) fn one_time_identity() -> PyResult<(String, String)> {
    let identity = Identity::generate(Curve::P256).map_err(|error| to_py_err(&error))?;
    Ok((identity.certificate_pem().to_owned(), identity.key_pem().to_owned()))
}
