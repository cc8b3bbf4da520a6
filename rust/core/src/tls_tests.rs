#![allow(clippy::unwrap_used)]

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::certificate::{CertificateFacts, SERVER_NAME};
use crate::settings::Curve;

fn identity(curve: Curve) -> Identity {
    Identity::generate(curve).unwrap()
}

fn leaf(identity: &Identity) -> CertificateDer<'static> {
    identity.certified_key().cert[0].clone()
}

/// Connects `client` to `server` in memory and has each prove itself by a byte.
async fn meet(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> (io::Result<()>, io::Result<()>) {
    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(SERVER_NAME).unwrap();
    let connecting = async {
        let mut stream = TlsConnector::from(client).connect(name, near).await?;
        stream.write_all(b"x").await?;
        // A refusal of our certificate arrives only here, after the TLS 1.3 handshake.
        stream.read_exact(&mut [0]).await.map(drop)
    };
    let accepting = async {
        let mut stream = TlsAcceptor::from(server).accept(far).await?;
        stream.read_exact(&mut [0]).await?;
        stream.write_all(b"y").await?;
        stream.flush().await
    };
    tokio::join!(connecting, accepting)
}

#[test]
fn alert_about_the_time_names_the_clocks() {
    let alert = rustls::Error::AlertReceived(AlertDescription::CertificateExpired);
    let error = explain(&io::Error::new(io::ErrorKind::InvalidData, alert), "the plugin").unwrap();
    assert_eq!(error.kind(), ErrorKind::CertificateExpired);
    assert!(error.to_string().contains("it refused our certificate"), "{error}");
}

#[tokio::test]
async fn pinned_pairs_of_every_curve_meet() {
    for (near, far) in [(Curve::P256, Curve::P521), (Curve::P384, Curve::P384), (Curve::P521, Curve::P256)] {
        let (near, far) = (identity(near), identity(far));
        let client = client_config(&Trust::Pinned(leaf(&far)), Some(&near), &[ALPN_H2]).unwrap();
        let server = server_config(&Trust::Pinned(leaf(&near)), &far).unwrap();
        let (connected, accepted) = meet(client, server).await;
        connected.unwrap();
        accepted.unwrap();
    }
}

#[tokio::test]
async fn other_server_certificate_is_refused() {
    let (near, far, other) = (identity(Curve::P256), identity(Curve::P521), identity(Curve::P521));
    let client = client_config(&Trust::Pinned(leaf(&other)), Some(&near), &[ALPN_H2]).unwrap();
    let (connected, accepted) = meet(client, server_config(&Trust::Pinned(leaf(&near)), &far).unwrap()).await;
    let error = explain(&connected.unwrap_err(), "unix:/s").unwrap();
    assert_eq!(error.kind(), ErrorKind::CertificateMismatch);
    assert!(accepted.is_err());
}

#[tokio::test]
async fn other_client_certificate_or_none_is_refused() {
    let (near, far, other) = (identity(Curve::P256), identity(Curve::P521), identity(Curve::P256));
    for shown in [Some(&other), None] {
        let client = client_config(&Trust::Pinned(leaf(&far)), shown, &[ALPN_H2]).unwrap();
        let (connected, accepted) = meet(client, server_config(&Trust::Pinned(leaf(&near)), &far).unwrap()).await;
        assert!(accepted.is_err());
        assert!(connected.is_err());
    }
}

/// Shows the pinned certificate but signs with another key: what anybody who read the handshake line could do.
#[tokio::test]
async fn pinned_certificate_without_its_key_is_refused() {
    let (near, far, thief) = (identity(Curve::P256), identity(Curve::P256), identity(Curve::P256));
    let stolen = rustls::sign::CertifiedKey::new(vec![leaf(&far)], thief.certified_key().key.clone());
    let server = ServerConfig::builder_with_provider(provider().clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(stolen)));
    let client = client_config(&Trust::Pinned(leaf(&far)), Some(&near), &[]).unwrap();
    let (connected, _) = meet(client, Arc::new(server)).await;
    assert!(connected.unwrap_err().to_string().contains("BadSignature"));
}

#[test]
fn validity_is_checked_at_both_ends() {
    let facts = CertificateFacts::of(&leaf(&identity(Curve::P256))).unwrap();
    let verifier = PinnedVerifier { pinned: leaf(&identity(Curve::P256)) };
    let at = |second: i64| UnixTime::since_unix_epoch(Duration::from_secs(second.try_into().unwrap()));
    let check = |second| verifier.check(&verifier.pinned, at(second));
    assert!(check(facts.not_before + 10).is_ok());
    assert_eq!(check(facts.not_before - 10), Err(CertificateError::NotValidYet.into()));
    assert_eq!(check(facts.not_after + 10), Err(CertificateError::Expired.into()));
}

#[tokio::test]
async fn leaf_in_the_pool_of_authorities_is_trusted_under_its_name_only() {
    let (near, far) = (identity(Curve::P256), identity(Curve::P384));
    let trust = Trust::Authorities(far.certificate_pem().as_bytes().to_vec());
    let client = client_config(&trust, Some(&near), &[ALPN_H2]).unwrap();
    let (connected, _) = meet(client.clone(), server_config(&Trust::Pinned(leaf(&near)), &far).unwrap()).await;
    connected.unwrap();

    let verifier = server_verifier(&trust).unwrap();
    let name = ServerName::try_from("elsewhere").unwrap();
    assert!(verifier.verify_server_cert(&leaf(&far), &[], &name, &[], UnixTime::now()).is_err());
}
