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
use super::frame_watch::{FrameWatch, Standing};
use super::raw_path::{Outgoing, RawPaths};
use super::status::bounded;
use crate::error::{Error, ErrorKind};
use crate::transport::{Dialer, Stream};

/// Flow-control window of a stream, in bytes; grpcio's.
const STREAM_WINDOW: u32 = 4 << 20;
/// Of the connection: as large as can be, so that streams nobody reads, each stopped at its own window, never stop the
/// others.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;
/// Largest frame accepted, in bytes. Larger ones save little and hold up the others.
const FRAME_SIZE: u32 = 128 << 10;
/// What `h2` admits, in bytes, before it breaks the stream off; the limit that users set is checked afterwards, where it
/// becomes a proper status.
const HEADER_LIST_SIZE: u32 = 256 << 10;
/// Streams reset by us whose late frames are still recognised, and for how long.
const RESET_STREAMS: usize = 1024;
const RESET_MEMORY: Duration = Duration::from_secs(10);

/// How long a broken call waits to learn why its connection ended.
const REASON_LIMIT: Duration = Duration::from_secs(1);
/// Why a connection ended, as a future: a plugin's end is known a moment after its socket's.
pub type Explain = Box<dyn FnOnce(String) -> Pin<Box<dyn Future<Output = String> + Send>> + Send>;

/// When to ask a silent peer whether it is there.
#[derive(Debug, Clone, Copy)]
pub struct Keepalive {
    /// After this silence.
    pub time: Duration,
    /// How long to wait for its answer.
    pub timeout: Duration,
    /// Also while no call is open.
    pub without_calls: bool,
}

/// A connection. Clones name the same one; with the last clone and the last call it closes.
#[derive(Clone)]
pub struct Connection {
    requests: SendRequest<Bytes>,
    life: Arc<Life>,
}

/// A connection's beginning and end, without a share in keeping it open.
pub(super) struct Life {
    raw_paths: Arc<RawPaths>,
    /// Its sender goes away with the socket.
    standing: watch::Receiver<Standing>,
    /// Bytes so far.
    received: Arc<AtomicU64>,
    /// Of the connection, not of one of its users: a channel that goes away must not take them along.
    pings: Mutex<Option<PingPong>>,
    ended: watch::Receiver<Option<String>>,
    failure: watch::Sender<Option<String>>,
}

impl Life {
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| "the connection was closed".to_owned())
    }

    pub(super) fn fail(&self, reason: String) {
        self.failure.send_replace(Some(reason));
    }
}

