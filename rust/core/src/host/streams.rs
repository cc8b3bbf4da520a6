//! The streams that the host itself keeps open to its plugin, for output and for the broker, on one connection after
//! another.

use std::future::Future;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Host;
use super::endpoint::PluginEndpoint;
use crate::broker::Broker;
use crate::grpc::connection::Connection;
use crate::grpc::{Code, Failure, GrpcClient, MessageStream, Status};
use crate::inbox::Output;
use crate::services::broker::carry;
use crate::services::stdio::{self, StdioData};
use crate::settings::Settings;

/// The shortest and the longest pause between connections that did not last. Diallers of a broker wait longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that lasted this long is replaced without a pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Unreadable messages in a row after which the service is given up.
const UNREADABLE_LIMIT: u32 = 5;

/// Serves on each connection in turn, until `serve` breaks, the plugin has ended, or `ending` is cancelled. Returns the
/// reason of the plugin's end.
async fn on_each_connection<Serving: Future<Output = ControlFlow<()>>>(
    endpoint: &PluginEndpoint,
    ending: &CancellationToken,
    mut serve: impl FnMut(GrpcClient) -> Serving,
) -> Option<String> {
    let mut backoff = Backoff(Duration::ZERO);
    loop {
        let begun = Instant::now();
        let connected = tokio::select! {
            biased;
            // A plugin that was asked to end gets no more connections.
            () = ending.cancelled() => return None,
            connected = endpoint.connection() => connected,
        };
        match connected {
            Ok(connection) => {
                if serve(GrpcClient::new(&connection, endpoint.is_secure())).await.is_break() {
                    return None;
                }
                // A service that ended its stream is asked again on the next connection only.
                tokio::select! {
                    () = over(&connection) => (),
                    () = ending.cancelled() => return None,
                }
            }
            Err(refusal) if refusal.is_final => return Some(refusal.status.message),
            Err(_) => (),
        }
        tokio::select! {
            () = sleep(backoff.after(begun.elapsed())) => (),
            // Another caller has dialled.
            () = endpoint.usable_again() => (),
            () = ending.cancelled() => return None,
        }
    }
}

/// The pauses between connections; holds the next one. The first connection that does not last is replaced at once.
struct Backoff(Duration);

impl Backoff {
    fn after(&mut self, lasted: Duration) -> Duration {
        if lasted >= STABLE_AFTER {
            self.0 = Duration::ZERO;
            return Duration::ZERO;
        }
        let next = (self.0 * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        std::mem::replace(&mut self.0, next)
    }
}

/// Returns when another connection is needed. After the end of a connection, the plugin's own end would be known by
/// then.
async fn over(connection: &Connection) {
    connection.retired().await;
    if connection.is_closed() {
        connection.ended().await;
    }
}

impl Host {
    /// Subscribes to the plugin's output, also when it is not delivered: a plugin without a subscriber blocks in its
    /// writes.
    pub(super) async fn keep_subscribed(self, endpoint: Arc<PluginEndpoint>, ending: CancellationToken) {
        on_each_connection(&endpoint, &ending, |client| self.relay_output(client)).await;
    }

    /// Relays output until the service or the connection ends. Breaks if the plugin has no such service.
    async fn relay_output(&self, client: GrpcClient) -> ControlFlow<()> {
        let mut unreadable = 0;
        loop {
            let status = match stdio::subscribe(&client).await {
                Ok(mut stream) => match self.relay_messages(&mut stream, &mut unreadable).await {
                    Ok(()) => return ControlFlow::Continue(()),
                    // An unreadable message ends the stream, not the service.
                    Err(Failure::Unreadable(status)) if unreadable < UNREADABLE_LIMIT => {
                        self.warn(format!("output was lost: {}", status.message));
                        unreadable += 1;
                        // The pause also follows unreadable messages between readable ones: a service may send those as
                        // fast as it is asked.
                        sleep(SHORTEST_PAUSE * unreadable).await;
                        continue;
                    }
                    Err(failure) => Status::from(failure),
                },
                Err(failure) => failure.into(),
            };
            if status.code == Code::Unimplemented {
                return ControlFlow::Break(());
            }
            if client.connection().takes_calls() {
                self.warn(format!("output is not relayed any more: the plugin's service for it ended with {status}"));
            }
            return ControlFlow::Continue(());
        }
    }

    async fn relay_messages(&self, stream: &mut MessageStream<StdioData>, unreadable: &mut u32) -> Result<(), Failure> {
        let Settings { sync_stdout, sync_stderr, .. } = self.0.settings;
        while let Some(piece) = stream.next().await? {
            *unreadable = 0;
            match piece.channel {
                stdio::STDOUT if sync_stdout => self.0.inbox.push_output(Output::Stdout, piece.data).await,
                stdio::STDERR if sync_stderr => self.0.inbox.push_output(Output::Stderr, piece.data).await,
                _ => (),
            }
        }
        Ok(())
    }

    fn warn(&self, text: String) {
        self.0.inbox.push_warning(text);
    }
}

/// Carries the broker's messages until the plugin or its broker ends, then closes the broker. It does so also when the
/// host does not use the broker: a Go plugin that serves an id waits for the stream first.
pub(super) async fn keep_carrying(broker: Broker, endpoint: Arc<PluginEndpoint>, ending: CancellationToken) {
    let over = on_each_connection(&endpoint, &ending, |client| carry(client, broker.clone())).await;
    broker.close(
        &over.map_or_else(|| "the plugin was asked to end".to_owned(), |why| format!("its stream broke: {why}")),
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::RENDEZVOUS_LIMIT;

    const NOW: Duration = Duration::ZERO;

    #[test]
    fn a_broker_whose_connections_do_not_last_is_there_again_in_time() {
        let mut backoff = Backoff(Duration::ZERO);
        let longest = (0..100).map(|_| backoff.after(NOW)).max();
        assert!(longest.is_some_and(|longest| longest < RENDEZVOUS_LIMIT / 2), "{longest:?}");
    }

    #[test]
    fn pauses_grow_and_are_forgotten_after_a_connection_that_lasted() {
        let mut backoff = Backoff(Duration::ZERO);
        for _ in 0..2 {
            assert_eq!(backoff.after(NOW), Duration::ZERO);
            assert_eq!(backoff.after(NOW), SHORTEST_PAUSE);
            assert!(backoff.after(NOW) > SHORTEST_PAUSE);
            // As those of servers do that end each after a few seconds.
            assert_eq!(backoff.after(Duration::from_secs(2)), Duration::ZERO);
        }
    }
}
