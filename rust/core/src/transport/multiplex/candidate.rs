//! A session of the plugin's side whose first stream has yet to prove that it is the host's.
//!
//! A lobby has hundreds of these, so that each may have the plugin hold little: a few streams and some bytes. Reading
//! stops at that number of bytes; a peer that has proved itself meanwhile loses nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio_util::compat::TokioAsyncReadCompatExt;
use yamux::Connection;

use super::{CLOSED, Inbound, OpenRequest, Requests, announced, config, drive};
use crate::transport::{Proven, Stream, write_through};

/// Bytes that are read before the proof. It takes a few KiB, or tens of them where certificates come in a long chain.
const UNPROVEN_BYTES: usize = 128 * 1024;
/// Streams before the proof; hosts open one.
const UNPROVEN_STREAMS: usize = 8;

pub(crate) struct Candidate {
    driving: Pin<Box<dyn Future<Output = String> + Send>>,
    wanted: mpsc::UnboundedSender<OpenRequest>,
    arrivals: mpsc::UnboundedReceiver<Inbound>,
    is_proven: Arc<AtomicBool>,
}

/// A session whose first stream is proven.
pub struct Chosen {
    session: Candidate,
    first: Proven,
    /// What arrived during the proof.
    others: Vec<Inbound>,
}

impl Candidate {
    pub(crate) fn new(socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (wanted, requests) = mpsc::unbounded_channel();
        let (sender, arrivals) = mpsc::unbounded_channel();
        let is_proven = Arc::<AtomicBool>::default();
        let socket = Sparing { socket, left: UNPROVEN_BYTES, is_proven: is_proven.clone() };
        let connection = Connection::new(socket.compat(), config(), yamux::Mode::Server);
        Self { driving: Box::pin(drive(connection, requests, sender)), wanted, arrivals, is_proven }
    }

    /// Waits for the proof of the first stream; frames move meanwhile.
    pub(crate) async fn prove<F: Future<Output = Result<Proven, String>>>(
        mut self,
        prove: impl FnOnce(Stream) -> F,
    ) -> Result<Chosen, String> {
        let mut others = Vec::new();
        let proof = async {
            let proof = prove(first(&mut self.arrivals).await);
            tokio::select! {
                biased;
                proven = proof => proven,
                reason = too_many(&mut self.arrivals, &mut others) => Err(reason),
            }
        };
        let first = tokio::select! {
            first = proof => first?,
            reason = &mut self.driving => return Err(reason),
        };
        // Whoever drives the session next has it read on.
        self.is_proven.store(true, Ordering::Relaxed);
        Ok(Chosen { session: self, first, others })
    }
}

/// The first stream that was not reset at once. Never returns after the session's end, of which its driver has the reason.
async fn first(arrivals: &mut mpsc::UnboundedReceiver<Inbound>) -> Stream {
    loop {
        match arrivals.recv().await {
            Some(Inbound::Fresh(stream)) => {
                if let Ok(stream) = announced(stream).await {
                    return stream;
                }
            }
            Some(Inbound::Proven(_)) | None => std::future::pending().await,
        }
    }
}

/// Keeps what arrives; returns when that is more than a host opens before its proof.
async fn too_many(arrivals: &mut mpsc::UnboundedReceiver<Inbound>, kept: &mut Vec<Inbound>) -> String {
    while kept.len() < UNPROVEN_STREAMS {
        match arrivals.recv().await {
            Some(arriving) => kept.push(arriving),
            None => std::future::pending().await,
        }
    }
    format!("it opened more than {UNPROVEN_STREAMS} streams before it had proved who it is")
}

impl Chosen {
    pub(super) async fn go_on(self, mut requests: Requests, arrivals: mpsc::UnboundedSender<Inbound>) -> String {
        let Candidate { mut driving, wanted, arrivals: mut arriving, .. } = self.session;
        for arrived in [Inbound::Proven(self.first)].into_iter().chain(self.others) {
            // An error means that the session is ending, and streams are not taken any more.
            let _ = arrivals.send(arrived);
        }
        loop {
            tokio::select! {
                reason = &mut driving => return reason,
                Some(stream) = arriving.recv() => drop(arrivals.send(stream)),
                request = requests.recv() => match request {
                    Some(request) => drop(wanted.send(request)),
                    None => return CLOSED.to_owned(),
                },
            }
        }
    }
}

