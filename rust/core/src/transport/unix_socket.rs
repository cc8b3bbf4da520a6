//! Connects to Unix sockets, which takes no waiting: a listener has room in its queue, or there is an error.

#[cfg(unix)]
use std::{io, os::unix::net::UnixStream, path::Path};

#[cfg(target_os = "linux")]
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

#[cfg(unix)]
use super::permissions::open_to_owner;
#[cfg(unix)]
use crate::settings::Peers;

/// A listener of another user, by the kernel's word.
#[derive(Debug, thiserror::Error)]
#[error("it belongs to user {0}, expected user {1}, who runs this process")]
pub(super) struct Stranger(u32, u32);

/// One attempt, at a socket that belongs to one of `peers`.
#[cfg(unix)]
pub(super) async fn connect_unix(path: &Path, peers: Peers) -> io::Result<UnixStream> {
    match attempt(path, peers).await {
        // A umask may have taken the permission from the owner as well, which only the owner can mend.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied && open_to_owner(path).is_ok() => {
            attempt(path, peers).await
        }
        connected => connected,
    }
}

/// tokio's way registers the socket for writing, and waits to be told that it is connected: five more system calls.
#[cfg(target_os = "linux")]
#[expect(clippy::unused_async, reason = "the other one waits")]
async fn attempt(path: &Path, peers: Peers) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    if peers == Peers::OwnUser {
        refuse_stranger(rustix::net::sockopt::socket_peercred(&socket)?.uid.as_raw())?;
    }
    Ok(socket.into())
}

#[cfg(all(unix, not(target_os = "linux")))]
async fn attempt(path: &Path, peers: Peers) -> io::Result<UnixStream> {
    let socket = tokio::net::UnixStream::connect(path).await?;
    if peers == Peers::OwnUser {
        refuse_stranger(socket.peer_cred()?.uid())?;
    }
    socket.into_std()
}

#[cfg(unix)]
fn refuse_stranger(listener: u32) -> io::Result<()> {
    let own = rustix::process::geteuid().as_raw();
    if listener == own || listener == 0 { Ok(()) } else { Err(io::Error::other(Stranger(listener, own))) }
}
