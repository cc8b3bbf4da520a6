//! The handshake: bytes of standard output in, one announcement out. No socket, clock or process.
//!
//! A plugin prints `CORE|APP|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE|MULTIPLEX` as a line on its standard output. The rules
//! are checked in go-plugin's own order, so that both hosts name the same first fault.

use std::collections::VecDeque;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls::pki_types::CertificateDer;

use crate::error::{Error, ErrorKind, excerpt};
use crate::settings::Transports;
use crate::transport::Address;

/// Bound on what may come before the handshake line. Go's host allows nothing at all; banners are a common mishap.
pub const MAX_STRAY_LINES: usize = 64;
/// Bound on the bytes up to and including the handshake line.
pub const MAX_BYTES: usize = 64 * 1024;
/// Shorter certificate fields are ignored: old releases of go-plugin put other text there.
const MIN_CERTIFICATE_CHARACTERS: usize = 50;
/// The only core protocol there is.
const CORE_VERSION: i64 = 1;

/// What the host is ready to accept.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// Application versions on offer.
    pub protocol_versions: Vec<u32>,
    /// Transports on offer.
    pub transports: Transports,
    /// Whether the host asked for broker multiplexing.
    pub multiplex: bool,
}

/// A valid announcement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    /// The application version in use.
    pub protocol_version: u32,
    /// Where the plugin listens.
    pub address: Address,
    /// The plugin's certificate, when it serves TLS.
    pub certificate: Option<CertificateDer<'static>>,
    /// Whether the broker is multiplexed; false unless the host asked.
    pub multiplex: bool,
}

impl Handshake {
    /// Parses one line, checking each field in go-plugin's order.
    pub fn parse(line: &[u8], expected: &Expectations) -> Result<Self, Error> {
        let text = std::str::from_utf8(line).map_err(|_| {
            Error::new(ErrorKind::HandshakeNotText, format!("the handshake line is not UTF-8: {}", excerpt(line)))
        })?;
        // The line is trimmed as a whole, its fields are not: a blank inside is part of the value.
        let fields: Vec<&str> = text.trim().split('|').collect();
        let &[core, app, network, address, ..] = fields.as_slice() else {
            let message =
                format!("the handshake line has {} field(s), expected at least 4: {}", fields.len(), excerpt(line));
            return Err(Error::new(ErrorKind::HandshakeFields, message));
        };
        check_core_version(core)?;
        let protocol_version = negotiate_app_version(app, &expected.protocol_versions)?;
        let address = parse_address(network, address, expected.transports)?;
        check_protocol(fields.get(4).copied())?;
        let certificate = fields.get(5).map_or(Ok(None), |field| parse_certificate(field))?;
        let multiplex = expected.multiplex && parse_multiplex(fields.get(6).copied())?;
        Ok(Self { protocol_version, address, certificate, multiplex })
    }
}

/// The line that a plugin prints, without its end; the seventh field only for a host that asked for multiplexing.
#[must_use]
pub fn line(
    protocol_version: u32,
    address: &Address,
    certificate: Option<&CertificateDer<'_>>,
    multiplex: bool,
) -> String {
    // Go's host takes no padding.
    let certificate = certificate.map(|certificate| STANDARD_NO_PAD.encode(certificate)).unwrap_or_default();
    let (network, location) = (address.network(), address.location());
    let multiplex = if multiplex { "|true" } else { "" };
    format!("{CORE_VERSION}|{protocol_version}|{network}|{location}|grpc|{certificate}{multiplex}")
}

fn check_core_version(field: &str) -> Result<(), Error> {
    let version = parse_integer(field).ok_or_else(|| {
        let message = format!("the core protocol version {} is not a number", excerpt(field.as_bytes()));
        Error::new(ErrorKind::CoreVersionInvalid, message)
    })?;
    if version == CORE_VERSION {
        return Ok(());
    }
    let message = format!("the plugin speaks core protocol {version}, this host speaks {CORE_VERSION}");
    Err(Error::new(ErrorKind::CoreVersionUnsupported, message))
}

fn negotiate_app_version(field: &str, offered: &[u32]) -> Result<u32, Error> {
    let version = parse_integer(field).ok_or_else(|| {
        let message = format!("the application protocol version {} is not a number", excerpt(field.as_bytes()));
        Error::new(ErrorKind::AppVersionInvalid, message)
    })?;
    let known = u32::try_from(version).ok().filter(|version| offered.contains(version));
    known.ok_or_else(|| {
        let message = format!("the plugin chose application protocol {version}, this host offered {offered:?}");
        Error::new(ErrorKind::AppVersionUnsupported, message)
    })
}

/// Go-plugin's words for an address, checked.
pub(crate) fn parse_address(network: &str, address: &str, allowed: Transports) -> Result<Address, Error> {
    if !matches!(network, "unix" | "tcp") {
        let shown = excerpt(network.as_bytes());
        let message = format!("the plugin announced the network {shown}, expected \"unix\" or \"tcp\"");
        return Err(Error::new(ErrorKind::NetworkUnsupported, message));
    }
    let parsed = Address::parse(network, address).map_err(|message| Error::new(ErrorKind::AddressInvalid, message))?;
    let permitted = if network == "unix" { allowed.unix } else { allowed.tcp };
    if permitted {
        return Ok(parsed);
    }
    let message = format!("the plugin announced the network {network:?}, which the setting transports excludes");
    Err(Error::new(ErrorKind::NetworkUnsupported, message))
}

