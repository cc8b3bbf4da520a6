//! Settings of a plugin, out of a dict of plain values that Python has checked.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ferrule_core::certificate::parse_pem_certificates;
use ferrule_core::error::ErrorKind;
use ferrule_core::settings::{Curve, Limits, Reattach, Security, Settings, SocketGroup, Timeouts, TlsFiles};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use zeroize::Zeroizing;

use crate::convert::{address, duration, reopened, transports};
use crate::errors::to_py_err;
use crate::runner::RunnerRequests;

/// One entry per setting of the core, under the same name.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedSettings {
    command: Vec<OsString>,
    working_directory: Option<PathBuf>,
    #[pyo3(from_py_with = variables)]
    host_environment: Vec<(OsString, OsString)>,
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
    #[pyo3(default)]
    multiplex: bool,
    #[pyo3(default)]
    socket_group: Option<String>,
    /// A descriptor of the checked program.
    #[pyo3(default)]
    executable: Option<i32>,
    #[pyo3(default)]
    max_memory_bytes: Option<u64>,
    #[pyo3(default)]
    max_cpu_seconds: Option<u64>,
    #[pyo3(default)]
    reattach: Option<PassedReattach>,
    #[pyo3(default)]
    runner: Option<Py<RunnerRequests>>,
}

/// Environment variables, as text or as the bytes that the system has.
fn variables(given: &Bound<'_, PyAny>) -> PyResult<Vec<(OsString, OsString)>> {
    let text = |value: &Bound<'_, PyAny>| match value.cast::<PyBytes>() {
        Ok(bytes) => Ok(OsStr::from_bytes(bytes.as_bytes()).to_owned()),
        Err(_) => value.extract(),
    };
    given.cast::<PyDict>()?.iter().map(|(name, value)| Ok((text(&name)?, text(&value)?))).collect()
}

/// A plugin that runs already.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedReattach {
    network: String,
    address: String,
    pid: Option<i32>,
    protocol_version: u32,
    owned: bool,
    identity: Option<(String, String)>,
    server_certificate: Option<String>,
}

impl TryFrom<PassedReattach> for Reattach {
    type Error = PyErr;

    fn try_from(passed: PassedReattach) -> PyResult<Self> {
        let server_certificate = passed.server_certificate.map(|pem| {
            let certificates = parse_pem_certificates("setting reattach.tls.server_certificate", pem.as_bytes());
            certificates.map(|certificates| certificates.into_iter().next()).map_err(|error| to_py_err(&error))
        });
        Ok(Self {
            address: address(&passed.network, &passed.address, ErrorKind::ReattachInvalid)?,
            pid: passed.pid,
            protocol_version: passed.protocol_version,
            owned: passed.owned,
            identity: passed.identity.map(|(certificate, key)| (certificate, Zeroizing::new(key))),
            server_certificate: server_certificate.transpose()?.flatten(),
        })
    }
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
            host_environment: passed.host_environment,
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
            multiplex: passed.multiplex,
            socket_group: passed.socket_group.map(SocketGroup),
            executable: passed.executable.map(reopened).transpose()?,
            limits: Limits { memory_bytes: passed.max_memory_bytes, cpu_seconds: passed.max_cpu_seconds },
            reattach: passed.reattach.map(Reattach::try_from).transpose()?,
            runner: passed.runner.map(|requests| requests.get().runner()),
        })
    }
}

pub(crate) fn curve(name: &str) -> PyResult<Curve> {
    match name {
        "P-256" => Ok(Curve::P256),
        "P-384" => Ok(Curve::P384),
        "P-521" => Ok(Curve::P521),
        _ => Err(PyValueError::new_err(format!("certificate_curve {name:?}, expected P-256, P-384 or P-521"))),
    }
}
