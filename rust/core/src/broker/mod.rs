//! `plugin.GRPCBroker`: further gRPC connections between a host and its plugin, in both directions.
//!
//! Host and plugin run this code alike. An id names a listener of the side that announces it, and the ids of the two
//! sides are independent. Without multiplexing a listener is a socket, whose address travels as a ConnInfo. With
//! multiplexing a stream of the one socket is opened after a knock and its acknowledgement.

mod accept;
pub mod conn_info;
mod dial;
mod state;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use self::accept::BrokerListener;
use self::conn_info::{ConnInfo, Notice};
pub use self::dial::given_up;
pub(crate) use self::state::RENDEZVOUS_LIMIT;
use self::state::{BrokerState, Expected, Outcome};
use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::future::BoxFuture;
use crate::inbox::Inbox;
use crate::settings::{Peers, Transports};
use crate::transport::listener::Place;
use crate::transport::multiplex::{InboundStreams, Multiplex, OpenPermit};
use crate::transport::tls_terminator::{MAX_CONNECTIONS, Terminator};
use crate::transport::{InboundStream, Tls, Traffic};
use crate::wake::Wake;

/// The other side, as a broker knows it. The defaults describe a peer of which only its connection tells, in the
/// namespaces of this process.
pub trait Peer: Send + Sync {
    /// Whether the peer has ended and cannot come back.
    fn has_ended(&self) -> bool {
        false
    }

    /// Why calls to the peer fail: its end, or `otherwise` if it has not ended.
    fn exit_explanation(&self, otherwise: String) -> BoxFuture<String> {
        Box::pin(std::future::ready(otherwise))
    }

    /// An address of this side as the peer sees it; the two differ across namespaces.
    fn address_there(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        Box::pin(std::future::ready(Ok(address)))
    }

    /// An address of the peer as this side sees it.
    fn address_here(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        Box::pin(std::future::ready(Ok(address)))
    }
}

/// Messages that may wait for the peer. Each is asked for by one of this side's callers, or acknowledges one of the
/// peer's.
const MAX_OUTGOING: usize = 16 * 1024;

/// What a broker needs to dial and to accept connections.
pub struct BrokerContext {
    /// TLS of dialled connections.
    pub dialing: Option<Tls>,
    /// TLS of accepted connections, made at the first of them; an error without a certificate to show.
    pub accepting: Box<dyn Fn() -> Result<Option<Arc<ServerConfig>>, Error> + Send + Sync>,
    /// The session that all connections share when they are multiplexed.
    pub session: Option<Arc<Multiplex>>,
    /// Transports by which the peer may be dialled.
    pub transports: Transports,
    /// Users whose sockets may be dialled.
    pub peers: Peers,
    /// Where listeners listen.
    pub place: Place,
    /// A private directory, for the servers behind listeners.
    pub backends: PathBuf,
    /// Limit of one attempt to connect.
    pub connect_timeout: Duration,
    /// Counts all bytes.
    pub traffic: Traffic,
    /// Gets a warning for each refused connection.
    pub inbox: Arc<Inbox>,
    /// The other side.
    pub peer: Arc<dyn Peer>,
}

/// A handle to one broker. Clones name the same one.
#[derive(Clone)]
pub struct Broker(Arc<BrokerShared>);

struct BrokerShared {
    context: BrokerContext,
    last_id: AtomicU32,
    last_backend: AtomicU64,
    state: Mutex<BrokerState<InboundStream>>,
    outgoing: Mutex<Outgoing>,
    /// True while a stream carries messages to the peer.
    carried: watch::Sender<bool>,
    /// Notified of streams that the peer expects and that no caller opens.
    owing: Notify,
    /// Ends what this broker serves.
    closing: CancellationToken,
    /// Hands the peer's streams to their listeners.
    sorting: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Outgoing {
    messages: VecDeque<ConnInfo>,
    wake: Option<Arc<dyn Wake>>,
}

impl Broker {
    /// A broker whose messages wait for [`Broker::carry_by`]. `main` is the server that takes the multiplexed streams
    /// without a knock: those of the plugin's main connection.
    #[must_use]
    pub fn new(context: BrokerContext, main: Option<PathBuf>) -> Self {
        let arrivals = context.session.as_ref().and_then(|session| session.take_inbound());
        let broker = Self(Arc::new(BrokerShared {
            context,
            last_id: AtomicU32::new(0),
            last_backend: AtomicU64::new(0),
            state: Mutex::default(),
            outgoing: Mutex::default(),
            carried: watch::Sender::new(false),
            owing: Notify::new(),
            closing: CancellationToken::new(),
            sorting: Mutex::default(),
        }));
        if let Some(arrivals) = arrivals {
            let sorting = tokio::spawn(sort(Arc::downgrade(&broker.0), arrivals, main));
            *lock(&broker.0.sorting) = Some(sorting);
        }
        broker
    }

