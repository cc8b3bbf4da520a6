//! X.509 certificates in DER, by RFC 5280.

use std::net::IpAddr;

use rustls::pki_types::AlgorithmIdentifier;
use time::OffsetDateTime;
use yasna::models::{GeneralizedTime, ObjectIdentifier, UTCTime};
use yasna::{DERWriter, DERWriterSeq, Tag, construct_der};

pub(super) const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
pub(super) const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
pub(super) const SERVER_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];
pub(super) const CLIENT_AUTH: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 2];

/// Bits of the extension `keyUsage`, whose first bit is the highest.
pub(super) const DIGITAL_SIGNATURE: u8 = 1 << 7;
pub(super) const KEY_ENCIPHERMENT: u8 = 1 << 5;
pub(super) const KEY_AGREEMENT: u8 = 1 << 3;
pub(super) const KEY_CERT_SIGN: u8 = 1 << 2;
pub(super) const CRL_SIGN: u8 = 1 << 1;

const SUBJECT_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 14];
const KEY_USAGE: &[u64] = &[2, 5, 29, 15];
const SUBJECT_ALTERNATIVE_NAME: &[u64] = &[2, 5, 29, 17];
const BASIC_CONSTRAINTS: &[u64] = &[2, 5, 29, 19];
const AUTHORITY_KEY_IDENTIFIER: &[u64] = &[2, 5, 29, 35];
const EXTENDED_KEY_USAGE: &[u64] = &[2, 5, 29, 37];

const VERSION_3: u8 = 2;

/// Whether a certificate may sign others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constraints {
    /// It signs none.
    Leaf,
    /// It signs others; so many authorities may stand below it, None for any number.
    Authority { path_length: Option<u8> },
}

/// What a certificate may be used for, and the names that it is valid for.
pub(super) struct Profile {
    pub(super) constraints: Constraints,
    pub(super) key_usage: u8,
    pub(super) extended_key_usage: &'static [&'static [u64]],
    pub(super) dns_names: Vec<String>,
    pub(super) ip_addresses: Vec<IpAddr>,
}

/// All that is signed; names and keys in DER.
pub(super) struct Contents<'a> {
    pub(super) serial: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) not_before: OffsetDateTime,
    pub(super) not_after: OffsetDateTime,
    pub(super) public_key: &'a [u8],
    pub(super) key_identifier: &'a [u8],
    /// The identifier of the issuer's key, if the certificate has another issuer that has one.
    pub(super) authority_key_identifier: Option<&'a [u8]>,
    pub(super) profile: &'a Profile,
}

/// A distinguished name, out of pairs of attribute and value.
pub(super) fn distinguished_name(attributes: &[(&[u64], &str)]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for (attribute, value) in attributes {
                writer.next().write_set(|writer| {
                    writer.next().write_sequence(|writer| {
                        write_oid(writer.next(), attribute);
                        writer.next().write_utf8_string(value);
                    });
                });
            }
        });
    })
}

/// The part of a certificate that is signed, by `algorithm`.
pub(super) fn to_be_signed(contents: &Contents<'_>, algorithm: AlgorithmIdentifier) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_tagged(Tag::context(0), |writer| writer.write_u8(VERSION_3));
            writer.next().write_bigint_bytes(contents.serial, true);
            writer.next().write_der(&algorithm_in_der(algorithm));
            writer.next().write_der(contents.issuer);
            writer.next().write_sequence(|writer| {
                write_time(writer.next(), contents.not_before);
                write_time(writer.next(), contents.not_after);
            });
            writer.next().write_der(contents.subject);
            writer.next().write_der(contents.public_key);
            writer.next().write_tagged(Tag::context(3), |writer| {
                writer.write_sequence(|writer| write_extensions(writer, contents));
            });
        });
    })
}

