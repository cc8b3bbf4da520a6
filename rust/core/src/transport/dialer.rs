//! Connects to one peer: socket, then TLS, with counters.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::last_error::LastError;
use super::last_words::LastWords;
use super::multiplex::Multiplex;
#[cfg(unix)]
use super::nonblocking::NonblockingStream;
#[cfg(unix)]
use super::socket::Socket;
use super::stream::TlsWatch;
use super::unix_socket::Stranger;
#[cfg(unix)]
use super::unix_socket::connect_unix;
use super::{Counted, Stream, Traffic, lookup};
use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::settings::Peers;
use crate::tls::{self, ALPN_H2};

/// How long an address of a name may be silent while others are left.
const NEXT_AFTER: Duration = Duration::from_secs(2);

/// How to protect a connection.
#[derive(Clone)]
pub struct Tls {
    /// Verifier, certificate and protocols.
    pub config: Arc<ClientConfig>,
    /// Name sent to the peer, and checked unless its certificate is pinned.
    pub server_name: ServerName<'static>,
}

impl Tls {
    /// TLS with a peer of this name, which is checked to be valid.
    pub fn new(config: Arc<ClientConfig>, name: &str) -> Result<Self, Error> {
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let message = format!("the setting tls.server_name is {name:?}, expected a DNS name or an IP address");
            Error::new(ErrorKind::ConfigInvalid, message)
        })?;
        Ok(Self { config, server_name })
    }
}

/// Address, protection and counters of one peer.
pub struct Dialer {
    address: Address,
    peers: Peers,
    session: Option<Arc<Multiplex>>,
    tls: Option<Tls>,
    traffic: Traffic,
    last_error: LastError,
}

impl Dialer {
    /// A dialer that adds what it moves to `traffic`.
    #[must_use]
    pub fn new(address: Address, tls: Option<Tls>, traffic: Traffic) -> Self {
        Self { address, peers: Peers::Anybody, session: None, tls, traffic, last_error: LastError::default() }
    }

    /// Limits the dialler to Unix sockets of certain users.
    #[must_use]
    pub fn limited_to(self, peers: Peers) -> Self {
        Self { peers, ..self }
    }

    /// A dialler that opens streams of a multiplexed session.
    #[must_use]
    pub fn multiplexed(session: Arc<Multiplex>, address: Address, tls: Option<Tls>, traffic: Traffic) -> Self {
        Self { session: Some(session), ..Self::new(address, tls, traffic) }
    }

    /// Where the peer listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// One attempt: socket, then TLS.
    pub async fn dial(&self) -> Result<Stream, Error> {
        let socket = self.connect().await.map_err(|error| self.refused(&error));
        self.protect(socket).await
    }

    /// One attempt over a stream that is connected already: TLS alone.
    pub async fn dial_over(&self, stream: Stream) -> Result<Stream, Error> {
        self.protect(Ok(stream)).await
    }

    /// Attempts until the peer listens, since some plugins announce themselves before that; the caller's limit ends it.
    pub async fn dial_patiently(&self) -> Result<Stream, Error> {
        let socket = self.connect_patiently().await;
        self.protect(socket).await
    }