/// A socket of which only so much is read before its peer has proved who it is.
struct Sparing<S> {
    socket: S,
    left: usize,
    is_proven: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Sparing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_proven.load(Ordering::Relaxed) {
            return Pin::new(&mut self.socket).poll_read(context, buffer);
        }
        if self.left == 0 {
            // No waker: the next to poll is the driver of the proven session.
            return Poll::Pending;
        }
        let allowed = self.left.min(buffer.remaining());
        let mut allowed = ReadBuf::new(buffer.initialize_unfilled_to(allowed));
        ready!(Pin::new(&mut self.socket).poll_read(context, &mut allowed))?;
        let count = allowed.filled().len();
        buffer.advance(count);
        self.left -= count;
        Poll::Ready(Ok(()))
    }
}

write_through!(Sparing<S>, socket, S: AsyncWrite + Unpin);

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::transport::InboundStream;
    use crate::transport::multiplex::Multiplex;

    const LIMIT: Duration = Duration::from_secs(20);
    const SOCKET_BYTES: usize = 1024;

    /// A frame that opens a stream and brings data on it.
    fn opening(stream: u32, data: &[u8]) -> Vec<u8> {
        let length = u32::try_from(data.len()).unwrap();
        [&[0, 0, 0, 1], &stream.to_be_bytes()[..], &length.to_be_bytes(), data].concat()
    }

    /// Whatever comes is proved by it, once told.
    async fn prove(socket: DuplexStream, told: oneshot::Receiver<()>) -> Result<Chosen, String> {
        let prove = |stream| async move {
            told.await.unwrap();
            Ok(Proven { stream, early: Vec::new() })
        };
        Candidate::new(socket).prove(prove).await
    }

    #[tokio::test]
    async fn stranger_who_opens_many_streams_is_refused() {
        let (mut stranger, socket) = duplex(SOCKET_BYTES);
        let (_tell, told) = oneshot::channel();
        let proving = tokio::spawn(prove(socket, told));
        for stream in (1..).step_by(2).take(UNPROVEN_STREAMS + 1) {
            assert!(!proving.is_finished());
            stranger.write_all(&opening(stream, b"x")).await.unwrap();
        }
        let refused = timeout(LIMIT, proving).await.unwrap().unwrap().err();
        assert_eq!(refused.unwrap(), "it opened more than 8 streams before it had proved who it is");
    }

    #[tokio::test]
    async fn little_is_read_before_the_proof_and_all_after_it() {
        let (mut peer, socket) = duplex(SOCKET_BYTES);
        let (tell, told) = oneshot::channel();
        let session =
            Multiplex::start_when(async { prove(socket, told).await.unwrap_or_else(|reason| panic!("{reason}")) });
        let data = [vec![7; SOCKET_BYTES], vec![8; UNPROVEN_BYTES + SOCKET_BYTES]];
        let sent = [opening(1, &data[0]), opening(3, &data[1])].concat();
        let mut written = 0;
        while let Ok(count) = timeout(Duration::from_millis(100), peer.write(&sent[written..])).await {
            written += count.unwrap();
        }
        assert!(written <= UNPROVEN_BYTES + SOCKET_BYTES, "{written}");
        tell.send(()).unwrap();
        let writing = tokio::spawn(async move { peer.write_all(&sent[written..]).await.map(|()| peer) });
        let mut arrivals = session.take_inbound().unwrap();
        for expected in data {
            let mut stream = match timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().unwrap() {
                InboundStream::Proven(proven) => proven.stream,
                InboundStream::Fresh(stream) => stream,
            };
            let mut received = vec![0; expected.len()];
            timeout(LIMIT, stream.read_exact(&mut received)).await.unwrap().unwrap();
            assert!(received == expected);
        }
        // Until here the peer stays.
        timeout(LIMIT, writing).await.unwrap().unwrap().unwrap();
    }
}
