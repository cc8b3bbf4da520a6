//! Watches the frames that a peer sends, on their way to `h2`, which tells neither that SETTINGS have come nor, as long
//! as calls go on, of a GOAWAY.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::watch;

use super::raw_path::RawPathStream;
use crate::transport::{Stream, write_through};

/// Bytes of a frame's head, and which of them is its type: RFC 9113, section 4.1.
const FRAME_HEAD: usize = 9;
const FRAME_TYPE: usize = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPhase {
    /// The peer has sent nothing.
    AwaitingSettings,
    /// The peer's SETTINGS have arrived: the connection works.
    Open,
    /// The peer wants no more calls on the connection. Those that it knows go on.
    GoingAway,
}

/// Finds the frames in a stream of bytes. No I/O.
#[derive(Default)]
pub(super) struct Frames {
    head: [u8; FRAME_HEAD],
    /// Bytes of the head that are there.
    filled: usize,
    /// Bytes that the frame under way still lacks.
    missing: usize,
}

impl Frames {
    /// Takes what was read; told of the type of each frame that begins.
    pub(super) fn advance(&mut self, mut bytes: &[u8], mut begins: impl FnMut(u8)) {
        loop {
            let payload = self.missing.min(bytes.len());
            self.missing -= payload;
            bytes = &bytes[payload..];
            if bytes.is_empty() {
                return;
            }
            let (head, rest) = bytes.split_at((FRAME_HEAD - self.filled).min(bytes.len()));
            self.head[self.filled..self.filled + head.len()].copy_from_slice(head);
            self.filled += head.len();
            bytes = rest;
            if self.filled == FRAME_HEAD {
                let [high, middle, low, ..] = self.head;
                (self.filled, self.missing) = (0, u32::from_be_bytes([0, high, middle, low]) as usize);
                begins(self.head[FRAME_TYPE]);
            }
        }
    }
}

/// A connection's stream of bytes, with its frames watched.
pub(super) struct FrameWatch {
    stream: RawPathStream<Stream>,
    frames: Frames,
    phase: watch::Sender<ConnectionPhase>,
    received: Arc<AtomicU64>,
}

impl FrameWatch {
    /// Watches a fresh stream: with it come the connection's phase, whose sender lives as long as the stream, and the
    /// number of bytes received.
    pub(super) fn new(stream: RawPathStream<Stream>) -> (Self, watch::Receiver<ConnectionPhase>, Arc<AtomicU64>) {
        let (phase, watched) = watch::channel(ConnectionPhase::AwaitingSettings);
        let received = Arc::new(AtomicU64::new(0));
        (Self { stream, frames: Frames::default(), phase, received: received.clone() }, watched, received)
    }

    fn note(&mut self, bytes: &[u8]) {
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let phase = &self.phase;
        self.frames.advance(bytes, |kind| match kind {
            SETTINGS if *phase.borrow() == ConnectionPhase::AwaitingSettings => {
                phase.send_replace(ConnectionPhase::Open);
            }
            GOAWAY => {
                phase.send_replace(ConnectionPhase::GoingAway);
            }
            _ => (),
        });
    }
}

impl AsyncRead for FrameWatch {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        self.note(&buffer.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

write_through!(FrameWatch, stream);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_frame_is_seen_once_however_its_bytes_arrive(
            frames in prop::collection::vec((any::<u8>(), 0_usize..300), 0..20),
            chunk in 1_usize..64,
        ) {
            let mut wire = Vec::new();
            for &(kind, length) in &frames {
                #[allow(clippy::cast_possible_truncation)] // Below 300.
                wire.extend_from_slice(&(length as u32).to_be_bytes()[1..]);
                wire.extend_from_slice(&[kind, 0, 0, 0, 0, 0]);
                wire.resize(wire.len() + length, GOAWAY);
            }
            let (mut watch, mut seen) = (Frames::default(), Vec::new());
            for piece in wire.chunks(chunk) {
                watch.advance(piece, |kind| seen.push(kind));
            }
            let kinds: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
            prop_assert_eq!(seen, kinds);
        }
    }
}
