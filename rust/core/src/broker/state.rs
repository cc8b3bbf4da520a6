//! The broker's state, changed by messages and callers: who waits for whom. No I/O; the time is passed in.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::address::Address;
use crate::error::{Error, ErrorKind, excerpt};

/// How long a ConnInfo or a knock is kept for its receiver, and how long a dialler waits; go-plugin's value.
pub(crate) const RENDEZVOUS_LIMIT: Duration = Duration::from_secs(5);

/// How long after the acknowledgement of a knock its stream is expected.
const STREAM_AFTER_ACK_LIMIT: Duration = Duration::from_secs(1);

/// ConnInfos and knocks kept at a time: a peer that sends them without end must not fill the memory.
const MAX_PARKED: usize = 4096;

/// Streams expected at a time. A peer's diallers knock one after the other.
const MAX_EXPECTED: usize = 256;

/// What a message asks of this side.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing: the message was delivered, or kept for later.
    Kept,
    /// To acknowledge the peer's knock.
    Acknowledge,
    /// To open a stream that no caller wants: the peer has acknowledged a knock whose dialler gave up.
    TooLate,
}

/// The receiver of the peer's next stream.
pub(super) enum Expected<S> {
    /// The listener of the id that was knocked for.
    Listener(mpsc::UnboundedSender<S>),
    /// No one: the listener was closed after its knock.
    Nobody,
    /// The main connection: no knock came before the stream.
    Unannounced,
}

pub(super) struct BrokerState<S> {
    announced: HashMap<u32, (Instant, Address)>,
    diallers: HashMap<u32, VecDeque<oneshot::Sender<Result<Address, Error>>>>,
    knocks: HashMap<u32, Instant>,
    knockers: HashMap<u32, oneshot::Sender<Result<(), Error>>>,
    /// The ids that this side serves, with the sender for their streams where those are multiplexed.
    listeners: HashMap<u32, Option<mpsc::UnboundedSender<S>>>,
    /// The ids of the next streams, in the order of their knocks, and when each was acknowledged. The order alone binds
    /// a stream to its id.
    expected: VecDeque<(u32, Instant)>,
    /// Knocks whose diallers gave up before the acknowledgement.
    overdue: HashSet<u32>,
    /// Late acknowledgements of overdue knocks: streams that the peer expects and no dialler opens.
    owed: usize,
    closed: Option<String>,
}

impl<S> Default for BrokerState<S> {
    fn default() -> Self {
        Self {
            announced: HashMap::new(),
            diallers: HashMap::new(),
            knocks: HashMap::new(),
            knockers: HashMap::new(),
            listeners: HashMap::new(),
            expected: VecDeque::new(),
            overdue: HashSet::new(),
            owed: 0,
            closed: None,
        }
    }
}

impl<S> BrokerState<S> {
    /// Handles the peer's announcement: tells a dialler, or keeps it. As in Go's broker one announcement serves one
    /// dialler, and a second announcement of an id is dropped while the first is unused.
    pub(super) fn announce(&mut self, id: u32, address: Address, now: Instant) -> Outcome {
        if let Some(waiting) = self.diallers.get_mut(&id) {
            while let Some(dialler) = waiting.pop_front() {
                if dialler.send(Ok(address.clone())).is_ok() {
                    return Outcome::Kept;
                }
            }
        }
        self.forget_stale(now);
        if self.announced.len() < MAX_PARKED {
            self.announced.entry(id).or_insert((now, address));
        }
        Outcome::Kept
    }

    /// Registers a dialler, which waits for the peer's announcement.
    pub(super) fn await_address(
        &mut self,
        id: u32,
        now: Instant,
    ) -> Result<oneshot::Receiver<Result<Address, Error>>, Error> {
        self.check_open()?;
        self.forget_stale(now);
        let (sender, receiver) = oneshot::channel();
        match self.announced.remove(&id) {
            // The receiver exists: sending cannot fail.
            Some((_, address)) => drop(sender.send(Ok(address))),
            None => self.diallers.entry(id).or_default().push_back(sender),
        }
        Ok(receiver)
    }

    /// Removes the diallers of `id` that gave up.
    pub(super) fn forget_diallers(&mut self, id: u32) {
        if let Some(waiting) = self.diallers.get_mut(&id) {
            waiting.retain(|dialler| !dialler.is_closed());
            if waiting.is_empty() {
                self.diallers.remove(&id);
            }
        }
    }

