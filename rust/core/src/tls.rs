//! TLS configuration, and the verifiers that pin one certificate.
//!
//! go-plugin peers trust exactly the certificate that travelled in the handshake line or the environment. That
//! certificate is public, so the pin alone proves nothing: the verifiers also have the peer's signature over this very TLS
//! handshake checked, with the provider's algorithms. Stock verifiers refuse these certificates, which are self-signed
//! authorities used as leaves.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore,
    ServerConfig, SignatureScheme,
};

use crate::certificate::{Identity, parse_pem_certificates, validity_of};
use crate::error::{Error, ErrorKind};

/// The only application protocol of gRPC. Go's server drops a client that does not offer it.
pub const ALPN_H2: &[u8] = b"h2";

/// The cryptography of the process: aws-lc-rs, which knows P-521.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}

/// The cryptography of connections that never leave the machine, without post-quantum key exchange: they cannot be
/// recorded today to be broken in twenty years, and Go's server would ask for a second round trip.
fn local_provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let kx_groups = vec![kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
        Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
    })
}

/// The peers to trust.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Exactly this certificate.
    Pinned(CertificateDer<'static>),
    /// Certificates issued by, or equal to, one of these (PEM).
    Authorities(Vec<u8>),
    /// Certificates issued by an authority that this machine trusts.
    System,
}

/// Peers whose sessions are kept to be resumed. A configuration serves one plugin, or one server, under one name; the
/// room for 256 names that is rustls' default costs each plugin some tens of kilobytes.
const PEERS_PER_CONFIGURATION: usize = 2;

/// Configuration of the connecting side: TLS 1.2 or newer.
pub fn client_config(trust: &Trust, identity: Option<&Identity>, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
    let provider = if matches!(trust, Trust::Pinned(_)) { local_provider() } else { provider() };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(&error))?
        .dangerous()
        .with_custom_certificate_verifier(server_verifier(trust)?);
    let mut config = match identity {
        Some(identity) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key()))),
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(PEERS_PER_CONFIGURATION);
    Ok(Arc::new(config))
}

/// Configuration of the accepting side: shows `identity` and admits only those whom `trust` names.
pub fn server_config(trust: &Trust, identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(local_provider().clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| tls_error(&error))?
        .with_client_cert_verifier(client_verifier(trust)?)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.certified_key())));
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

fn client_verifier(trust: &Trust) -> Result<Arc<dyn ClientCertVerifier>, Error> {
    match trust {
        Trust::Pinned(certificate) => Ok(Arc::new(PinnedVerifier { pinned: certificate.clone() })),
        Trust::Authorities(pem) => {
            Ok(Arc::new(AuthorityClientVerifier::new(parse_pem_certificates("setting tls.ca", pem)?)?))
        }
        Trust::System => {
            let message = "whom to admit must be said: the setting tls.ca has no certificates";
            Err(Error::new(ErrorKind::IdentityFailed, message))
        }
    }
}

fn server_verifier(trust: &Trust) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    match trust {
        Trust::Pinned(certificate) => Ok(Arc::new(PinnedVerifier { pinned: certificate.clone() })),
        Trust::System => Ok(system_verifier()?),
        Trust::Authorities(pem) => {
            Ok(Arc::new(AuthorityVerifier::new(parse_pem_certificates("setting tls.ca", pem)?)?))
        }
    }
}

/// The verifier by this machine's authorities, and the variables that named their files: a user can set others.
type System = ([Option<OsString>; 2], Arc<AuthorityVerifier>);

/// Reading the authorities takes milliseconds, so it is done once, as in other libraries.
fn system_verifier() -> Result<Arc<AuthorityVerifier>, Error> {
    static KNOWN: Mutex<Option<System>> = Mutex::new(None);
    let place = ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(std::env::var_os);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known_place, verifier)) = &*known
        && *known_place == place
    {
        return Ok(verifier.clone());
    }
    let found = rustls_native_certs::load_native_certs().certs;
    if found.is_empty() {
        let message = "this machine has no certificate authorities, and none were given in the setting tls.ca";
        return Err(Error::new(ErrorKind::IdentityFailed, message));
    }
    let verifier = Arc::new(AuthorityVerifier::new(found)?);
    *known = Some((place, verifier.clone()));
    Ok(verifier)
}

fn tls_error(cause: &rustls::Error) -> Error {
    Error::new(ErrorKind::TlsFailed, format!("TLS could not be configured: {cause}"))
}

/// Admits one certificate: the same bytes, valid now, and the peer proves that it holds the key.
#[derive(Debug)]
struct PinnedVerifier {
    pinned: CertificateDer<'static>,
}

