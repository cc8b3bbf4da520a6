//! A channel: connects when it is used, keeps its calls on one connection, connects again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until};

use super::call::{Call, End, Request};
use super::connection::{Connection, Keepalive};
use super::connector::{Connector, Refusal};
use super::exchange::{Attempt, Profile, attempt};
use super::reconnect::keep_connecting;
use super::stats::Counters;
use super::{Code, Status};

/// Requests that the peer has certainly not seen are sent again; this often.
const TRANSPARENT_RETRIES: usize = 5;
/// gRPC's connectivity states, with grpcio's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md
#[repr(u8)]
pub enum State {
    Idle = 0,
    Connecting = 1,
    Ready = 2,
    TransientFailure = 3,
    Shutdown = 4,
}

/// What a channel can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether calls travel inside TLS.
    pub secure: bool,
    /// `:authority` of every call.
    pub authority: Authority,
    /// `user-agent` of every call.
    pub user_agent: HeaderValue,
    /// Largest message accepted, in bytes.
    pub max_receive: usize,
    /// Largest metadata accepted, in bytes as HTTP/2 counts them.
    pub max_metadata: usize,
    /// When to ask a silent peer whether it is there.
    pub keepalive: Option<Keepalive>,
    /// First pause after a failed attempt to connect.
    pub initial_backoff: Duration,
    /// Longest pause.
    pub max_backoff: Duration,
    /// How long a connection without calls is kept.
    pub idle_timeout: Option<Duration>,
}

/// A channel. Clones name the same one.
#[derive(Clone)]
pub struct Channel(Arc<Shared>);

pub(super) struct Shared {
    pub(super) connector: Box<dyn Connector>,
    pub(super) settings: Settings,
    profile: Profile,
    /// Changed under the lock of `place`, so that whoever holds that finds what belongs to a state: READY always has its
    /// connection.
    pub(super) state: watch::Sender<State>,
    place: Mutex<Place>,
    pub(super) counters: Counters,
    /// Whether the latest call found it idle.
    was_idle: AtomicBool,
}

#[derive(Default)]
struct Place {
    connection: Option<Connection>,
    /// Why the latest attempt failed.
    refusal: Option<Refusal>,
    /// Why nothing works any more.
    shutdown: Option<Status>,
}

impl Channel {
    /// A channel that is idle.
    #[must_use]
    pub fn new(connector: Box<dyn Connector>, settings: Settings) -> Self {
        let profile = Profile {
            scheme: if settings.secure { Scheme::HTTPS } else { Scheme::HTTP },
            authority: settings.authority.clone(),
            user_agent: settings.user_agent.clone(),
            max_receive: settings.max_receive,
            max_metadata: settings.max_metadata,
        };
        let state = watch::Sender::new(State::Idle);
        let (place, counters) = (Mutex::default(), Counters::default());
        let was_idle = AtomicBool::new(false);
        Self(Arc::new(Shared { connector, settings, profile, state, place, counters, was_idle }))
    }

    /// Counts a call that is about to run; whether it is a lone one: no other uses the connection, as when the one before
    /// it began. The first of many finds the channel idle as well.
    #[must_use]
    pub fn admit(&self) -> bool {
        let shared = &self.0;
        let is_idle = shared.counters.calls_active() == 0;
        shared.counters.call_started();
        shared.was_idle.swap(is_idle, Ordering::Relaxed) && is_idle && self.state() == State::Ready
    }

    /// Makes a call that was admitted; returns when it has ended. To be run on the I/O thread.
    pub async fn run(self, call: Call, mut request: Request) {
        let counters = &self.0.counters;
        let running = Running { call: &call, counters };
        let deadline = request.deadline;
        let end = tokio::select! {
            biased;
            () = call.given_up() => None,
            () = passed(deadline) => Some(deadline_exceeded().into()),
            status = self.shut_down() => Some(status.into()),
            end = self.make(&call, &mut request) => Some(in_time(end, deadline)),
        };
        running.end(end);
    }

    /// The state; see [`Channel::connect`] for changing it.
    #[must_use]
    pub fn state(&self) -> State {
        *self.0.state.borrow()
    }

    /// Returns once the state is another than `last`.
    pub async fn state_changed(&self, last: State) {
        let mut state = self.0.state.subscribe();
        // Cannot fail: `self` holds the sender.
        let _ = state.wait_for(|state| *state != last).await;
    }

    /// Begins to connect if the channel is idle. To be called on the I/O thread.
    pub fn connect(&self) {
        let mut place = self.0.place();
        if self.state() == State::Idle {
            self.0.enter(&mut place, State::Connecting);
            drop(place);
            tokio::spawn(keep_connecting(Arc::downgrade(&self.0)));
        }
    }

    /// Ends the channel; calls that run end with this status.
    pub fn close(&self, status: Status) {
        let connection = {
            let mut place = self.0.place();
            place.shutdown.get_or_insert(status);
            self.0.enter(&mut place, State::Shutdown);
            place.connection.take()
        };
        // Calls that are cancelled now still have to send their resets, so it ends when the last of them lets go.
        drop(connection);
    }

