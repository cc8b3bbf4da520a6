//! The outcome of a call.

use std::fmt;

use http::HeaderMap;

/// gRPC's status codes, as far as the host's own calls tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// The call succeeded.
    Ok,
    /// The call was cancelled.
    Cancelled,
    /// The service knows nothing of what was asked for.
    NotFound,
    /// The method does not exist.
    Unimplemented,
    /// What arrived cannot be read.
    Internal,
    /// The peer is gone or going.
    Unavailable,
    /// Any other code.
    Other(u32),
}

impl From<u32> for Code {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Ok,
            1 => Self::Cancelled,
            5 => Self::NotFound,
            12 => Self::Unimplemented,
            13 => Self::Internal,
            14 => Self::Unavailable,
            other => Self::Other(other),
        }
    }
}

/// Code and message of a finished call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The peer's explanation, or ours.
    pub message: String,
    /// Whether the connection broke: then why it broke says more than this status.
    pub disconnected: bool,
}

impl Status {
    /// A status with this code.
    pub fn new(code: Code, message: impl fmt::Display) -> Self {
        Self { code, message: message.to_string(), disconnected: false }
    }

    /// A status that the transport, not the peer, gave.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// Reads trailers, or the headers of an answer that has nothing else.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let code = headers.get("grpc-status")?.to_str().ok()?.parse::<u32>().map_or(Code::Other(2), Code::from);
        let message = headers.get("grpc-message").map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        Some(Self::new(code, message.unwrap_or_default()))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.code, self.message)
    }
}