impl Connection {
    /// Speaks the HTTP/2 preface on a fresh stream. What ends it later is put in words by `explain`.
    pub async fn open(stream: Stream, explain: Explain) -> Result<Self, h2::Error> {
        let raw_paths = Arc::new(RawPaths::default());
        let (stream, standing, received) = FrameWatch::new(Outgoing::new(stream, raw_paths.clone()));
        let (requests, mut connection) = h2::client::Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(FRAME_SIZE)
            .max_header_list_size(HEADER_LIST_SIZE)
            .max_concurrent_reset_streams(RESET_STREAMS)
            .reset_stream_duration(RESET_MEMORY)
            // A count over the connection's whole life, to which late frames of cancelled calls add as well: any limit
            // would end a long-lived connection some day.
            .max_local_error_reset_streams(None)
            .enable_push(false)
            .handshake(stream)
            .await?;
        let pings = Mutex::new(connection.ping_pong());
        let (ending, ended) = watch::channel(None);
        let (failure, failed) = watch::channel(None);
        let driver = Driver::new(connection);
        tokio::spawn(async move {
            let reason = tokio::select! {
                result = driver.run() => reason_of(result),
                reason = given_up(failed) => reason,
            };
            driver.close();
            // Nobody may listen.
            let _ = ending.send(Some(explain(reason).await));
        });
        let life = Life { raw_paths, standing, received, pings, ended, failure };
        Ok(Self { requests, life: Arc::new(life) })
    }

    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.requests.clone()
    }

    /// Returns when the peer's SETTINGS have arrived: only then is the connection known to work.
    pub async fn settled(&self) -> Result<(), String> {
        let mut standing = self.life.standing.clone();
        tokio::select! {
            biased;
            Ok(_) = standing.wait_for(|standing| *standing != Standing::New) => Ok(()),
            reason = self.ended() => Err(reason),
        }
    }

    /// Whether a call may begin on it: it is open, and the peer has not asked for another one.
    #[must_use]
    pub fn takes_calls(&self) -> bool {
        !self.is_closed() && !self.is_going_away()
    }

    /// Returns when it takes no more calls. Those that run may go on.
    pub async fn retired(&self) {
        let mut standing = self.life.standing.clone();
        // An error means that it is closed.
        let _ = standing.wait_for(|standing| *standing == Standing::GoingAway).await;
    }

    /// Whether its socket is closed; why is known a moment later.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.life.standing.has_changed().is_err()
    }

    /// Whether the peer has sent a GOAWAY.
    #[must_use]
    pub fn is_going_away(&self) -> bool {
        *self.life.standing.borrow() == Standing::GoingAway
    }

    /// Waits for the end; why it came.
    pub async fn ended(&self) -> String {
        self.life.ended().await
    }

    /// Ends it at once, whoever still uses it, for this reason.
    pub fn fail(&self, reason: String) {
        self.life.fail(reason);
    }

    pub(super) fn raw_paths(&self) -> &Arc<RawPaths> {
        &self.life.raw_paths
    }

    fn received(&self) -> u64 {
        self.life.received.load(Ordering::Relaxed)
    }

    /// Asks the peer whether it is there. Whoever asks meanwhile waits, and then asks again.
    async fn ping(&self) -> Result<(), h2::Error> {
        let mut pings = self.life.pings.lock().await;
        let Some(pings) = pings.as_mut() else { return Ok(()) };
        loop {
            // Refused while one is under way whose sender has given up: that one's answer is taken first.
            let sent = pings.send_ping(Ping::opaque());
            poll_fn(|context| pings.poll_pong(context)).await?;
            if sent.is_ok() {
                return Ok(());
            }
        }
    }

    pub(super) fn life(&self) -> Arc<Life> {
        self.life.clone()
    }

    /// What an error of a stream means, the connection's own end included.
    pub(super) async fn status_of(&self, error: &h2::Error) -> Status {
        let status = Status::from_h2(error);
        // A GOAWAY leaves the connection open until its last stream is done.
        if !status.disconnected || error.is_go_away() {
            return status;
        }
        // The end waits for a last frame to be written, and a peer that does not read could hold it up.
        let reason = timeout(REASON_LIMIT, self.ended()).await;
        Status { message: reason.unwrap_or_else(|_| status.message.clone()), ..status }
    }

    /// Whether two handles name the same connection.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.life, &other.life)
    }
}

async fn given_up(mut failed: watch::Receiver<Option<String>>) -> String {
    match failed.wait_for(Option::is_some).await.map(|reason| reason.clone()) {
        Ok(Some(reason)) => reason,
        // Nobody can give up any more.
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

/// Sends a PING after each silence, and ends the connection if none comes back. Returns with the connection.
pub(super) async fn keep_alive(connection: Connection, keepalive: Keepalive, is_busy: impl Fn() -> bool) {
    let mut heard = connection.received();
    loop {
        sleep(keepalive.time).await;
        let now = connection.received();
        if std::mem::replace(&mut heard, now) != now || !(keepalive.without_calls || is_busy()) {
            continue;
        }
        match timeout(keepalive.timeout, connection.ping()).await {
            Ok(Ok(())) => heard = connection.received(),
            Ok(Err(_)) => return,
            Err(_) => {
                let seconds = keepalive.timeout.as_secs_f64();
                return connection.fail(format!("ping timeout: the peer did not answer within {seconds:.1} s"));
            }
        }
    }
}

/// Puts a failed preface in words; what broke TLS says more than what `h2` made of it.
pub fn connection_error(dialer: &Dialer, error: &h2::Error) -> Error {
    if let Some(error) = dialer.last_error() {
        return error;
    }
    match error.get_io() {
        Some(cause) => dialer.explain(ErrorKind::Http2Failed, "the HTTP/2 connection was closed by", cause),
        None => Error::new(ErrorKind::Http2Failed, format!("no HTTP/2 with {}: {error}", dialer.address())),
    }
}
