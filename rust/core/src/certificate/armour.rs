//! PEM as callers get it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bytes of one line, which are 64 characters.
const LINE_BYTES: usize = 48;

/// PEM of one object, final newline included; wiped when dropped, since the object may be a key.
pub(super) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let lines = der.len().div_ceil(LINE_BYTES);
    let framing = 2 * (label.len() + "-----BEGIN -----\n".len());
    // All of it at once: text that has grown leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(framing + der.len().div_ceil(3) * 4 + lines));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for line in der.chunks(LINE_BYTES) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}
