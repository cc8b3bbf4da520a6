//! Settings as the Python face passes them: a dict of plain values, already checked.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;

use ferrule_core::settings::{Curve, Security, Settings, Timeouts, TlsFiles};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use zeroize::Zeroizing;

use crate::convert::{duration, transports};

/// One entry per setting of the core, under the same name.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedSettings {
    command: Vec<OsString>,
    working_directory: Option<PathBuf>,
    host_environment: HashMap<OsString, OsString>,
    environment: HashMap<OsString, OsString>,
    search_path: OsString,
    cookie: (String, String),
    protocol_versions: Vec<u32>,
    auto_mtls: bool,
    curve: String,
    tls: Option<PassedTls>,
    transports: Vec<String>,
    ports: (u16, u16),
    start_timeout: f64,
    connect_timeout: f64,
    shutdown_timeout: f64,
    kill_timeout: f64,
    socket_base: PathBuf,
    die_with_host: bool,
    sync_stdout: bool,
    sync_stderr: bool,
    bridge: bool,
}

/// The caller's certificates, PEM.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedTls {
    ca: Vec<u8>,
    certificate: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    server_name: String,
}

impl From<PassedTls> for TlsFiles {
    fn from(passed: PassedTls) -> Self {
        Self {
            authorities: passed.ca,
            certificate: passed.certificate,
            key: passed.key.map(Zeroizing::new),
            server_name: passed.server_name,
        }
    }
}

impl TryFrom<PassedSettings> for Settings {
    type Error = PyErr;

    fn try_from(passed: PassedSettings) -> PyResult<Self> {
        let security = match passed.tls {
            Some(tls) => Security::Certificates(tls.into()),
            None if passed.auto_mtls => Security::AutoMtls(curve(&passed.curve)?),
            None => Security::Plaintext,
        };
        Ok(Self {
            command: passed.command,
            working_directory: passed.working_directory,
            host_environment: passed.host_environment.into_iter().collect(),
            environment: passed.environment.into_iter().collect(),
            search_path: passed.search_path,
            cookie: passed.cookie,
            protocol_versions: passed.protocol_versions,
            security,
            transports: transports(&passed.transports),
            ports: passed.ports,
            timeouts: Timeouts {
                start: duration(passed.start_timeout)?,
                connect: duration(passed.connect_timeout)?,
                shutdown: duration(passed.shutdown_timeout)?,
                kill: duration(passed.kill_timeout)?,
            },
            socket_base: passed.socket_base,
            die_with_host: passed.die_with_host,
            sync_stdout: passed.sync_stdout,
            sync_stderr: passed.sync_stderr,
            bridge: passed.bridge,
        })
    }
}

fn curve(name: &str) -> PyResult<Curve> {
    match name {
        "P-256" => Ok(Curve::P256),
        "P-384" => Ok(Curve::P384),
        "P-521" => Ok(Curve::P521),
        _ => Err(PyValueError::new_err(format!("certificate_curve {name:?}, expected P-256, P-384 or P-521"))),
    }
}
