//! Checks the caller's own certificates when the setting `tls` is made, before any plugin is started.
//!
//! No message repeats a byte of its input: a key may stand where a certificate belongs.

use rustls::sign::CertifiedKey;

use crate::certificate::{CertificateFacts, PAIR_HINT, readable_certificates, readable_key};
use crate::error::{Error, ErrorKind};

/// Checks that `pem` holds certificates, all of them readable. `setting` is `ca` or `certificate`.
pub fn check_certificates(setting: &str, pem: &[u8]) -> Result<(), Error> {
    readable_certificates(&format!("setting tls.{setting}"), pem).map(|_| ())
}

/// Checks that the first certificate of `chain` and the private `key` form a pair that TLS can use; both are PEM.
pub fn check_pair(chain: &[u8], key: &[u8]) -> Result<(), Error> {
    let certificates = readable_certificates("setting tls.certificate", chain)?;
    let leaf = certificates.first().map(CertificateFacts::of).transpose()?;
    let subject = leaf.map(|facts| facts.subject).unwrap_or_default();
    let pair = CertifiedKey::new(certificates, readable_key("setting tls.key", key)?.signing_key());
    pair.keys_match().map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let message = format!("setting tls.key does not belong to tls.certificate of '{subject}'");
            refused(message, PAIR_HINT)
        }
        other => {
            let message = format!("setting tls.certificate of '{subject}' cannot be used for TLS: {other}");
            refused(message, "Make it an X.509 certificate of version 3.")
        }
    })
}

fn refused(message: String, hint: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, message).with_hint(hint)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::certificate::Identity;
    use crate::settings::Curve;

    fn refusal(checked: Result<(), Error>) -> String {
        let error = checked.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error.message().to_owned()
    }

    #[test]
    fn pair_of_each_curve_is_accepted() {
        for curve in [Curve::P256, Curve::P384, Curve::P521] {
            let identity = Identity::generate(curve).unwrap();
            check_certificates("ca", identity.certificate_pem().as_bytes()).unwrap();
            check_pair(identity.certificate_pem().as_bytes(), identity.key_pem().as_bytes()).unwrap();
        }
    }

    #[test]
    fn first_certificate_of_a_chain_decides() {
        let (own, other) = (Identity::generate(Curve::P256).unwrap(), Identity::generate(Curve::P256).unwrap());
        let chain = [own.certificate_pem(), other.certificate_pem()].concat();
        check_pair(chain.as_bytes(), own.key_pem().as_bytes()).unwrap();
        let message = refusal(check_pair(chain.as_bytes(), other.key_pem().as_bytes()));
        assert_eq!(message, "setting tls.key does not belong to tls.certificate of 'O=HashiCorp, CN=localhost'");
    }

    #[test]
    fn every_certificate_of_a_bundle_must_be_readable() {
        let good = Identity::generate(Curve::P256).unwrap();
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let message = refusal(check_certificates("ca", damaged.as_bytes()));
        assert!(message.contains("without a readable certificate, expected PEM"), "{message}");
        let bundle = format!("{}{damaged}", good.certificate_pem());
        let message = refusal(check_certificates("ca", bundle.as_bytes()));
        assert!(message.contains("holds 2 certificates, of which number 2 cannot be read"), "{message}");
    }

    #[test]
    fn message_about_damaged_text_quotes_none_of_it() {
        let identity = Identity::generate(Curve::P256).unwrap();
        let body: String = identity.key_pem().lines().nth(1).unwrap().to_owned();
        for text in [
            body.clone(),
            format!("-----BEGIN {body}"),
            format!("-----BEGIN CERTIFICATE-----\n{body}"),
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n"),
        ] {
            let certificate = identity.certificate_pem().as_bytes();
            for message in [
                refusal(check_certificates("ca", text.as_bytes())),
                refusal(check_pair(text.as_bytes(), text.as_bytes())),
                refusal(check_pair(certificate, text.as_bytes())),
            ] {
                assert!(!message.contains(&body[..12]), "{message}");
            }
        }
    }
}
