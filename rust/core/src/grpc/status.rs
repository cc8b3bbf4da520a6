//! How a call ended: gRPC's status codes, and what becomes of HTTP statuses and resets. No I/O.

use std::fmt;

use h2::Reason;
use http::{HeaderMap, HeaderValue, StatusCode};

/// gRPC's status codes, with their numbers on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // They are defined by gRPC: https://grpc.io/docs/guides/status-codes
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    OutOfRange = 11,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl Code {
    const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];
}

impl fmt::Display for Code {
    /// The name by which gRPC's documents and libraries call it: `NOT_FOUND`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, letter) in format!("{self:?}").char_indices() {
            if index > 0 && letter.is_ascii_uppercase() {
                formatter.write_str("_")?;
            }
            write!(formatter, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

impl From<u32> for Code {
    /// Numbers that gRPC has not defined count as UNKNOWN.
    fn from(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Unknown)
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

    /// Success.
    #[must_use]
    pub fn ok() -> Self {
        Self { code: Code::Ok, message: String::new(), disconnected: false }
    }

    /// A status that the transport, not the peer, gave.
    pub fn unavailable(message: impl fmt::Display) -> Self {
        Self::new(Code::Unavailable, message)
    }

    /// Reads trailers, or the headers of an answer that has nothing else. `None` if they carry no status.
    pub(crate) fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let number = headers.get("grpc-status")?;
        let Some(number) = parse_number(number.as_bytes()) else {
            return Some(Self::new(Code::Internal, "Error parsing 'grpc-status' metadata"));
        };
        let code = Code::from(number);
        let message = headers.get("grpc-message").map(decode_message).unwrap_or_default();
        Some(Self { code, message, disconnected: false })
    }

    /// The status that an HTTP status other than 200 means if the peer gave no gRPC status, by gRPC's table
    /// (`doc/http-grpc-status-mapping.md`); 413 and 431 are UNKNOWN as in grpcio.
    pub(crate) fn from_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502 | 503 | 504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self::new(code, format_args!("Received http2 header with status: {}", status.as_u16()))
    }

    /// The status that a broken stream or connection means.
    pub(crate) fn from_h2(error: &h2::Error) -> Self {
        match error.reason() {
            Some(reason) if error.is_reset() => Self::from_reset(reason, error.is_remote()),
            // Trying again would not help.
            Some(reason) if error.is_library() => {
                Self { disconnected: true, ..Self::new(Code::Internal, rules_broken(reason)) }
            }
            _ => Self { disconnected: true, ..Self::unavailable(bounded(error)) },
        }
    }

    fn from_reset(reason: Reason, received: bool) -> Self {
        let code = match reason {
            Reason::REFUSED_STREAM => Code::Unavailable,
            Reason::CANCEL => Code::Cancelled,
            Reason::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
            Reason::INADEQUATE_SECURITY => Code::PermissionDenied,
            _ => Code::Internal,
        };
        if !received {
            return Self::new(code, rules_broken(reason));
        }
        // The words are grpcio's: some programs look for them.
        let number = u32::from(reason);
        Self::new(code, format_args!("Stream removed (RST_STREAM (Received RST_STREAM with error code {number}))"))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

/// Whether the peer has certainly not processed a stream: a GOAWAY has named an earlier one as the last, and `h2` ends
/// those after it with this error.
pub(super) fn was_never_processed(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote()
}

/// Whether the peer has reset a stream before any processing: RFC 9113, section 8.7.
pub(super) fn was_refused(error: &h2::Error) -> bool {
    error.is_reset() && error.is_remote() && error.reason() == Some(Reason::REFUSED_STREAM)
}

/// The longest text of a peer that errors repeat, in characters: a GOAWAY may carry a megabyte.
const TEXT_LIMIT: usize = 200;

/// An error in words, of a length fit for a message.
pub(super) fn bounded(error: &h2::Error) -> String {
    error.to_string().chars().take(TEXT_LIMIT).collect()
}

fn rules_broken(reason: Reason) -> String {
    format!("the peer breaks the rules of HTTP/2: {reason}")
}

fn parse_number(text: &[u8]) -> Option<u32> {
    // `parse` alone would admit a plus sign.
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Undoes percent-encoding. Never fails: what is no escape stays as it is, and what is no UTF-8 is read as Latin-1, so
/// that no explanation is lost.
fn decode_message(value: &HeaderValue) -> String {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                decoded.push(hex(*high) << 4 | hex(*low));
                rest = after;
            }
            _ => {
                decoded.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|error| latin1(error.as_bytes()))
}

fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}

/// Every byte is the character of the same number.
pub(super) fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_decoded_leniently() {
        let cases: &[(&[u8], &str)] = &[
            (b"%E2%98%BA%20ok%21", "\u{263a} ok!"),
            (b"%e2%98%ba", "\u{263a}"),
            (b"a%zzb%", "a%zzb%"),
            (b"a%E2", "a\u{e2}"),
            (b"a%FFb", "a\u{ff}b"),
            ("\u{263a}".as_bytes(), "\u{263a}"),
            (b"a+b c", "a+b c"),
        ];
        for (wire, text) in cases {
            let value = HeaderValue::from_bytes(wire).unwrap_or_else(|_| HeaderValue::from_static(""));
            assert_eq!(decode_message(&value), *text);
        }
    }

