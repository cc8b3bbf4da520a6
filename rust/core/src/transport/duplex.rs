//! A stream driven by the I/O thread for a consumer on another thread: bounded buffers in both directions.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Stream;
use crate::wake::Wake;

/// Received bytes that may wait for the consumer before the peer is made to wait.
const MAX_INCOMING_BYTES: usize = 256 * 1024;
/// A block of memory for reads, in bytes.
const READ_BYTES: usize = 64 * 1024;
/// Room that a read needs at least, in bytes.
const MIN_READ_BYTES: usize = 4 * 1024;
/// How long the shutdown of a closed stream may take, TLS's close_notify included.
const CLOSE_NOTIFY_LIMIT: Duration = Duration::from_millis(100);

/// The events that wait for the consumer.
#[derive(Debug, Default)]
pub struct Arrivals {
    /// Received bytes in order.
    pub chunks: Vec<Bytes>,
    /// Bytes that the caller handed over and the socket has not taken yet.
    pub unsent: usize,
    /// True once the peer has sent its last byte.
    pub end_of_input: bool,
    /// The end of the stream, delivered once: closed as asked, or why it broke.
    pub end: Option<Result<(), String>>,
}

#[derive(Default)]
struct DuplexState {
    incoming: Vec<Bytes>,
    incoming_bytes: usize,
    paused: bool,
    outgoing: VecDeque<Bytes>,
    unsent: usize,
    finish: bool,
    end_of_input: bool,
    end: Option<Result<(), String>>,
    woken: bool,
}

/// The consumer's end. Cheap to clone; the stream itself lives in [`drive`].
#[derive(Clone)]
pub struct Duplex {
    state: Arc<Mutex<DuplexState>>,
    queued: Arc<Notify>,
    room: Arc<Notify>,
    closing: CancellationToken,
    wake: Arc<dyn Wake>,
}

impl Duplex {
    /// A consumer's end that is not connected yet; [`drive`] takes it together with the stream.
    pub fn new(wake: Arc<dyn Wake>) -> Self {
        Self {
            state: Arc::default(),
            queued: Arc::default(),
            room: Arc::default(),
            closing: CancellationToken::new(),
            wake,
        }
    }

    /// Queues bytes; returns how many are unsent now.
    pub fn write(&self, bytes: Bytes) -> usize {
        let mut state = self.lock();
        state.unsent += bytes.len();
        state.outgoing.push_back(bytes);
        let unsent = state.unsent;
        drop(state);
        self.queued.notify_one();
        unsent
    }

    /// Closes the sending side once all is sent.
    pub fn finish(&self) {
        self.update(|state| state.finish = true);
    }

    /// Stops or resumes reading, besides what the bound does.
    pub fn pause(&self, paused: bool) {
        self.update(|state| state.paused = paused);
    }

    /// Ends the stream at once; unsent bytes are dropped.
    pub fn close(&self) {
        self.closing.cancel();
    }

    /// Returns once [`Duplex::close`] was called, also before the stream is connected.
    pub async fn closed(&self) {
        self.closing.cancelled().await;
    }

    /// Takes the events that wait.
    pub fn take(&self) -> Arrivals {
        let mut state = self.lock();
        state.woken = false;
        state.incoming_bytes = 0;
        let arrivals = Arrivals {
            chunks: std::mem::take(&mut state.incoming),
            unsent: state.unsent,
            end_of_input: state.end_of_input,
            end: state.end.take(),
        };
        drop(state);
        self.room.notify_one();
        arrivals
    }

    fn lock(&self) -> MutexGuard<'_, DuplexState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, change: impl FnOnce(&mut DuplexState)) {
        change(&mut self.lock());
        self.queued.notify_one();
        self.room.notify_one();
    }

    fn announce(&self, change: impl FnOnce(&mut DuplexState)) {
        let mut state = self.lock();
        change(&mut state);
        let first = !std::mem::replace(&mut state.woken, true);
        drop(state);
        if first {
            self.wake.wake();
        }
    }

    fn may_read(&self) -> bool {
        let state = self.lock();
        !state.paused && state.incoming_bytes < MAX_INCOMING_BYTES
    }
}

