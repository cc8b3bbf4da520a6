#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::duplex;
use tokio::time::timeout;

use super::super::{BrokerContext, Peer};
use super::*;
use crate::inbox::Inbox;
use crate::settings::{Peers, Transports};
use crate::transport::listener::Place;
use crate::transport::multiplex::Side;

const LIMIT: Duration = Duration::from_secs(1);

struct Somebody;

impl Peer for Somebody {}

fn broker(session: Arc<Multiplex>) -> Broker {
    let context = BrokerContext {
        dialing: None,
        accepting: Box::new(|| Ok(None)),
        session: Some(session),
        transports: Transports { unix: true, tcp: true },
        peers: Peers::Anybody,
        place: Place::Unix(PathBuf::new(), None),
        backends: PathBuf::new(),
        connect_timeout: LIMIT,
        traffic: Traffic::default(),
        inbox: Arc::new(Inbox::new(Arc::new(|| ()), None)),
        peer: Arc::new(Somebody),
    };
    Broker::new(context, None)
}

/// What carries a knock is a stream of the same session, which takes the permit as well.
#[tokio::test(start_paused = true)]
async fn knock_that_nobody_carries_keeps_the_turn_from_nobody() {
    let (near, _far) = duplex(64 * 1024);
    let session = Arc::new(Multiplex::start(near, Side::Client));
    let broker = broker(session.clone());
    let (caller, _waits) = oneshot::channel();
    let dialling = tokio::spawn(broker.clone().knock_and_open(1, session.clone(), caller));
    tokio::task::yield_now().await;
    drop(timeout(LIMIT, session.permit()).await.unwrap());
    assert!(broker.next_outgoing().is_none());
    let (knocked, told) = tokio::sync::oneshot::channel();
    let knocked = Mutex::new(Some(knocked));
    broker.carry_by(Some(Arc::new(move || {
        let _ = lock(&knocked).take().map(|knocked| knocked.send(()));
    })));
    timeout(LIMIT, told).await.unwrap().unwrap();
    assert!(broker.next_outgoing().is_some());
    assert!(timeout(LIMIT, session.permit()).await.is_err(), "whoever has knocked opens the next stream");
    dialling.abort();
}

/// Each would hold the permit for the whole time that the peer has to answer.
#[tokio::test(start_paused = true)]
async fn dials_that_are_given_up_while_others_knock_never_knock() {
    let (near, _far) = duplex(64 * 1024);
    let session = Arc::new(Multiplex::start(near, Side::Client));
    let broker = broker(session.clone());
    broker.carry_by(Some(Arc::new(|| ())));
    let others = session.permit().await;
    for id in 0..5 {
        assert!(timeout(LIMIT, broker.connect(&Route::Knock(id, session.clone()))).await.is_err());
    }
    drop(others);
    drop(timeout(LIMIT, session.permit()).await.unwrap());
    assert!(broker.next_outgoing().is_none(), "a dial that was given up has knocked");
}
