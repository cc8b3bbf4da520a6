//! The streams that the host itself keeps open to its plugin, for output and for the broker: on one connection after another.

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

/// The first pause between two connections that did not last, and the longest: shorter than any side of a broker waits for
/// the other.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// A connection that lasted so long is lost without a pause.
const STABLE_AFTER: Duration = Duration::from_secs(1);
/// Messages that cannot be read, one after the other, before the service is left alone.
const UNREADABLE_LIMIT: u32 = 5;

/// Serves on each connection in turn, until that is done with the service, the plugin has ended, or is told to. Returns why.
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
                if serve(GrpcClient::new(&connection)).await.is_break() {
                    return None;
                }
                // A service that ends its stream is not asked again where it did.
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
            // Somebody else has dialled with success.
            () = endpoint.usable_again() => (),
            () = ending.cancelled() => return None,
        }
    }
}

/// Between connections, of which the first that does not last is followed at once; holds the next.
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

/// Returns when another connection is needed; after the end of one, when that of the plugin would be known as well.
async fn over(connection: &Connection) {
    connection.retired().await;
    if connection.is_closed() {
        connection.ended().await;
    }
}

impl Host {
    /// Always subscribes to the output, whoever listens: without a subscriber the plugin would block in its own writes.
    pub(super) async fn keep_subscribed(self, endpoint: Arc<PluginEndpoint>, ending: CancellationToken) {
        on_each_connection(&endpoint, &ending, |client| self.relay_output(client)).await;
    }

    /// Relays output until the service or the connection ends. Breaks if there is no such service.
    async fn relay_output(&self, client: GrpcClient) -> ControlFlow<()> {
        let mut unreadable = 0;
        loop {
            let status = match stdio::subscribe(&client).await {
                Ok(mut stream) => match self.relay_messages(&mut stream, &mut unreadable).await {
                    Ok(()) => return ControlFlow::Continue(()),
                    // Such a message ends the stream, not the service.
                    Err(Failure::Unreadable(status)) if unreadable < UNREADABLE_LIMIT => {
                        self.warn(format!("output was lost: {}", status.message));
                        unreadable += 1;
                        // Also where others come between them, which a service may send as fast as it is asked.
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

/// Carries the broker's messages until the plugin's broker or the plugin ends, then closes the broker. Whether or not the host
/// uses it: a Go plugin that serves something waits for the stream before it answers.
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
