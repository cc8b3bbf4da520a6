//! Ends TLS in front of a stock gRPC server, for peers that have proved that they hold the key of a trusted
//! certificate.
//!
//! The server behind it listens on a Unix socket in a private directory and speaks plaintext. Its own TLS could not verify
//! a Go host, whose certificate is P-521.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::listener::{Accepted, Listener};
use super::lobby::{Lobby, PROOF_LIMIT, Refused};
use super::socket::Socket;
use super::{Counted, InboundStream, Proven, Stream, Traffic};
use crate::inbox::Inbox;
use crate::tls::{self, ALPN_H2};

/// How long the server behind TLS may take to listen.
const BACKEND_LIMIT: Duration = Duration::from_secs(5);
/// Size of the buffer of each direction, in bytes: at 8 KiB large messages cost twice as much.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections carried at a time by one listener, at three descriptors each; further ones wait. A gRPC peer has one, or two
/// while it reconnects.
pub(crate) const MAX_CONNECTIONS: usize = 64;

/// The first bytes of an HTTP/2 client.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Room for the preface and what clients send along with it.
const EARLY_BYTES: usize = 512;
pub(crate) const TOO_MANY: &str = "too many are connected that have not proved who they are";

/// The settings under which connections are admitted.
#[derive(Clone)]
pub struct Terminator {
    /// Our certificate, and whom to admit; `None` for plaintext.
    pub tls: Option<Arc<ServerConfig>>,
    /// Counts all bytes.
    pub traffic: Traffic,
    /// Gets a warning for each refused connection.
    pub inbox: Arc<Inbox>,
    /// The number of open connections.
    pub open: Arc<AtomicUsize>,
}

/// One connection in the count. ORDERING: relaxed; readers only want a recent value.
struct Counter<'a>(&'a AtomicUsize);

impl<'a> Counter<'a> {
    fn of(open: &'a AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self(open)
    }
}

impl Drop for Counter<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Terminator {
    /// Serves all peers that prove themselves, until the future is dropped; their connections end with it.
    pub async fn serve(self, listener: Listener, backend: Arc<Path>) {
        let (mut lobby, mut connections) = (Lobby::new(), JoinSet::new());
        loop {
            tokio::select! {
                accepted = listener.accept(self.tls.is_some()), if lobby.done() < MAX_CONNECTIONS => {
                    self.enter(accepted, &listener, &mut lobby);
                }
                proven = lobby.leave(), if connections.len() < MAX_CONNECTIONS => match proven {
                    Ok((stream, peer)) => {
                        let (terminator, backend) = (self.clone(), backend.clone());
                        connections.spawn(async move { terminator.carry(stream, &peer, &backend).await });
                    }
                    Err(Refused { peer, reason }) => self.refuse(&peer, &reason),
                },
                Some(_) = connections.join_next() => (),
            }
        }
    }

    fn enter(&self, accepted: Accepted, listener: &Listener, lobby: &mut Lobby<(Proven, String)>) {
        let address = listener.address().to_string();
        match accepted {
            Ok((socket, peer)) => {
                let wire = Stream::new(Counted::new(socket, self.traffic.wire.clone()));
                let (terminator, name) = (self.clone(), peer.clone());
                let proof = async move { Ok((terminator.prove(wire).await?, name)) };
                if lobby.enter(peer, proof) {
                    self.refuse(&address, TOO_MANY);
                }
            }
            Err(reason) => self.refuse(&address, &reason),
        }
    }

    /// Waits for the proof that the peer is the right one, by TLS. In plaintext it waits for the HTTP/2 preface, which
    /// proves nothing but tells silent strangers apart.
    pub async fn prove(&self, mut stream: Stream) -> Result<Proven, String> {
        let Some(config) = &self.tls else {
            let early = read_preface(&mut stream).await?;
            return Ok(Proven { stream, early });
        };
        let stream = TlsAcceptor::from(config.clone()).accept(stream).await.map_err(|error| {
            // The text of `explain_client` begins with its subject.
            tls::explain_client(&error).unwrap_or_else(|| error.to_string())
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            return Err("it did not agree to speak HTTP/2 (no ALPN protocol \"h2\")".to_owned());
        }
        Ok(Proven { stream: Stream::new(stream), early: Vec::new() })
    }

    /// Carries a stream of a multiplexed session to the server at `backend` until it ends.
    pub async fn carry_inbound(self, inbound: InboundStream, peer: &str, backend: &Path) {
        let proven = match inbound {
            InboundStream::Proven(proven) => Ok(proven),
            InboundStream::Fresh(stream) => timeout(PROOF_LIMIT, self.prove(stream))
                .await
                .unwrap_or_else(|_| Err("it did not prove in time who it is".to_owned())),
        };
        match proven {
            Ok(proven) => self.carry(proven, peer, backend).await,
            Err(reason) => self.refuse(peer, &reason),
        }
    }

    async fn carry(self, proven: Proven, peer: &str, backend: &Path) {
        let mut local = match timeout(BACKEND_LIMIT, connect(backend)).await {
            Ok(Ok(local)) => local,
            Ok(Err(cause)) => return self.refuse(peer, &format!("the server behind does not answer: {cause}")),
            Err(_) => return self.refuse(peer, "no server listens behind this one; it was accepted, but not served"),
        };
        let _counter = Counter::of(&self.open);
        let mut stream = Counted::new(proven.stream, self.traffic.content.clone());
        // An error in either direction ends both.
        if local.write_all(&proven.early).await.is_ok() {
            let _ = tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut local, BUFFER_BYTES, BUFFER_BYTES).await;
        }
    }

    pub(crate) fn refuse(&self, peer: &str, reason: &str) {
        self.inbox.push_refusal(format!("refused a connection from {peer}: {reason}"));
    }
}

/// Reads until the HTTP/2 preface is complete or wrong; returns all bytes read.
async fn read_preface(stream: &mut Stream) -> Result<Vec<u8>, String> {
    let mut read = Vec::with_capacity(EARLY_BYTES);
    loop {
        let known = read.len().min(PREFACE.len());
        if read[..known] != PREFACE[..known] {
            return Err("it does not speak HTTP/2 in plaintext".to_owned());
        }
        if known == PREFACE.len() {
            return Ok(read);
        }
        match stream.read_buf(&mut read).await {
            Ok(0) => return Err("it hung up before it had said anything".to_owned()),
            Ok(_) => (),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Connects to a server that may still be about to listen; the caller's limit ends it.
async fn connect(backend: &Path) -> io::Result<Stream> {
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(backend).await {
            Ok(stream) => return Ok(Stream::new(Socket::new(stream.into_std()?, false)?)),
            // WouldBlock means that the queue of the listener is full.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::WouldBlock
                ) =>
            {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(50));
            }
            Err(error) => return Err(error),
        }
    }
}
