//! Who signs a certificate: an authority of the caller's, after it has been checked, or the certificate's own key.

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::X509Certificate;

use super::encoding::{Constraints, Contents, Profile, signed, to_be_signed};
use super::facts::parse;
use super::pem::refused;
use super::private_key::PrivateKey;
use crate::error::{Error, ErrorKind};

const SERIAL_BYTES: usize = 16;
/// Of a SHA-256 digest, as RFC 7093 has it.
const KEY_IDENTIFIER_BYTES: usize = 20;

const AUTHORITY_HINT: &str = "Make one with usage=\"authority\", or read one together with its private key.";

/// The first and the last moment at which a certificate is valid.
pub(super) type Validity = (OffsetDateTime, OffsetDateTime);

/// An authority that may sign now.
pub(super) struct Issuer<'a> {
    name: Vec<u8>,
    title: String,
    key: &'a PrivateKey,
    key_identifier: Option<Vec<u8>>,
    path_length: Option<u32>,
    not_after: OffsetDateTime,
}

impl<'a> Issuer<'a> {
    /// The authority whose certificate and key these are, if it may sign at `now`.
    pub(super) fn of(
        certificate: &CertificateDer<'_>,
        key: Option<&'a PrivateKey>,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let parsed = parse(certificate)?;
        let title = parsed.subject().to_string();
        if let Some((fault, expected, hint)) = fault_of(&parsed, now) {
            return Err(refused(
                format!("signed_by, the certificate of '{title}', {fault}, expected {expected}"),
                hint,
            ));
        }
        let Some(key) = key else {
            let message = format!("signed_by, the certificate of '{title}', has no private key, expected one that has");
            return Err(refused(message, AUTHORITY_HINT));
        };
        let constraints = parsed.basic_constraints().ok().flatten();
        Ok(Self {
            name: parsed.subject().as_raw().to_vec(),
            title,
            key,
            key_identifier: subject_key_identifier(&parsed),
            path_length: constraints.and_then(|extension| extension.value.path_len_constraint),
            not_after: parsed.validity().not_after.to_datetime(),
        })
    }

    /// Signs a certificate, which ends with its authority at the latest.
    pub(super) fn sign(
        &self,
        key: &PrivateKey,
        subject: &[u8],
        profile: &Profile,
        validity: Validity,
    ) -> Result<CertificateDer<'static>, Error> {
        let title = &self.title;
        if subject == self.name {
            let message = format!("common_name makes the subject '{title}', that of signed_by, expected another");
            return Err(refused(message, "With one name for both a certificate is taken for self-signed."));
        }
        if profile.constraints != Constraints::Leaf && self.path_length == Some(0) {
            let message = format!("signed_by, the certificate of '{title}', signs no further authorities");
            return Err(refused(message, "Authorities that are made here sign servers and clients alone."));
        }
        let validity = (validity.0, validity.1.min(self.not_after));
        sign(self.key, &self.name, self.key_identifier.as_deref(), key, subject, profile, validity)
    }
}

/// Signs a certificate with the key that it is of.
pub(super) fn self_sign(
    key: &PrivateKey,
    subject: &[u8],
    profile: &Profile,
    validity: Validity,
) -> Result<CertificateDer<'static>, Error> {
    sign(key, subject, None, key, subject, profile, validity)
}

fn sign(
    issuer_key: &PrivateKey,
    issuer: &[u8],
    authority_key_identifier: Option<&[u8]>,
    key: &PrivateKey,
    subject: &[u8],
    profile: &Profile,
    (not_before, not_after): Validity,
) -> Result<CertificateDer<'static>, Error> {
    let failed = |why: &str| Error::new(ErrorKind::IdentityFailed, format!("a certificate could not be made: {why}"));
    let public_key = key.public_key().ok_or_else(|| failed("its key has no public part"))?;
    let (signer, algorithm) = issuer_key.certificate_signer().ok_or_else(|| failed("its signer's key cannot sign"))?;
    let identifier = digest(&SHA256, &public_key);
    let contents = Contents {
        serial: &random_serial().map_err(|error| failed(&error.to_string()))?,
        issuer,
        subject,
        not_before,
        not_after,
        public_key: &public_key,
        key_identifier: &identifier.as_ref()[..KEY_IDENTIFIER_BYTES],
        authority_key_identifier,
        profile,
    };
    let unsigned = to_be_signed(&contents, algorithm);
    let signature = signer.sign(&unsigned).map_err(|error| failed(&error.to_string()))?;
    Ok(signed(&unsigned, algorithm, &signature).into())
}

/// A positive number of full length, of 126 random bits.
fn random_serial() -> Result<[u8; SERIAL_BYTES], getrandom::Error> {
    let mut serial = [0; SERIAL_BYTES];
    getrandom::fill(&mut serial)?;
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

/// Why a certificate may not sign others at `now`, if so: what it is, what it should be, and what to do.
fn fault_of(certificate: &X509Certificate<'_>, now: OffsetDateTime) -> Option<(String, &'static str, &'static str)> {
    let validity = certificate.validity();
    let usage = certificate.key_usage().ok().flatten();
    if !certificate.is_ca() || usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        Some(("may not sign certificates".to_owned(), "an authority", AUTHORITY_HINT))
    } else if validity.not_after.to_datetime() <= now {
        Some((format!("expired on {}", validity.not_after), "one that is valid now", "Renew the authority."))
    } else if validity.not_before.to_datetime() > now {
        let hint = "Compare the clocks of both machines.";
        Some((format!("is not valid before {}", validity.not_before), "one that is valid now", hint))
    } else {
        None
    }
}

fn subject_key_identifier(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0.to_vec()),
        _ => None,
    })
}
