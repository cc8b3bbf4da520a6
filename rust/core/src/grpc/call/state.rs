//! The state of one call. No I/O, no locks, no threads.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::grpc::Status;
use crate::grpc::deframer::Message;
use crate::grpc::metadata::Metadata;
use crate::wake::Wake;

/// Unread bytes of a streamed response from which on no more of it is read from the connection, so that a stream that
/// nobody reads stops at its window.
const UNREAD_LIMIT_BYTES: usize = 1 << 20;
/// Bytes that a message costs beside its own, at least: without them empty messages would cost nothing and have no
/// bound.
const MESSAGE_OVERHEAD_BYTES: usize = 128;
/// Bytes of streamed requests that are kept until the response begins, for a peer that never saw them; grpcio's.
const KEPT_REQUEST_BYTES: usize = 256 << 10;
/// Messages handed over at a time, so that a flood cannot hold the caller's thread.
const MESSAGES_PER_TAKE: usize = 1024;

/// Events that a caller can wait for, as bits.
pub mod event {
    /// The request's headers were handed to a connection.
    pub const BEGUN: u8 = 1;
    /// Initial metadata arrived.
    pub const HEADERS: u8 = 2;
    /// [`Call::take`](super::super::Call::take) has something.
    pub const MESSAGE: u8 = 4;
    /// The transport has taken everything that was sent.
    pub const ROOM: u8 = 8;
    /// The call has ended.
    pub const END: u8 = 16;
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct End {
    /// Code and message.
    pub status: Status,
    /// Trailing metadata.
    pub trailing: Metadata,
    /// Whether the peer ended the call by trailers, so that the status is its own.
    pub answered: bool,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self { status, trailing: Metadata::new(), answered: false }
    }
}

/// A call as both sides see it.
pub(super) struct CallState {
    /// Events of which the watcher is to be told.
    pub(super) wanted: u8,
    /// Events for which a thread may be blocked.
    pub(super) awaited: u8,
    /// A thread that reads sockets while it waits, and the events for which it has to be woken.
    pub(super) reader: Option<(u8, Arc<dyn Wake>)>,
    /// Whether the peer may have seen the request: its headers were handed to a connection, in whose buffer they may
    /// still lie, and no peer has said that it never processed them. Does not change after the end.
    pub(super) begun: bool,
    pub(super) initial: Option<Metadata>,
    received: VecDeque<Message>,
    unread_bytes: usize,
    /// The I/O thread waits until the caller reads.
    stalled: bool,
    outgoing: VecDeque<Bytes>,
    sending: bool,
    pub(super) half_closed: bool,
    kept: Option<KeptRequests>,
    pub(super) end: Option<End>,
}

/// Requests that were sent and could be sent again, until the response begins or there is no more room.
struct KeptRequests {
    frames: Vec<Bytes>,
    room_bytes: usize,
}

impl KeptRequests {
    fn new() -> Self {
        Self { frames: Vec::new(), room_bytes: KEPT_REQUEST_BYTES }
    }

    /// `None` if there is no room for one more.
    fn with(mut self, frame: &Bytes) -> Option<Self> {
        self.room_bytes = self.room_bytes.checked_sub(frame.len() + MESSAGE_OVERHEAD_BYTES)?;
        self.frames.push(frame.clone());
        Some(self)
    }
}

impl CallState {
    pub(super) fn new(half_closed: bool) -> Self {
        Self {
            wanted: 0,
            awaited: 0,
            reader: None,
            begun: false,
            initial: None,
            received: VecDeque::new(),
            unread_bytes: 0,
            stalled: false,
            outgoing: VecDeque::new(),
            sending: false,
            half_closed,
            kept: Some(KeptRequests::new()),
            end: None,
        }
    }

    /// Whether an event holds, or the call has ended.
    pub(super) fn holds(&self, event: u8) -> bool {
        self.end.is_some()
            || match event {
                event::BEGUN => self.begun,
                event::HEADERS => self.initial.is_some(),
                event::MESSAGE => !self.received.is_empty(),
                event::ROOM => self.outgoing.is_empty() && !self.sending,
                _ => false,
            }
    }

