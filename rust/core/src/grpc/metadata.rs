//! Metadata: checks pairs to be sent, and decodes received ones. No I/O.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::status::latin1;

/// Sends no padding, accepts either form, as gRPC asks for.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Largest header list, as [`size`] counts it, that `h2` admits before it breaks the stream off; and most of what is made
/// of its joined values. The limit that users set is checked afterwards, where an excess becomes a proper status.
pub(super) const MAX_HEADER_LIST_BYTES: u32 = 256 << 10;

/// Bytes that HTTP/2 counts for each pair, beside its name and value.
const PAIR_BYTES: usize = 32;

/// The suffix of keys whose values are bytes.
pub const BINARY_SUFFIX: &str = "-bin";

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// The value of an ordinary key.
    Text(String),
    /// The value of a key that ends in `-bin`.
    Binary(Vec<u8>),
}

/// Received pairs, in order, duplicates included.
pub type Metadata = Vec<(String, Value)>;

/// Keys that the transport writes itself; the user's are dropped. `grpc-encoding` among them, because it would
/// contradict the body, and those that HTTP/2 forbids.
const DROPPED: [&str; 9] = [
    "te",
    "user-agent",
    "content-type",
    "grpc-timeout",
    "grpc-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
];

/// Adds one pair to the headers of a request.
///
/// `http` alone would lower-case a key and let control characters pass, so both are checked here.
pub fn append(headers: &mut HeaderMap, key: &str, value: &[u8]) -> Result<(), String> {
    let legal_key =
        !key.is_empty() && key.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
    if !legal_key {
        return Err(format!("Illegal header key {key:?}: expected lower-case letters, digits, '-', '_' and '.'"));
    }
    if DROPPED.contains(&key) {
        return Ok(());
    }
    let name =
        HeaderName::from_bytes(key.as_bytes()).map_err(|error| format!("Illegal header key {key:?}: {error}"))?;
    let value = if key.ends_with(BINARY_SUFFIX) {
        HeaderValue::try_from(BASE64.encode(value))
    } else if value.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
        HeaderValue::from_bytes(value)
    } else {
        // The value itself may be a secret, so the message does not repeat it.
        return Err(format!(
            "Illegal header value of {key:?}: expected printable ASCII; bytes need a key that ends in -bin"
        ));
    };
    let value = value.map_err(|error| format!("Illegal header value of {key:?}: {error}"))?;
    headers.try_append(name, value).map(drop).map_err(|_| too_many())
}

/// The error for more names than fit one request.
pub(super) fn too_many() -> String {
    "Illegal header: the metadata has too many different keys, expected at most 24000".to_owned()
}

/// Takes received headers or trailers apart. A binary value that does not decode is empty, and the error names its key;
/// so it does if the values that were joined in one are too many.
pub(super) fn decode(headers: &HeaderMap) -> (Metadata, Option<String>) {
    let mut metadata = Metadata::new();
    let mut broken = None;
    let mut room = MAX_HEADER_LIST_BYTES as usize;
    for (name, value) in headers {
        let key = name.as_str();
        if is_reserved(key) {
            continue;
        }
        if !key.ends_with(BINARY_SUFFIX) {
            metadata.push((key.to_owned(), Value::Text(text(value.as_bytes()))));
            continue;
        }
        // Several values may have been joined by a comma on the way: part of gRPC's specification.
        for piece in value.as_bytes().split(|&byte| byte == b',') {
            // Each has the key again: of a few kilobytes there could be gigabytes.
            let Some(left) = room.checked_sub(key.len() + piece.len() + PAIR_BYTES) else {
                broken = Some(format!("Error parsing '{key}' metadata: too many values"));
                metadata.push((key.to_owned(), Value::Binary(Vec::new())));
                break;
            };
            room = left;
            let bytes = BASE64.decode(piece.trim_ascii()).unwrap_or_else(|_| {
                broken = Some(format!("Error parsing '{key}' metadata: illegal base64 encoding"));
                Vec::new()
            });
            metadata.push((key.to_owned(), Value::Binary(bytes)));
        }
    }
    (metadata, broken)
}