/// A certificate, out of what was signed and its signature.
pub(super) fn signed(to_be_signed: &[u8], algorithm: AlgorithmIdentifier, signature: &[u8]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            writer.next().write_der(to_be_signed);
            writer.next().write_der(&algorithm_in_der(algorithm));
            writer.next().write_bitvec_bytes(signature, signature.len() * 8);
        });
    })
}

fn write_extensions(writer: &mut DERWriterSeq<'_>, contents: &Contents<'_>) {
    let profile = contents.profile;
    if let Some(identifier) = contents.authority_key_identifier {
        write_extension(writer.next(), AUTHORITY_KEY_IDENTIFIER, false, |writer| {
            writer.write_sequence(|writer| {
                writer.next().write_tagged_implicit(Tag::context(0), |writer| writer.write_bytes(identifier));
            });
        });
    }
    write_extension(writer.next(), SUBJECT_KEY_IDENTIFIER, false, |writer| {
        writer.write_bytes(contents.key_identifier);
    });
    write_extension(writer.next(), BASIC_CONSTRAINTS, true, |writer| {
        writer.write_sequence(|writer| {
            if let Constraints::Authority { path_length } = profile.constraints {
                writer.next().write_bool(true);
                if let Some(path_length) = path_length {
                    writer.next().write_u8(path_length);
                }
            }
        });
    });
    write_extension(writer.next(), KEY_USAGE, true, |writer| {
        // Zero bits at the end are no part of a named list of bits.
        let length = 8 - profile.key_usage.trailing_zeros() as usize;
        writer.write_bitvec_bytes(&[profile.key_usage], length);
    });
    if !profile.extended_key_usage.is_empty() {
        write_extension(writer.next(), EXTENDED_KEY_USAGE, false, |writer| {
            writer.write_sequence(|writer| {
                profile.extended_key_usage.iter().for_each(|usage| write_oid(writer.next(), usage));
            });
        });
    }
    if !profile.dns_names.is_empty() || !profile.ip_addresses.is_empty() {
        write_extension(writer.next(), SUBJECT_ALTERNATIVE_NAME, false, |writer| {
            writer.write_sequence(|writer| write_names(writer, profile));
        });
    }
}

fn write_names(writer: &mut DERWriterSeq<'_>, profile: &Profile) {
    for name in &profile.dns_names {
        writer.next().write_tagged_implicit(Tag::context(2), |writer| writer.write_ia5_string(name));
    }
    for address in &profile.ip_addresses {
        writer.next().write_tagged_implicit(Tag::context(7), |writer| match address {
            IpAddr::V4(address) => writer.write_bytes(&address.octets()),
            IpAddr::V6(address) => writer.write_bytes(&address.octets()),
        });
    }
}

fn write_extension(writer: DERWriter<'_>, kind: &[u64], critical: bool, write_value: impl FnOnce(DERWriter<'_>)) {
    writer.write_sequence(|writer| {
        write_oid(writer.next(), kind);
        if critical {
            writer.next().write_bool(true);
        }
        writer.next().write_bytes(&construct_der(write_value));
    });
}

fn write_oid(writer: DERWriter<'_>, identifier: &[u64]) {
    writer.write_oid(&ObjectIdentifier::from_slice(identifier));
}

/// Dates up to 2049 have two digits for the year, later ones four. Fractions of a second are left out.
fn write_time(writer: DERWriter<'_>, date: OffsetDateTime) {
    let date = date.replace_nanosecond(0).unwrap_or(date);
    match UTCTime::from_datetime_opt(date) {
        Some(date) => writer.write_utctime(&date),
        None => writer.write_generalized_time(&GeneralizedTime::from_datetime(date)),
    }
}

/// The sequence around the bytes that rustls keeps of an algorithm, which are fewer than 128.
fn algorithm_in_der(algorithm: AlgorithmIdentifier) -> Vec<u8> {
    const SEQUENCE: u8 = 0x30;
    let length = u8::try_from(algorithm.len()).unwrap_or_default();
    [&[SEQUENCE, length], algorithm.as_ref()].concat()
}
