#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn socket(name: &str) -> Address {
    Address::Unix(name.into())
}

fn streams() -> mpsc::UnboundedSender<()> {
    mpsc::unbounded_channel().0
}

#[test]
fn id_is_served_by_one_listener_at_a_time() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    for streams in [Some(streams()), None] {
        state.listen(1, streams, now).unwrap();
        assert_eq!(state.listen(1, None, now).unwrap_err().kind(), ErrorKind::BrokerRefused);
        state.stop_listening(1);
    }
}

#[test]
fn announcement_and_dialler_meet_in_either_order() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    state.announce(1, socket("a"), now);
    assert_eq!(state.await_address(1, now).unwrap().try_recv().unwrap().unwrap(), socket("a"));
    let mut waiting = state.await_address(2, now).unwrap();
    assert!(waiting.try_recv().is_err());
    state.announce(2, socket("b"), now);
    assert_eq!(waiting.try_recv().unwrap().unwrap(), socket("b"));
}

#[test]
fn one_announcement_serves_one_dialler_that_still_waits() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    drop(state.await_address(1, now).unwrap());
    let (mut second, mut third) = (state.await_address(1, now).unwrap(), state.await_address(1, now).unwrap());
    state.announce(1, socket("a"), now);
    assert!(second.try_recv().is_ok() && third.try_recv().is_err());
}

#[test]
fn diallers_that_gave_up_are_forgotten_and_others_wait_on() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    drop(state.await_address(1, now).unwrap());
    let mut waiting = state.await_address(1, now).unwrap();
    state.forget_diallers(1);
    assert_eq!(state.diallers[&1].len(), 1);
    state.announce(1, socket("a"), now);
    assert_eq!(waiting.try_recv().unwrap().unwrap(), socket("a"));
    drop(state.await_address(2, now).unwrap());
    state.forget_diallers(2);
    assert!(!state.diallers.contains_key(&2));
}

#[test]
fn what_nobody_takes_within_the_patience_is_forgotten() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    state.announce(1, socket("a"), now);
    state.knocked(2, now);
    let later = now + RENDEZVOUS_LIMIT;
    assert!(state.await_address(1, later).unwrap().try_recv().is_err());
    assert_eq!(state.listen(2, Some(streams()), later).unwrap(), Outcome::Kept);
}

#[test]
fn knock_before_its_listener_is_answered_when_that_comes() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    assert_eq!(state.knocked(3, now), Outcome::Kept);
    assert_eq!(state.listen(3, Some(streams()), now).unwrap(), Outcome::Acknowledge);
    assert!(matches!(state.next_expected(now), Expected::Listener(_)));
    assert!(matches!(state.next_expected(now), Expected::Unannounced));
}

#[test]
fn stream_of_a_listener_that_closed_meanwhile_is_nobody_elses() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    state.listen(1, Some(streams()), now).unwrap();
    state.listen(2, Some(streams()), now).unwrap();
    state.knocked(1, now);
    state.knocked(2, now);
    state.stop_listening(1);
    assert!(matches!(state.next_expected(now), Expected::Nobody));
    assert!(matches!(state.next_expected(now), Expected::Listener(_)));
}

#[test]
fn acknowledgement_that_comes_too_late_is_noticed() {
    let mut state = BrokerState::<()>::default();
    drop(state.await_acknowledgement(1).unwrap());
    state.give_up_knock(1);
    assert_eq!(state.acknowledged(1, Ok(())), Outcome::TooLate);
    state.give_up_knock(2);
    assert_eq!(state.acknowledged(2, Err("no".to_owned())), Outcome::Kept);
}

#[test]
fn answer_that_nobody_asked_for_opens_nothing() {
    let mut state = BrokerState::<()>::default();
    assert_eq!(state.acknowledged(1, Ok(())), Outcome::Kept);
    state.give_up_knock(1);
    state.acknowledged(1, Ok(()));
    assert_eq!(state.acknowledged(1, Ok(())), Outcome::Kept);
    assert_eq!(state.take_owed(), 1);
}

#[test]
fn knocks_beyond_the_limit_are_not_acknowledged() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    state.listen(1, Some(streams()), now).unwrap();
    let acknowledged = (0..MAX_EXPECTED * 2).filter(|_| state.knocked(1, now) == Outcome::Acknowledge).count();
    assert_eq!(acknowledged, MAX_EXPECTED);
}

#[test]
fn stream_that_the_peer_expects_in_vain_is_owed_once() {
    let mut state = BrokerState::<()>::default();
    state.give_up_knock(1);
    state.acknowledged(1, Ok(()));
    assert_eq!((state.take_owed(), state.take_owed()), (1, 0));
}

#[test]
fn stream_that_never_came_takes_nobodys_place() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    state.listen(1, Some(streams()), now).unwrap();
    state.knocked(1, now);
    assert!(matches!(state.next_expected(now + RENDEZVOUS_LIMIT), Expected::Unannounced));
    state.knocked(1, now);
    state.knocked(1, now + STREAM_AFTER_ACK_LIMIT);
    assert!(matches!(state.next_expected(now + STREAM_AFTER_ACK_LIMIT), Expected::Listener(_)));
    assert!(matches!(state.next_expected(now + STREAM_AFTER_ACK_LIMIT), Expected::Unannounced));
}

#[test]
fn closing_tells_everybody_why() {
    let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
    let (mut dialler, mut knocker) = (state.await_address(1, now).unwrap(), state.await_acknowledgement(2).unwrap());
    state.close("the plugin ended");
    assert!(dialler.try_recv().unwrap().unwrap_err().message().contains("the plugin ended"));
    assert!(knocker.try_recv().unwrap().unwrap_err().message().contains("the plugin ended"));
    assert_eq!(state.await_acknowledgement(3).unwrap_err().kind(), ErrorKind::BrokerClosed);
}

proptest! {
    #[test]
    fn streams_go_to_the_ids_in_the_order_of_their_knocks(
        moves in prop::collection::vec((0_u8..3, 0_u32..5), 0..200),
    ) {
        let (mut state, now) = (BrokerState::<()>::default(), Instant::now());
        let (mut listening, mut knocked) = (std::collections::HashSet::new(), VecDeque::new());
        for (kind, id) in moves {
            match kind {
                0 if state.listen(id, Some(streams()), now).is_ok_and(|outcome| outcome == Outcome::Acknowledge) => {
                    listening.insert(id);
                    knocked.push_back(id);
                }
                0 => drop(listening.insert(id)),
                1 if state.knocked(id, now) == Outcome::Acknowledge => knocked.push_back(id),
                1 => prop_assert!(!listening.contains(&id)),
                _ => {
                    let announced = !matches!(state.next_expected(now), Expected::Unannounced);
                    prop_assert_eq!(announced, knocked.pop_front().is_some());
                },
            }
        }
    }
}
