//! Who waits for whom: the broker's state, changed by messages and callers, without socket or clock of its own.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::address::Address;
use crate::error::{Error, ErrorKind, excerpt};

/// How long a ConnInfo or a knock is kept for whoever it is meant for, and how long a dialler waits: go-plugin's.
pub(crate) const RENDEZVOUS_LIMIT: Duration = Duration::from_secs(5);

/// Within this a stream follows the answer to its knock.
const STREAM_AFTER_ACK_LIMIT: Duration = Duration::from_secs(1);

/// ConnInfos and knocks kept at a time; a peer that sends more than are ever taken must not fill the memory.
const PARKED_LIMIT: usize = 4096;

/// Streams expected at a time. Diallers knock one after the other.
const EXPECTED_LIMIT: usize = 256;

/// What became of a message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was delivered, or kept for later.
    Kept,
    /// The peer may open its stream now: tell it.
    Acknowledge,
    /// The peer lets somebody in who no longer waits: its next stream goes to a place nobody wants.
    TooLate,
}

/// Whom a stream is for.
pub(super) enum Expected<S> {
    /// Whoever knocked for it has a listener.
    Listener(mpsc::UnboundedSender<S>),
    /// The listener is gone, and its stream with it.
    Nobody,
    /// Nobody knocked.
    Unannounced,
}

pub(super) struct BrokerState<S> {
    announced: HashMap<u32, (Instant, Address)>,
    diallers: HashMap<u32, VecDeque<oneshot::Sender<Result<Address, Error>>>>,
    knocks: HashMap<u32, Instant>,
    knockers: HashMap<u32, oneshot::Sender<Result<(), Error>>>,
    /// What this side serves; and the way for its streams where these are multiplexed.
    listeners: HashMap<u32, Option<mpsc::UnboundedSender<S>>>,
    /// Whose stream comes next, in the order of the knocks, and since when: nothing else binds a stream to its id.
    expected: VecDeque<(u32, Instant)>,
    /// Knocks whose callers gave up before the answer.
    overdue: HashSet<u32>,
    /// Late answers to those: streams that the peer expects and nobody has opened.
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
    /// The peer listens: tells who waits, or keeps it. As in Go's broker one announcement serves one dialler, and a second
    /// one that finds the first still unused is dropped.
    pub(super) fn announce(&mut self, id: u32, address: Address, now: Instant) -> Outcome {
        if let Some(waiting) = self.diallers.get_mut(&id) {
            while let Some(dialler) = waiting.pop_front() {
                if dialler.send(Ok(address.clone())).is_ok() {
                    return Outcome::Kept;
                }
            }
        }
        self.forget_stale(now);
        if self.announced.len() < PARKED_LIMIT {
            self.announced.entry(id).or_insert((now, address));
        }
        Outcome::Kept
    }

    /// Waits for the peer to listen.
    pub(super) fn await_address(
        &mut self,
        id: u32,
        now: Instant,
    ) -> Result<oneshot::Receiver<Result<Address, Error>>, Error> {
        self.check_open()?;
        self.forget_stale(now);
        let (sender, receiver) = oneshot::channel();
        match self.announced.remove(&id) {
            // The receiver is right here.
            Some((_, address)) => drop(sender.send(Ok(address))),
            None => self.diallers.entry(id).or_default().push_back(sender),
        }
        Ok(receiver)
    }

    /// Forgets diallers that gave up.
    pub(super) fn forget_diallers(&mut self, id: u32) {
        if let Some(waiting) = self.diallers.get_mut(&id) {
            waiting.retain(|dialler| !dialler.is_closed());
            if waiting.is_empty() {
                self.diallers.remove(&id);
            }
        }
    }

    /// The peer knocks.
    pub(super) fn knocked(&mut self, id: u32, now: Instant) -> Outcome {
        if let Some(Some(_)) = self.listeners.get(&id) {
            // A stream follows its answer at once, or never: its dialler had given up.
            self.expected.retain(|(_, since)| now.saturating_duration_since(*since) < STREAM_AFTER_ACK_LIMIT);
            if self.expected.len() < EXPECTED_LIMIT {
                self.expected.push_back((id, now));
                return Outcome::Acknowledge;
            }
        }
        self.forget_stale(now);
        if self.knocks.len() < PARKED_LIMIT {
            self.knocks.insert(id, now);
        }
        Outcome::Kept
    }

    /// Waits to be let in; one at a time, which the permit to open a stream ensures.
    pub(super) fn await_acknowledgement(&mut self, id: u32) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        self.check_open()?;
        let (sender, receiver) = oneshot::channel();
        self.knockers.insert(id, sender);
        Ok(receiver)
    }

    /// Waits no more: a later answer is overdue.
    pub(super) fn give_up_knock(&mut self, id: u32) {
        self.knockers.remove(&id);
        self.overdue.insert(id);
    }

    /// The peer answers a knock.
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

    /// How many streams the peer expects that nobody else opens; for the caller to open.
    pub(super) fn take_owed(&mut self) -> usize {
        std::mem::take(&mut self.owed)
    }

    /// Serves an id from now on, and takes its streams. `Welcome` if the peer has knocked already.
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

    /// Whom the peer's next stream is for.
    pub(super) fn next_expected(&mut self, now: Instant) -> Expected<S> {
        self.expected.retain(|(_, since)| now.saturating_duration_since(*since) < RENDEZVOUS_LIMIT);
        match self.expected.pop_front().map(|(id, _)| self.listeners.get(&id).and_then(Option::as_ref)) {
            None => Expected::Unannounced,
            Some(None) => Expected::Nobody,
            Some(Some(listener)) => Expected::Listener(listener.clone()),
        }
    }

    /// No more exchanges: those who wait are told.
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
