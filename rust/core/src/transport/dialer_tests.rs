#![allow(clippy::unwrap_used)]

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::*;
use crate::certificate::{Identity, SERVER_NAME};
use crate::settings::Curve;
use crate::tls::{Trust, client_config};

fn dialer() -> Dialer {
    let trust = Trust::Pinned(Identity::generate(Curve::P256).unwrap().certified_key().cert[0].clone());
    let tls = Tls::new(client_config(&trust, None, &[ALPN_H2]).unwrap(), SERVER_NAME).unwrap();
    Dialer::new(Address::parse("tcp", "127.0.0.1:1").unwrap(), Some(tls), Traffic::default())
}

/// The error of a handshake with a peer that has said `words` and left.
async fn refusal(words: &[u8]) -> (Error, Error) {
    let meet = async |words: &[u8]| {
        let (near, mut far) = UnixStream::pair().unwrap();
        far.write_all(words).await.unwrap();
        near
    };
    let over = dialer().dial_over(Stream::new(meet(words).await)).await.err().unwrap();
    let own = dialer().secure(meet(words).await).await.err().unwrap();
    (over, own)
}

#[tokio::test]
async fn what_a_peer_said_before_it_left_explains_the_refused_handshake() {
    let (over, own) = refusal(b"220 mail.test ready\r\n").await;
    assert!(over.to_string().contains("does not speak TLS"), "{over}");
    assert!(own.to_string().contains("does not speak TLS"), "{own}");
}

#[tokio::test]
async fn peer_that_left_without_a_word_is_a_broken_pipe() {
    let (over, own) = refusal(b"").await;
    assert!(over.to_string().contains("Broken pipe"), "{over}");
    assert!(own.to_string().contains("Broken pipe"), "{own}");
}
