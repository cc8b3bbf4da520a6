//! Certificates and keys: a peer's in DER, a user's in PEM, and those that are made.

use std::net::IpAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;

use super::LONGEST_MESSAGE;
use crate::certificate::{Certificate, CertificateDetails, CertificateFacts, Identity, Request, Usage};
use crate::error::Error;
use crate::settings::Curve;
use crate::tls::{Trust, client_config};
use crate::tls_settings::{check_certificates, check_pair};

/// Characters of base64 from which on they do not stand in an error by chance.
const SECRET_CHARACTERS: usize = 16;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate in DER is read or refused, and the readers agree.
pub(super) fn certificate(der: &[u8]) {
    let der = CertificateDer::from(der);
    let (facts, details) = (CertificateFacts::of(&der), CertificateDetails::of(&der));
    match (&facts, &details) {
        (Ok(facts), Ok(details)) => assert_eq!(facts, &details.facts),
        (Err(facts), Err(details)) => assert_eq!(facts.message(), details.message()),
        _ => unreachable!("one of two readers understands it"),
    }
    // The verifier of webpki is the stricter one.
    let _ = ParsedCertificate::try_from(&der);
    let trust = Trust::Pinned(der.clone().into_owned());
    assert!(client_config(&trust, None, &[]).is_ok());
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
    match Certificate::from_pem(pem.as_bytes(), None) {
        Err(error) => check_message(pem.as_bytes(), &error),
        Ok(certificate) => {
            assert!(facts.is_ok());
            assert_eq!(certificate.der(), &der);
            let again = Certificate::from_pem(certificate.certificate_pem().as_bytes(), None);
            assert!(again.is_ok_and(|again| again.der() == certificate.der()));
        }
    }
}

/// PEM is read or refused; no error repeats what may be a key.
pub(super) fn certificate_pem(pem: &[u8]) {
    let trust = Trust::Authorities(pem.to_vec());
    let results = [
        check_certificates("ca", pem),
        check_pair(pem, pem),
        Certificate::from_pem(pem, None).map(drop),
        Certificate::from_pem(pem, Some(pem)).map(drop),
        Identity::from_pem(pem, pem).map(drop),
        client_config(&trust, None, &[]).map(drop),
    ];
    results.iter().filter_map(|result| result.as_ref().err()).for_each(|error| check_message(pem, error));
    if let Ok(certificate) = Certificate::from_pem(pem, None)
        && let Some(key) = certificate.private_key_pem()
    {
        assert!(Certificate::from_pem(certificate.certificate_pem().as_bytes(), Some(key.as_bytes())).is_ok());
    }
}

fn check_message(pem: &[u8], error: &Error) {
    let message = error.message();
    // The subject of a readable certificate is shown whole.
    assert!(message.len() < LONGEST_MESSAGE + pem.len(), "{message}");
    let is_base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let runs = pem.split(|byte| !is_base64(byte)).filter(|run| run.len() >= SECRET_CHARACTERS);
    // As text, and as the numbers by which Rust shows bytes.
    let shown = |part: &[u8]| {
        let numbers = format!("{part:?}");
        message.contains(&*String::from_utf8_lossy(part)) || message.contains(numbers.trim_matches(['[', ']']))
    };
    assert!(!runs.flat_map(|run| run.windows(SECRET_CHARACTERS)).any(shown), "{message}");
}

/// A certificate that is made says what was asked for: the common name in the first line, then names and addresses.
pub(super) fn certificate_request(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let common_name = lines.next().unwrap_or_default().to_owned();
    let (mut dns_names, mut ip_addresses) = (Vec::new(), Vec::<IpAddr>::new());
    for line in lines {
        match line.parse() {
            Ok(address) => ip_addresses.push(address),
            // Other names are refused before.
            Err(_) if line.is_ascii() => dns_names.push(line.to_owned()),
            Err(_) => (),
        }
    }
    let (curve, usage, validity) = (Curve::P256, Usage::Server, DAY);
    let request = Request { curve, common_name, dns_names, ip_addresses, usage, validity };
    let made = Certificate::generate(&request, None);
    let details = made.as_ref().map(|made| CertificateDetails::of(made.der()));
    let Ok(Ok(details)) = details else { unreachable!("it cannot be made, or not be read") };
    assert_eq!((details.dns_names, details.ip_addresses), (request.dns_names, request.ip_addresses));
    assert!(!details.is_authority);
}