/// An absent field means net/rpc, the only protocol of early go-plugin; an empty one is the empty protocol.
fn check_protocol(field: Option<&str>) -> Result<(), Error> {
    let message = match field {
        Some("grpc") => return Ok(()),
        Some("netrpc") => "the plugin speaks Go's net/rpc; only gRPC is supported".to_owned(),
        None => "the plugin announces no protocol, which means Go's net/rpc; only gRPC is supported".to_owned(),
        Some(other) => format!("the plugin speaks the protocol {}, expected \"grpc\"", excerpt(other.as_bytes())),
    };
    Err(Error::new(ErrorKind::ProtocolUnsupported, message))
}

/// Go prints unpadded base64; others pad. Both are understood.
fn parse_certificate(field: &str) -> Result<Option<CertificateDer<'static>>, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if field.len() <= MIN_CERTIFICATE_CHARACTERS {
        return Ok(None);
    }
    let invalid = |reason: String| {
        let shown = excerpt(field.as_bytes());
        let message = format!("the certificate in the handshake line cannot be read: {reason}, in {shown}");
        Error::new(ErrorKind::CertificateInvalid, message)
    };
    let der = LENIENT.decode(field).map_err(|error| invalid(error.to_string()))?;
    let (rest, _) = x509_parser::parse_x509_certificate(&der).map_err(|error| invalid(error.to_string()))?;
    if !rest.is_empty() {
        return Err(invalid(format!("{} bytes follow the certificate", rest.len())));
    }
    Ok(Some(CertificateDer::from(der)))
}

/// Only read when the host asked for multiplexing. The words are those of Go's `strconv.ParseBool`.
fn parse_multiplex(field: Option<&str>) -> Result<bool, Error> {
    match field {
        Some("1" | "t" | "T" | "TRUE" | "true" | "True") => Ok(true),
        None | Some("0" | "f" | "F" | "FALSE" | "false" | "False") => Err(Error::new(
            ErrorKind::MultiplexUnsupported,
            "broker multiplexing was asked for, but the plugin does not support it",
        )),
        Some(other) => {
            let message = format!("the multiplexing field {} is not a boolean", excerpt(other.as_bytes()));
            Err(Error::new(ErrorKind::MultiplexInvalid, message))
        }
    }
}

/// Go's `strconv.Atoi`: an optional sign and decimal digits, leading zeros allowed, nothing else.
fn parse_integer(field: &str) -> Option<i64> {
    let digits = field.strip_prefix(['+', '-']).unwrap_or(field);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { field.parse().ok() } else { None }
}

/// Finds the handshake line in the bytes of standard output, skipping stray lines up to a bound.
///
/// A line is taken for the handshake when it has at least four fields and either starts with a number or names a known
/// network third; also when it has fewer, but starts with two numbers. Any other line is stray: kept for the log, and for the error if nothing better follows.
#[derive(Debug, Default)]
pub struct LineFinder {
    partial: Vec<u8>,
    taken: usize,
    stray: VecDeque<String>,
}

impl LineFinder {
    /// Takes what was read; returns the handshake line as soon as it is complete. Bytes after it are dropped.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.take(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            let line = std::mem::take(&mut self.partial);
            if looks_like_handshake(&line) {
                return Ok(Some(line));
            }
            self.skip(&line)?;
        }
        self.take(bytes)?;
        Ok(None)
    }

    /// End of output: a last line without a newline still counts.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.partial);
        if looks_like_handshake(&line) {
            return Some(line);
        }
        if !line.is_empty() {
            self.stray.push_back(shorten(&line));
        }
        None
    }

    /// The lines skipped so far, oldest first, each shortened to what an error message may repeat.
    pub fn stray_lines(&self) -> impl Iterator<Item = &str> {
        self.stray.iter().map(String::as_str)
    }

    /// What was seen instead of a handshake line, for an error message.
    #[must_use]
    pub fn seen(&self) -> String {
        match (self.stray.front(), self.partial.is_empty()) {
            (Some(first), _) => format!("its standard output began with {first}"),
            (None, false) => format!("its standard output began with {}, without a line break", shorten(&self.partial)),
            (None, true) => "it printed nothing on its standard output".to_owned(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let room = MAX_BYTES - self.taken.min(MAX_BYTES);
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.taken += bytes.len();
        if self.taken <= MAX_BYTES {
            return Ok(());
        }
        let (kind, what) = if self.stray.is_empty() {
            (ErrorKind::HandshakeTooLong, "a first line")
        } else {
            (ErrorKind::HandshakeTooNoisy, "output")
        };
        let message =
            format!("the plugin printed {what} of more than {MAX_BYTES} bytes and no handshake; {}", self.seen());
        Err(Error::new(kind, message))
    }

    fn skip(&mut self, line: &[u8]) -> Result<(), Error> {
        self.stray.push_back(shorten(line));
        if self.stray.len() <= MAX_STRAY_LINES {
            return Ok(());
        }
        let message = format!("the plugin printed {} lines and no handshake; {}", self.stray.len(), self.seen());
        Err(Error::new(ErrorKind::HandshakeTooNoisy, message))
    }
}

fn shorten(line: &[u8]) -> String {
    excerpt(line.strip_suffix(b"\r").unwrap_or(line))
}

fn looks_like_handshake(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.trim_ascii().splitn(5, |byte| *byte == b'|').collect();
    let is_integer = |field: &[u8]| std::str::from_utf8(field).is_ok_and(|field| parse_integer(field).is_some());
    match fields.as_slice() {
        [core, _, network, _, ..] => matches!(*network, b"unix" | b"tcp") || is_integer(core),
        // Cut off, but meant to be one: better refused now than waited for.
        [core, app, ..] => is_integer(core) && is_integer(app),
        _ => false,
    }
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
