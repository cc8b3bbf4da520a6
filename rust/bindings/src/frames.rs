//! gRPC's framing for Python.

use ferrule_core::grpc::framing;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::errors::to_py_err;

/// Puts gRPC's 5-byte prefix before a message.
#[pyfunction]
#[pyo3(signature = (message, max_frame_bytes = usize::MAX))]
pub(crate) fn encode_frame<'py>(
    py: Python<'py>,
    message: &[u8],
    max_frame_bytes: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let frame = framing::encode(message, max_frame_bytes).map_err(|error| to_py_err(&error))?;
    Ok(PyBytes::new(py, &frame))
}

/// Cuts a stream of bytes into messages, however the bytes arrive.
#[pyclass(module = "ferrule._core")]
pub(crate) struct FrameDecoder(framing::FrameDecoder);

#[pymethods]
impl FrameDecoder {
    #[new]
    #[pyo3(signature = (max_frame_bytes = usize::MAX))]
    fn new(max_frame_bytes: usize) -> Self {
        Self(framing::FrameDecoder::new(max_frame_bytes))
    }

    /// Takes what was read; returns the messages that are complete now. An error comes once they have been returned.
    fn feed<'py>(&mut self, py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyList>> {
        self.0.feed(data);
        let messages = PyList::empty(py);
        loop {
            match self.0.next_message() {
                Ok(Some(message)) => messages.append(PyBytes::new(py, &message))?,
                Ok(None) => return Ok(messages),
                // The decoder repeats its error at the next call.
                Err(_) if !messages.is_empty() => return Ok(messages),
                Err(error) => return Err(to_py_err(&error)),
            }
        }
    }

    /// Checks that the stream ended between two messages.
    fn finish(&self) -> PyResult<()> {
        self.0.finish().map_err(|error| to_py_err(&error))
    }
}
