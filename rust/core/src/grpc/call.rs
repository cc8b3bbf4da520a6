//! One call as its two sides share it: the caller's thread asks and takes, the I/O thread fills and ends.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::Notify;

use super::compression::Encoding;
use super::deframer::Message;
use super::framing::{self, Framed};
use super::metadata::Metadata;
use super::{Code, Status};

/// Unread bytes of a streamed answer beyond which no more of it is taken from the connection, so that a stream nobody reads
/// stops at its window.
const UNREAD_LIMIT: usize = 1 << 20;
/// What a message costs beside its bytes, at least: without it empty messages would cost nothing and have no bound.
const MESSAGE_OVERHEAD: usize = 128;
/// Bytes of streamed requests that are kept until the answer begins, for a peer that never saw them; grpcio's.
const KEPT_LIMIT: usize = 256 << 10;
/// Messages handed over at a time, so that a flood cannot hold the caller's thread.
const BATCH: usize = 1024;

/// What a caller can wait for, as bits.
pub mod event {
    /// The request's headers were handed to a connection.
    pub const ACCEPTED: u8 = 1;
    /// Initial metadata arrived.
    pub const HEADERS: u8 = 2;
    /// [`Call::take`](super::Call::take) has something.
    pub const MESSAGE: u8 = 4;
    /// The transport has taken everything that was sent.
    pub const ROOM: u8 = 8;
    /// The call has ended.
    pub const END: u8 = 16;
}

/// Is told of the events that were asked for. Called from the I/O thread; must return at once.
pub trait Watcher: Send + Sync {
    /// An event that was asked for has happened.
    fn event(&self);
    /// The call has ended; nothing follows.
    fn ended(&self);
}

/// What a call starts with.
pub struct Request {
    /// Path of the method, `/service/method`.
    pub path: Bytes,
    /// The caller's metadata, checked.
    pub metadata: HeaderMap,
    /// Encoding of the request's messages.
    pub encoding: Encoding,
    /// When the call ends in any case.
    pub deadline: Option<Instant>,
    /// Whether to outwait a channel that cannot connect.
    pub wait_for_ready: bool,
    /// Whether exactly one message is the answer.
    pub single_response: bool,
    /// The one request; `None` for a stream of them.
    pub message: Option<Framed>,
    /// Largest message that may be sent, in bytes.
    pub max_send: usize,
}

/// How a call ended.
#[derive(Debug, Clone)]
pub struct End {
    /// Code and message.
    pub status: Status,
    /// Trailing metadata.
    pub trailing: Metadata,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self { status, trailing: Metadata::new() }
    }
}

/// A call. Clones name the same one.
#[derive(Clone)]
pub struct Call(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    watcher: Option<Box<dyn Watcher>>,
    /// For callers that block instead of being told.
    changed: Condvar,
    /// Tells the I/O thread of messages to send.
    outgoing: Notify,
    /// Tells the I/O thread that messages were read.
    taken: Notify,
    /// Tells the I/O thread that the caller has ended the call.
    given_up: Notify,
    encoding: Encoding,
    max_send: usize,
}

#[derive(Default)]
struct State {
    /// Events of which the watcher is to be told.
    wanted: u8,
    /// Events for which a thread may be blocked.
    awaited: u8,
    accepted: bool,
    initial: Option<Metadata>,
    received: VecDeque<Message>,
    unread: usize,
    /// The I/O thread waits for somebody to read.
    stalled: bool,
    outgoing: VecDeque<Bytes>,
    sending: bool,
    half_closed: bool,
    /// Requests that were sent and room for more, in bytes; until the answer begins, or there is no more room.
    kept: Option<(Vec<Bytes>, usize)>,
    end: Option<End>,
}

impl State {
    fn keep(&mut self, frame: &Bytes) {
        self.kept = self.kept.take().and_then(|(mut kept, room)| {
            let room = room.checked_sub(frame.len() + MESSAGE_OVERHEAD)?;
            kept.push(frame.clone());
            Some((kept, room))
        });
    }

    fn holds(&self, event: u8) -> bool {
        self.end.is_some()
            || match event {
                event::ACCEPTED => self.accepted,
                event::HEADERS => self.initial.is_some(),
                event::MESSAGE => !self.received.is_empty(),
                event::ROOM => self.outgoing.is_empty() && !self.sending,
                _ => false,
            }
    }
}

fn weight(message: &Message) -> usize {
    message.len() + MESSAGE_OVERHEAD
}