    /// Takes received messages, a bounded number; whether the I/O thread waited for that.
    pub(super) fn take(&mut self) -> (Vec<Message>, bool) {
        let count = self.received.len().min(MESSAGES_PER_TAKE);
        let messages: Vec<Message> = self.received.drain(..count).collect();
        self.unread_bytes -= messages.iter().map(weight).sum::<usize>();
        let resumes = self.stalled && self.has_room();
        if resumes {
            self.stalled = false;
        }
        (messages, resumes)
    }

    pub(super) fn begin_response(&mut self, initial: Metadata) {
        (self.initial, self.kept) = (Some(initial), None);
    }

    pub(super) fn receive(&mut self, message: Message) {
        self.unread_bytes += weight(&message);
        self.received.push_back(message);
    }

    /// Whether little enough is unread.
    pub(super) fn has_room(&self) -> bool {
        self.unread_bytes < UNREAD_LIMIT_BYTES
    }

    /// Whether little enough is unread. If not, [`CallState::take`] says when that has changed.
    pub(super) fn has_room_or_stalls(&mut self) -> bool {
        self.stalled = !self.has_room();
        !self.stalled
    }

    pub(super) fn queue(&mut self, frame: Bytes) {
        self.outgoing.push_back(frame);
    }

    /// The next request message; `Err(half_closed)` if there is none now.
    pub(super) fn next_outgoing(&mut self) -> Result<Bytes, bool> {
        let frame = self.outgoing.pop_front();
        self.sending = frame.is_some();
        if let Some(frame) = &frame {
            self.kept = self.kept.take().and_then(|kept| kept.with(frame));
        }
        frame.ok_or(self.half_closed)
    }

    /// The transport has taken the message that was handed out last.
    pub(super) fn sent(&mut self) {
        self.sending = false;
    }

    /// Queues the sent requests again; false if they are not all kept any more.
    pub(super) fn rewind(&mut self) -> bool {
        let Some(kept) = self.kept.take() else { return false };
        self.kept = Some(KeptRequests::new());
        kept.frames.into_iter().rev().for_each(|frame| self.outgoing.push_front(frame));
        true
    }
}

fn weight(message: &Message) -> usize {
    message.len() + MESSAGE_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn message(bytes: usize) -> Message {
        Message::from(vec![0; bytes])
    }

    #[test]
    fn empty_messages_fill_the_room_too() {
        let mut state = CallState::new(true);
        let mut count = 0;
        while state.has_room_or_stalls() {
            state.receive(message(0));
            count += 1;
        }
        assert_eq!(count, UNREAD_LIMIT_BYTES / MESSAGE_OVERHEAD_BYTES);
        let (taken, resumes) = state.take();
        assert_eq!((taken.len(), resumes), (MESSAGES_PER_TAKE, true));
        // The I/O thread is told once.
        assert!(!state.take().1);
    }

    #[test]
    fn requests_are_sent_again_in_order_as_long_as_all_are_kept() {
        let mut state = CallState::new(false);
        let frames = [Bytes::from_static(b"one"), Bytes::from_static(b"two"), Bytes::from_static(b"three")];
        for frame in &frames {
            state.queue(frame.clone());
        }
        assert_eq!(state.next_outgoing().unwrap(), frames[0]);
        assert_eq!(state.next_outgoing().unwrap(), frames[1]);
        assert!(state.rewind());
        for frame in &frames {
            assert_eq!(state.next_outgoing().unwrap(), frame);
        }
        assert_eq!(state.next_outgoing(), Err(false));
        state.queue(vec![0; KEPT_REQUEST_BYTES].into());
        state.next_outgoing().unwrap();
        assert!(!state.rewind());
    }

    #[test]
    fn a_response_that_has_begun_ends_the_keeping() {
        let mut state = CallState::new(false);
        state.queue(Bytes::from_static(b"one"));
        state.next_outgoing().unwrap();
        state.begin_response(Metadata::new());
        assert!(!state.rewind());
    }
}
