//! Connections: the bytes of a peer to a call of ours, and names of methods on their way out.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::cuts::cuts;
use crate::grpc::Framed;
use crate::grpc::attempt::{Attempt, attempt};
use crate::grpc::call::{Call, Request};
use crate::grpc::compression::Encoding;
use crate::grpc::connection::Connection;
use crate::grpc::counters::ChannelCounters;
use crate::grpc::frame_watch::Frames;
use crate::grpc::profile::Profile;
use crate::grpc::raw_path::path;
use crate::transport::Stream;

/// How long a call may take to end after its connection.
const LIMIT: Duration = Duration::from_secs(20);
const MAX_RECEIVE_BYTES: usize = 1 << 16;
const MAX_METADATA_BYTES: usize = 1 << 14;
/// The longest explanation of a status: a peer's own, which metadata bounds.
const LONGEST_STATUS: usize = 4 * MAX_METADATA_BYTES;

/// Of HTTP/2: its preface, the head of a frame, and a type (RFC 9113, sections 3.4, 4.1 and 6.2).
const PREFACE_BYTES: usize = 24;
const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;

/// The result of some work, if it ends in time.
fn run<R>(work: impl Future<Output = R>) -> Option<R> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().ok()?;
    runtime.block_on(async { timeout(LIMIT, work).await.ok() })
}

/// A peer sends these bytes and closes: the call ends, with one response in the pieces that it admits, or with many.
pub(crate) fn connection(bytes: &[u8]) {
    for single_response in [true, false] {
        let Some(()) = run(called(bytes, single_response)) else { unreachable!("the call has no end") };
    }
}

async fn called(bytes: &[u8], single_response: bool) {
    let (mut peer, socket) = duplex(1 << 20);
    let opened = open(socket).await;
    let (Ok(connection), mut request) = (opened, request(single_response)) else { return };
    let call = Call::new(&request, None);
    // The connection may be over already.
    let _ = peer.write_all(bytes).await;
    let _ = peer.shutdown().await;
    match attempt(&call, &mut request, &profile(), &connection, &ChannelCounters::default()).await {
        Attempt::Unprocessed(status) => assert!(status.message.len() < LONGEST_STATUS),
        Attempt::Ended(end) => {
            assert!(end.status.message.len() < LONGEST_STATUS, "{}", end.status.message.len());
            assert!(call.take().iter().all(|message| message.len() <= MAX_RECEIVE_BYTES));
        }
    }
}

async fn open(socket: DuplexStream) -> Result<Connection, h2::Error> {
    Connection::open(Stream::new(socket), Box::new(|reason| Box::pin(async { reason }))).await
}

fn request(single_response: bool) -> Request {
    Request {
        path: Bytes::from_static(b"/test.Test/Call"),
        metadata: HeaderMap::new(),
        encoding: Encoding::Identity,
        deadline: None,
        wait_for_ready: false,
        single_response,
        message: Some(Framed::from(Bytes::from_static(&[0, 0, 0, 0, 0]))),
        max_send: MAX_RECEIVE_BYTES,
    }
}

fn profile() -> Profile {
    Profile {
        scheme: Scheme::HTTP,
        authority: Authority::from_static("localhost"),
        user_agent: HeaderValue::from_static("test"),
        max_receive: MAX_RECEIVE_BYTES,
        max_metadata: MAX_METADATA_BYTES,
    }
}

/// The same frames begin however their bytes arrive.
pub(crate) fn frame_watch(bytes: &[u8]) {
    let seen = |pieces: &[&[u8]]| {
        let (mut frames, mut kinds) = (Frames::default(), Vec::new());
        for piece in pieces {
            frames.advance(piece, |kind| kinds.push(kind));
        }
        kinds
    };
    let whole = seen(&[bytes]);
    assert!(cuts(bytes).iter().all(|pieces| seen(pieces) == whole));
}

/// A method's name that is no path stands in the request's headers as it is, or is refused.
pub(crate) fn raw_path(name: &[u8]) {
    let name = Bytes::copy_from_slice(name);
    let is_raw = matches!(path(&name, &Arc::default()), Some((_, Some(_))));
    let Some(headers) = run(request_headers(&name)) else { unreachable!("neither an end nor a request") };
    if is_raw {
        assert!(headers.is_some_and(|block| block.windows(name.len()).any(|part| part == name)));
    }
}

/// The block of headers of a call of this method, or None if it is refused.
async fn request_headers(name: &Bytes) -> Option<Vec<u8>> {
    let (mut peer, socket) = duplex(1 << 20);
    let connection = open(socket).await.ok()?;
    let mut request = Request { path: name.clone(), ..request(true) };
    let (call, profile, counters) = (Call::new(&request, None), profile(), ChannelCounters::default());
    tokio::select! {
        _ = attempt(&call, &mut request, &profile, &connection, &counters) => None,
        block = read_headers(&mut peer) => block.ok(),
    }
}

/// The payload of the first frame of headers.
async fn read_headers(peer: &mut DuplexStream) -> io::Result<Vec<u8>> {
    peer.read_exact(&mut [0; PREFACE_BYTES]).await?;
    loop {
        let mut head = [0; FRAME_HEAD_BYTES];
        peer.read_exact(&mut head).await?;
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        peer.read_exact(&mut payload).await?;
        if head[3] == HEADERS {
            return Ok(payload);
        }
    }
}
