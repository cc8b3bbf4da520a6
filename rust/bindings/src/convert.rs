//! Plain values between Python and the core.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use ferrule_core::address::Address;
use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::handshake::{Expectations, Handshake};
use ferrule_core::process::diagnose;
use ferrule_core::settings::Transports;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::detached::detached;
use crate::errors::{refused_by_system, to_py_err};

/// Seconds to a duration; the Python face has checked the range.
pub(crate) fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(format!("{seconds} s: {error}")))
}

/// The words of the setting `transports`.
pub(crate) fn transports(words: &[String]) -> Transports {
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    Transports { unix: has("unix"), tcp: has("tcp") }
}

/// An address as Python passes it: (`unix`, path) or (`tcp`, `HOST:PORT`); `kind` is that of the error.
pub(crate) fn address(network: &str, location: &str, kind: ErrorKind) -> PyResult<Address> {
    Address::parse(network, location).map_err(|message| to_py_err(&Error::new(kind, message)))
}

/// Where an address is, as Python has it: a path whatever its bytes are.
pub(crate) fn location(address: &Address) -> OsString {
    match address {
        Address::Unix(path) => path.as_os_str().to_owned(),
        other => other.location().into(),
    }
}

/// A descriptor of our own for what Python has open: Python may close its at any time, or give it away.
pub(crate) fn reopened(descriptor: i32) -> PyResult<OwnedFd> {
    let options = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path_of(descriptor), options, Mode::empty());
    opened.map_err(|error| match error {
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => refused_by_system("descriptor", &error.into()),
        // The descriptor cannot be opened: the caller's mistake.
        _ => std::io::Error::from(error).into(),
    })
}

/// Like [`reopened`], for a pipe alone: of a terminal another one would be opened, and a socket cannot be.
pub(crate) fn reopened_pipe(descriptor: i32) -> PyResult<OwnedFd> {
    let status = rustix::fs::stat(path_of(descriptor)).map_err(std::io::Error::from)?;
    match FileType::from_raw_mode(status.st_mode) {
        FileType::Fifo => reopened(descriptor),
        kind => Err(PyOSError::new_err(format!(
            "descriptor {descriptor} is a {kind:?}, expected the reading end of a pipe"
        ))),
    }
}

fn path_of(descriptor: i32) -> String {
    format!("/dev/fd/{descriptor}")
}

/// Protocol version, network, address, certificate (DER or None) of a handshake line.
type Announcement<'py> = (u32, &'static str, String, Option<Bound<'py, PyBytes>>);

/// Parses one handshake line, as it is done at each start.
#[pyfunction]
#[pyo3(signature = (line, protocol_versions, transports = vec!["unix".to_owned(), "tcp".to_owned()]))]
#[allow(clippy::needless_pass_by_value)] // PyO3 hands over owned lists.
pub(crate) fn parse_handshake<'py>(
    py: Python<'py>,
    line: &[u8],
    protocol_versions: Vec<u32>,
    transports: Vec<String>,
) -> PyResult<Announcement<'py>> {
    let transports = self::transports(&transports);
    let expected = Expectations { protocol_versions, transports, multiplex: false };
    let handshake = Handshake::parse(line, &expected).map_err(|error| to_py_err(&error))?;
    let certificate = handshake.certificate.as_ref().map(|certificate| PyBytes::new(py, certificate));
    Ok((handshake.protocol_version, handshake.address.network(), handshake.address.location(), certificate))
}

/// The file that a command names, as a launch finds it.
#[pyfunction]
#[pyo3(signature = (program, directory, search_path))]
#[allow(clippy::needless_pass_by_value)] // PyO3 hands over owned paths.
pub(crate) fn find_program(
    py: Python<'_>,
    program: PathBuf,
    directory: Option<PathBuf>,
    search_path: OsString,
) -> PyResult<OsString> {
    // A directory of PATH may be far away.
    let found = detached(py, || diagnose::find_program(&program, directory.as_deref(), &search_path));
    found.map(PathBuf::into_os_string).map_err(|error| to_py_err(&error))
}