    #[test]
    fn codes_have_the_names_of_grpc() {
        assert_eq!(Code::Ok.to_string(), "OK");
        assert_eq!(Code::DeadlineExceeded.to_string(), "DEADLINE_EXCEEDED");
    }

    #[test]
    fn statuses_of_http_mean_what_grpc_s_table_says() {
        // doc/http-grpc-status-mapping.md
        let meanings = [
            (400, Code::Internal),
            (401, Code::Unauthenticated),
            (403, Code::PermissionDenied),
            (404, Code::Unimplemented),
            (429, Code::Unavailable),
            (502, Code::Unavailable),
            (503, Code::Unavailable),
            (504, Code::Unavailable),
            (402, Code::Unknown),
            (500, Code::Unknown),
            (302, Code::Unknown),
        ];
        for (number, code) in meanings {
            let http = StatusCode::from_u16(number).unwrap_or_default();
            assert_eq!(Status::from_http(http).code, code, "{number}");
        }
    }

    #[test]
    fn resets_mean_what_grpc_s_table_says() {
        // doc/PROTOCOL-HTTP2.md, "HTTP2 Transport Mapping".
        let meanings = [
            (Reason::NO_ERROR, Code::Internal),
            (Reason::PROTOCOL_ERROR, Code::Internal),
            (Reason::INTERNAL_ERROR, Code::Internal),
            (Reason::FLOW_CONTROL_ERROR, Code::Internal),
            (Reason::FRAME_SIZE_ERROR, Code::Internal),
            (Reason::REFUSED_STREAM, Code::Unavailable),
            (Reason::CANCEL, Code::Cancelled),
            (Reason::COMPRESSION_ERROR, Code::Internal),
            (Reason::CONNECT_ERROR, Code::Internal),
            (Reason::ENHANCE_YOUR_CALM, Code::ResourceExhausted),
            (Reason::INADEQUATE_SECURITY, Code::PermissionDenied),
        ];
        for (reason, code) in meanings {
            for received in [true, false] {
                let status = Status::from_reset(reason, received);
                assert_eq!((status.code, status.disconnected), (code, false), "{reason}");
                assert_eq!(status.message.contains("Received RST_STREAM"), received);
            }
        }
    }

    #[test]
    fn numbers_are_read_strictly_and_unknown_ones_are_unknown() {
        let status = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-status", HeaderValue::from_static(text));
            Status::from_headers(&headers).map(|status| status.code)
        };
        assert_eq!(status("007"), Some(Code::PermissionDenied));
        assert_eq!(status("17"), Some(Code::Unknown));
        for broken in ["", "abc", "-1", "+1", "1.0", "4294967297"] {
            assert_eq!(status(broken), Some(Code::Internal), "{broken}");
        }
        assert_eq!(Status::from_headers(&HeaderMap::new()), None);
    }
}
