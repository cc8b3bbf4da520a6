//! One call, shared by two sides: the caller's thread asks and takes, the I/O thread fills and ends.

mod state;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::Notify;

use super::compression::Encoding;
use super::deframer::Message;
use super::framing::{Framed, frame};
use super::metadata::Metadata;
use super::{Code, Status};
use crate::wake::Wake;
use state::CallState;
pub use state::{End, event};

/// A listener to the events that were asked for. Called from the I/O thread; must return at once.
pub trait Watcher: Send + Sync {
    /// An event that was asked for has happened.
    fn event(&self);
    /// The call has ended; nothing follows.
    fn ended(&self);
}

/// A caller's thread that waits for a call's end, and meanwhile reads the sockets of connections by itself. To wake it
/// ends [`Reader::wait`].
pub trait Reader: Wake {
    /// Whether there are any.
    fn has_sockets(&self) -> bool;
    /// Blocks until one is readable, the thread is woken, or the limit has passed; `false` if a signal came.
    fn wait(&self, limit: Duration) -> bool;
    /// Moves what has arrived to the calls.
    fn read(&self);
}

/// The beginning of a call.
pub struct Request {
    /// Path of the method, `/service/method`.
    pub path: Bytes,
    /// The caller's metadata, checked.
    pub metadata: HeaderMap,
    /// Encoding of the request's messages.
    pub encoding: Encoding,
    /// When the call ends in any case.
    pub deadline: Option<Instant>,
    /// Whether the call waits while the channel cannot connect, instead of failing.
    pub wait_for_ready: bool,
    /// Whether the response is exactly one message.
    pub single_response: bool,
    /// The one request; `None` for a stream of them.
    pub message: Option<Framed>,
    /// Largest message that may be sent, in bytes.
    pub max_send: usize,
}

/// A call. Clones name the same one.
#[derive(Clone)]
pub struct Call(Arc<CallInner>);

struct CallInner {
    state: Mutex<CallState>,
    watcher: Option<Box<dyn Watcher>>,
    /// Wakes callers that block.
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

impl Call {
    /// A call that has done nothing yet. Without a watcher the caller waits by [`Call::wait`].
    #[must_use]
    pub fn new(request: &Request, watcher: Option<Box<dyn Watcher>>) -> Self {
        Self(Arc::new(CallInner {
            state: Mutex::new(CallState::new(request.message.is_some())),
            watcher,
            changed: Condvar::new(),
            outgoing: Notify::new(),
            taken: Notify::new(),
            given_up: Notify::new(),
            encoding: request.encoding,
            max_send: request.max_send,
        }))
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

    /// Whether the peer may have seen the request; final once the call has ended.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.state().begun
    }

    /// Whether the peer has ended the call by a status of its own.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.state().end.as_ref().is_some_and(|end| end.answered)
    }

    /// Initial metadata, once it has arrived.
    #[must_use]
    pub fn initial_metadata(&self) -> Option<Metadata> {
        self.state().initial.clone()
    }

    /// The messages that have arrived, a bounded number. Taking them counts as reading.
    #[must_use]
    pub fn take(&self) -> Vec<Message> {
        let (messages, resumes) = self.state().take();
        if resumes {
            self.0.taken.notify_one();
        }
        messages
    }

    /// Queues a request message; whether the transport needs no time for it. Messages after the end are ignored.
    #[must_use]
    pub fn send(&self, message: &[u8]) -> bool {
        let frame = frame(message, self.0.encoding, self.0.max_send);
        let mut state = self.state();
        if state.end.is_some() || state.half_closed {
            return true;
        }
        match frame {
            Ok(frame) => state.queue(frame),
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
        self.wake_waiting(state, event::END);
        self.0.given_up.notify_one();
        true
    }

    /// Whether an event holds, or the call has ended. If neither, the watcher is told once one of them does.
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

    /// Like [`Call::wait`], on a thread that reads sockets meanwhile; `false` also after a signal to that thread.
    #[must_use]
    pub fn wait_reading<R: Reader + 'static>(&self, event: u8, limit: Duration, reader: &Arc<R>) -> bool {
        let until = Instant::now() + limit;
        while self.let_read(event, reader) {
            let goes_on = reader.wait(until.saturating_duration_since(Instant::now()));
            self.state().reader = None;
            reader.read();
            if !goes_on || Instant::now() >= until {
                return self.state().holds(event);
            }
        }
        self.wait(event, until.saturating_duration_since(Instant::now()))
    }

