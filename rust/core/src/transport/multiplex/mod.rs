//! Many streams over one socket: yamux as go-plugin uses it, by the `yamux` crate.
//!
//! Two things keep it compatible with Go's: one task reads and writes frames whatever the users of the streams do, so
//! that pings are answered; and streams are opened and acknowledged by an empty write, where the crate itself would
//! wait for the first bytes. Go ends the session over a stream that is not acknowledged within 75 s, and tells streams
//! apart by their order.

mod candidate;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedMutexGuard, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};
use yamux::{Config, Connection, ConnectionError};

pub(crate) use self::candidate::Candidate;
pub use self::candidate::Chosen;
use super::{InboundStream, Proven, Stream, write_through};

/// The end of the socket, which decides the parity of stream ids.
#[derive(Debug, Clone, Copy)]
pub enum Side {
    /// The host.
    Client,
    /// The plugin.
    Server,
}

/// Streams of one session, far more than brokers use at a time; a peer that opens more ends it.
const MAX_STREAMS: usize = 1024;
/// Unread bytes that all streams together may hold beyond the window that each begins with. The crate grows windows by
/// the round-trip time, which the peer reports; Go's never grow.
const WINDOW_GROWTH_BYTES: usize = 16 << 20;

/// How long the last frames may take to be written.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

const CLOSED: &str = "the multiplexed connection was closed";

type Requests = mpsc::UnboundedReceiver<OpenRequest>;
type OpenRequest = oneshot::Sender<Result<yamux::Stream, ConnectionError>>;

/// A session. Ends when dropped.
pub struct Multiplex {
    wanted: mpsc::UnboundedSender<OpenRequest>,
    arrivals: Mutex<Option<InboundStreams>>,
    permit: Arc<tokio::sync::Mutex<()>>,
    ended: watch::Receiver<Option<String>>,
    driver: JoinHandle<()>,
}

/// The right to open streams. The peer tells streams apart by their order alone, so the permit for an announced stream
/// is kept until that stream is open.
pub struct OpenPermit(#[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>);

impl Multiplex {
    /// Starts a session on a socket.
    pub fn start(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, side: Side) -> Self {
        let connection = Connection::new(socket.compat(), config(), mode(side));
        Self::driven(move |requests, sender| drive(connection, requests, sender))
    }

    /// Starts the plugin's session with the host that is chosen among those who connect.
    pub fn start_when(chosen: impl Future<Output = Chosen> + Send + 'static) -> Self {
        Self::driven(move |requests, sender| async move { chosen.await.go_on(requests, sender).await })
    }

    fn driven<F: Future<Output = String> + Send + 'static>(
        drive: impl FnOnce(Requests, mpsc::UnboundedSender<Inbound>) -> F,
    ) -> Self {
        let (wanted, requests) = mpsc::unbounded_channel();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let (ending, ended) = watch::channel(None);
        let driving = drive(requests, sender);
        let driver = tokio::spawn(async move {
            ending.send_replace(Some(driving.await));
        });
        let arrivals = Mutex::new(Some(InboundStreams(arrivals)));
        Self { wanted, arrivals, permit: Arc::default(), ended, driver }
    }

    /// Takes the streams that the peer opens, in order; `None` if they were taken before.
    pub fn take_inbound(&self) -> Option<InboundStreams> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits for the permit to open a stream.
    pub async fn permit(&self) -> OpenPermit {
        OpenPermit(self.permit.clone().lock_owned().await)
    }

    /// Opens a stream, which is the peer's next one.
    pub async fn open(&self, _turn: &OpenPermit) -> io::Result<Stream> {
        let (sender, receiver) = oneshot::channel();
        if self.wanted.send(sender).is_ok() {
            match receiver.await {
                Ok(Ok(stream)) => return announced(stream).await,
                Ok(Err(error)) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)),
                Err(_) => (),
            }
        }
        let reason = self.ended().await;
        Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason))
    }

    /// Opens a stream without a knock, and keeps its permit until the peer has spoken on it: a knock that overtakes it
    /// would give it to another listener.
    pub async fn open_unannounced(&self) -> io::Result<Stream> {
        let permit = self.permit().await;
        let stream = self.open(&permit).await?;
        Ok(Stream::new(Unanswered { stream, permit: Some(permit) }))
    }

    /// Whether the session has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.borrow().is_some() || self.ended.has_changed().is_err()
    }

    /// Ends the session, with all its streams.
    pub fn close(&self) {
        self.driver.abort();
    }

    /// Why the session has ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Waits for the session's end; returns the reason.
    pub async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let reason = ended.wait_for(Option::is_some).await;
        reason.ok().and_then(|reason| reason.clone()).unwrap_or_else(|| "the session was closed".to_owned())
    }
}

