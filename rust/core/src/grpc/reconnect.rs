//! How a channel comes to a connection, stays with it, and comes to the next one.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::channel::{Shared, State};
use super::connection::{Connection, keep_alive};
use super::connector::Refusal;

/// By how much a pause between attempts to connect grows, and varies.
const BACKOFF_FACTOR: f64 = 1.6;
const BACKOFF_JITTER: f64 = 0.2;

/// Tries until there is a connection, nobody has the channel any more, or it is pointless. Then stays with the
/// connection to its end. Holds the channel only weakly: a forgotten one goes away.
pub(super) async fn keep_connecting(channel: Weak<Shared>) {
    let mut backoff = None;
    loop {
        let Some((connecting, state)) =
            channel.upgrade().map(|shared| (shared.connector.connect(), shared.state.subscribe()))
        else {
            return;
        };
        let result = tokio::select! {
            result = connecting => result,
            () = shut_down(state) => return,
        };
        let Some(shared) = channel.upgrade() else { return };
        let refusal: Refusal = match result {
            Ok(connection) => {
                if shared.install(&connection) {
                    watch_connection(shared, connection).await;
                }
                return;
            }
            Err(refusal) => refusal,
        };
        let is_final = refusal.is_final;
        shared.refuse(refusal);
        if is_final {
            return;
        }
        let pause: Duration = backoff.unwrap_or(shared.settings.initial_backoff);
        backoff = Some(pause.mul_f64(BACKOFF_FACTOR).min(shared.settings.max_backoff));
        let state = shared.state.subscribe();
        drop(shared);
        tokio::select! {
            () = sleep(jittered(pause)) => (),
            () = shut_down(state) => return,
        }
        let Some(shared) = channel.upgrade() else { return };
        shared.begin_attempt();
    }
}

/// Returns when the channel was closed, or nobody has it any more.
async fn shut_down(mut state: watch::Receiver<State>) {
    let _ = state.wait_for(|state| *state == State::Shutdown).await;
}

/// Many clients of one server must not all come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    let share = f64::from(random) / f64::from(u32::MAX);
    pause.mul_f64(1.0 - BACKOFF_JITTER + 2.0 * BACKOFF_JITTER * share)
}

/// Stays with a connection until it ends, has been without calls for too long, or is no longer wanted. One that takes no more
/// calls is the channel's no more, but those that it has go on.
async fn watch_connection(shared: Arc<Shared>, connection: Connection) {
    let channel = Arc::downgrade(&shared);
    let (keepalive, idle_timeout) = (shared.settings.keepalive, shared.settings.idle_timeout);
    let (state, owned) = (shared.state.subscribe(), shared.connector.owns(&connection));
    drop(shared);
    let is_busy = || channel.upgrade().is_some_and(|shared| shared.counters.calls_active() > 0);
    let kept_alive = async {
        if let Some(keepalive) = keepalive {
            keep_alive(connection.clone(), keepalive, is_busy).await;
        }
        std::future::pending::<()>().await;
    };
    let discard = || channel.upgrade().iter().for_each(|shared| shared.discard(&connection));
    let ended = async {
        connection.retired().await;
        discard();
        connection.ended().await;
    };
    tokio::select! {
        () = ended => (),
        () = unused(channel.clone(), idle_timeout) => (),
        () = kept_alive => (),
        () = shut_down(state) => (),
    }
    discard();
    if owned {
        see_off(connection).await;
    }
}

/// A connection ends by itself with its last call, once the peer has taken its last frames. One that never takes them
/// must not keep it open.
async fn see_off(connection: Connection) {
    const LINGER: Duration = Duration::from_secs(1);
    let life = connection.life();
    drop(connection);
    if timeout(LINGER, life.ended()).await.is_err() {
        life.fail("the channel was closed".to_owned());
    }
}

/// Returns when no call was made for so long, or the channel is gone.
async fn unused(channel: Weak<Shared>, limit: Option<Duration>) {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut calls = 0;
    loop {
        sleep(limit).await;
        let Some(shared) = channel.upgrade() else { return };
        let started = shared.counters.calls_started();
        if started == std::mem::replace(&mut calls, started) && shared.counters.calls_active() == 0 {
            return;
        }
    }
}
