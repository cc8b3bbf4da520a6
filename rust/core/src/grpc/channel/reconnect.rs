//! Connects a channel, with growing pauses, and stays with the connection until it ends or is no longer used.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::ChannelInner;
use super::connectivity::until_shut_down;
use crate::grpc::connection::{Connection, keep_alive};
use crate::grpc::connector::Refusal;

/// By how much a pause between attempts to connect grows, and the share by which it varies.
const BACKOFF_FACTOR: f64 = 1.6;
const BACKOFF_JITTER: f64 = 0.2;
/// How long a connection without calls may take to end.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// Connects until there is a connection, the channel is forgotten, or trying again is pointless. Then stays with the
/// connection to its end. Holds the channel weakly, so that a forgotten channel goes away.
pub(super) async fn keep_connecting(channel: Weak<ChannelInner>) {
    let mut backoff = None;
    loop {
        let Some((connecting, state)) =
            channel.upgrade().map(|inner| (inner.connector.connect(), inner.connectivity.subscribe()))
        else {
            return;
        };
        let result = tokio::select! {
            result = connecting => result,
            () = until_shut_down(state) => return,
        };
        let Some(inner) = channel.upgrade() else { return };
        let refusal: Refusal = match result {
            Ok(connection) => {
                if inner.connectivity.install(&connection) {
                    inner.counters.connection_opened();
                    watch_connection(inner, connection).await;
                }
                return;
            }
            Err(refusal) => refusal,
        };
        let is_final = refusal.is_final;
        inner.connectivity.refuse(refusal);
        if is_final {
            return;
        }
        let pause: Duration = backoff.unwrap_or(inner.settings.initial_backoff);
        backoff = Some(pause.mul_f64(BACKOFF_FACTOR).min(inner.settings.max_backoff));
        let state = inner.connectivity.subscribe();
        drop(inner);
        tokio::select! {
            () = sleep(jittered(pause)) => (),
            () = until_shut_down(state) => return,
        }
        let Some(inner) = channel.upgrade() else { return };
        inner.connectivity.begin_attempt();
    }
}

/// A pause that varies: many clients of one server must not all come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    let share = f64::from(random) / f64::from(u32::MAX);
    pause.mul_f64(1.0 - BACKOFF_JITTER + 2.0 * BACKOFF_JITTER * share)
}

/// Stays with a connection until it ends, has been without calls for too long, or is no longer wanted. A connection
/// that takes no more calls leaves the channel, but the calls that it has go on.
async fn watch_connection(inner: Arc<ChannelInner>, connection: Connection) {
    let channel = Arc::downgrade(&inner);
    let (keepalive, idle_timeout) = (inner.settings.keepalive, inner.settings.idle_timeout);
    let (state, owned) = (inner.connectivity.subscribe(), inner.connector.owns(&connection));
    drop(inner);
    let is_busy = || channel.upgrade().is_some_and(|inner| inner.counters.calls_active() > 0);
    let kept_alive = async {
        if let Some(keepalive) = keepalive {
            keep_alive(connection.clone(), keepalive, is_busy).await;
        }
        std::future::pending::<()>().await;
    };
    let discard = || channel.upgrade().iter().for_each(|inner| inner.connectivity.discard(&connection));
    let ended = async {
        connection.retired().await;
        discard();
        connection.ended().await;
    };
    tokio::select! {
        () = ended => (),
        () = idle(channel.clone(), idle_timeout) => (),
        () = kept_alive => (),
        () = until_shut_down(state) => (),
    }
    discard();
    if owned {
        close_when_drained(connection).await;
    }
}

/// Waits for a connection to end with its last call, and ends it after a while: a peer that never takes the last frames
/// must not keep it open.
async fn close_when_drained(connection: Connection) {
    let state = connection.state();
    drop(connection);
    if timeout(DRAIN_LIMIT, state.ended()).await.is_err() {
        state.fail("the channel was closed".to_owned());
    }
}

/// Returns when no call was made for `limit`, or the channel is gone.
async fn idle(channel: Weak<ChannelInner>, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut calls = 0;
    loop {
        sleep(limit).await;
        let Some(inner) = channel.upgrade() else { return };
        let started = inner.counters.calls_started();
        if started == std::mem::replace(&mut calls, started) && inner.counters.calls_active() == 0 {
            return;
        }
    }
}
