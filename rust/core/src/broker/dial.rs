//! Dialling what the peer serves under an id.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::state::RENDEZVOUS_LIMIT;
use super::{Broker, conn_info, lock, translated};
use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::grpc::Status;
use crate::grpc::channel::{Channel, ChannelSettings};
use crate::grpc::connection::{Connection, Explain, connection_error};
use crate::grpc::connector::{Connecting, Connector, Refusal};
use crate::transport::multiplex::{Multiplex, OpenPermit};
use crate::transport::{Dialer, Stream, Traffic};

/// Knocks of one dialler: the stream that would have carried each but the last was lost.
const MAX_KNOCKS: usize = 5;

impl Broker {
    /// A connected channel to what the peer serves under `id`. The peer has go-plugin's five seconds to announce or to
    /// acknowledge it.
    pub async fn dial(&self, id: u32, settings: ChannelSettings) -> Result<Channel, Error> {
        let route = match &self.0.context.session {
            Some(session) => Route::Knock(id, session.clone()),
            None => Route::Address(self.announced(id).await?),
        };
        self.open_channel(route, settings).await
    }

    /// A channel to an address that was not announced by the broker, under the same protection.
    pub async fn dial_address(&self, address: Address, settings: ChannelSettings) -> Result<Channel, Error> {
        self.open_channel(Route::Address(address), settings).await
    }

    async fn open_channel(&self, route: Route, settings: ChannelSettings) -> Result<Channel, Error> {
        let secure = self.0.context.dialing.is_some();
        let first = match self.connect(&route).await {
            Ok(connection) => Mutex::new(Some(connection)),
            Err(error) => return Err(self.explained_by_exit(&route, error).await),
        };
        let connector = BrokeredConnector { broker: self.clone(), route: Arc::new(route), first };
        Ok(Channel::new(Box::new(connector), ChannelSettings { secure, ..settings }))
    }

    /// The error of a dial that failed, or that of the peer's end: a crash breaks connections before it is noticed.
    async fn explained_by_exit(&self, route: &Route, error: Error) -> Error {
        let breaks = matches!(error.kind(), ErrorKind::ConnectFailed | ErrorKind::Http2Failed | ErrorKind::TlsFailed);
        if !breaks {
            return error;
        }
        let peer = &self.0.context.peer;
        let reason = peer.exit_explanation(String::new()).await;
        if !peer.has_ended() {
            return error;
        }
        Error::new(ErrorKind::BrokerClosed, format!("no connection to {route}: {reason}"))
    }

    /// Where the peer listens for `id`.
    async fn announced(&self, id: u32) -> Result<Address, Error> {
        // Dropped after what waits, also where the dial is given up.
        let _forgetting = Forgetting(self, id);
        let waiting = self.state().await_address(id, Instant::now())?;
        let address = match timeout(RENDEZVOUS_LIMIT, waiting).await {
            Ok(Ok(address)) => address?,
            Ok(Err(_)) => return Err(Error::new(ErrorKind::BrokerClosed, "the broker was closed")),
            Err(_) => return Err(too_late(id, "did not say where it serves")),
        };
        translated(self.0.context.peer.address_here(address)).await
    }

    async fn connect(&self, route: &Route) -> Result<Connection, Error> {
        match route {
            Route::Address(address) => self.in_time(route, self.connect_to(address)).await,
            Route::Knock(id, session) => {
                // The task of its own goes on when this caller gives up after the knock: a stream that was acknowledged
                // and never opened would make the peer take the next stream for it.
                let (caller, _waits) = oneshot::channel();
                let opening = tokio::spawn(self.clone().knock_and_open(*id, session.clone(), caller)).await;
                // The permit is kept until the peer speaks on the stream: Go's broker gives it to the wrong listener if
                // the next knock overtakes it.
                let (_permit, stream) =
                    opening.map_err(|error| Error::new(ErrorKind::BrokerClosed, error.to_string()))??;
                self.in_time(route, self.connect_over(stream, *id, session)).await
            }
        }
    }

    async fn in_time(
        &self,
        route: &Route,
        connecting: impl Future<Output = Result<Connection, Error>>,
    ) -> Result<Connection, Error> {
        let limit = self.0.context.connect_timeout;
        timeout(limit, connecting).await.unwrap_or_else(|_| {
            let message = format!("no connection to {route} after {:.1} s", limit.as_secs_f64());
            Err(Error::new(ErrorKind::ConnectTimeout, message))
        })
    }

    async fn connect_to(&self, address: &Address) -> Result<Connection, Error> {
        let context = &self.0.context;
        let dialer =
            Dialer::new(address.clone(), context.dialing.clone(), context.traffic.clone()).limited_to(context.peers);
        let stream = dialer.dial().await?;
        self.speak(stream, &dialer).await
    }

    /// Knocks, and opens a stream after the acknowledgement. The permit keeps others from opening one meanwhile: the
    /// peer tells streams apart by their order alone. A caller that gives up while it waits for the permit is out of the
    /// way of the others.
    async fn knock_and_open(
        self,
        id: u32,
        session: Arc<Multiplex>,
        mut caller: oneshot::Sender<()>,
    ) -> Result<(OpenPermit, Stream), Error> {
        let mut knocks = 0..MAX_KNOCKS;
        let permit = loop {
            let ready = async {
                tokio::select! {
                    () = self.carried(true) => (),
                    // The next look at the state tells why.
                    () = self.0.closing.cancelled() => (),
                }
            };
            if knocks.next().is_none() || timeout(RENDEZVOUS_LIMIT, ready).await.is_err() {
                return Err(too_late(id, "could not be asked"));
            }
            let permit = tokio::select! {
                biased;
                () = caller.closed() => return Err(given_up(id)),
                permit = session.permit() => permit,
            };
            if self.knock(id, &session, &permit).await? {
                break permit;
            }
        };
        // Acknowledgements come in the order in which the peer expects the streams.
        self.open_owed(&session, &permit).await;
        // yamux opens no further stream while too many are not acknowledged.
        let opening = timeout(RENDEZVOUS_LIMIT, session.open(&permit)).await;
        let stream = opening.map_err(|_| too_late(id, "acknowledged no stream"))?.map_err(|error| {
            Error::new(ErrorKind::ConnectFailed, format!("no stream for service {id} could be opened: {error}"))
        })?;
        Ok((permit, stream))
    }

