//! The bytes of one connection, in both directions, and how far its users may go.

use bytes::Bytes;
use ferrule_core::grpc::frame_decoder::message_length;
use ferrule_core::grpc::framing::PREFIX_BYTES;
use ferrule_core::transport::nonblocking::NonblockingStream;
use pyo3::exceptions::PyConnectionResetError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::PyBytes;

use crate::arrival::Want;

/// Bytes that one turn of the loop reads at most: other tasks get their turn, however much the peer sends.
pub(crate) const TURN_BYTES: usize = 256 * 1024;
/// Bytes that are read before frames are cut out of them, since so few stay in the processor's cache.
pub(crate) const FRAMES_BYTES: usize = 32 * 1024;

#[derive(Default)]
pub(crate) struct StreamState {
    /// None until it is connected.
    pub(crate) stream: Option<NonblockingStream>,
    pub(crate) closed: bool,
    pub(crate) paused: bool,
    /// Bytes read since the loop last called.
    pub(crate) turn_bytes: usize,
    /// Whether the loop calls when the kernel takes more.
    pub(crate) flushing: bool,
    /// Unsent bytes over which senders are to wait.
    pub(crate) high_water: usize,
}

impl StreamState {
    /// Reads about `budget` bytes more if it may, or what is missing; returns whether there is more.
    pub(crate) fn refill(&mut self, missing: usize, budget: usize) -> bool {
        let Some(stream) = &mut self.stream else { return false };
        if self.paused || self.turn_bytes >= TURN_BYTES {
            return false;
        }
        let before = stream.unread().len();
        stream.fill(missing, budget.max(missing).min(TURN_BYTES - self.turn_bytes));
        let count = stream.unread().len() - before;
        self.turn_bytes += count;
        count > 0
    }

    /// The stream, while callers may use it.
    pub(crate) fn open(&mut self) -> Option<&mut NonblockingStream> {
        self.stream.as_mut().filter(|_| !self.closed)
    }

    /// Whether nothing more will come.
    pub(crate) fn has_ended(&self) -> PyResult<bool> {
        let Some(stream) = &self.stream else { return Ok(false) };
        match stream.failure() {
            Some(reason) => Err(PyConnectionResetError::new_err(reason.to_owned())),
            None => Ok(stream.input_ended()),
        }
    }

    /// Sends `head` and `data`; returns whether more may follow at once, and None when nothing was sent. The first bytes
    /// of a burst have the loop asked, also if they went as a block: those behind them wait for the end of its turn.
    pub(crate) fn send(&mut self, head: &[u8], data: &Bound<'_, PyBytes>) -> Option<bool> {
        let stream = self.open().filter(|stream| stream.is_writable())?;
        let was_joining = stream.is_joining();
        stream.send(head, data.as_bytes(), || keep(data));
        let (failed, unsent, joining) = (stream.failure().is_some(), stream.unsent(), stream.is_joining());
        let is_asked = if joining { was_joining } else { self.flushing };
        (!failed).then_some((unsent == 0 && !joining) || (is_asked && unsent <= self.high_water))
    }
}

/// A reference to all of the bytes. Those of a class of the caller's are copied: its end could run any code.
fn keep(data: &Bound<'_, PyBytes>) -> Bytes {
    if data.is_exact_instance_of::<PyBytes>() {
        Bytes::from_owner(PyBackedBytes::from(data.clone()))
    } else {
        Bytes::copy_from_slice(data.as_bytes())
    }
}

/// Bytes that are known to be missing.
pub(crate) fn missing(stream: &NonblockingStream, want: Option<Want>) -> usize {
    let wanted = match want {
        None => 0,
        Some(Want::Bytes(count)) => count,
        Some(Want::Frame(limit)) => match message_length(stream.unread(), limit) {
            Ok(Some(length)) => length + PREFIX_BYTES,
            _ => 0,
        },
    };
    wanted.saturating_sub(stream.unread().len())
}

/// Whether what is wanted has come.
pub(crate) fn is_there(stream: &NonblockingStream, want: Option<Want>) -> bool {
    match want {
        None => false,
        Some(Want::Bytes(count)) => stream.unread().len() >= count,
        Some(Want::Frame(limit)) => match message_length(stream.unread(), limit) {
            Ok(Some(length)) => stream.unread().len() >= length + PREFIX_BYTES,
            Ok(None) => false,
            Err(_) => true,
        },
    }
}
