//! The handshake line, parsed and written. No I/O.
//!
//! A plugin prints `CORE|APP|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE|MULTIPLEX` as a line on its standard output. The rules
//! are checked in go-plugin's own order, so that both hosts name the same first fault.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rustls::pki_types::CertificateDer;

use crate::address::Address;
use crate::error::{Error, ErrorKind, excerpt};
use crate::settings::Transports;

/// Shorter certificate fields are ignored: old releases of go-plugin put other text there.
const MIN_CERTIFICATE_CHARACTERS: usize = 50;
/// go-plugin's only core protocol version.
pub(crate) const CORE_VERSION: i64 = 1;

/// What the host accepts.
#[derive(Debug, Clone)]
pub struct Expectations {
    /// Application versions on offer.
    pub protocol_versions: Vec<u32>,
    /// Transports on offer.
    pub transports: Transports,
    /// Whether the host asked for broker multiplexing.
    pub multiplex: bool,
}

/// A valid handshake line.
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
        // The line is trimmed, its fields are not: a blank inside is part of the value.
        let fields: Vec<&str> = text.trim().split('|').collect();
        let &[core, app, network, address, ..] = fields.as_slice() else {
            let message =
                format!("the handshake line has {} field(s), expected at least 4: {}", fields.len(), excerpt(line));
            return Err(Error::new(ErrorKind::HandshakeFields, message));
        };
        check_core_version(core).map_err(|error| refuse_packer(&fields).unwrap_or(error))?;
        // Checked before the version: adding the plugin's version to the settings would be in vain.
        refuse_net_rpc(fields.get(4).copied(), line)?;
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

/// The address of go-plugin's two fields for it, checked.
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

/// Refuses net/rpc. A missing field means net/rpc too, the only protocol of early go-plugin.
fn refuse_net_rpc(field: Option<&str>, line: &[u8]) -> Result<(), Error> {
    let message = match field {
        Some("netrpc") => "the plugin speaks Go's net/rpc; only gRPC is supported".to_owned(),
        None => format!(
            "the handshake line names no protocol, which means Go's net/rpc, or was cut short: {}; only gRPC is supported",
            excerpt(line)
        ),
        Some(_) => return Ok(()),
    };
    Err(Error::new(ErrorKind::ProtocolUnsupported, message))
}

/// Refuses any protocol but gRPC; an empty field is a protocol with an empty name.
fn check_protocol(field: Option<&str>) -> Result<(), Error> {
    match field {
        None | Some("grpc") => Ok(()),
        Some(other) => {
            let message = format!("the plugin speaks the protocol {}, expected \"grpc\"", excerpt(other.as_bytes()));
            Err(Error::new(ErrorKind::ProtocolUnsupported, message))
        }
    }
}

/// The error for plugins of packer-plugin-sdk, which print `API_MAJOR|API_MINOR|NETWORK|ADDRESS` from version 4 on.
fn refuse_packer(fields: &[&str]) -> Option<Error> {
    let &[major, minor, "unix" | "tcp", _] = fields else { return None };
    let (major, minor) = (parse_integer(major).filter(|major| *major >= 4)?, parse_integer(minor)?);
    let message = format!(
        "the plugin speaks Packer's own protocol, version {major}.{minor} (net/rpc without go-plugin); only go-plugin's \
         with gRPC is supported"
    );
    Some(Error::new(ErrorKind::ProtocolUnsupported, message).with_hint("Plugins for Packer run under Packer alone."))
}

/// The socket that a line names, also a refused line: the host removes the socket after the plugin has ended.
#[must_use]
pub fn socket_named(line: &[u8]) -> Option<PathBuf> {
    let mut fields = line.trim_ascii().split(|byte| *byte == b'|').skip(2);
    let (network, path) = (fields.next()?, fields.next()?);
    // A relative path is that of the plugin's directory, which may be another than the host's.
    let usable = network == b"unix" && path.first() == Some(&b'/');
    usable.then(|| PathBuf::from(OsStr::from_bytes(path)))
}

/// The certificate of its field. Go prints base64 without padding, others with; both are read.
fn parse_certificate(field: &str) -> Result<Option<CertificateDer<'static>>, Error> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if field.len() <= MIN_CERTIFICATE_CHARACTERS {
        return Ok(None);
    }
    let invalid = |reason: String| {
        // The decoder ends its texts with a full stop.
        let (shown, reason) = (excerpt(field.as_bytes()), reason.trim_end_matches('.'));
        let message = format!("the certificate in the handshake line, {shown}, cannot be read: {reason}");
        Error::new(ErrorKind::CertificateInvalid, message)
    };
    let der = LENIENT.decode(field).map_err(|error| invalid(error.to_string()))?;
    let (rest, _) = x509_parser::parse_x509_certificate(&der).map_err(|error| invalid(error.to_string()))?;
    if !rest.is_empty() {
        return Err(invalid(format!("{} bytes follow the certificate", rest.len())));
    }
    Ok(Some(CertificateDer::from(der)))
}

/// The multiplexing field, read only if the host asked for it. The words are those of Go's `strconv.ParseBool`.
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

/// Parses an integer as Go's `strconv.Atoi`: an optional sign and decimal digits, leading zeros allowed, nothing else.
pub(crate) fn parse_integer(field: &str) -> Option<i64> {
    field.parse().ok()
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