    /// Like [`Dialer::dial_patiently`], without TLS.
    pub async fn connect_patiently(&self) -> Result<Stream, Error> {
        let mut pause = Duration::from_millis(2);
        loop {
            match self.connect().await {
                Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
                    self.last_error.set(Some(self.refused(&error)));
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(100));
                }
                socket => return socket.map_err(|error| self.refused(&error)),
            }
        }
    }

    /// Whether no further attempt can succeed, because the multiplexed session has ended.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.session.as_ref().is_some_and(|session| session.is_over())
    }

    /// The error of a broken stream, or that of its session, which breaks all its streams and alone says why.
    #[must_use]
    pub fn explained_by_session(&self, error: Error) -> Error {
        let Some(reason) = self.session.as_ref().and_then(|session| session.end()) else { return error };
        Error::new(ErrorKind::Http2Failed, format!("no connection to {}: {reason}", self.address))
            .with_hint("Check that the plugin multiplexes as go-plugin does, or turn broker_multiplex off.")
    }

    /// Whether connections are inside TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Why the latest attempt failed, or what broke TLS on the stream that it returned.
    #[must_use]
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.get()
    }

    /// The error of a broken stream of this dialler.
    #[must_use]
    pub fn explain(&self, kind: ErrorKind, what: &str, cause: &io::Error) -> Error {
        tls::explain(cause, &self.address.to_string())
            .unwrap_or_else(|| Error::new(kind, format!("{what} {}: {cause}", self.address)))
    }

    async fn connect(&self) -> io::Result<Stream> {
        if let Some(session) = &self.session {
            return session.open_unannounced().await;
        }
        let stream = self.connect_socket().await?.into_stream(self.tls.is_some())?;
        let interest = stream.read_interest();
        Ok(Stream::new(Counted::new(stream, self.traffic.wire.clone())).with_interest(interest))
    }

    async fn connect_socket(&self) -> io::Result<Connection> {
        let mut pause = Duration::from_millis(1);
        loop {
            match connect(&self.address, self.peers).await {
                // The queue of a busy listener is full: the one error of a Unix socket that means "not yet".
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                socket => return socket,
            }
        }
    }

    /// One attempt at a stream that its owner reads and writes without the runtime: socket, then TLS.
    #[cfg(unix)]
    pub async fn dial_nonblocking(&self) -> Result<NonblockingStream, Error> {
        let lost = |error: io::Error| self.refused(&error);
        let (socket, session) = match self.connect_socket().await.map_err(lost)? {
            Connection::Unix(socket) => {
                let socket = tokio::net::UnixStream::from_std(socket).map_err(lost)?;
                let (socket, session) = self.secure(socket).await?;
                (socket.into_std().map_err(lost)?.into(), session)
            }
            Connection::Tcp(socket) => {
                let (socket, session) = self.secure(socket).await?;
                (socket.into_std().map_err(lost)?.into(), session)
            }
        };
        Ok(NonblockingStream::new(socket, session, self.traffic.clone()))
    }

    /// The TLS over a socket, if there is to be any, after the handshake.
    async fn secure<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        socket: S,
    ) -> Result<(S, Option<ClientConnection>), Error> {
        let Some(tls) = &self.tls else { return Ok((socket, None)) };
        let counted = Counted::new(socket, self.traffic.wire.clone());
        let (counted, session) = self.handshake(tls, counted).await?.into_inner();
        Ok((counted.into_inner().into_inner(), Some(session)))
    }

    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        tls: &Tls,
        wire: S,
    ) -> Result<TlsStream<LastWords<S>>, Error> {
        let mut stream = TlsConnector::from(tls.config.clone())
            .connect(tls.server_name.clone(), LastWords::new(wire))
            .await
            .map_err(|error| self.explain(ErrorKind::TlsFailed, "TLS handshake failed with", &error))?;
        stream.get_mut().0.heard();
        Ok(stream)
    }

    fn refused(&self, cause: &io::Error) -> Error {
        if cause.get_ref().and_then(|cause| cause.downcast_ref::<Stranger>()).is_some() {
            return Error::new(ErrorKind::ConnectStranger, format!("no connection to {}: {cause}", self.address));
        }
        let error = Error::new(ErrorKind::ConnectFailed, format!("no connection to {}: {cause}", self.address));
        if cause.kind() != io::ErrorKind::PermissionDenied {
            return error;
        }
        error.with_hint(
            "The socket seems to belong to a plugin of another user: set unix_socket_group to a group that both are in.",
        )
    }

    async fn protect(&self, socket: Result<Stream, Error>) -> Result<Stream, Error> {
        let result = match socket {
            Ok(socket) => self.shake_hands(socket).await,
            Err(error) => Err(error),
        };
        self.last_error.set(result.as_ref().err().cloned());
        result
    }

    async fn shake_hands(&self, wire: Stream) -> Result<Stream, Error> {
        let interest = wire.read_interest();
        let Some(tls) = &self.tls else {
            return Ok(Stream::new(Counted::new(wire, self.traffic.content.clone())).with_interest(interest));
        };
        let stream = self.handshake(tls, wire).await?;
        let wanted = tls.config.alpn_protocols.iter().any(|protocol| protocol == ALPN_H2);
        if wanted && stream.get_ref().1.alpn_protocol() != Some(ALPN_H2) {
            let message = format!("{} did not agree to speak HTTP/2 (no ALPN protocol \"h2\")", self.address);
            return Err(Error::new(ErrorKind::Http2Failed, message));
        }
        let watched = TlsWatch::new(stream, self.address.to_string(), self.last_error.clone());
        Ok(Stream::new(Counted::new(watched, self.traffic.content.clone())).with_interest(interest))
    }
}

/// A connected socket.
enum Connection {
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixStream),
    Tcp(TcpStream),
}

impl Connection {
    #[cfg(unix)]
    fn into_stream(self, reads_ahead: bool) -> io::Result<Stream> {
        Ok(match self {
            Self::Unix(socket) => Socket::new(socket, reads_ahead)?.into_stream(),
            Self::Tcp(socket) => Socket::new(socket.into_std()?, reads_ahead)?.into_stream(),
        })
    }

    #[cfg(not(unix))]
    fn into_stream(self, _reads_ahead: bool) -> io::Result<Stream> {
        let Self::Tcp(socket) = self;
        Ok(Stream::new(socket))
    }
}

/// One attempt at a bare socket.
async fn connect(address: &Address, peers: Peers) -> io::Result<Connection> {
    match address {
        #[cfg(unix)]
        Address::Unix(path) => connect_unix(path, peers).await.map(Connection::Unix),
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::ErrorKind::Unsupported.into()),
        Address::Tcp(address) => connect_tcp(*address).await,
        Address::Name(name, port) => connect_any(&lookup::sockets(name, *port).await?).await,
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<Connection> {
    let socket = TcpStream::connect(address).await?;
    // Small calls must not wait for each other's acknowledgement.
    socket.set_nodelay(true)?;
    Ok(Connection::Tcp(socket))
}

/// Tries each address in turn. While others are left, a silent one has little time. A refusal is the error that counts,
/// since it alone may mean "not yet".
async fn connect_any(addresses: &[SocketAddr]) -> io::Result<Connection> {
    let mut failure: io::Error = io::ErrorKind::AddrNotAvailable.into();
    for (number, address) in addresses.iter().enumerate() {
        let attempt = connect_tcp(*address);
        let outcome = if number + 1 == addresses.len() {
            attempt.await
        } else {
            timeout(NEXT_AFTER, attempt).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        match outcome {
            Ok(socket) => return Ok(socket),
            Err(_) if failure.kind() == io::ErrorKind::ConnectionRefused => (),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

#[cfg(all(test, unix))]
#[path = "dialer_tests.rs"]
mod tests;
