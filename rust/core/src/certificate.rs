//! One-time keys and certificates, and the facts about a peer's certificate.

use std::sync::Arc;

use pem::{EncodeConfig, LineEnding, Pem};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, SerialNumber,
};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384, OID_NIST_EC_P521};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use zeroize::{Zeroize, Zeroizing};

use crate::error::{Error, ErrorKind};
use crate::settings::Curve;

/// The name that go-plugin peers demand of each other.
pub const SERVER_NAME: &str = "localhost";
/// Tolerance for clocks that differ, as in go-plugin.
const BACK_DATING: Duration = Duration::seconds(30);
/// About 30 years, as in go-plugin: the certificate lives as long as the process.
const VALIDITY: Duration = Duration::hours(262_980);

/// A certificate with its private key. The key has no `Debug` and is wiped when dropped.
#[derive(Clone)]
pub struct Identity {
    certified_key: Arc<CertifiedKey>,
    certificate_pem: String,
    key_pem: Zeroizing<String>,
}

impl Identity {
    /// A fresh self-signed pair with go-plugin's profile, valid from 30 seconds ago.
    pub fn generate(curve: Curve) -> Result<Self, Error> {
        let algorithm = match curve {
            Curve::P256 => &PKCS_ECDSA_P256_SHA256,
            Curve::P384 => &PKCS_ECDSA_P384_SHA384,
            Curve::P521 => &PKCS_ECDSA_P521_SHA512,
        };
        let failed = |error: rcgen::Error| identity_error("a one-time certificate could not be made", &error);
        let mut key_pair = KeyPair::generate_for(algorithm).map_err(failed)?;
        let certificate = profile()?.self_signed(&key_pair).map_err(failed)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key_pair.serialize_der()));
        let key_pem = Zeroizing::new(key_pair.serialize_pem());
        key_pair.zeroize();
        Self::assemble(vec![certificate.der().clone()], key, key_pem)
    }

    /// The caller's own pair, both PEM; the chain starts with the leaf.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let certificates = parse_pem_certificates(chain, "certificate")?;
        let parsed = PrivateKeyDer::from_pem_slice(key)
            .map_err(|error| identity_error("the setting tls.key is not a PEM private key", &error))?;
        Self::assemble(certificates, parsed, Zeroizing::new(String::from_utf8_lossy(key).into_owned()))
    }

    fn assemble(
        chain: Vec<CertificateDer<'static>>,
        mut key: PrivateKeyDer<'static>,
        key_pem: Zeroizing<String>,
    ) -> Result<Self, Error> {
        // The PEM is written anew from the certificates: a file that holds a key as well must not make it public.
        let encoded: Vec<Pem> = chain.iter().map(|each| Pem::new("CERTIFICATE", each.to_vec())).collect();
        let certificate_pem = pem::encode_many_config(&encoded, EncodeConfig::new().set_line_ending(LineEnding::LF));
        let signing_key = any_supported_type(&key);
        key.zeroize();
        let pair = signing_key.map(|signing_key| CertifiedKey::new(chain, signing_key));
        let certified_key = pair
            .and_then(|pair| pair.keys_match().map(|()| pair))
            .map_err(|error| identity_error("certificate and key do not form a pair", &error))?;
        Ok(Self { certified_key: Arc::new(certified_key), certificate_pem, key_pem })
    }

    /// Certificate chain and signing key, as rustls wants them.
    #[must_use]
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified_key.clone()
    }

    /// The certificate itself, without the rest of its chain.
    #[must_use]
    pub fn leaf(&self) -> Option<CertificateDer<'static>> {
        self.certified_key.cert.first().cloned()
    }

    /// The certificate as PEM, final newline included.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM, for callers that ask for it by name; never for logs.
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// All certificates of a PEM text; at least one.
pub fn parse_pem_certificates(pem: &[u8], setting: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates =
        parsed.map_err(|error| identity_error(&format!("the setting tls.{setting} is not PEM"), &error))?;
    if certificates.is_empty() {
        let message = format!("the setting tls.{setting} holds no certificate, expected PEM with at least one");
        return Err(Error::new(ErrorKind::IdentityFailed, message));
    }
    Ok(certificates)
}