    /// An id that no listener of this side has. Some families of plugins use fixed ids beside those that are given out.
    #[must_use]
    pub fn next_id(&self) -> u32 {
        let state = self.state();
        loop {
            let id = self.0.last_id.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if !state.serves(id) {
                return id;
            }
        }
    }

    /// Handles a message of the peer.
    pub fn receive(&self, info: ConnInfo) -> Result<(), Error> {
        let (id, notice) = conn_info::understand(info, self.0.context.transports)?;
        self.notice(id, notice);
        Ok(())
    }

    /// Decodes and handles a message of the peer.
    pub fn receive_bytes(&self, message: &[u8]) -> Result<(), Error> {
        let (id, notice) = conn_info::read(message, self.0.context.transports)?;
        self.notice(id, notice);
        Ok(())
    }

    /// The next message to carry to the peer. Messages are taken one at a time: if the stream ends, the others wait for
    /// the next stream.
    #[must_use]
    pub fn next_outgoing(&self) -> Option<ConnInfo> {
        lock(&self.0.outgoing).messages.pop_front()
    }

    /// Puts a message that could not be carried back to the front.
    pub fn put_back(&self, message: ConnInfo) {
        lock(&self.0.outgoing).messages.push_front(message);
    }

    /// Sets the carrier of messages, which is woken at once if some wait; `None` when the carrier has ended.
    pub fn carry_by(&self, wake: Option<Arc<dyn Wake>>) {
        let mut outgoing = lock(&self.0.outgoing);
        outgoing.wake.clone_from(&wake);
        let waiting = !outgoing.messages.is_empty();
        drop(outgoing);
        self.0.carried.send_replace(wake.is_some());
        if let Some(wake) = wake.filter(|_| waiting) {
            wake.wake();
        }
    }

    /// Returns once messages are carried, or once they are not, as `wanted` says.
    async fn carried(&self, wanted: bool) {
        // Never fails: `self` holds the sender.
        let _ = self.0.carried.subscribe().wait_for(|carried| *carried == wanted).await;
    }

    /// Removes a message that has not been carried yet; false if it has.
    fn withdraw(&self, message: &ConnInfo) -> bool {
        let messages = &mut lock(&self.0.outgoing).messages;
        let place = messages.iter().position(|waiting| waiting == message);
        place.is_some_and(|place| messages.remove(place).is_some())
    }

    /// Ends all exchanges, because the peer's stream or this side has ended.
    pub fn close(&self, reason: &str) {
        self.state().close(reason);
        self.0.closing.cancel();
        if let Some(sorting) = lock(&self.0.sorting).take() {
            sorting.abort();
        }
    }

    /// Closes the broker, and the multiplexed session if there is one.
    pub fn shut_down(&self, reason: &str) {
        self.close(reason);
        if let Some(session) = &self.0.context.session {
            session.close();
        }
    }

    /// Returns when the multiplexed session has ended; at once without one.
    pub async fn session_ended(&self) {
        if let Some(session) = &self.0.context.session {
            session.ended().await;
        }
    }

    /// Logs a warning about the peer.
    pub fn warn(&self, text: String) {
        self.0.context.inbox.push_warning(text);
    }

