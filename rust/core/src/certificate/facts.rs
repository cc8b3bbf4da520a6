//! The facts about a certificate, for people.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::error::{Error, ErrorKind};

/// Who a certificate is of, and when it is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Distinguished name, for example `O=HashiCorp, CN=localhost`.
    pub subject: String,
    /// Kind of key: `P-256`, `P-384`, `P-521`, `RSA` or the algorithm's object identifier.
    pub key: String,
    /// Start of validity, seconds since 1970.
    pub not_before: i64,
    /// End of validity, seconds since 1970.
    pub not_after: i64,
}

impl CertificateFacts {
    /// Reads the facts of a DER certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        parse(certificate).map(|parsed| Self::from_parsed(&parsed))
    }

    fn from_parsed(parsed: &X509Certificate<'_>) -> Self {
        Self {
            subject: parsed.subject().to_string(),
            key: key_kind(parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        }
    }
}

/// What a certificate says beyond its [`CertificateFacts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateDetails {
    /// Who it is of, and when it is valid.
    pub facts: CertificateFacts,
    /// Distinguished name of the signer.
    pub issuer: String,
    /// The number that its signer gave it, big-endian.
    pub serial: Vec<u8>,
    /// Whether it may sign other certificates.
    pub is_authority: bool,
    /// The DNS names that it is valid for.
    pub dns_names: Vec<String>,
    /// The addresses that it is valid for.
    pub ip_addresses: Vec<IpAddr>,
}

impl CertificateDetails {
    /// Reads the details of a DER certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, Error> {
        let parsed = parse(certificate)?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
        Ok(Self {
            facts: CertificateFacts::from_parsed(&parsed),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial().to_vec(),
            is_authority: parsed.is_ca(),
            dns_names: names.iter().filter_map(dns_name).collect(),
            ip_addresses: names.iter().filter_map(ip_address).collect(),
        })
    }
}

/// The first and the last second, since 1970, at which a DER certificate is valid.
pub(crate) fn validity_of(certificate: &CertificateDer<'_>) -> Result<(i64, i64), Error> {
    let parsed = parse(certificate)?;
    let validity = parsed.validity();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

/// Parses a DER certificate.
pub(super) fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    parse_exactly(certificate).map_err(|cause| {
        let size = certificate.len();
        Error::new(ErrorKind::CertificateInvalid, format!("a certificate of {size} bytes cannot be read: {cause}"))
    })
}

/// Parses a DER certificate; the error is the cause. Bytes behind the certificate would be refused by TLS.
pub(super) fn parse_exactly<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    match X509Certificate::from_der(certificate) {
        _ if certificate.is_empty() => Err("it is empty".to_owned()),
        Ok(([], parsed)) => Ok(parsed),
        Ok((rest, _)) => Err(format!("{} bytes follow its end", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

fn dns_name(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None }
}

fn ip_address(name: &GeneralName<'_>) -> Option<IpAddr> {
    let GeneralName::IPAddress(bytes) = name else { return None };
    let of_four = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    of_four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from)).ok()
}

fn key_kind(certificate: &X509Certificate<'_>) -> String {
    let key = certificate.public_key();
    if matches!(key.parsed(), Ok(PublicKey::RSA(_))) {
        return "RSA".to_owned();
    }
    let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
    match curve {
        Some(oid) if oid == OID_EC_P256 => "P-256".to_owned(),
        Some(oid) if oid == OID_NIST_EC_P384 => "P-384".to_owned(),
        Some(oid) if oid == OID_NIST_EC_P521 => "P-521".to_owned(),
        _ => key.algorithm.algorithm.to_id_string(),
    }
}