fn profile() -> Result<CertificateParams, Error> {
    let now = OffsetDateTime::now_utc();
    let mut subject = DistinguishedName::new();
    subject.push(DnType::OrganizationName, "HashiCorp");
    subject.push(DnType::CommonName, SERVER_NAME);
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|error| identity_error("no random numbers for a certificate", &error))?;

    let mut params = CertificateParams::new([SERVER_NAME.to_owned()])
        .map_err(|error| identity_error("a one-time certificate could not be described", &error))?;
    params.distinguished_name = subject;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params.not_before = now - BACK_DATING;
    params.not_after = now + VALIDITY;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
        KeyUsagePurpose::KeyAgreement,
        KeyUsagePurpose::KeyCertSign,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

fn identity_error(what: &str, cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::IdentityFailed, format!("{what}: {cause}"))
}

/// The facts about a certificate, for people.
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
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
            Error::new(
                ErrorKind::CertificateInvalid,
                format!("a certificate of {} bytes cannot be read: {error}", certificate.len()),
            )
        })?;
        Ok(Self {
            subject: parsed.subject().to_string(),
            key: key_kind(&parsed),
            not_before: parsed.validity().not_before.timestamp(),
            not_after: parsed.validity().not_after.timestamp(),
        })
    }
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn generated_certificate_has_the_profile_of_go_plugin() {
        for (curve, name) in [(Curve::P256, "P-256"), (Curve::P384, "P-384"), (Curve::P521, "P-521")] {
            let identity = Identity::generate(curve).unwrap();
            let der = identity.certified_key().cert[0].clone();
            let (_, certificate) = X509Certificate::from_der(&der).unwrap();
            assert_eq!(CertificateFacts::of(&der).unwrap().key, name);
            assert_eq!(certificate.subject().to_string(), "O=HashiCorp, CN=localhost");
            assert_eq!(certificate.subject(), certificate.issuer());
            assert!(certificate.is_ca());
            let usage = certificate.extended_key_usage().unwrap().unwrap().value.clone();
            assert!(usage.client_auth && usage.server_auth);
            let usage = certificate.key_usage().unwrap().unwrap();
            assert!(usage.critical && usage.value.digital_signature() && usage.value.key_cert_sign());
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            assert_eq!(names.value.general_names.len(), 1);
        }
    }

    #[test]
    fn validity_starts_thirty_seconds_ago() {
        let identity = Identity::generate(Curve::P256).unwrap();
        let facts = CertificateFacts::of(&identity.certified_key().cert[0]).unwrap();
        let age = OffsetDateTime::now_utc().unix_timestamp() - facts.not_before;
        assert!((30..=40).contains(&age), "{age}");
        assert_eq!(facts.not_after - facts.not_before, 262_980 * 3600 + 30);
    }

    #[test]
    fn debug_shows_no_key() {
        let identity = Identity::generate(Curve::P256).unwrap();
        assert_eq!(format!("{identity:?}"), "Identity { .. }");
        assert!(identity.key_pem().contains("PRIVATE KEY"));
    }

    #[test]
    fn own_pair_survives_the_way_through_pem() {
        let made = Identity::generate(Curve::P384).unwrap();
        let read = Identity::from_pem(made.certificate_pem().as_bytes(), made.key_pem().as_bytes()).unwrap();
        assert_eq!(read.certified_key().cert, made.certified_key().cert);
    }

    #[test]
    fn key_in_the_file_of_the_certificate_stays_out_of_it() {
        let made = Identity::generate(Curve::P256).unwrap();
        let both = format!("{}{}", made.key_pem(), made.certificate_pem());
        let read = Identity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
    }

    #[test]
    fn pair_that_does_not_belong_together_is_refused() {
        let (one, other) = (Identity::generate(Curve::P256).unwrap(), Identity::generate(Curve::P256).unwrap());
        let error = Identity::from_pem(one.certificate_pem().as_bytes(), other.key_pem().as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdentityFailed);
        let error = Identity::from_pem(b"nothing", one.key_pem().as_bytes()).unwrap_err();
        assert!(error.message().contains("tls.certificate"), "{error}");
    }
}
