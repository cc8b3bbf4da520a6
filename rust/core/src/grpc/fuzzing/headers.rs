//! Headers and trailers.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::grpc::metadata::{BINARY_SUFFIX, MAX_HEADER_LIST_BYTES, Value, append, decode, size};
use crate::grpc::{Code, Status};

/// Pairs as they are written in the corpus: `key: value`, one per line.
fn pairs(bytes: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    bytes.split(|byte| *byte == b'\n').map(|line| {
        let end = memchr::memmem::find(line, b": ").unwrap_or(line.len());
        (&line[..end], line.get(end + 2..).unwrap_or_default())
    })
}

/// The pairs that HTTP admits, as a peer may send them.
fn received(bytes: &[u8]) -> HeaderMap {
    let pair = |(key, value)| Some((HeaderName::from_bytes(key).ok()?, HeaderValue::from_bytes(value).ok()?));
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(bytes).filter_map(pair) {
        let _ = headers.try_append(name, value);
    }
    headers
}

/// What is sent is what is received; what is received has all its pairs.
pub(crate) fn metadata(bytes: &[u8]) {
    let (mut sent, mut headers) = (Vec::new(), HeaderMap::new());
    for (key, value) in pairs(bytes) {
        let key = String::from_utf8_lossy(key);
        let before = headers.len();
        match append(&mut headers, &key, value) {
            Err(message) => assert!(message.starts_with("Illegal header")),
            // The transport's own keys are dropped.
            Ok(()) if headers.len() == before => (),
            Ok(()) => sent.push((key.into_owned(), value)),
        }
    }
    let (arrived, broken) = decode(&headers);
    assert_eq!(broken, None);
    for (key, value) in &arrived {
        assert!(sent.iter().any(|(sent_key, sent)| sent_key == key && *sent == bytes_of(value)), "{key}");
    }
    check_received(&received(bytes));
}

fn bytes_of(value: &Value) -> &[u8] {
    match value {
        Value::Text(text) => text.as_bytes(),
        Value::Binary(bytes) => bytes,
    }
}

fn check_received(headers: &HeaderMap) {
    let (metadata, broken) = decode(headers);
    let is_binary = |key: &str| key.ends_with(BINARY_SUFFIX);
    assert!(metadata.iter().all(|(key, value)| is_binary(key) == matches!(value, Value::Binary(_))));
    assert!(broken.is_none() || metadata.iter().any(|(key, _)| is_binary(key)));
    // A byte that is no UTF-8 becomes two; 32 are counted beside each pair. A key comes with each of its joined values.
    let (made, limit) = (metadata.iter().map(|(key, value)| key.len() + bytes_of(value).len()), 2 * size(headers));
    assert!(made.sum::<usize>() <= limit.max(MAX_HEADER_LIST_BYTES as usize));
}

/// Trailers mean a status, or none; its text survives being encoded as gRPC has it.
pub(crate) fn status(bytes: &[u8]) {
    let headers = received(bytes);
    let status = Status::from_headers(&headers);
    assert_eq!(status.is_some(), headers.contains_key("grpc-status"));
    let encoded = status.as_ref().map(|status| percent_encoded(&status.message));
    if let (Some(status), Some(Ok(text))) = (status, encoded.map(HeaderValue::try_from)) {
        let trailers = [("grpc-status", HeaderValue::from(status.code as u16)), ("grpc-message", text)];
        let trailers = trailers.into_iter().map(|(name, value)| (HeaderName::from_static(name), value)).collect();
        assert_eq!(Status::from_headers(&trailers), Some(status));
    }
    if let [high, low, ..] = bytes
        && let Ok(http) = StatusCode::from_u16(u16::from_be_bytes([*high, *low]))
    {
        assert_ne!(Status::from_http(http).code, Code::Ok);
    }
}

fn percent_encoded(text: &str) -> String {
    let encoded = |byte: u8| match byte {
        0x20..=0x7e if byte != b'%' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encoded).collect()
}
