//! A channel: connects when it is used, keeps its calls on one connection, connects again.

mod connectivity;
mod reconnect;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::uri::{Authority, Scheme};
use tokio::time::{sleep, sleep_until};

pub use connectivity::ConnectivityState;
use connectivity::{Connectivity, until_shut_down};
use reconnect::keep_connecting;

use super::attempt::{Attempt, attempt};
use super::call::{Call, End, Request};
use super::connection::{Connection, Keepalive};
use super::connector::Connector;
use super::counters::ChannelCounters;
use super::profile::Profile;
use super::{Code, Status};

/// How often a request is sent again that the peer has certainly not seen: gRPC's transparent retries.
const TRANSPARENT_RETRIES: usize = 5;

/// Settings of one channel.
#[derive(Debug, Clone)]
pub struct ChannelSettings {
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
pub struct Channel(Arc<ChannelInner>);

struct ChannelInner {
    connector: Box<dyn Connector>,
    settings: ChannelSettings,
    profile: Profile,
    connectivity: Connectivity,
    counters: ChannelCounters,
    /// Whether no call ran when the latest one began.
    was_idle: AtomicBool,
}

impl Channel {
    /// A channel that is idle.
    #[must_use]
    pub fn new(connector: Box<dyn Connector>, settings: ChannelSettings) -> Self {
        let profile = Profile {
            scheme: if settings.secure { Scheme::HTTPS } else { Scheme::HTTP },
            authority: settings.authority.clone(),
            user_agent: settings.user_agent.clone(),
            max_receive: settings.max_receive,
            max_metadata: settings.max_metadata,
        };
        let (connectivity, counters) = (Connectivity::new(), ChannelCounters::default());
        let was_idle = AtomicBool::new(false);
        Self(Arc::new(ChannelInner { connector, settings, profile, connectivity, counters, was_idle }))
    }

    /// Counts a call that is about to run; whether it is a lone one. A call is alone if the channel is connected and no
    /// other call ran, neither now nor when the call before it began: the first of many finds the channel idle as well.
    #[must_use]
    pub fn admit(&self) -> bool {
        let inner = &self.0;
        let is_idle = inner.counters.calls_active() == 0;
        inner.counters.call_started();
        inner.was_idle.swap(is_idle, Ordering::Relaxed) && is_idle && self.state() == ConnectivityState::Ready
    }

    /// Makes a call that was admitted; returns when it has ended. To be run on the I/O thread.
    pub async fn run(self, call: Call, mut request: Request) {
        let running = RunningCall { call: &call, counters: &self.0.counters };
        let deadline = request.deadline;
        let end = tokio::select! {
            biased;
            () = call.given_up() => None,
            () = passed(deadline) => Some(deadline_exceeded().into()),
            () = until_shut_down(self.0.connectivity.subscribe()) => Some(self.0.connectivity.shutdown_status().into()),
            end = self.make(&call, &mut request) => Some(in_time(end, deadline)),
        };
        running.end(end);
    }

    /// The connectivity state. [`Channel::connect`] changes it.
    #[must_use]
    pub fn state(&self) -> ConnectivityState {
        self.0.connectivity.state()
    }

    /// Returns once the state is another than `last`.
    pub async fn state_changed(&self, last: ConnectivityState) {
        let mut state = self.0.connectivity.subscribe();
        // Cannot fail: `self` holds the sender.
        let _ = state.wait_for(|state| *state != last).await;
    }

    /// Begins to connect if the channel is idle. To be called on the I/O thread.
    pub fn connect(&self) {
        if self.0.connectivity.leave_idle() {
            tokio::spawn(keep_connecting(Arc::downgrade(&self.0)));
        }
    }

    /// Ends the channel; calls that run end with this status.
    pub fn close(&self, status: Status) {
        self.0.connectivity.shut_down(status);
    }

    /// Numbers of calls, messages, streams, connections and bytes.
    #[must_use]
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        self.0.counters.snapshot(self.0.connector.traffic())
    }

    async fn make(&self, call: &Call, request: &mut Request) -> End {
        let inner = &self.0;
        let (mut retries, mut dials) = (0, 0);
        loop {
            let connection = match self.connection(request.wait_for_ready, &mut dials).await {
                Ok(connection) => connection,
                Err(status) => return status.into(),
            };
            let unprocessed = if connection.takes_calls() {
                inner.counters.stream_opened();
                match attempt(call, request, &inner.profile, &connection, &inner.counters).await {
                    Attempt::Ended(end) => {
                        if end.status.disconnected && !connection.takes_calls() {
                            inner.connectivity.discard(&connection);
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
            inner.connectivity.discard(&connection);
            retries += 1;
        }
    }

    /// The channel's connection, made if need be. A call gives up a peer that ends each connection at once. A call that
    /// waits for readiness pauses before the next connection instead.
    async fn connection(&self, wait_for_ready: bool, dials: &mut usize) -> Result<Connection, Status> {
        let inner = &self.0;
        loop {
            let (state, current, refusal) = inner.connectivity.snapshot();
            if let Some(connection) = current {
                return Ok(connection);
            }
            match state {
                ConnectivityState::Idle if *dials > TRANSPARENT_RETRIES && !wait_for_ready => {
                    return Err(no_calls_taken());
                }
                ConnectivityState::Idle => {
                    if *dials > TRANSPARENT_RETRIES {
                        sleep(inner.settings.initial_backoff).await;
                    }
                    *dials += 1;
                    self.connect();
                }
                ConnectivityState::Shutdown => return Err(inner.connectivity.shutdown_status()),
                ConnectivityState::TransientFailure => match refusal {
                    Some(refusal) if refusal.is_final || !wait_for_ready => return Err(refusal.status),
                    _ => self.state_changed(state).await,
                },
                ConnectivityState::Connecting | ConnectivityState::Ready => self.state_changed(state).await,
            }
        }
    }
}

/// Ends its call when it is dropped by a panic, so that no caller waits for ever.
struct RunningCall<'a> {
    call: &'a Call,
    counters: &'a ChannelCounters,
}

impl RunningCall<'_> {
    /// `None` if the caller has ended it.
    fn end(self, end: Option<End>) {
        self.counters.call_ended(end.as_ref().map_or(Code::Cancelled, |end| end.status.code));
        if let Some(end) = end {
            self.call.finish(end);
        }
        std::mem::forget(self);
    }
}

impl Drop for RunningCall<'_> {
    fn drop(&mut self) {
        self.counters.call_ended(Code::Internal);
        self.call
            .finish(Status::new(Code::Internal, "the call was abandoned by the I/O thread; please report this").into());
    }
}

/// A peer that enforces the deadline as well may be the faster of the two: gRPC wants one answer for both.
fn in_time(end: End, deadline: Option<Instant>) -> End {
    let late = deadline.is_some_and(|deadline| deadline <= Instant::now());
    if late && end.status.code == Code::Cancelled { deadline_exceeded().into() } else { end }
}

fn no_calls_taken() -> Status {
    Status::unavailable("the peer takes no calls: it ends each connection at once")
}

fn deadline_exceeded() -> Status {
    Status::new(Code::DeadlineExceeded, "Deadline Exceeded")
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        // The timer rounds up to its next millisecond; what has passed already must not begin to connect.
        Some(deadline) if deadline <= Instant::now() => (),
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
