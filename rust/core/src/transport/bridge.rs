//! A local socket on which a stock gRPC library reaches the plugin: plaintext on this side, the dialer's rules on the other.
//!
//! A peer that passes here *is* the authenticated host to the plugin. Hence the path lies in a directory of mode 0700,
//! and on accept the peer must be this very process: not another user, not another program of the same user, not a
//! forked child.
//!
//! The library behind the socket would report every failure as "Socket closed". Two things make it say more: a connection
//! that cannot be carried is answered in HTTP/2, each call with the reason as its status; and a connection that breaks is
//! ended by a GOAWAY frame whose debug text is the reason.

use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use super::permissions::open_to_owner;
use super::socket::Socket;
use super::{Dialer, Stream};
use crate::blocking;
use crate::error::{Error, ErrorKind};
use crate::future::BoxFuture;

/// Size of the buffer of each direction, in bytes: at 8 KiB large messages cost twice as much.
const BUFFER_BYTES: usize = 64 * 1024;

/// Pause after an attempt to accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a library may take to read the reason of its connection's end.
const REASON_READ_LIMIT: Duration = Duration::from_secs(1);

/// The reason of a connection's end: the plugin's exit, or that the plugin closed the connection.
pub type ExitExplanation = Arc<dyn Fn() -> BoxFuture<String> + Send + Sync>;

/// The listening socket and its connections; closed when dropped.
#[derive(Debug)]
pub struct Bridge {
    path: PathBuf,
    accepting: JoinHandle<()>,
}

impl Bridge {
    /// Listens on `path`, which must lie in a private directory.
    pub async fn listen(
        path: PathBuf,
        dialer: Arc<Dialer>,
        explain: ExitExplanation,
        dial_limit: Duration,
    ) -> Result<Self, Error> {
        let listener = bind(path.clone(), dial_limit).await.map_err(|error| {
            Error::new(
                ErrorKind::LaunchFailed,
                format!("the local socket {} cannot be opened: {error}", path.display()),
            )
        })?;
        Ok(Self { path, accepting: tokio::spawn(accept(listener, dialer, explain, dial_limit)) })
    }