    /// Handles a knock of the peer.
    pub(super) fn knocked(&mut self, id: u32, now: Instant) -> Outcome {
        if let Some(Some(_)) = self.listeners.get(&id) {
            // A stream that does not follow its acknowledgement at once never comes: its dialler has given up.
            self.expected.retain(|(_, since)| now.saturating_duration_since(*since) < STREAM_AFTER_ACK_LIMIT);
            if self.expected.len() < MAX_EXPECTED {
                self.expected.push_back((id, now));
                return Outcome::Acknowledge;
            }
        }
        self.forget_stale(now);
        if self.knocks.len() < MAX_PARKED {
            self.knocks.insert(id, now);
        }
        Outcome::Kept
    }

    /// Registers a dialler that has knocked. There is one at a time, which the permit to open a stream ensures.
    pub(super) fn await_acknowledgement(&mut self, id: u32) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        self.check_open()?;
        let (sender, receiver) = oneshot::channel();
        self.knockers.insert(id, sender);
        Ok(receiver)
    }

    /// Removes a dialler that has knocked: a later acknowledgement is overdue.
    pub(super) fn give_up_knock(&mut self, id: u32) {
        self.knockers.remove(&id);
        self.overdue.insert(id);
    }

    /// Handles the peer's acknowledgement or refusal of a knock.
    pub(super) fn acknowledged(&mut self, id: u32, answer: Result<(), String>) -> Outcome {
        let is_acknowledged = answer.is_ok();
        let answer = answer.map_err(|reason| {
            Error::new(
                ErrorKind::BrokerRefused,
                format!("the peer does not let service {id} in: {}", excerpt(reason.as_bytes())),
            )
        });
        let waits = self.knockers.remove(&id).is_some_and(|knocker| knocker.send(answer).is_ok());
        if waits || !self.overdue.remove(&id) || !is_acknowledged {
            return Outcome::Kept;
        }
        self.owed += 1;
        Outcome::TooLate
    }

    /// Takes the number of streams that the peer expects and no dialler opens; the caller opens them.
    pub(super) fn take_owed(&mut self) -> usize {
        std::mem::take(&mut self.owed)
    }

    /// Registers a listener. [`Outcome::Acknowledge`] if the peer has knocked already.
    pub(super) fn listen(
        &mut self,
        id: u32,
        streams: Option<mpsc::UnboundedSender<S>>,
        now: Instant,
    ) -> Result<Outcome, Error> {
        self.check_open()?;
        if self.serves(id) {
            let message = format!("service {id} is being accepted already, expected an id from next_id()");
            return Err(Error::new(ErrorKind::BrokerRefused, message));
        }
        self.listeners.insert(id, streams);
        self.forget_stale(now);
        Ok(if self.knocks.remove(&id).is_some() { self.knocked(id, now) } else { Outcome::Kept })
    }

    /// Whether this side serves an id.
    pub(super) fn serves(&self, id: u32) -> bool {
        self.listeners.contains_key(&id)
    }

    pub(super) fn stop_listening(&mut self, id: u32) {
        self.listeners.remove(&id);
    }

    /// The receiver of the peer's next stream.
    pub(super) fn next_expected(&mut self, now: Instant) -> Expected<S> {
        self.expected.retain(|(_, since)| now.saturating_duration_since(*since) < RENDEZVOUS_LIMIT);
        match self.expected.pop_front().map(|(id, _)| self.listeners.get(&id).and_then(Option::as_ref)) {
            None => Expected::Unannounced,
            Some(None) => Expected::Nobody,
            Some(Some(listener)) => Expected::Listener(listener.clone()),
        }
    }

    /// Ends all exchanges; diallers that wait get an error with the reason.
    pub(super) fn close(&mut self, reason: &str) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason.to_owned());
        for dialler in self.diallers.drain().flat_map(|(_, waiting)| waiting) {
            let _ = dialler.send(Err(closed(reason)));
        }
        for (_, knocker) in self.knockers.drain() {
            let _ = knocker.send(Err(closed(reason)));
        }
        self.listeners.clear();
        self.announced.clear();
        self.knocks.clear();
        self.expected.clear();
        self.overdue.clear();
    }

    pub(super) fn check_open(&self) -> Result<(), Error> {
        self.closed.as_deref().map_or(Ok(()), |reason| Err(closed(reason)))
    }

    fn forget_stale(&mut self, now: Instant) {
        let fresh = |arrived: &Instant| now.saturating_duration_since(*arrived) < RENDEZVOUS_LIMIT;
        self.announced.retain(|_, (arrived, _)| fresh(arrived));
        self.knocks.retain(|_, arrived| fresh(arrived));
    }
}

fn closed(reason: &str) -> Error {
    Error::new(ErrorKind::BrokerClosed, format!("the broker is closed: {reason}"))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