    fn notice(&self, id: u32, notice: Notice) {
        let now = Instant::now();
        let outcome = match notice {
            Notice::Listening(address) => self.state().announce(id, address, now),
            Notice::Knock => self.state().knocked(id, now),
            Notice::Acknowledgement(answer) => self.state().acknowledged(id, answer),
        };
        match outcome {
            Outcome::Kept => (),
            Outcome::Acknowledge => self.send(conn_info::acknowledgement(id)),
            Outcome::TooLate => self.fill_gap(id),
        }
    }

    /// Opens a stream for an acknowledgement whose dialler has given up, and closes it. Otherwise the peer would take
    /// the next stream for this one.
    fn fill_gap(&self, id: u32) {
        self.warn(format!("the peer let service {id} in after its caller had given up"));
        // A dialler that waits with the permit opens the stream; otherwise the task below does.
        self.0.owing.notify_one();
        if let Some(session) = self.0.context.session.clone() {
            let broker = self.clone();
            tokio::spawn(async move {
                let permit = session.permit().await;
                broker.open_owed(&session, &permit).await;
            });
        }
    }

    /// Opens the streams that the peer expects and that no caller opens; dropping them resets them. An error means that
    /// the session has ended, and all waiting with it.
    async fn open_owed(&self, session: &Multiplex, permit: &OpenPermit) {
        let owed = self.state().take_owed();
        for _ in 0..owed {
            drop(session.open(permit).await);
        }
    }

    fn send(&self, info: ConnInfo) {
        let mut outgoing = lock(&self.0.outgoing);
        if outgoing.messages.len() >= MAX_OUTGOING {
            drop(outgoing);
            return self.close("the peer does not read the broker's messages");
        }
        outgoing.messages.push_back(info);
        let wake = outgoing.wake.clone();
        drop(outgoing);
        if let Some(wake) = wake {
            wake.wake();
        }
    }

    fn state(&self) -> MutexGuard<'_, BrokerState<InboundStream>> {
        lock(&self.0.state)
    }

    fn terminator(&self) -> Result<Terminator, Error> {
        let context = &self.0.context;
        Ok(Terminator {
            tls: (context.accepting)()?,
            traffic: context.traffic.clone(),
            inbox: context.inbox.clone(),
            open: Arc::default(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a runner's translation of an address, up to its limit.
async fn translated(answer: BoxFuture<Result<Address, Error>>) -> Result<Address, Error> {
    timeout(RENDEZVOUS_LIMIT, answer).await.unwrap_or_else(|_| {
        let message = format!("the runner did not translate an address within {} s", RENDEZVOUS_LIMIT.as_secs());
        Err(Error::new(ErrorKind::RunnerFailed, message))
    })
}

/// Hands each inbound stream to the listener with the oldest knock, and streams without a knock to the main server.
async fn sort(broker: std::sync::Weak<BrokerShared>, mut arrivals: InboundStreams, main: Option<PathBuf>) {
    let mut mains = JoinSet::new();
    while let Some(stream) = arrivals.next().await {
        let Some(broker) = broker.upgrade().map(Broker) else { return };
        let expected = broker.state().next_expected(Instant::now());
        // A stream that was reset at once has taken its place in the order all the same.
        let Ok(stream) = stream else { continue };
        match (expected, &main) {
            // An error means that the listener is closing, and its stream with it.
            (Expected::Listener(listener), _) => drop(listener.send(stream)),
            (Expected::Nobody, _) => (),
            (Expected::Unannounced, Some(_)) if mains.len() >= MAX_CONNECTIONS => {
                broker.warn("refused a stream of the host: it has too many".to_owned());
            }
            (Expected::Unannounced, Some(main)) => serve_main(&broker, stream, main.clone(), &mut mains),
            (Expected::Unannounced, None) => {
                broker.warn("refused a stream that the plugin opened without a knock".to_owned());
            }
        }
        while mains.try_join_next().is_some() {}
    }
}

fn serve_main(broker: &Broker, stream: InboundStream, main: PathBuf, mains: &mut JoinSet<()>) {
    match broker.terminator() {
        Ok(terminator) => {
            mains.spawn(async move { terminator.carry_inbound(stream, "the host", &main).await });
        }
        Err(error) => broker.warn(format!("refused the host: {error}")),
    }
}
