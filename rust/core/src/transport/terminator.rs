//! Ends TLS in front of a stock gRPC server: whoever passes has proved that it holds the peer's key.
//!
//! The server behind it listens on a Unix socket in a private directory and speaks plaintext. Its own TLS could not verify
//! a Go host, whose certificate is P-521.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::UnixStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::listener::Listener;
use super::socket::Socket;
use super::{Counted, Stream, Traffic};
use crate::inbox::Inbox;
use crate::process::log_line::Level;
use crate::tls::{self, ALPN_H2};

/// How long a peer may take to prove who it is, and the server behind to listen.
const PATIENCE: Duration = Duration::from_secs(5);
/// Size of the buffer of each direction, in bytes: at 8 KiB large messages cost twice as much.
const BUFFER_BYTES: usize = 64 * 1024;
/// Connections carried at a time by one listener, at three descriptors each; further ones wait. A gRPC peer has one, or two
/// while it reconnects.
pub(crate) const CONNECTIONS: usize = 64;

/// How connections are let in.
#[derive(Clone)]
pub struct Terminator {
    /// Our certificate and whom to admit; plaintext without.
    pub tls: Option<Arc<ServerConfig>>,
    /// Counts what passes.
    pub traffic: Traffic,
    /// Told of those who were refused.
    pub inbox: Arc<Inbox>,
    /// How many connections were let in and have not ended.
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
    /// Lets in all who connect, until it is dropped; their connections end with it.
    pub async fn serve(self, listener: Listener, backend: Arc<Path>) {
        let mut connections = JoinSet::new();
        loop {
            if connections.len() >= CONNECTIONS {
                connections.join_next().await;
            }
            match listener.accept(self.tls.is_some()).await {
                Ok((socket, peer)) => {
                    let (terminator, backend) = (self.clone(), backend.clone());
                    let wire = Stream::new(Counted::new(socket, self.traffic.wire.clone()));
                    connections.spawn(async move { terminator.carry(wire, &peer, &backend).await });
                }
                Err(reason) => self.refuse(&listener.address().to_string(), &reason),
            }
            while connections.try_join_next().is_some() {}
        }
    }

    /// Carries one connection to the server at `backend` until it ends.
    pub async fn carry(self, stream: Stream, peer: &str, backend: &Path) {
        let stream = match timeout(PATIENCE, self.admit(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(reason)) => return self.refuse(peer, &reason),
            Err(_) => return self.refuse(peer, "it did not complete the TLS handshake in time"),
        };
        let mut local = match timeout(PATIENCE, reach(backend)).await {
            Ok(Ok(local)) => local,
            Ok(Err(cause)) => return self.refuse(peer, &format!("the server behind does not answer: {cause}")),
            Err(_) => return self.refuse(peer, "no server listens behind this one; it was accepted, but not served"),
        };
        let _counter = Counter::of(&self.open);
        let mut stream = Counted::new(stream, self.traffic.content.clone());
        // However it ends, both sides see the end.
        let _ = tokio::io::copy_bidirectional_with_sizes(&mut stream, &mut local, BUFFER_BYTES, BUFFER_BYTES).await;
    }

    async fn admit(&self, stream: Stream) -> Result<Stream, String> {
        let Some(config) = &self.tls else { return Ok(stream) };
        let stream = TlsAcceptor::from(config.clone()).accept(stream).await.map_err(|error| {
            // What `explain` says begins with whom it is about.
            tls::explain_client(&error).unwrap_or_else(|| error.to_string())
        })?;
        if stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            return Err("it did not agree to speak HTTP/2 (no ALPN protocol \"h2\")".to_owned());
        }
        Ok(Stream::new(stream))
    }

    pub(crate) fn refuse(&self, peer: &str, reason: &str) {
        self.inbox.push_remark(Level::Warn, format!("refused a connection from {peer}: {reason}"));
    }
}

/// Connects to a server that may still be about to listen; the caller's limit ends it.
async fn reach(backend: &Path) -> io::Result<Stream> {
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(backend).await {
            Ok(stream) => return Ok(Stream::new(Socket::new(stream.into_std()?, false)?)),
            // The last one means that its queue is full.
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
