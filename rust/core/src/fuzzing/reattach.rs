//! Descriptions of running plugins.

use serde_json::Value;

use super::LONGEST_MESSAGE;
use crate::reattach::{ReattachConfig, format, parse, parse_named};

/// Names of fields whose text no error repeats, in lower case.
const SECRET: &str = "privatekey";
/// Characters of a text from which on it does not stand in an error by chance.
const LONG: usize = 16;

/// A description is read or refused; what is read can be written; no error has a key in it.
pub(super) fn reattach(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match parse(&text) {
        Ok(config) => written_is_read(&config),
        Err(error) => check_message(&text, error.message()),
    }
    match parse_named(&text) {
        Ok(named) => named.iter().for_each(|(_, config)| written_is_read(config)),
        Err(error) => check_message(&text, error.message()),
    }
}

fn written_is_read(config: &ReattachConfig) {
    assert_eq!(parse(&format(config)).ok().as_ref(), Some(config));
}

fn check_message(text: &str, message: &str) {
    assert!(message.len() < LONGEST_MESSAGE, "{message}");
    let keys = serde_json::from_str(text).map(|value| secrets(&value)).unwrap_or_default();
    assert!(!keys.iter().any(|key| message.contains(key.as_str())), "{message}");
}

fn secrets(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(name, value)| secrets_of_field(name, value)).collect(),
        Value::Array(values) => values.iter().flat_map(secrets).collect(),
        _ => Vec::new(),
    }
}

fn secrets_of_field(name: &str, value: &Value) -> Vec<String> {
    match value {
        Value::String(text) if name.to_ascii_lowercase() == SECRET && text.len() >= LONG => vec![text.clone()],
        other => secrets(other),
    }
}
