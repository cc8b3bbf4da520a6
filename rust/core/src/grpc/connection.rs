//! One HTTP/2 connection: opened, kept alive, and able to say why it ended.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Ping, PingPong};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use super::Status;
use super::driver::Driver;
use super::frame_watch::{ConnectionPhase, FrameWatch};
use super::metadata::MAX_HEADER_LIST_BYTES;
use super::raw_path::{RawPathStream, RawPaths};
use super::status::bounded;
use crate::error::{Error, ErrorKind};
use crate::limit::within;
use crate::transport::{Dialer, Stream};

/// Flow-control window of a stream; grpcio's.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
/// Flow-control window of a connection: the maximum, so that streams that nobody reads, each stopped at its own window,
/// never stop the others.
const CONNECTION_WINDOW_BYTES: u32 = (1 << 31) - 1;
/// Largest frame accepted. Larger ones save little and hold up the others.
const MAX_FRAME_BYTES: u32 = 128 << 10;
/// How many streams reset by this side have their late frames recognised, and for how long.
const MAX_RESET_STREAMS: usize = 1024;
const RESET_STREAM_MEMORY: Duration = Duration::from_secs(10);

/// How long a broken call waits to learn why its connection ended.
const END_REASON_LIMIT: Duration = Duration::from_secs(1);
/// Turns the transport's reason for a connection's end into the best one known. A future, because a plugin's end is
/// known a moment after that of its socket.
pub type Explain = Box<dyn FnOnce(String) -> Pin<Box<dyn Future<Output = String> + Send>> + Send>;

/// When a silent peer is asked by a PING whether it is there.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    /// Silence before the PING.
    pub time: Duration,
    /// How long the PING's answer may take.
    pub timeout: Duration,
    /// Whether to ask also while no call is open.
    pub without_calls: bool,
}

/// A connection. Clones name the same one; with the last clone and the last call it closes.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    state: Arc<ConnectionState>,
}

/// A connection's state. Holding it does not keep the connection open.
pub(super) struct ConnectionState {
    raw_paths: Arc<RawPaths>,
    /// The sender goes away with the socket.
    phase: watch::Receiver<ConnectionPhase>,
    /// Bytes received so far.
    received: Arc<AtomicU64>,
    /// Owned by the connection, not by one of its users: a channel that goes away must not take the pings along.
    pings: Mutex<Option<PingPong>>,
    ended: watch::Receiver<Option<String>>,
    failure: watch::Sender<Option<String>>,
}

impl ConnectionState {
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| "the connection was closed".to_owned())
    }

    pub(super) fn fail(&self, reason: String) {
        self.failure.send_replace(Some(reason));
    }
}

/// Closes the connection's socket in the end, also by a panic or with the runtime: a connection keeps what wakes it, and
/// that is the driver which has the connection.
struct OpenConnection(Arc<Driver>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Connection {
    /// Speaks the HTTP/2 preface on a fresh stream. `explain` puts the connection's later end into words.
    pub async fn open(stream: Stream, explain: Explain) -> Result<Self, h2::Error> {
        let raw_paths = Arc::new(RawPaths::default());
        let read_interest = stream.read_interest();
        let (stream, phase, received) = FrameWatch::new(RawPathStream::new(stream, raw_paths.clone()));
        let (requests, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(MAX_FRAME_BYTES)
            .max_header_list_size(MAX_HEADER_LIST_BYTES)
            .max_concurrent_reset_streams(MAX_RESET_STREAMS)
            .reset_stream_duration(RESET_STREAM_MEMORY)
            // A count over the connection's whole life, to which late frames of cancelled calls add as well: any limit
            // would end a long-lived connection some day.
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(stream)
            .await?;
        let pings = Mutex::new(connection.ping_pong());
        let (ending, ended) = watch::channel(None);
        let (failure, failed) = watch::channel(None);
        let open = OpenConnection(Driver::new(connection, read_interest));
        tokio::spawn(async move {
            let reason = tokio::select! {
                result = open.0.run() => reason_of(result),
                reason = failure_of(failed) => reason,
            };
            drop(open);
            // An error means that no call and no channel has the connection any more.
            let _ = ending.send(Some(explain(reason).await));
        });
        let state = ConnectionState { raw_paths, phase, received, pings, ended, failure };
        Ok(Self { requests, state: Arc::new(state) })
    }

    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.requests.clone()
    }

    /// Returns when the peer's SETTINGS have arrived: only then is the connection known to work.
    pub async fn settled(&self) -> Result<(), String> {
        let mut phase = self.state.phase.clone();
        tokio::select! {
            biased;
            Ok(_) = phase.wait_for(|phase| *phase != ConnectionPhase::AwaitingSettings) => Ok(()),
            reason = self.ended() => Err(reason),
        }
    }

    /// Whether a call may begin: the connection is open, and the peer has sent no GOAWAY.
    #[must_use]
    pub fn takes_calls(&self) -> bool {
        !self.is_closed() && !self.is_going_away()
    }

    /// Returns when the connection takes no more calls. Those that run may go on.
    pub async fn retired(&self) {
        let mut phase = self.state.phase.clone();
        // An error means that the connection is closed.
        let _ = phase.wait_for(|phase| *phase == ConnectionPhase::GoingAway).await;
    }

    /// Returns when the socket is closed. The reason is known a moment later.
    pub async fn closed(&self) {
        let mut phase = self.state.phase.clone();
        // Ends with the sender.
        let _ = phase.wait_for(|_| false).await;
    }

    /// Whether the socket is closed. The reason is known a moment later.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state.phase.has_changed().is_err()
    }

    /// Whether the peer has sent a GOAWAY.
    #[must_use]
    pub fn is_going_away(&self) -> bool {
        *self.state.phase.borrow() == ConnectionPhase::GoingAway
    }

    /// Waits for the end, and returns its reason.
    pub async fn ended(&self) -> String {
        self.state.ended().await
    }

    /// Ends the connection at once, for this reason, with all calls on it.
    pub fn fail(&self, reason: String) {
        self.state.fail(reason);
    }

    pub(super) fn raw_paths(&self) -> &Arc<RawPaths> {
        &self.state.raw_paths
    }

    fn received(&self) -> u64 {
        self.state.received.load(Ordering::Relaxed)
    }

    /// Asks the peer by a PING whether it is there. Callers take turns.
    async fn ping(&self) -> Result<(), h2::Error> {
        let mut pings = self.state.pings.lock().await;
        let Some(pings) = pings.as_mut() else { return Ok(()) };
        loop {
            // Refused while another PING is under way whose caller has given up: its answer is taken first.
            let sent = pings.send_ping(Ping::opaque());
            poll_fn(|context| pings.poll_pong(context)).await?;
            if sent.is_ok() {
                return Ok(());
            }
        }
    }

    pub(super) fn state(&self) -> Arc<ConnectionState> {
        self.state.clone()
    }

    /// The status that an error of a stream means. If the connection has ended, its reason is the message.
    pub(super) async fn status_of(&self, error: &h2::Error) -> Status {
        let status = Status::from_h2(error);
        // A GOAWAY leaves the connection open until its last stream is done.
        if !status.disconnected || error.is_go_away() {
            return status;
        }
        // The end waits for a last frame to be written, which a peer that does not read could hold up.
        let reason = timeout(END_REASON_LIMIT, self.ended()).await;
        Status { message: reason.unwrap_or_else(|_| status.message.clone()), ..status }
    }

    /// Whether two handles name the same connection.
    pub fn is_same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.state, &other.state)
    }
}