    /// The path to dial.
    #[must_use]
    pub fn path(&self) -> &PathBuf {
        &self.path
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn bind(path: PathBuf, limit: Duration) -> io::Result<UnixListener> {
    let make = move || {
        let listener = StdUnixListener::bind(&path)?;
        open_to_owner(&path)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    UnixListener::from_std(blocking::run_in_time(limit, make).await?)
}

async fn accept(listener: UnixListener, dialer: Arc<Dialer>, explain: ExitExplanation, dial_limit: Duration) {
    // Owned by this task, so that all connections end with it.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((local, _)) if is_this_process(&local) => {
                // A socket that cannot be registered is closed: the library dials again.
                if let Ok(local) = watched(local) {
                    connections.spawn(serve(local, dialer.clone(), explain.clone(), dial_limit));
                }
            }
            Ok(_) => (),
            // Out of descriptors, say: the connection stays in the queue, and asking again at once would spin.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

fn is_this_process(peer: &UnixStream) -> bool {
    let own = (rustix::process::geteuid().as_raw(), rustix::process::getpid().as_raw_pid());
    peer.peer_cred().is_ok_and(|peer| (peer.uid(), peer.pid()) == (own.0, Some(own.1)))
}

fn watched(local: UnixStream) -> std::io::Result<Stream> {
    Ok(Stream::new(Socket::new(local.into_std()?, false)?))
}

async fn serve(local: Stream, dialer: Arc<Dialer>, explain: ExitExplanation, dial_limit: Duration) {
    // A plugin that hangs must not collect the connections of a library that tries again and again.
    let dialled = timeout(dial_limit, dialer.dial()).await.unwrap_or_else(|_| {
        let message = format!("no connection to {} after {:.1} s", dialer.address(), dial_limit.as_secs_f64());
        Err(Error::new(ErrorKind::ConnectTimeout, message))
    });
    match dialled {
        Ok(remote) => carry(local, remote, &explain).await,
        Err(error) => {
            let reason = format!("{error}; {}", explain().await);
            // The local side may be gone already: then the reason is lost.
            let _ = refuse(local, &reason).await;
        }
    }
}

/// Copies both ways until one side ends.
async fn carry(local: Stream, remote: Stream, explain: &ExitExplanation) {
    let (mut local_read, mut local_write) = tokio::io::split(local);
    let (mut remote_read, mut remote_write) = tokio::io::split(remote);
    let upward = async {
        if copy(&mut local_read, &mut remote_write).await.is_err() {
            // The plugin is gone; the other direction finds out why.
            std::future::pending::<()>().await;
        }
        let _ = remote_write.shutdown().await;
    };
    let downward = copy_frames(&mut remote_read, &mut local_write);
    let may_explain = tokio::select! {
        () = upward => false,
        between_frames = downward => between_frames.unwrap_or(false),
    };
    if may_explain {
        // Any failure here means that the library is gone too.
        let _ = local_write.write_all(&go_away(&explain().await)).await;
        let _ = local_write.shutdown().await;
        // Were this end closed at once, a library that is writing would see a broken pipe before it sees the reason.
        let _ = timeout(REASON_READ_LIMIT, copy(&mut local_read, &mut tokio::io::sink())).await;
    }
}

/// Copies until the source ends or fails; an error means that the destination failed.
async fn copy<R, W>(source: &mut R, destination: &mut W) -> std::io::Result<()>
where
    R: AsyncReadExt + Unpin,
    W: AsyncWriteExt + Unpin,
{
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match source.read(&mut buffer).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(count) => {
                destination.write_all(&buffer[..count]).await?;
                // TLS buffers records; without this the last one of a burst could wait.
                destination.flush().await?;
            }
        }
    }
}

/// Copies HTTP/2 frames until the source ends or fails. Frames that fit into the buffer are passed on whole, so that a
/// plugin that dies within one leaves room for a GOAWAY. Returns whether the copy ended between two frames.
async fn copy_frames<R, W>(source: &mut R, destination: &mut W) -> std::io::Result<bool>
where
    R: AsyncReadExt + Unpin,
    W: AsyncWriteExt + Unpin,
{
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut held = 0;
    let mut inside = 0; // Bytes that a frame larger than the buffer still lacks.
    loop {
        let count = match source.read(&mut buffer[held..]).await {
            Ok(0) | Err(_) => return Ok(inside == 0),
            Ok(count) => held + count,
        };
        let whole = whole_frames(&buffer[..count], inside);
        // A frame that will never fit is passed on in pieces.
        let pass = if whole == 0 && count == BUFFER_BYTES || inside >= count { count } else { whole };
        inside = missing_after(&buffer[..pass], inside);
        destination.write_all(&buffer[..pass]).await?;
        buffer.copy_within(pass..count, 0);
        held = count - pass;
    }
}

/// Bytes of a frame's header; its first three are the length of what follows (RFC 9113, section 4.1).
const HEADER_BYTES: usize = 9;

/// The number of `bytes` up to the end of the last whole frame; the first `inside` belong to a frame that began
/// earlier.
fn whole_frames(bytes: &[u8], inside: usize) -> usize {
    let mut end = if inside <= bytes.len() { inside } else { return 0 };
    loop {
        match frame_end(bytes, end) {
            Some(next) if next <= bytes.len() => end = next,
            _ => return end,
        }
    }
}

/// The number of bytes that the last frame in `bytes` lacks.
fn missing_after(bytes: &[u8], inside: usize) -> usize {
    let end = whole_frames(bytes, inside);
    if inside > bytes.len() {
        return inside - bytes.len();
    }
    frame_end(bytes, end).map_or(0, |frame| frame - bytes.len())
}

/// The end of the frame that begins at `begin`, if its header is there.
fn frame_end(bytes: &[u8], begin: usize) -> Option<usize> {
    let &[high, middle, low, ..] = bytes.get(begin..begin + HEADER_BYTES)? else { return None };
    Some(begin + HEADER_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize)
}

/// A GOAWAY frame (RFC 9113, section 6.8) that names no stream as lost; the closing of the connection does that.
fn go_away(reason: &str) -> Vec<u8> {
    const FRAME_TYPE: u8 = 7;
    const LAST_STREAM: u32 = (1 << 31) - 1;
    const NO_ERROR: u32 = 0;
    let reason = &reason.as_bytes()[..reason.len().min(1024)];
    #[allow(clippy::cast_possible_truncation)] // At most 1032.
    let length = (8 + reason.len()) as u32;
    let mut frame = length.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[FRAME_TYPE, 0, 0, 0, 0, 0]);
    frame.extend_from_slice(&LAST_STREAM.to_be_bytes());
    frame.extend_from_slice(&NO_ERROR.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

/// Answers calls with UNAVAILABLE and the reason, then has the library dial again for the next.
async fn refuse(local: Stream, reason: &str) -> Result<(), h2::Error> {
    let message = HeaderValue::from_str(&percent_encode(reason)).unwrap_or(HeaderValue::from_static("unavailable"));
    let mut connection = h2::server::handshake(local).await?;
    while let Some(call) = connection.accept().await {
        let (_request, mut respond) = call?;
        let mut answer: Response<()> = Response::new(());
        *answer.status_mut() = StatusCode::OK;
        let headers = answer.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from_static("14"));
        headers.insert("grpc-message", message.clone());
        let _: h2::SendStream<Bytes> = respond.send_response(answer, true)?;
        connection.graceful_shutdown();
    }
    Ok(())
}

/// Percent-encodes a status message as the gRPC protocol has it: printable ASCII stays, but for the percent sign.
fn percent_encode(text: &str) -> String {
    use std::fmt::Write;
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // Writing to a String cannot fail.
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// Copies what arrives in `pieces`; returns what was passed on, and whether it ended between frames.
    async fn copied(pieces: Vec<Vec<u8>>) -> (Vec<u8>, bool) {
        let (mut plugin, mut source) = tokio::io::duplex(1 << 20);
        let feeding = async move {
            for piece in pieces {
                plugin.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
        };
        let mut passed = Vec::new();
        let (between, ()) = tokio::join!(copy_frames(&mut source, &mut passed), feeding);
        (passed, between.unwrap())
    }

    fn frame(length: usize) -> Vec<u8> {
        [&u32::try_from(length).unwrap().to_be_bytes()[1..], &[0; 6], &vec![7; length]].concat()
    }

    #[tokio::test]
    async fn only_whole_frames_are_passed_on_however_they_arrive() {
        let whole = [frame(0), frame(5), frame(16_384), frame(70_000), frame(1)].concat();
        for chunk in [1000, 4096, 65_536, 1 << 19] {
            let pieces = [&whole[..], &frame(300)[..200]].concat().chunks(chunk).map(<[u8]>::to_vec).collect();
            let (passed, between) = copied(pieces).await;
            assert!(between, "chunks of {chunk}");
            assert!(passed == whole, "chunks of {chunk}: {} bytes passed, expected {}", passed.len(), whole.len());
        }
    }

    #[tokio::test]
    async fn header_in_two_pieces_is_held_back() {
        let (passed, between) = copied(vec![frame(3), vec![0, 0]]).await;
        assert_eq!((passed, between), (frame(3), true));
    }

    #[tokio::test]
    async fn end_inside_a_frame_that_never_fits_is_noticed() {
        let (passed, between) = copied(vec![frame(200_000)[..150_000].to_vec()]).await;
        assert_eq!((passed.len(), between), (150_000, false));
    }

    #[test]
    fn grpc_message_is_percent_encoded() {
        assert_eq!(percent_encode("50% é\n"), "50%25 %C3%A9%0A");
    }
}