/// Moves bytes between the stream and the consumer until the consumer closes or the stream breaks.
pub async fn drive(duplex: Duplex, stream: Stream) {
    let (mut source, mut sink) = tokio::io::split(stream);
    // Both at once: a peer that writes before it reads must not be able to lock the two sides up.
    let end = tokio::select! {
        result = receive(&duplex, &mut source) => result,
        result = send(&duplex, &mut sink) => result,
        // A close ends a write too that waits for a peer which does not read.
        () = duplex.closed() => Ok(()),
    };
    // A peer that does not read must not hold up the end.
    let _ = timeout(CLOSE_NOTIFY_LIMIT, sink.shutdown()).await;
    duplex.announce(|state| state.end = Some(end.map_err(|error| error.to_string())));
}

/// Returns errors only: after the peer's last byte the consumer may still send.
async fn receive(duplex: &Duplex, source: &mut (impl AsyncReadExt + Unpin)) -> std::io::Result<()> {
    let mut buffer = BytesMut::new();
    loop {
        while !duplex.may_read() {
            duplex.room.notified().await;
        }
        // Small chunks share a block, which lives until the last of them is consumed.
        if buffer.capacity() < MIN_READ_BYTES {
            buffer.reserve(READ_BYTES);
        }
        if source.read_buf(&mut buffer).await? == 0 {
            duplex.announce(|state| state.end_of_input = true);
            return std::future::pending().await;
        }
        let chunk = buffer.split().freeze();
        duplex.announce(|state| {
            state.incoming_bytes += chunk.len();
            state.incoming.push(chunk);
        });
    }
}

async fn send(duplex: &Duplex, sink: &mut (impl AsyncWriteExt + Unpin)) -> std::io::Result<()> {
    let mut finished = false;
    loop {
        let (next, finish) = {
            let mut state = duplex.lock();
            (state.outgoing.pop_front(), state.finish)
        };
        match next {
            Some(bytes) => {
                sink.write_all(&bytes).await?;
                duplex.announce(|state| state.unsent -= bytes.len());
            }
            None if finish && !finished => {
                sink.shutdown().await?;
                finished = true;
            }
            None => {
                sink.flush().await?;
                duplex.queued.notified().await;
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::net::UnixListener;
    use tokio::sync::mpsc;

    use super::*;
    use crate::address::Address;
    use crate::transport::{Dialer, Traffic};

    #[tokio::test]
    async fn both_sides_may_write_more_than_all_buffers_hold() {
        const SIZE: usize = 8 << 20;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("peer");
        let listener = UnixListener::bind(&path).unwrap();
        let peer = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            socket.write_all(&vec![1; SIZE]).await.unwrap(); // All of it before the first read.
            let mut received = vec![0; SIZE];
            socket.read_exact(&mut received).await.unwrap();
        });
        let dialer = Dialer::new(Address::Unix(path), None, Traffic::default());
        let (sender, mut woken) = mpsc::unbounded_channel();
        let duplex = Duplex::new(Arc::new(move || {
            let _ = sender.send(());
        }));
        tokio::spawn(drive(duplex.clone(), dialer.dial().await.unwrap()));
        duplex.write(Bytes::from(vec![2; SIZE]));
        let mut received = 0;
        let limit = Duration::from_secs(20);
        while !timeout(limit, woken.recv()).await.unwrap().is_some_and(|()| {
            let arrivals = duplex.take();
            received += arrivals.chunks.iter().map(Bytes::len).sum::<usize>();
            arrivals.end_of_input && arrivals.unsent == 0
        }) {}
        assert_eq!(received, SIZE);
        timeout(limit, peer).await.unwrap().unwrap();
    }
}
