//! A certificate and its key as TLS uses them: AutoMTLS's one-time pair, or the caller's own.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

use super::BACK_DATING;
use super::armour;
use super::encoding::{
    CLIENT_AUTH, COMMON_NAME, Constraints, DIGITAL_SIGNATURE, KEY_AGREEMENT, KEY_CERT_SIGN, KEY_ENCIPHERMENT,
    ORGANIZATION, Profile, SERVER_AUTH, distinguished_name,
};
use super::issuer::self_sign;
use super::pem::{parse_pem_certificates, readable_key};
use super::private_key::PrivateKey;
use crate::error::{Error, ErrorKind};
use crate::settings::Curve;

/// The name that go-plugin peers demand of each other.
pub const SERVER_NAME: &str = "localhost";
/// About 30 years, as in go-plugin: the certificate lives as long as the process.
const VALIDITY: Duration = Duration::hours(262_980);

/// A certificate with its private key. The key has no `Debug` and is wiped when dropped.
#[derive(Clone)]
pub struct Identity {
    certified_key: Arc<CertifiedKey>,
    certificate_pem: String,
    key: PrivateKey,
}

impl Identity {
    /// A fresh self-signed pair with go-plugin's profile, valid from 30 seconds ago.
    pub fn generate(curve: Curve) -> Result<Self, Error> {
        let now = OffsetDateTime::now_utc();
        let subject = distinguished_name(&[(ORGANIZATION, "HashiCorp"), (COMMON_NAME, SERVER_NAME)]);
        let profile = Profile {
            constraints: Constraints::Authority { path_length: None },
            key_usage: DIGITAL_SIGNATURE | KEY_ENCIPHERMENT | KEY_AGREEMENT | KEY_CERT_SIGN,
            extended_key_usage: &[CLIENT_AUTH, SERVER_AUTH],
            dns_names: vec![SERVER_NAME.to_owned()],
            ip_addresses: vec![],
        };
        let key = PrivateKey::generate(curve)?;
        let certificate = self_sign(&key, &subject, &profile, (now - BACK_DATING, now + VALIDITY))?;
        Ok(Self::assemble(vec![certificate], key))
    }

    /// The caller's own pair, both PEM; the chain starts with the leaf.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let certificates = parse_pem_certificates("certificate", chain)?;
        let key = readable_key("private key", key).map_err(|error| identity_error(error.message().to_owned()))?;
        let pair = Self::assemble(certificates, key);
        pair.certified_key
            .keys_match()
            .map_err(|error| identity_error(format!("certificate and key do not form a pair: {error}")))?;
        Ok(pair)
    }

    fn assemble(chain: Vec<CertificateDer<'static>>, key: PrivateKey) -> Self {
        // The PEM is written anew from the certificates: a file that holds a key as well must not make it public.
        let certificate_pem =
            chain.iter().map(|each| armour::encode("CERTIFICATE", each).as_str().to_owned()).collect();
        let certified_key = Arc::new(CertifiedKey::new(chain, key.signing_key()));
        Self { certified_key, certificate_pem, key }
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
    pub fn key_pem(&self) -> Zeroizing<String> {
        self.key.pem()
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Identity").finish_non_exhaustive()
    }
}

fn identity_error(message: String) -> Error {
    Error::new(ErrorKind::IdentityFailed, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use x509_parser::prelude::{FromDer, X509Certificate};

    use super::super::CertificateFacts;
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
        let both = format!("{}{}", made.key_pem().as_str(), made.certificate_pem());
        let read = Identity::from_pem(both.as_bytes(), both.as_bytes()).unwrap();
        assert_eq!(read.certificate_pem(), made.certificate_pem());
    }

    #[test]
    fn message_about_damaged_text_quotes_none_of_it() {
        let made = Identity::generate(Curve::P256).unwrap();
        let line = made.key_pem().lines().nth(1).unwrap().to_owned();
        let numbers = format!("{:?}", &line.as_bytes()[..12]);
        let damaged = format!("-----BEGIN {line}\n");
        for (chain, key) in [(damaged.as_str(), damaged.as_str()), (made.certificate_pem(), damaged.as_str())] {
            let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
            assert!(!error.message().contains(&line[..12]), "{error}");
            assert!(!error.message().contains(numbers.trim_matches(['[', ']'])), "{error}");
        }
    }

    #[test]
    fn pair_that_does_not_belong_together_is_refused() {
        let (one, other) = (Identity::generate(Curve::P256).unwrap(), Identity::generate(Curve::P256).unwrap());
        let error = Identity::from_pem(one.certificate_pem().as_bytes(), other.key_pem().as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdentityFailed);
        let error = Identity::from_pem(b"nothing", one.key_pem().as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::IdentityFailed);
        assert!(error.message().contains("certificate holds 7 bytes"), "{error}");
    }

    #[test]
    fn empty_sections_are_no_certificate_and_no_key() {
        let made = Identity::generate(Curve::P256).unwrap();
        let empty = |label| format!("-----BEGIN {label}-----\n-----END {label}-----\n");
        for (chain, key) in [
            (empty("CERTIFICATE"), made.key_pem().as_str().to_owned()),
            (made.certificate_pem().to_owned() + &empty("CERTIFICATE"), made.key_pem().as_str().to_owned()),
            (made.certificate_pem().to_owned(), empty("PRIVATE KEY")),
        ] {
            let error = Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::IdentityFailed);
        }
    }
}