    /// Numbers of calls, messages, streams, connections and bytes.
    #[must_use]
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        self.0.counters.snapshot(self.0.connector.traffic())
    }

    async fn shut_down(&self) -> Status {
        let mut state = self.0.state.subscribe();
        let _ = state.wait_for(|state| *state == State::Shutdown).await;
        self.0.shutdown_status()
    }

    async fn make(&self, call: &Call, request: &mut Request) -> End {
        let shared = &self.0;
        let (mut retries, mut dials) = (0, 0);
        loop {
            let connection = match self.connection(request.wait_for_ready, &mut dials).await {
                Ok(connection) => connection,
                Err(status) => return status.into(),
            };
            let unprocessed = if connection.takes_calls() {
                shared.counters.stream_opened();
                match attempt(call, request, &shared.profile, &connection, &shared.counters).await {
                    Attempt::Ended(end) => {
                        if end.status.disconnected && !connection.takes_calls() {
                            shared.discard(&connection);
                        }
                        return end;
                    }
                    Attempt::Unprocessed(status) => status,
                }
            } else {
                no_calls_taken()
            };
            if retries == TRANSPARENT_RETRIES {
                return unprocessed.into();
            }
            shared.discard(&connection);
            retries += 1;
        }
    }

    /// The channel's connection, made if need be. A peer that ends each at once is given up by a call, or, if that waits,
    /// gets a pause before the next.
    async fn connection(&self, wait_for_ready: bool, dials: &mut usize) -> Result<Connection, Status> {
        let shared = &self.0;
        loop {
            let (state, current, refusal) = shared.snapshot();
            if let Some(connection) = current {
                return Ok(connection);
            }
            match state {
                State::Idle if *dials > TRANSPARENT_RETRIES && !wait_for_ready => return Err(no_calls_taken()),
                State::Idle => {
                    if *dials > TRANSPARENT_RETRIES {
                        sleep(shared.settings.initial_backoff).await;
                    }
                    *dials += 1;
                    self.connect();
                }
                State::Shutdown => return Err(shared.shutdown_status()),
                State::TransientFailure => match refusal {
                    Some(refusal) if refusal.is_final || !wait_for_ready => return Err(refusal.status),
                    _ => self.state_changed(state).await,
                },
                State::Connecting | State::Ready => self.state_changed(state).await,
            }
        }
    }
}

impl Shared {
    fn place(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shutdown_status(&self) -> Status {
        let status = self.place().shutdown.clone();
        status.unwrap_or_else(|| Status::new(Code::Cancelled, "Channel closed!"))
    }

    /// What there is at one moment.
    fn snapshot(&self) -> (State, Option<Connection>, Option<Refusal>) {
        let place = self.place();
        (*self.state.borrow(), place.connection.clone(), place.refusal.clone())
    }

    fn enter(&self, _place: &mut Place, new: State) {
        self.state.send_if_modified(|state| std::mem::replace(state, new) != new);
    }

    /// Changes what there is together with the state, unless the channel is closed; whether it is not.
    fn change(&self, new: State, change: impl FnOnce(&mut Place)) -> bool {
        let mut place = self.place();
        if place.shutdown.is_some() {
            return false;
        }
        change(&mut place);
        self.enter(&mut place, new);
        true
    }

    /// An attempt to connect begins.
    pub(super) fn begin_attempt(&self) {
        self.change(State::Connecting, |_| ());
    }

    /// An attempt to connect has failed.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.change(State::TransientFailure, |place| place.refusal = Some(refusal));
    }

    /// Makes a connection the channel's own; `false` if the channel was closed meanwhile.
    pub(super) fn install(&self, connection: &Connection) -> bool {
        let installed = self.change(State::Ready, |place| {
            (place.connection, place.refusal) = (Some(connection.clone()), None);
        });
        if installed {
            self.counters.connection_opened();
        }
        installed
    }

    /// No more calls on this connection; those that run go on.
    pub(super) fn discard(&self, connection: &Connection) {
        let mut place = self.place();
        if place.connection.as_ref().is_some_and(|current| current.is(connection)) {
            self.enter(&mut place, State::Idle);
            let discarded = place.connection.take();
            drop(place);
            drop(discarded);
        }
    }
}

/// A call on its way. Dropped by a panic it ends the call, so that nobody waits for ever.
struct Running<'a> {
    call: &'a Call,
    counters: &'a Counters,
}

impl Running<'_> {
    /// `None` if the caller has ended it.
    fn end(self, end: Option<End>) {
        self.counters.call_ended(end.as_ref().map_or(Code::Cancelled, |end| end.status.code));
        if let Some(end) = end {
            self.call.finish(end);
        }
        std::mem::forget(self);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.counters.call_ended(Code::Internal);
        self.call
            .finish(Status::new(Code::Internal, "the call was abandoned by the I/O thread; please report this").into());
    }
}

/// A peer that enforces the deadline as well may be the faster of the two: gRPC wants one answer for both.
fn in_time(end: End, deadline: Option<std::time::Instant>) -> End {
    let late = deadline.is_some_and(|deadline| deadline <= std::time::Instant::now());
    if late && end.status.code == Code::Cancelled { deadline_exceeded().into() } else { end }
}

fn no_calls_taken() -> Status {
    Status::unavailable("the peer takes no calls: it ends each connection at once")
}

fn deadline_exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, "Deadline Exceeded")
}

async fn passed(deadline: Option<std::time::Instant>) {
    match deadline {
        // The timer rounds up to its next millisecond; what has passed already must not begin to connect.
        Some(deadline) if deadline <= std::time::Instant::now() => (),
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