/// Whether a key belongs to the transport. `grpc-status-details-bin` does not: libraries read it from the trailing
/// metadata.
fn is_reserved(key: &str) -> bool {
    matches!(
        key,
        "content-type" | "grpc-status" | "grpc-message" | "grpc-encoding" | "grpc-accept-encoding" | "grpc-tags-bin"
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap_or_else(|_| latin1(bytes))
}

/// Size of headers as HTTP/2 counts it for `SETTINGS_MAX_HEADER_LIST_SIZE`: 32 bytes beside each name and value.
pub(super) fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + PAIR_BYTES).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn illegal_keys_and_values_are_refused() {
        let mut headers = HeaderMap::new();
        for key in ["", "Abc", "a b", ":path", "a\u{e9}"] {
            assert!(append(&mut headers, key, b"v").unwrap_err().starts_with("Illegal header key"), "{key}");
        }
        for value in [&b"a\nb"[..], b"a\tb", b"a\0b", "caf\u{e9}".as_bytes(), b"\xff"] {
            assert!(append(&mut headers, "x", value).unwrap_err().starts_with("Illegal header value"));
        }
        assert!(headers.is_empty());
    }

    #[test]
    fn what_belongs_to_the_transport_is_dropped() {
        let mut headers = HeaderMap::new();
        for key in DROPPED {
            append(&mut headers, key, b"v").unwrap();
        }
        assert!(headers.is_empty());
        append(&mut headers, "grpc-foo", b"1").unwrap();
        append(&mut headers, "empty-bin", b"").unwrap();
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn joined_and_broken_binary_values() {
        let mut headers = HeaderMap::new();
        headers.append("a-bin", HeaderValue::from_static("AQID, AQ=="));
        headers.append("b-bin", HeaderValue::from_static("!!"));
        headers.append("text", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        let (metadata, broken) = decode(&headers);
        assert_eq!(broken.unwrap(), "Error parsing 'b-bin' metadata: illegal base64 encoding");
        let binary = |key: &str, bytes: &[u8]| (key.to_owned(), Value::Binary(bytes.to_vec()));
        assert_eq!(metadata[..3], [binary("a-bin", &[1, 2, 3]), binary("a-bin", &[1]), binary("b-bin", b"")]);
        assert_eq!(metadata[3], ("text".to_owned(), Value::Text("caf\u{e9}".to_owned())));
    }

    #[test]
    fn what_belongs_to_the_transport_is_not_handed_out() {
        let mut headers = HeaderMap::new();
        for key in ["content-type", "grpc-status", "grpc-message", "grpc-encoding", "grpc-accept-encoding", "x"] {
            headers.append(key, HeaderValue::from_static("v"));
        }
        headers.append("grpc-status-details-bin", HeaderValue::from_static("AQ=="));
        let keys: Vec<String> = decode(&headers).0.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["x", "grpc-status-details-bin"]);
    }

    #[test]
    fn a_key_is_not_repeated_for_any_number_of_joined_values() {
        let name = format!("{}-bin", "k".repeat(8000));
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::try_from(&name).unwrap(), HeaderValue::try_from(",".repeat(8000)).unwrap());
        let (metadata, broken) = decode(&headers);
        assert!(metadata.len() <= MAX_HEADER_LIST_BYTES as usize / 8000 + 1, "{}", metadata.len());
        assert!(broken.unwrap().ends_with("metadata: too many values"));
    }

    #[test]
    fn size_is_that_of_http_2() {
        // RFC 9113, section 6.5.2: the lengths of names and values, and 32 bytes for each.
        let mut headers = HeaderMap::new();
        assert_eq!(size(&headers), 0);
        headers.append("a", HeaderValue::from_static("bc"));
        assert_eq!(size(&headers), 35);
        headers.append("a", HeaderValue::from_static(""));
        headers.append("name", HeaderValue::from_static("value"));
        assert_eq!(size(&headers), 35 + 33 + 41);
    }

    proptest! {
        #[test]
        fn binary_values_survive(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let mut headers = HeaderMap::new();
            append(&mut headers, "x-bin", &bytes).unwrap();
            let (metadata, broken) = decode(&headers);
            prop_assert_eq!(broken, None);
            prop_assert_eq!(&metadata[0].1, &Value::Binary(bytes));
        }
    }
}
