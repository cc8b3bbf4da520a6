//! A listening socket as go-plugin has it, and who may connect.

use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener, UnixStream};

use super::Stream;
use super::permissions::{open_to_owner, share};
use super::private_directory::announceable;
use super::socket::Socket;
use crate::address::Address;
use crate::blocking;
use crate::error::{Error, ErrorKind};
use crate::settings::{Peers, SocketGroup};

/// Pause after a failed attempt to accept, for want of descriptors for example. The connection stays in the queue, and
/// another attempt at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long the file system may take to make a socket.
const BIND_LIMIT: Duration = Duration::from_secs(10);

/// Where to listen.
#[derive(Debug, Clone)]
pub enum Place {
    /// In this directory, under an unpredictable name, for the owner and perhaps a group.
    Unix(PathBuf, Option<SocketGroup>),
    /// On 127.0.0.1, on the first port of the range that is free; 0 to 0 for any.
    Tcp(u16, u16),
}

impl Place {
    /// The users to whom the other side's sockets may belong: with a group, others too.
    #[must_use]
    pub fn peers(&self) -> Peers {
        if matches!(self, Self::Unix(_, Some(_))) { Peers::Anybody } else { Peers::OwnUser }
    }
}

/// A listening socket; its file goes away with it.
pub struct Listener {
    socket: Bound,
    address: Address,
    /// Whether other users may connect, because a group was given; the file's mode decides.
    shared: bool,
    #[expect(dead_code, reason = "held for its end")]
    file: Option<SocketFile>,
}

/// The file of a socket, removed when this is dropped, on a thread that a slow file system may block.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let path = std::mem::take(&mut self.0);
        // An error means that the file, or its directory, is gone already.
        blocking::begin(move || drop(std::fs::remove_file(path)));
    }
}

enum Bound {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// An accepted connection and a name for its peer, or why it was refused.
pub(crate) type Accepted = Result<(Stream, String), String>;

impl Listener {
    /// Opens the socket.
    pub async fn bind(place: &Place) -> Result<Self, Error> {
        let failed = |what: String, cause: &io::Error| {
            Error::new(ErrorKind::ListenFailed, format!("no socket could be opened {what}: {cause}"))
        };
        match place {
            Place::Unix(directory, group) => bind_unix(directory.clone(), group.clone())
                .await
                .map_err(|cause| failed(format!("in {}", directory.display()), &cause)),
            Place::Tcp(first, last) => bind_tcp(*first, *last)
                .await
                .map_err(|cause| failed(format!("on a port from {first} to {last} of 127.0.0.1"), &cause)),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The next connection; `reads_ahead` as for dialled sockets.
    pub(crate) async fn accept(&self, reads_ahead: bool) -> Accepted {
        loop {
            let accepted = match &self.socket {
                Bound::Unix(listener) => listener.accept().await.map(|(stream, _)| self.admit(stream, reads_ahead)),
                Bound::Tcp(listener) => match listener.accept().await {
                    Ok((stream, peer)) => stream
                        .set_nodelay(true)
                        .and_then(|()| Socket::new(stream.into_std()?, reads_ahead))
                        .map(|socket| Ok((Stream::new(socket), format!("{peer}")))),
                    Err(error) => Err(error),
                },
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    /// Without a group admits this user alone, and root, who may do anything anyway: the mode of the directory may be
    /// wider than it should be.
    fn admit(&self, stream: UnixStream, reads_ahead: bool) -> Accepted {
        let peer = stream.peer_cred().map_err(|error| format!("its user is unknown: {error}"))?;
        let own = rustix::process::geteuid().as_raw();
        let process = peer.pid().map_or_else(String::new, |pid| format!(", process {pid}"));
        if !self.shared && peer.uid() != own && peer.uid() != 0 {
            return Err(format!("it belongs to user {}{process}, expected user {own}", peer.uid()));
        }
        let socket = stream.into_std().and_then(|stream| Socket::new(stream, reads_ahead));
        let socket = socket.map_err(|error| format!("it cannot be watched: {error}"))?;
        Ok((Stream::new(socket), format!("user {}{process}", peer.uid())))
    }
}

async fn bind_unix(directory: PathBuf, group: Option<SocketGroup>) -> io::Result<Listener> {
    let shared = group.is_some();
    let make = move || make_socket(&directory, group.as_ref());
    let (socket, file) = blocking::run_in_time(BIND_LIMIT, make).await?;
    let (socket, address) = (Bound::Unix(UnixListener::from_std(socket)?), Address::Unix(file.0.clone()));
    Ok(Listener { socket, address, shared, file: Some(file) })
}

fn make_socket(directory: &Path, group: Option<&SocketGroup>) -> io::Result<(StdUnixListener, SocketFile)> {
    let mut number = [0; 8];
    getrandom::fill(&mut number).map_err(|error| io::Error::other(error.to_string()))?;
    // go-plugin's name, which some tools look for.
    let path = announceable(directory).join(format!("plugin{}", u64::from_ne_bytes(number)));
    let listener = StdUnixListener::bind(&path)?;
    let file = SocketFile(path);
    listener.set_nonblocking(true)?;
    match group {
        Some(group) => share(&file.0, group, 0o660)?,
        None => open_to_owner(&file.0)?,
    }
    Ok((listener, file))
}

async fn bind_tcp(first: u16, last: u16) -> io::Result<Listener> {
    let mut failure = io::Error::from(io::ErrorKind::AddrInUse);
    for port in first..=last {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Ok(listener) => {
                let address = Address::Tcp(listener.local_addr()?);
                return Ok(Listener { socket: Bound::Tcp(listener), address, shared: true, file: None });
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}
