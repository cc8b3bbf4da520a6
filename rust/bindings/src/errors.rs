//! Errors of the core to exceptions. The classes are Python's own; this is the only place that knows how to make them.

use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::exit_status::ExitStatus;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyList;

/// The exception for an error.
pub(crate) fn to_exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    static FACTORY: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let factory = FACTORY.import(py, "ferrule.errors", "error_from_core")?;
    let kind = error.kind();
    let evidence = error.evidence();
    let tail = PyList::new(py, &evidence.stderr_tail)?;
    let exit_status = evidence.exit_status.and_then(ExitStatus::return_code);
    factory.call1((kind.class().name(), kind.code(), error.message(), error.hint(), exit_status, tail))
}

/// The exception for an error, ready to be raised.
pub(crate) fn to_py_err(error: &Error) -> PyErr {
    Python::attach(|py| match to_exception(py, error) {
        Ok(exception) => PyErr::from_value(exception),
        Err(failure) => failure,
    })
}

/// The error for a resource that the operating system could not provide. Programs catch the library's own errors, so
/// that is one, at the first use as well.
pub(crate) fn refused_by_system(what: &str, cause: &std::io::Error) -> PyErr {
    to_py_err(&Error::new(ErrorKind::LaunchFailed, format!("the operating system provides no {what}: {cause}")))
}

/// Every kind of error the core can report: its code and the name of its class. For tests and documentation.
#[pyfunction]
pub(crate) fn error_kinds() -> Vec<(&'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.code(), kind.class().name())).collect()
}
