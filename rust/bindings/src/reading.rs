//! Who reads the sockets of channels, by order of a test.

use ferrule_core::transport::read_interest::mode;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Sets who reads, from the next call on: `"automatic"`, `"io_thread"`, `"caller"`, or `"random"` for either at each
/// occasion to change. For tests.
#[pyfunction]
pub(crate) fn set_reader(reader: &str) -> PyResult<()> {
    let known = [
        ("automatic", mode::AUTOMATIC),
        ("io_thread", mode::IO_THREAD),
        ("caller", mode::CALLER),
        ("random", mode::RANDOM),
    ];
    let found = known.iter().find(|(name, _)| *name == reader);
    let (_, number) = found.ok_or_else(|| {
        let names = known.map(|(name, _)| name).join(", ");
        PyValueError::new_err(format!("reader is {reader:?}, expected one of {names}"))
    })?;
    mode::set(*number);
    Ok(())
}
