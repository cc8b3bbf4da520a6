//! PEM as callers give it.
//!
//! No message repeats a byte of its input: a key may stand where a certificate belongs.

use memchr::memmem;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::facts::parse_exactly;
use super::private_key::PrivateKey;
use crate::error::{Error, ErrorKind};

const CERTIFICATE_HINT: &str = "A PEM certificate starts with -----BEGIN CERTIFICATE-----.";
const KEY_HINT: &str = "A PEM key starts with -----BEGIN PRIVATE KEY-----; it may be RSA from 2048 bits, ECDSA on P-256, P-384 or P-521, or Ed25519.";
const ENCRYPTED_HINT: &str =
    "Decrypt it into a file that only you can read: openssl pkey -in encrypted.pem -out key.pem";

/// Marks of an encrypted key: of PKCS #8, and of the older form.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

/// All certificates of a PEM text that no setting's check has seen; as [`readable_certificates`].
pub fn parse_pem_certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    readable_certificates(what, pem).map_err(|error| Error::new(ErrorKind::IdentityFailed, error.message()))
}

/// All certificates of a PEM text, at least one, each readable. `what` names the text in messages.
pub(crate) fn readable_certificates(what: &str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let unreadable = |cause: &str| {
        let size = pem.len();
        let message = format!("{what} holds {size} bytes without a readable certificate, expected PEM: {cause}");
        refused(message, CERTIFICATE_HINT)
    };
    let sections: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    // The parser's error may quote the line at which it stopped.
    let certificates = sections.map_err(|_| unreadable("its PEM is damaged"))?;
    let count = certificates.len();
    for (number, certificate) in (1..).zip(&certificates) {
        let Err(fault) = parse_exactly(certificate) else { continue };
        return Err(if count == 1 {
            unreadable(&fault)
        } else {
            let message =
                format!("{what} holds {count} certificates, of which number {number} cannot be read: {fault}");
            refused(message, CERTIFICATE_HINT)
        });
    }
    if count == 0 { Err(unreadable("it has no section of a certificate")) } else { Ok(certificates) }
}

/// The first private key of a PEM text. `what` names the text in messages.
pub(crate) fn readable_key(what: &str, pem: &[u8]) -> Result<PrivateKey, Error> {
    if is_encrypted(pem) {
        return Err(refused(format!("{what} is encrypted, expected a plain private key"), ENCRYPTED_HINT));
    }
    let der = PrivateKeyDer::from_pem_slice(pem).map_err(|_| unreadable_key(what, pem))?;
    PrivateKey::from_der(der).ok_or_else(|| unreadable_key(what, pem))
}

/// The only private key of a PEM text, or none. `what` names the text in messages.
pub(super) fn only_key(what: &str, pem: &[u8]) -> Result<Option<PrivateKey>, Error> {
    if is_encrypted(pem) {
        let message = format!("{what} holds an encrypted private key, expected a plain one");
        return Err(refused(message, ENCRYPTED_HINT));
    }
    let mut keys: Vec<_> = PrivateKeyDer::pem_slice_iter(pem)
        .map(|section| section.ok().and_then(PrivateKey::from_der))
        .collect::<Option<_>>()
        .ok_or_else(|| unreadable_key(what, pem))?;
    match keys.len() {
        0 | 1 => Ok(keys.pop()),
        count => {
            Err(refused(format!("{what} holds {count} private keys, expected one"), "Leave the certificate's own."))
        }
    }
}

/// The error for text that holds no private key.
pub(super) fn unreadable_key(what: &str, pem: &[u8]) -> Error {
    let size = pem.len();
    refused(format!("{what} holds {size} bytes without a readable private key, expected PEM"), KEY_HINT)
}

fn is_encrypted(pem: &[u8]) -> bool {
    ENCRYPTED.iter().any(|mark| memmem::find(pem, mark).is_some())
}

/// The error for what a caller has given.
pub(super) fn refused(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_hint(hint)
}
