//! What a panic becomes: a `RuntimeError` that asks for a report, and one line on standard error.
//!
//! `PyO3` raises a `BaseException`, which `except Exception` lets through and which would end a host's threads, and std
//! prints where the library was built. The hook is that of the std inside this library: no other code's panics come here.

use std::cell::RefCell;
use std::io::Write;
use std::panic::{PanicHookInfo, set_hook};

use pyo3::exceptions::PyRuntimeError;
use pyo3::panic::PanicException;
use pyo3::prelude::*;

use crate::mailbox::Mailbox;
use crate::outcome::run;

thread_local! {
    /// What this thread's latest panic said, and where.
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has all panics from now on become what the module's text says.
pub(crate) fn tame(py: Python<'_>) -> PyResult<()> {
    let exception = py.get_type::<PanicException>();
    exception.setattr("__bases__", (py.get_type::<PyRuntimeError>(),))?;
    exception.setattr("__str__", py.import("ferrule.errors")?.getattr("panic_text")?)?;
    set_hook(Box::new(report));
    Ok(())
}

/// What this thread's latest panic said, once.
pub(crate) fn take_latest() -> Option<String> {
    // The thread may be ending.
    LATEST.try_with(|latest| latest.borrow_mut().take()).ok().flatten()
}

fn report(panic: &PanicHookInfo<'_>) {
    let place =
        panic.location().map_or_else(String::new, |place| format!(" ({}:{})", inside(place.file()), place.line()));
    let text = format!("{}{place}", said(panic));
    // Standard error may be closed: then the exception alone tells.
    let _ = writeln!(std::io::stderr(), "a bug in ferrule's core: {text}; please report this");
    let _ = LATEST.try_with(|latest| *latest.borrow_mut() = Some(text));
}

fn said<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = panic.payload();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// A source file's path inside its crate, without that of the machine it was built on.
fn inside(file: &str) -> &str {
    let downloaded = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    downloaded.map_or(file, |(_, path)| path)
}

/// Panics, for tests of what that becomes: here, or on the I/O thread where a future is to tell.
#[pyfunction]
#[pyo3(signature = (text, mailbox = None, future = None))]
pub(crate) fn provoke_panic(
    text: String,
    mailbox: Option<&Bound<'_, Mailbox>>,
    future: Option<Py<PyAny>>,
) -> PyResult<()> {
    match (mailbox, future) {
        (Some(mailbox), Some(future)) => run(mailbox.get(), future, async move { panic_with(&text) }),
        _ => panic_with(&text),
    }
}

#[allow(clippy::panic)] // As it says.
fn panic_with<T>(text: &str) -> T {
    panic!("{text}");
}
