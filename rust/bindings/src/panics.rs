//! What a panic becomes: a `RuntimeError` that asks for a report, and one line on standard error.
//!
//! `PyO3` raises a `BaseException`, which `except Exception` lets through and which would end a host's threads.

use std::panic::set_hook;

use pyo3::exceptions::PyRuntimeError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;

use crate::mailbox::{Mailbox, Nothing};
use crate::panic_hook::report;

/// Makes all panics from now on such errors.
pub(crate) fn tame(py: Python<'_>) -> PyResult<()> {
    let exception = py.get_type::<PanicException>();
    exception.setattr("__bases__", (py.get_type::<PyRuntimeError>(),))?;
    exception.setattr("__str__", py.import("ferrule.errors")?.getattr("panic_text")?)?;
    set_hook(Box::new(report));
    Ok(())
}

/// Panics, for tests: on the I/O thread if there is a future to resolve, else on the caller's.
#[pyfunction]
#[pyo3(signature = (text, mailbox = None, future = None))]
pub(crate) fn provoke_panic(
    text: String,
    mailbox: Option<&Bound<'_, Mailbox>>,
    future: Option<Py<PyAny>>,
) -> PyResult<()> {
    match (mailbox, future) {
        (Some(mailbox), Some(future)) => mailbox.get().run::<Nothing>(future, async move { panic_with(&text) }),
        _ => panic_with(&text),
    }
}

#[allow(clippy::panic)] // For tests of what a panic becomes.
fn panic_with<T>(text: &str) -> T {
    panic!("{text}");
}
