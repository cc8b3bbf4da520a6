//! `plugin.GRPCBroker`: further gRPC connections between a host and its plugin, in both directions.
//!
//! Host and plugin use it alike. Ids name listeners of whoever announces them; the two sides' ids never meet. Without
//! multiplexing a listener is a socket, whose address travels as a ConnInfo. With it a stream of the one socket is opened
//! after a knock and its answer.

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
pub(crate) use self::state::RENDEZVOUS_LIMIT;
use self::state::{BrokerState, Expected, Outcome};
use crate::address::Address;
use crate::error::{Error, ErrorKind};
use crate::future::BoxFuture;
use crate::inbox::Inbox;
use crate::settings::{Peers, Transports};
use crate::transport::listener::Place;
use crate::transport::multiplex::{InboundStreams, Multiplex, OpenPermit};
use crate::transport::tls_terminator::{CONNECTIONS, Terminator};
use crate::transport::{InboundStream, Tls, Traffic};
use crate::wake::Wake;

/// What a broker knows of the other side. By default: nothing, and that it lives in the same world.
pub trait Peer: Send + Sync {
    /// Whether it is gone for good.
    fn has_ended(&self) -> bool {
        false
    }

    /// Why calls fail: its end, or `otherwise` if it lives on.
    fn exit_explanation(&self, otherwise: String) -> BoxFuture<String> {
        Box::pin(std::future::ready(otherwise))
    }

    /// Our address as the peer sees it: other in another namespace.
    fn address_there(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        Box::pin(std::future::ready(Ok(address)))
    }

    /// The peer's address as we see it.
    fn address_here(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        Box::pin(std::future::ready(Ok(address)))
    }
}

/// Messages that wait for the peer. Each is asked for by one of this side's callers, or answers one of the peer's.
const OUTGOING_LIMIT: usize = 16 * 1024;

/// How connections are made and let in.
pub struct BrokerContext {
    /// TLS of dialled connections.
    pub dialing: Option<Tls>,
    /// TLS of accepted ones, made when it is needed; an error where there is no certificate to show.
    pub accepting: Box<dyn Fn() -> Result<Option<Arc<ServerConfig>>, Error> + Send + Sync>,
    /// The socket that all share, if they do.
    pub session: Option<Arc<Multiplex>>,
    /// By what the peer may be dialled.
    pub transports: Transports,
    /// Whose sockets may be dialled.
    pub peers: Peers,
    /// Where listeners listen.
    pub place: Place,
    /// A private directory, for the servers behind listeners.
    pub backends: PathBuf,
    /// Limit of one attempt to connect.
    pub connect_timeout: Duration,
    /// Counts all bytes.
    pub traffic: Traffic,
    /// Told of those who were refused.
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
    /// Whether somebody carries messages.
    carried: watch::Sender<bool>,
    /// Told of streams that the peer expects and nobody has opened.
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
    /// A broker whose messages wait until somebody carries them. `main` takes the multiplexed streams that nobody knocked
    /// for: the plugin's main connection.
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

    /// An id that no listener of this side has: some families have fixed ones beside those that are given out.
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

    /// Takes a message of the peer.
    pub fn receive(&self, info: ConnInfo) -> Result<(), Error> {
        let (id, notice) = conn_info::understand(info, self.0.context.transports)?;
        self.notice(id, notice);
        Ok(())
    }

    /// The same for one that is not decoded yet.
    pub fn receive_bytes(&self, message: &[u8]) -> Result<(), Error> {
        let (id, notice) = conn_info::read(message, self.0.context.transports)?;
        self.notice(id, notice);
        Ok(())
    }

    /// The next message to carry to the peer. One at a time: the others wait for the next stream if this one ends.
    #[must_use]
    pub fn next_outgoing(&self) -> Option<ConnInfo> {
        lock(&self.0.outgoing).messages.pop_front()
    }

    /// Takes back one that could not be carried.
    pub fn put_back(&self, message: ConnInfo) {
        lock(&self.0.outgoing).messages.push_front(message);
    }

    /// Says who carries messages from now on; woken at once if some wait.
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

    /// Returns when somebody carries messages, or nobody does.
    async fn carried(&self, wanted: bool) {
        // Cannot fail: `self` holds the sender.
        let _ = self.0.carried.subscribe().wait_for(|carried| *carried == wanted).await;
    }

    /// Takes back a message that nobody has carried yet; whether there was one.
    fn withdraw(&self, message: &ConnInfo) -> bool {
        let messages = &mut lock(&self.0.outgoing).messages;
        let place = messages.iter().position(|waiting| waiting == message);
        place.is_some_and(|place| messages.remove(place).is_some())
    }

    /// No more exchanges: the peer's stream has ended, or this side has.
    pub fn close(&self, reason: &str) {
        self.state().close(reason);
        self.0.closing.cancel();
        if let Some(sorting) = lock(&self.0.sorting).take() {
            sorting.abort();
        }
    }

    /// The same, together with the socket that all share, if they do.
    pub fn shut_down(&self, reason: &str) {
        self.close(reason);
        if let Some(session) = &self.0.context.session {
            session.close();
        }
    }

    /// Returns when the socket that all share is closed; at once where there is none.
    pub async fn session_ended(&self) {
        if let Some(session) = &self.0.context.session {
            session.ended().await;
        }
    }

    /// Says something about the peer to whoever reads its log.
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

    /// The peer lets in a stream that nobody opens any more. It would take the next one for it, so it gets one.
    fn fill_gap(&self, id: u32) {
        self.warn(format!("the peer let service {id} in after its caller had given up"));
        // Whoever has the permit opens it, or whoever gets it next.
        self.0.owing.notify_one();
        if let Some(session) = self.0.context.session.clone() {
            let broker = self.clone();
            tokio::spawn(async move {
                let permit = session.permit().await;
                broker.open_owed(&session, &permit).await;
            });
        }
    }

    /// Opens the streams that the peer waits for in vain; dropping them resets them. Failing means that the session has
    /// ended, and with it all waiting.
    async fn open_owed(&self, session: &Multiplex, permit: &OpenPermit) {
        let owed = self.state().take_owed();
        for _ in 0..owed {
            drop(session.open(permit).await);
        }
    }

    fn send(&self, info: ConnInfo) {
        let mut outgoing = lock(&self.0.outgoing);
        if outgoing.messages.len() >= OUTGOING_LIMIT {
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

/// What a runner makes of an address, within a limit.
async fn translated(answer: BoxFuture<Result<Address, Error>>) -> Result<Address, Error> {
    timeout(RENDEZVOUS_LIMIT, answer).await.unwrap_or_else(|_| {
        let message = format!("the runner did not translate an address within {} s", RENDEZVOUS_LIMIT.as_secs());
        Err(Error::new(ErrorKind::RunnerFailed, message))
    })
}

/// Hands each stream to the listener whose knock is the oldest, and what nobody knocked for to the main server.
async fn sort(broker: std::sync::Weak<BrokerShared>, mut arrivals: InboundStreams, main: Option<PathBuf>) {
    let mut mains = JoinSet::new();
    while let Some(stream) = arrivals.next().await {
        let Some(broker) = broker.upgrade().map(Broker) else { return };
        let expected = broker.state().next_expected(Instant::now());
        // One that was reset at once had its place all the same.
        let Ok(stream) = stream else { continue };
        match (expected, &main) {
            // An error means that the listener is closing, and its stream with it.
            (Expected::Listener(listener), _) => drop(listener.send(stream)),
            (Expected::Nobody, _) => (),
            (Expected::Unannounced, Some(_)) if mains.len() >= CONNECTIONS => {
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