    /// Knocks: true once the peer has acknowledged, false if the knock was never carried. The caller must not wait for
    /// the next stream that carries knocks: after a lost connection that stream is opened in the same session, by the
    /// permit that the caller holds.
    async fn knock(&self, id: u32, session: &Multiplex, permit: &OpenPermit) -> Result<bool, Error> {
        let knock = conn_info::knock(id);
        let answer = self.state().await_acknowledgement(id)?;
        self.send(knock.clone());
        let withdrawn = async {
            loop {
                self.carried(false).await;
                if self.withdraw(&knock) {
                    return;
                }
                self.carried(true).await;
            }
        };
        tokio::select! {
            biased;
            acknowledged = timeout(RENDEZVOUS_LIMIT, self.acknowledged(answer, session, permit)) => match acknowledged {
                Ok(Ok(answer)) => answer.map(|()| true),
                Ok(Err(_)) => Err(Error::new(ErrorKind::BrokerClosed, "the broker was closed")),
                Err(_) => {
                    self.state().give_up_knock(id);
                    Err(too_late(id, "did not answer the knock"))
                }
            },
            () = withdrawn => Ok(false),
        }
    }

    /// Waits for the acknowledgement of a knock. A peer that still expects the stream of an earlier knock may
    /// acknowledge only after that stream.
    async fn acknowledged<A>(
        &self,
        mut answer: oneshot::Receiver<A>,
        session: &Multiplex,
        permit: &OpenPermit,
    ) -> Result<A, oneshot::error::RecvError> {
        loop {
            tokio::select! {
                biased;
                acknowledged = &mut answer => return acknowledged,
                () = self.0.owing.notified() => self.open_owed(session, permit).await,
            }
        }
    }

    async fn connect_over(&self, stream: Stream, id: u32, session: &Arc<Multiplex>) -> Result<Connection, Error> {
        let context = &self.0.context;
        let address = Address::Unix(format!("service {id}").into());
        let dialer = Dialer::multiplexed(session.clone(), address, context.dialing.clone(), context.traffic.clone());
        let stream = dialer.dial_over(stream).await?;
        self.speak(stream, &dialer).await
    }

    /// Opens an HTTP/2 connection and waits for the peer's first frames.
    async fn speak(&self, stream: Stream, dialer: &Dialer) -> Result<Connection, Error> {
        let peer = self.0.context.peer.clone();
        let explain: Explain = Box::new(move |reason| peer.exit_explanation(reason));
        let connection = Connection::open(stream, explain).await.map_err(|error| connection_error(dialer, &error))?;
        connection.settled().await.map_err(|reason| {
            dialer.last_error().unwrap_or_else(|| {
                let message = format!("{} closed the connection before it answered: {reason}", dialer.address());
                Error::new(ErrorKind::Http2Failed, message)
            })
        })?;
        Ok(connection)
    }
}

/// Removes a dialler that no longer waits.
struct Forgetting<'a>(&'a Broker, u32);

impl Drop for Forgetting<'_> {
    fn drop(&mut self) {
        self.0.state().forget_diallers(self.1);
    }
}

/// The error of a dial whose caller no longer waits.
pub fn given_up(id: u32) -> Error {
    Error::new(ErrorKind::BrokerClosed, format!("the dial of service {id} was given up"))
}

fn too_late(id: u32, what: &str) -> Error {
    let seconds = RENDEZVOUS_LIMIT.as_secs();
    Error::new(ErrorKind::BrokerTimeout, format!("the peer {what} for service {id} within {seconds} s"))
}

/// How each connection to a service is made.
enum Route {
    Address(Address),
    Knock(u32, Arc<Multiplex>),
}

impl std::fmt::Display for Route {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(formatter, "{address}"),
            Self::Knock(id, _) => write!(formatter, "service {id}"),
        }
    }
}

/// Connects one channel to a brokered service: by the connection that was made when it was dialled, later by new ones,
/// as gRPC does after a lost or idle connection.
struct BrokeredConnector {
    broker: Broker,
    route: Arc<Route>,
    first: Mutex<Option<Connection>>,
}

impl Connector for BrokeredConnector {
    fn connect(&self) -> Connecting {
        let first = lock(&self.first).take().filter(Connection::takes_calls);
        let (broker, route) = (self.broker.clone(), self.route.clone());
        Box::pin(async move {
            if let Some(connection) = first {
                return Ok(connection);
            }
            match broker.connect(&route).await {
                Ok(connection) => Ok(connection),
                Err(error) => {
                    let peer = &broker.0.context.peer;
                    let status = Status::unavailable(peer.exit_explanation(error.to_string()).await);
                    Err(Refusal { status, is_final: peer.has_ended() })
                }
            }
        })
    }

    fn owns(&self, _connection: &Connection) -> bool {
        true
    }

    fn traffic(&self) -> &Traffic {
        &self.broker.0.context.traffic
    }
}

#[cfg(test)]
#[path = "dial_tests.rs"]
mod tests;