impl PinnedVerifier {
    fn check(&self, presented: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
        // Both certificates are public, so constant time is not needed.
        if presented != &self.pinned {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        check_validity(presented, now)
    }
}

fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let (not_before, not_after) = validity_of(certificate).map_err(|_| CertificateError::BadEncoding)?;
    match i64::try_from(now.as_secs()).unwrap_or(i64::MAX) {
        now if now < not_before => Err(CertificateError::NotValidYet.into()),
        now if now > not_after => Err(CertificateError::Expired.into()),
        _ => Ok(()),
    }
}

/// The part of a verifier that proves possession of the key: the provider's own, never skipped.
macro_rules! verify_signatures_with_provider {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            provider().signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // The pin is stronger than any name, so the name is not checked.
        self.check(end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    verify_signatures_with_provider!();
}

impl ClientCertVerifier for PinnedVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.check(end_entity, now).map(|()| ClientCertVerified::assertion())
    }

    verify_signatures_with_provider!();
}

/// Verification by authority; as in Go, a leaf among the authorities is trusted too.
#[derive(Debug)]
struct AuthorityVerifier {
    authorities: Vec<CertificateDer<'static>>,
    by_issuer: Arc<WebPkiServerVerifier>,
}

impl AuthorityVerifier {
    fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let by_issuer =
            WebPkiServerVerifier::builder_with_provider(Arc::new(root_store(&authorities)?), provider().clone())
                .build()
                .map_err(|error| unusable_authority(&error))?;
        Ok(Self { authorities, by_issuer })
    }
}

fn root_store(authorities: &[CertificateDer<'static>]) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots.add(certificate.clone()).map_err(|error| unusable_authority(&error))?;
    }
    Ok(roots)
}

fn unusable_authority(cause: &dyn std::fmt::Display) -> Error {
    Error::new(ErrorKind::IdentityFailed, format!("the setting tls.ca cannot be used: {cause}"))
}

impl ServerCertVerifier for AuthorityVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if !self.authorities.iter().any(|authority| authority == end_entity) {
            return self.by_issuer.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        }
        verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        check_validity(end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    verify_signatures_with_provider!();
}

/// Verification by authority of peers that connect to us.
#[derive(Debug)]
struct AuthorityClientVerifier {
    authorities: Vec<CertificateDer<'static>>,
    by_issuer: Arc<dyn ClientCertVerifier>,
}

impl AuthorityClientVerifier {
    fn new(authorities: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let roots = Arc::new(root_store(&authorities)?);
        let by_issuer = WebPkiClientVerifier::builder_with_provider(roots, provider().clone())
            .build()
            .map_err(|error| unusable_authority(&error))?;
        Ok(Self { authorities, by_issuer })
    }
}

impl ClientCertVerifier for AuthorityClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        if !self.authorities.iter().any(|authority| authority == end_entity) {
            return self.by_issuer.verify_client_cert(end_entity, intermediates, now);
        }
        check_validity(end_entity, now).map(|()| ClientCertVerified::assertion())
    }

    verify_signatures_with_provider!();
}

/// The error behind a failed TLS handshake or a broken TLS stream, if TLS is the cause.
#[must_use]
pub fn explain(error: &std::io::Error, peer: &str) -> Option<Error> {
    let (kind, what) = cause(error, "than it announced in its handshake line")?;
    Some(Error::new(kind, format!("no TLS connection to {peer}: {what}")))
}

/// The TLS error behind a refused connection to us, if TLS is the cause.
#[must_use]
pub fn explain_client(error: &std::io::Error) -> Option<String> {
    cause(error, "than the one that was agreed on").map(|(_, what)| what)
}

fn cause(error: &std::io::Error, expected: &str) -> Option<(ErrorKind, String)> {
    let cause = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match cause {
        rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
            (ErrorKind::CertificateMismatch, format!("it presented another certificate {expected}"))
        }
        rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            (ErrorKind::CertificateExpired, "its certificate has expired".to_owned())
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. },
        ) => (ErrorKind::CertificateExpired, "its certificate is not valid yet".to_owned()),
        rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext { expected, presented })
            if presented.is_empty() =>
        {
            let name = expected.to_str();
            let what = format!("its certificate has no subject alternative name, expected {name:?} there");
            (ErrorKind::TlsFailed, format!("{what}; a common name does not count"))
        }
        rustls::Error::NoCertificatesPresented => {
            (ErrorKind::CertificateMissing, "it presented no certificate".to_owned())
        }
        // What Go says of a certificate that is not valid yet, too.
        rustls::Error::AlertReceived(alert @ AlertDescription::CertificateExpired) => {
            (ErrorKind::CertificateExpired, format!("it refused our certificate with the alert {alert:?}"))
        }
        rustls::Error::AlertReceived(alert) => {
            (ErrorKind::TlsFailed, format!("it refused our side with the alert {alert:?}"))
        }
        rustls::Error::InvalidMessage(_) => (ErrorKind::TlsFailed, format!("it does not speak TLS ({cause})")),
        _ => (ErrorKind::TlsFailed, cause.to_string()),
    })
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