async fn failure_of(mut failed: watch::Receiver<Option<String>>) -> String {
    match failed.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
        Ok(Some(reason)) => reason,
        // The sender is gone, so no failure can come any more.
        _ => std::future::pending().await,
    }
}

fn reason_of(result: Result<(), h2::Error>) -> String {
    // The words are grpcio's: some programs look for them.
    match result {
        Err(error) if error.is_go_away() && error.is_remote() => {
            let number = error.reason().map_or(0, u32::from);
            format!("Stream removed (Socket closed (GOAWAY received; Error code: {number}; {}))", bounded(&error))
        }
        Err(error) if error.is_library() => format!("the peer breaks the rules of HTTP/2: {error}"),
        Ok(()) | Err(_) => "Stream removed (Socket closed)".to_owned(),
    }
}

/// Sends a PING after each silence, and ends the connection if no answer comes. Returns with the connection's end.
pub(super) async fn keep_alive(connection: Connection, keepalive: Keepalive, is_busy: impl Fn() -> bool) {
    let mut heard = connection.received();
    loop {
        sleep(keepalive.time).await;
        let now = connection.received();
        if std::mem::replace(&mut heard, now) != now || !(keepalive.without_calls || is_busy()) {
            continue;
        }
        match within(keepalive.timeout, connection.ping()).await {
            Some(Ok(())) => heard = connection.received(),
            Some(Err(_)) => return,
            None => {
                let seconds = keepalive.timeout.as_secs_f64();
                return connection.fail(format!("ping timeout: the peer did not answer within {seconds:.1} s"));
            }
        }
    }
}

/// The error of a failed preface. The error of TLS is preferred, as it says more than that of `h2`.
pub fn connection_error(dialer: &Dialer, error: &h2::Error) -> Error {
    if let Some(error) = dialer.last_error() {
        return error;
    }
    match error.get_io() {
        Some(cause) => dialer.explain(ErrorKind::Http2Failed, "the HTTP/2 connection was closed by", cause),
        None => Error::new(ErrorKind::Http2Failed, format!("no HTTP/2 with {}: {error}", dialer.address())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
    }

    #[test]
    fn socket_is_closed_with_the_runtime() {
        let (mut peer, socket) = duplex(1 << 10);
        runtime().block_on(async {
            let explain: Explain = Box::new(|reason| Box::pin(async { reason }));
            let connection = Connection::open(Stream::new(socket), explain).await.unwrap();
            // The connection is driven, and waits for its peer.
            peer.read_exact(&mut [0; 24]).await.unwrap();
            drop(connection);
        });
        runtime().block_on(async {
            let closed = timeout(Duration::from_secs(20), peer.read_to_end(&mut Vec::new())).await;
            assert!(closed.is_ok(), "the socket is still open");
        });
    }
}
