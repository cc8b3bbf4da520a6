//! Certificates that callers make, or bring: authorities, servers and clients.

use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use std::time::Duration;
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::encoding::{
    CLIENT_AUTH, COMMON_NAME, CRL_SIGN, Constraints, DIGITAL_SIGNATURE, KEY_CERT_SIGN, Profile, SERVER_AUTH,
    distinguished_name,
};
use super::facts::CertificateFacts;
use super::issuer::{Issuer, self_sign};
use super::pem::{only_key, readable_certificates, refused, unreadable_key};
use super::private_key::PrivateKey;
use super::{BACK_DATING, PAIR_HINT, armour};
use crate::error::Error;
use crate::settings::Curve;

const CHAIN_HINT: &str = "Give the certificate's own section; the setting tls.certificate takes a whole chain, as PEM.";

/// What a certificate is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signing the certificates of servers and clients.
    Authority,
    /// Being connected to.
    Server,
    /// Connecting.
    Client,
    /// Both, like a host or a plugin with a broker.
    Peer,
}

/// A certificate to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// The curve of its key.
    pub curve: Curve,
    /// Whose it is.
    pub common_name: String,
    /// The DNS names that it is valid for.
    pub dns_names: Vec<String>,
    /// The addresses that it is valid for.
    pub ip_addresses: Vec<IpAddr>,
    /// What it is for.
    pub usage: Usage,
    /// How long it is valid from now on, unless its signer ends earlier.
    pub validity: Duration,
}

/// A certificate, with its private key if that is known. It has no `Debug`.
pub struct Certificate {
    der: CertificateDer<'static>,
    key: Option<PrivateKey>,
}

impl Certificate {
    /// A new key and its certificate, signed by an authority or by itself.
    pub fn generate(request: &Request, signed_by: Option<&Self>) -> Result<Self, Error> {
        let now = OffsetDateTime::now_utc();
        let validity = (now - BACK_DATING, now + request.validity);
        let issuer = signed_by.map(|signer| Issuer::of(&signer.der, signer.key.as_ref(), now)).transpose()?;
        let subject = distinguished_name(&[(COMMON_NAME, &request.common_name)]);
        let profile = request.profile();
        let key = PrivateKey::generate(request.curve)?;
        let der = match issuer {
            Some(issuer) => issuer.sign(&key, &subject, &profile, validity)?,
            None => self_sign(&key, &subject, &profile, validity)?,
        };
        Ok(Self { der, key: Some(key) })
    }

    /// One certificate out of PEM, and its key, which may be in the same text.
    pub fn from_pem(certificate: &[u8], private_key: Option<&[u8]>) -> Result<Self, Error> {
        let mut certificates = readable_certificates("certificate", certificate)?;
        let count = certificates.len();
        let Some(der) = certificates.pop().filter(|_| count == 1) else {
            return Err(refused(format!("certificate holds {count} certificates, expected one"), CHAIN_HINT));
        };
        let beside = only_key("certificate", certificate)?;
        let key = match private_key {
            None => beside,
            Some(_) if beside.is_some() => {
                let message = "private_key is given, and certificate holds one too, expected one of them";
                return Err(refused(message.to_owned(), "Leave private_key out."));
            }
            Some(pem) => Some(only_key("private_key", pem)?.ok_or_else(|| unreadable_key("private_key", pem))?),
        };
        let made = Self { der, key };
        made.check_key()?;
        Ok(made)
    }

    fn check_key(&self) -> Result<(), Error> {
        let Some(key) = &self.key else { return Ok(()) };
        CertifiedKey::new(vec![self.der.clone()], key.signing_key()).keys_match().map_err(|_| {
            let subject = CertificateFacts::of(&self.der).map(|facts| facts.subject).unwrap_or_default();
            refused(format!("private_key does not belong to the certificate of '{subject}'"), PAIR_HINT)
        })
    }

    /// The certificate in DER.
    #[must_use]
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// The certificate as PEM, final newline included.
    #[must_use]
    pub fn certificate_pem(&self) -> Zeroizing<String> {
        armour::encode("CERTIFICATE", &self.der)
    }

    /// The private key as PEM, for callers that ask for it by name; never for logs.
    #[must_use]
    pub fn private_key_pem(&self) -> Option<Zeroizing<String>> {
        self.key.as_ref().map(PrivateKey::pem)
    }

    /// Whether the private key is known.
    #[must_use]
    pub fn has_private_key(&self) -> bool {
        self.key.is_some()
    }

    /// SHA-256 of the certificate in DER.
    #[must_use]
    pub fn fingerprint(&self) -> Vec<u8> {
        digest(&SHA256, &self.der).as_ref().to_vec()
    }
}

impl Request {
    fn profile(&self) -> Profile {
        let extended_key_usage: &[&[u64]] = match self.usage {
            Usage::Authority => &[],
            Usage::Server => &[SERVER_AUTH],
            Usage::Client => &[CLIENT_AUTH],
            Usage::Peer => &[SERVER_AUTH, CLIENT_AUTH],
        };
        let (constraints, key_usage) = match self.usage {
            // No authorities below: nobody who gets a certificate of one can make himself another.
            Usage::Authority => (Constraints::Authority { path_length: Some(0) }, KEY_CERT_SIGN | CRL_SIGN),
            _ => (Constraints::Leaf, DIGITAL_SIGNATURE),
        };
        Profile {
            constraints,
            key_usage,
            extended_key_usage,
            dns_names: self.dns_names.clone(),
            ip_addresses: self.ip_addresses.clone(),
        }
    }
}