    /// Whether a thread that waits for an event had better read meanwhile. If so, it is woken when others end the wait.
    fn let_read<R: Reader + 'static>(&self, event: u8, reader: &Arc<R>) -> bool {
        let mut state = self.state();
        // A second thread that waits for the same call leaves the reading to the first.
        let reads = !state.holds(event) && state.reader.is_none() && reader.has_sockets();
        if reads {
            state.reader = Some((event | event::END, reader.clone()));
        }
        reads
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

    /// The request's headers are about to be handed to a connection; false if the call has ended, and they must not be.
    /// Noted before they are: a caller that ends the call meanwhile must not be told that nothing was sent.
    pub(super) fn begin(&self) -> bool {
        self.change(event::BEGUN, |state| state.begun = true)
    }

    /// The peer has certainly not processed the request. Another attempt may begin the call anew.
    pub(super) fn withdraw(&self) {
        let mut state = self.state();
        state.begun &= state.end.is_some();
    }

    pub(super) fn begin_response(&self, initial: Metadata) {
        self.change(event::HEADERS, |state| state.begin_response(initial));
    }

    pub(super) fn deliver(&self, message: Message) {
        self.change(event::MESSAGE, |state| state.receive(message));
    }

    /// Whether little enough is unread.
    pub(super) fn has_room(&self) -> bool {
        self.state().has_room()
    }

    /// Returns when little enough is unread.
    pub(super) async fn readable(&self) {
        while !self.state().has_room_or_stalls() {
            self.0.taken.notified().await;
        }
    }

    /// The next request message; `Err(half_closed)` if there is none now.
    pub(super) fn next_outgoing(&self) -> Result<Bytes, bool> {
        self.state().next_outgoing()
    }

    /// Queues the sent requests again, for another attempt; false if they are not all kept any more.
    pub(super) fn rewind(&self) -> bool {
        self.state().rewind()
    }

    /// The transport has taken a message.
    pub(super) fn sent(&self) {
        self.change(event::ROOM, CallState::sent);
    }

    /// Ends the call, unless it has ended before.
    pub fn finish(&self, end: End) {
        let mut state = self.state();
        if state.end.is_some() {
            return;
        }
        state.end = Some(end);
        self.wake_waiting(state, event::END);
        if let Some(watcher) = &self.0.watcher {
            watcher.ended();
        }
    }

    /// Wakes the threads that wait for an event.
    fn wake_waiting(&self, state: MutexGuard<'_, CallState>, event: u8) {
        let awaited = state.awaited & event != 0;
        let reader = state.reader.as_ref().filter(|(wanted, _)| wanted & event != 0).map(|(_, reader)| reader.clone());
        drop(state);
        if awaited {
            self.0.changed.notify_all();
        }
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, CallState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and tells of the event, unless the call has ended; whether it still runs.
    fn change(&self, event: u8, change: impl FnOnce(&mut CallState)) -> bool {
        let mut state = self.state();
        if state.end.is_some() {
            return false;
        }
        change(&mut state);
        let told = state.wanted & event != 0 && state.holds(event);
        if told {
            state.wanted &= !event;
        }
        self.wake_waiting(state, event);
        if let (true, Some(watcher)) = (told, &self.0.watcher) {
            watcher.event();
        }
        true
    }
}

#[cfg(test)]
#[path = "hand_over_tests.rs"]
mod tests;
