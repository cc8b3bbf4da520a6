//! Connects to one peer, as often as asked, always under the same rules.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;

use super::stream::Watched;
use super::{Address, Counted, Stream, Traffic};
use crate::error::{Error, ErrorKind};
use crate::tls::{self, ALPN_H2};

/// How to protect a connection.
#[derive(Clone)]
pub struct Tls {
    /// Verifier, certificate and protocols.
    pub config: Arc<ClientConfig>,
    /// Name sent to the peer, and checked unless its certificate is pinned.
    pub server_name: ServerName<'static>,
}

/// Address, protection and counters of one peer.
pub struct Dialer {
    address: Address,
    tls: Option<Tls>,
    traffic: Traffic,
    last_error: LastError,
}

impl Dialer {
    /// A dialer that adds what it moves to `traffic`.
    #[must_use]
    pub fn new(address: Address, tls: Option<Tls>, traffic: Traffic) -> Self {
        Self { address, tls, traffic, last_error: LastError::default() }
    }

    /// Where the peer listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// One attempt: socket, then TLS.
    pub async fn dial(&self) -> Result<Stream, Error> {
        let result = self.attempt().await;
        self.last_error.set(result.as_ref().err().cloned());
        result
    }

    /// Why the latest attempt failed, or what broke TLS on the stream that it gave.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.get()
    }

    /// Says what a broken stream of this dialer was about.
    #[must_use]
    pub fn explain(&self, kind: ErrorKind, what: &str, cause: &io::Error) -> Error {
        tls::explain(cause, &self.address.to_string())
            .unwrap_or_else(|| Error::new(kind, format!("{what} {}: {cause}", self.address)))
    }

    async fn attempt(&self) -> Result<Stream, Error> {
        match &self.address {
            #[cfg(unix)]
            Address::Unix(path) => self.protect(connect_unix(path).await.map_err(|e| self.refused(&e))?).await,
            #[cfg(not(unix))]
            Address::Unix(_) => Err(self.refused(&io::Error::from(io::ErrorKind::Unsupported))),
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).await.map_err(|error| self.refused(&error))?;
                // Small calls must not wait for each other's acknowledgement.
                socket.set_nodelay(true).map_err(|error| self.refused(&error))?;
                self.protect(socket).await
            }
        }
    }

    fn refused(&self, cause: &io::Error) -> Error {
        Error::new(ErrorKind::ConnectFailed, format!("no connection to {}: {cause}", self.address))
    }

    async fn protect(&self, socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Result<Stream, Error> {
        let wire = Counted::new(socket, self.traffic.wire.clone());
        let Some(tls) = &self.tls else {
            return Ok(Stream::new(Counted::new(wire, self.traffic.content.clone())));
        };
        let connector = TlsConnector::from(tls.config.clone());
        let stream = connector
            .connect(tls.server_name.clone(), wire)
            .await
            .map_err(|error| self.explain(ErrorKind::TlsFailed, "TLS handshake failed with", &error))?;
        let wanted = tls.config.alpn_protocols.iter().any(|protocol| protocol == ALPN_H2);
        if wanted && stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            let message = format!("{} did not agree to speak HTTP/2 (no ALPN protocol \"h2\")", self.address);
            return Err(Error::new(ErrorKind::Http2Failed, message));
        }
        let watched = Watched::new(stream, self.address.to_string(), self.last_error.clone());
        Ok(Stream::new(Counted::new(watched, self.traffic.content.clone())))
    }
}

/// Shared with the streams that the dialer gives out.
#[derive(Clone, Default)]
pub(super) struct LastError(Arc<Mutex<Option<Error>>>);

impl LastError {
    pub(super) fn set(&self, error: Option<Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }

    fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Longest path that fits into `sockaddr_un` everywhere, its NUL byte not counted.
#[cfg(unix)]
const MAX_SOCKET_PATH: usize = 103;

#[cfg(unix)]
async fn connect_unix(path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        let reason = format!("the path has {} bytes, sockets allow {MAX_SOCKET_PATH}", path.as_os_str().len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    UnixStream::connect(path).await
}
