//! go-plugin's `ReattachConfig`, the JSON that tells how to reach a running plugin: alone, or by name as Terraform
//! reads it from `TF_REATTACH_PROVIDERS`. No I/O.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, excerpt};

/// What errors call a description that has no name.
const ONE: &str = "the reattach configuration";
/// The variable that holds descriptions by name.
const NAMED: &str = "TF_REATTACH_PROVIDERS";

/// The description of one running plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReattachConfig {
    /// The protocol's name; empty means net/rpc.
    pub protocol: String,
    /// Application protocol version; 0 where unknown.
    pub protocol_version: u32,
    /// `unix` or `tcp`, as written.
    pub network: String,
    /// Socket path, or `HOST:PORT`.
    pub address: String,
    /// Its process id, if known.
    pub pid: Option<i32>,
    /// Whether the plugin serves in test mode.
    pub test: bool,
    /// Certificates of its first host: an addition of this project, which go-plugin ignores.
    pub tls: Option<ReattachTls>,
}

/// The certificates with which a second host connects.
#[derive(Clone, PartialEq, Eq)]
pub struct ReattachTls {
    /// The host's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub private_key: Zeroizing<String>,
    /// The plugin's certificate, PEM.
    pub server_certificate: String,
}

impl std::fmt::Debug for ReattachTls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Written by hand, so that the key never reaches a log.
        formatter.debug_struct("ReattachTls").finish_non_exhaustive()
    }
}

/// Reads one description.
pub fn parse(text: &str) -> Result<ReattachConfig, Error> {
    describe(&object(parse_json(text, ONE)?, ONE)?, ONE)
}

/// Reads descriptions by name, in the order of the text.
pub fn parse_named(text: &str) -> Result<Vec<(String, ReattachConfig)>, Error> {
    let named = object(parse_json(text, NAMED)?, NAMED)?;
    let described = named.into_iter().map(|(name, value)| {
        let whose = format!("the entry {} of {NAMED}", excerpt(name.as_bytes()));
        let config = describe(&object(value, &whose)?, &whose)?;
        Ok((name, config))
    });
    described.collect()
}

/// Writes one description, with go-plugin's names.
#[must_use]
pub fn format(config: &ReattachConfig) -> String {
    let mut fields = json!({
        "Protocol": config.protocol,
        "ProtocolVersion": config.protocol_version,
        "Pid": config.pid.unwrap_or(0),
        "Test": config.test,
        "Addr": {"Network": config.network, "String": config.address},
    });
    if let (Some(tls), Some(fields)) = (&config.tls, fields.as_object_mut()) {
        let certificates = json!({
            "Certificate": tls.certificate,
            "PrivateKey": tls.private_key.as_str(),
            "ServerCertificate": tls.server_certificate,
        });
        fields.insert("Tls".to_owned(), certificates);
    }
    fields.to_string()
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::ReattachInvalid, message)
}

/// The error does not repeat the text, which may hold a key.
fn parse_json(text: &str, whose: &str) -> Result<Value, Error> {
    serde_json::from_str(text).map_err(|error| invalid(format!("{whose} is not JSON: {error}")))
}

fn object(value: Value, whose: &str) -> Result<Map<String, Value>, Error> {
    match value {
        Value::Object(fields) => Ok(fields),
        other => Err(invalid(format!("{whose} is {}, expected an object", kind(&other)))),
    }
}

fn describe(fields: &Map<String, Value>, whose: &str) -> Result<ReattachConfig, Error> {
    let address =
        field(fields, "Addr").ok_or_else(|| invalid(format!("{whose} has no Addr, expected where it listens")))?;
    let address = object(address.clone(), &format!("Addr of {whose}"))?;
    let pid = integer(fields, "Pid", whose)?;
    Ok(ReattachConfig {
        protocol: text(fields, "Protocol", whose)?,
        protocol_version: integer(fields, "ProtocolVersion", whose)?.unsigned_abs(),
        network: text(&address, "Network", whose)?,
        address: text(&address, "String", whose)?,
        // Go writes 0 for "unknown".
        pid: Some(pid).filter(|pid| *pid != 0),
        test: flag(fields, "Test", whose)?,
        tls: field(fields, "Tls").filter(|tls| !tls.is_null()).map(|tls| certificates(tls, whose)).transpose()?,
    })
}

fn certificates(value: &Value, whose: &str) -> Result<ReattachTls, Error> {
    let fields = object(value.clone(), &format!("Tls of {whose}"))?;
    Ok(ReattachTls {
        certificate: text(&fields, "Certificate", whose)?,
        private_key: Zeroizing::new(text(&fields, "PrivateKey", whose)?),
        server_certificate: text(&fields, "ServerCertificate", whose)?,
    })
}

/// The field of this name, or else of this name in any case, as in Go.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let exact = fields.get(name);
    exact.or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

fn text(fields: &Map<String, Value>, name: &str, whose: &str) -> Result<String, Error> {
    match field(fields, name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(invalid(format!("{name} of {whose} is {}, expected text", kind(other)))),
    }
}

fn flag(fields: &Map<String, Value>, name: &str, whose: &str) -> Result<bool, Error> {
    match field(fields, name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(invalid(format!("{name} of {whose} is {}, expected true or false", kind(other)))),
    }
}

/// An integer from 0 to 2^31 - 1, as process ids and versions are.
fn integer(fields: &Map<String, Value>, name: &str, whose: &str) -> Result<i32, Error> {
    let value = match field(fields, name) {
        None | Some(Value::Null) => return Ok(0),
        Some(value) => value,
    };
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok()).filter(|number| *number >= 0);
    number.ok_or_else(|| {
        let shown = if value.is_number() { value.to_string() } else { kind(value).to_owned() };
        invalid(format!("{name} of {whose} is {shown}, expected a whole number from 0 to {}", i32::MAX))
    })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
#[path = "reattach_tests.rs"]
mod tests;
