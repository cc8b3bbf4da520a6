//! gRPC's framing for Python.

use bytes::Bytes;
use ferrule_core::grpc::{Message, frame_decoder};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyList};
use pyo3_bytes::PyBytes as BufferedBytes;

use crate::errors::to_py_err;

/// Puts gRPC's 5-byte prefix before a message.
#[pyfunction]
#[pyo3(signature = (message, max_frame_bytes = usize::MAX))]
pub(crate) fn encode_frame<'py>(
    py: Python<'py>,
    message: &[u8],
    max_frame_bytes: usize,
) -> PyResult<Bound<'py, PyBytes>> {
    let frame = frame_decoder::encode(message, max_frame_bytes).map_err(|error| to_py_err(&error))?;
    Ok(PyBytes::new(py, &frame))
}

/// Cuts a stream of bytes into messages, however the bytes arrive.
#[pyclass(module = "ferrule._core")]
pub(crate) struct FrameDecoder(frame_decoder::FrameDecoder);

#[pymethods]
impl FrameDecoder {
    #[new]
    #[pyo3(signature = (max_frame_bytes = usize::MAX))]
    fn new(max_frame_bytes: usize) -> Self {
        Self(frame_decoder::FrameDecoder::new(max_frame_bytes))
    }

    /// Takes what was read; returns the messages that are complete now. An error comes once they have been returned.
    fn feed<'py>(&mut self, py: Python<'py>, data: PyBackedBytes) -> PyResult<Bound<'py, PyList>> {
        self.0.feed(data);
        let messages = PyList::empty(py);
        loop {
            match self.0.next_message(|whole| Ok(PyBytes::new(py, whole)), |message| to_bytes(py, message)) {
                Ok(Some(message)) => messages.append(message?)?,
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

/// Bytes of a message from which on the interpreter joins its pieces. PyO3 fills new bytes with zeros before they are
/// written, which costs a large message almost as much as the copy.
const JOINED_MESSAGE_BYTES: usize = 128 * 1024;

/// A message as Python has it, copied once out of its pieces.
pub(crate) fn to_bytes<'py>(py: Python<'py>, message: &Message) -> PyResult<Bound<'py, PyBytes>> {
    match message.pieces() {
        [piece] => Ok(PyBytes::new(py, piece)),
        pieces if message.len() >= JOINED_MESSAGE_BYTES => join(py, pieces),
        pieces => PyBytes::new_with(py, message.len(), |mut target| {
            for piece in pieces {
                let (head, tail) = target.split_at_mut(piece.len());
                head.copy_from_slice(piece);
                target = tail;
            }
            Ok(())
        }),
    }
}

/// Pieces in one object. From 1 MiB on the interpreter lets other threads run meanwhile.
fn join<'py>(py: Python<'py>, pieces: &[Bytes]) -> PyResult<Bound<'py, PyBytes>> {
    let pieces = PyList::new(py, pieces.iter().cloned().map(BufferedBytes::new))?;
    Ok(PyBytes::new(py, b"").call_method1(intern!(py, "join"), (pieces,))?.cast_into()?)
}