/// A stream that keeps its permit until the peer's first bytes.
struct Unanswered {
    stream: Stream,
    permit: Option<OpenPermit>,
}

impl AsyncRead for Unanswered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.permit = None;
        Poll::Ready(Ok(()))
    }
}

write_through!(Unanswered, stream);

enum Inbound {
    Fresh(yamux::Stream),
    Proven(Proven),
}

/// Streams that the peer opens, in order.
pub struct InboundStreams(mpsc::UnboundedReceiver<Inbound>);

impl InboundStreams {
    /// The next one, an error if it was reset at once; `None` when the session has ended.
    pub async fn next(&mut self) -> Option<io::Result<InboundStream>> {
        Some(match self.0.recv().await? {
            Inbound::Fresh(stream) => announced(stream).await.map(InboundStream::Fresh),
            Inbound::Proven(proven) => Ok(InboundStream::Proven(proven)),
        })
    }
}

/// Sends the frame that opens or acknowledges a stream.
async fn announced(stream: yamux::Stream) -> io::Result<Stream> {
    let mut stream = stream.compat();
    poll_fn(|context| Pin::new(&mut stream).poll_write(context, &[])).await?;
    Ok(Stream::new(stream))
}

impl Drop for Multiplex {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

fn config() -> Config {
    let mut config = Config::default();
    // The order matters: each setter checks its value against the other's.
    let windows = MAX_STREAMS * yamux::DEFAULT_CREDIT as usize;
    config.set_max_connection_receive_window(None).set_max_num_streams(MAX_STREAMS);
    config.set_max_connection_receive_window(Some(windows + WINDOW_GROWTH_BYTES));
    config
}

fn mode(side: Side) -> yamux::Mode {
    match side {
        Side::Client => yamux::Mode::Client,
        Side::Server => yamux::Mode::Server,
    }
}

async fn drive<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: Connection<tokio_util::compat::Compat<S>>,
    mut requests: Requests,
    arrivals: mpsc::UnboundedSender<Inbound>,
) -> String {
    let mut asking = None;
    let reason = poll_fn(|context| advance(&mut connection, &mut requests, &mut asking, &arrivals, context)).await;
    // A peer that is gone must not hold up the end.
    let _ = timeout(CLOSE_LIMIT, poll_fn(|context| connection.poll_close(context))).await;
    reason
}

fn advance<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<tokio_util::compat::Compat<S>>,
    requests: &mut Requests,
    asking: &mut Option<OpenRequest>,
    arrivals: &mpsc::UnboundedSender<Inbound>,
    context: &mut Context<'_>,
) -> Poll<String> {
    loop {
        // This call alone moves frames in both directions; it must be the last before waiting.
        match connection.poll_next_inbound(context) {
            Poll::Ready(Some(Ok(stream))) => {
                // An error means that the session is ending, and streams are not taken any more.
                let _ = arrivals.send(Inbound::Fresh(stream));
                continue;
            }
            Poll::Ready(Some(Err(error))) => return Poll::Ready(format!("the multiplexed connection broke: {error}")),
            Poll::Ready(None) => return Poll::Ready("the peer closed the multiplexed connection".to_owned()),
            Poll::Pending => (),
        }
        if asking.is_none() {
            match requests.poll_recv(context) {
                Poll::Ready(Some(wanted)) => *asking = Some(wanted),
                Poll::Ready(None) => return Poll::Ready(CLOSED.to_owned()),
                Poll::Pending => return Poll::Pending,
            }
        }
        match connection.poll_new_outbound(context) {
            Poll::Ready(result) => {
                if let Some(wanted) = asking.take() {
                    // The receiver may have given up: then the peer never saw the stream.
                    let _ = wanted.send(result);
                }
            }
            Poll::Pending => return Poll::Pending,
        }
    }
}

#[cfg(test)]
mod tests;