impl Call {
    /// A call that has done nothing yet. Without a watcher the caller waits by [`Call::wait`].
    #[must_use]
    pub fn new(request: &Request, watcher: Option<Box<dyn Watcher>>) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                half_closed: request.message.is_some(),
                kept: Some((Vec::new(), KEPT_LIMIT)),
                ..State::default()
            }),
            watcher,
            changed: Condvar::new(),
            outgoing: Notify::new(),
            taken: Notify::new(),
            given_up: Notify::new(),
            encoding: request.encoding,
            max_send: request.max_send,
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The caller's side.

    /// The code, once the call has ended.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.state().end.as_ref().map(|end| end.status.code)
    }

    /// How the call ended, once it has.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.state().end.clone()
    }

    /// Initial metadata, once it has arrived.
    #[must_use]
    pub fn initial_metadata(&self) -> Option<Metadata> {
        self.state().initial.clone()
    }

    /// The messages that have arrived, a bounded number. Taking them counts as reading.
    #[must_use]
    pub fn take(&self) -> Vec<Message> {
        let mut state = self.state();
        let count = state.received.len().min(BATCH);
        let messages: Vec<Message> = state.received.drain(..count).collect();
        state.unread -= messages.iter().map(weight).sum::<usize>();
        if state.stalled && state.unread < UNREAD_LIMIT {
            state.stalled = false;
            self.0.taken.notify_one();
        }
        messages
    }

    /// Queues a request message; whether the transport needs no time for it. Ignored after the end.
    #[must_use]
    pub fn send(&self, message: &[u8]) -> bool {
        let frame = framing::frame(message, self.0.encoding, self.0.max_send);
        let mut state = self.state();
        if state.end.is_some() || state.half_closed {
            return true;
        }
        match frame {
            Ok(frame) => state.outgoing.push_back(frame),
            Err(status) => {
                drop(state);
                self.finish(status.into());
                self.0.given_up.notify_one();
                return true;
            }
        }
        drop(state);
        self.0.outgoing.notify_one();
        false
    }

    /// No more requests follow.
    pub fn half_close(&self) {
        self.state().half_closed = true;
        self.0.outgoing.notify_one();
    }

    /// Ends the call from this side; whether it still ran. The watcher is not told.
    #[must_use]
    pub fn cancel(&self, status: Status) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        state.end = Some(status.into());
        drop(state);
        self.0.changed.notify_all();
        self.0.given_up.notify_one();
        true
    }

    /// Whether an event holds, or the call has ended. If not, the watcher is told once it does.
    #[must_use]
    pub fn holds(&self, event: u8) -> bool {
        let mut state = self.state();
        if state.holds(event) {
            return true;
        }
        state.wanted |= event;
        false
    }

    /// Blocks until an event holds or the call has ended; `false` after `limit`.
    #[must_use]
    pub fn wait(&self, event: u8, limit: Duration) -> bool {
        let mut state = self.state();
        state.awaited |= event | event::END;
        let waiting = self.0.changed.wait_timeout_while(state, limit, |state| !state.holds(event));
        waiting.unwrap_or_else(PoisonError::into_inner).0.holds(event)
    }

    // The I/O thread's side.

    /// Returns when the caller may have sent something.
    pub(super) async fn outgoing_changed(&self) {
        self.0.outgoing.notified().await;
    }

    /// Returns when the caller has ended the call.
    pub(super) async fn given_up(&self) {
        self.0.given_up.notified().await;
    }

    pub(super) fn accept(&self) {
        self.change(event::ACCEPTED, |state| state.accepted = true);
    }

    pub(super) fn begin_answer(&self, initial: Metadata) {
        self.change(event::HEADERS, |state| (state.initial, state.kept) = (Some(initial), None));
    }

    pub(super) fn deliver(&self, message: Message) {
        self.change(event::MESSAGE, |state| {
            state.unread += weight(&message);
            state.received.push_back(message);
        });
    }

    /// Whether little enough is unread.
    pub(super) fn has_room(&self) -> bool {
        self.state().unread < UNREAD_LIMIT
    }

    /// Returns when little enough is unread.
    pub(super) async fn readable(&self) {
        loop {
            {
                let mut state = self.state();
                if state.unread < UNREAD_LIMIT {
                    return;
                }
                state.stalled = true;
            }
            self.0.taken.notified().await;
        }
    }

    /// The next request message; `Err(half_closed)` if there is none now.
    pub(super) fn next_outgoing(&self) -> Result<Bytes, bool> {
        let mut state = self.state();
        let frame = state.outgoing.pop_front();
        state.sending = frame.is_some();
        if let Some(frame) = &frame {
            state.keep(frame);
        }
        frame.ok_or(state.half_closed)
    }

    /// Queues again what was sent, for another attempt; `false` if that is not all there any more.
    pub(super) fn rewind(&self) -> bool {
        let mut state = self.state();
        let Some((kept, _)) = state.kept.take() else { return false };
        state.kept = Some((Vec::new(), KEPT_LIMIT));
        kept.into_iter().rev().for_each(|frame| state.outgoing.push_front(frame));
        true
    }

    /// The transport has taken a message.
    pub(super) fn sent(&self) {
        self.change(event::ROOM, |state| state.sending = false);
    }

    /// Ends the call unless it has ended.
    pub fn finish(&self, end: End) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        let awaited = state.awaited != 0;
        drop(state);
        if awaited {
            self.0.changed.notify_all();
        }
        if let Some(watcher) = &self.0.watcher {
            watcher.ended();
        }
    }

    fn change(&self, event: u8, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        change(&mut state);
        let told = state.wanted & event != 0 && state.holds(event);
        if told {
            state.wanted &= !event;
        }
        let awaited = state.awaited & event != 0;
        drop(state);
        if awaited {
            self.0.changed.notify_all();
        }
        if let (true, Some(watcher)) = (told, &self.0.watcher) {
            watcher.event();
        }
    }
}
