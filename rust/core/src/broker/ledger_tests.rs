#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn socket(name: &str) -> Address {
    Address::Unix(name.into())
}

fn streams() -> mpsc::UnboundedSender<Arrived> {
    mpsc::unbounded_channel().0
}

#[test]
fn id_is_served_by_one_listener_at_a_time() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    for streams in [Some(streams()), None] {
        ledger.listen(1, streams, now).unwrap();
        assert_eq!(ledger.listen(1, None, now).unwrap_err().kind(), ErrorKind::BrokerRefused);
        ledger.stop_listening(1);
    }
}

#[test]
fn announcement_and_dialler_meet_in_either_order() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.announce(1, socket("a"), now);
    assert_eq!(ledger.await_address(1, now).unwrap().try_recv().unwrap().unwrap(), socket("a"));
    let mut waiting = ledger.await_address(2, now).unwrap();
    assert!(waiting.try_recv().is_err());
    ledger.announce(2, socket("b"), now);
    assert_eq!(waiting.try_recv().unwrap().unwrap(), socket("b"));
}

#[test]
fn one_announcement_serves_one_dialler_that_still_waits() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    drop(ledger.await_address(1, now).unwrap());
    let (mut second, mut third) = (ledger.await_address(1, now).unwrap(), ledger.await_address(1, now).unwrap());
    ledger.announce(1, socket("a"), now);
    assert!(second.try_recv().is_ok() && third.try_recv().is_err());
}

#[test]
fn what_nobody_takes_within_the_patience_is_forgotten() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.announce(1, socket("a"), now);
    ledger.knocked(2, now);
    let later = now + PATIENCE;
    assert!(ledger.await_address(1, later).unwrap().try_recv().is_err());
    assert_eq!(ledger.listen(2, Some(streams()), later).unwrap(), Outcome::Kept);
}

#[test]
fn knock_before_its_listener_is_answered_when_that_comes() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    assert_eq!(ledger.knocked(3, now), Outcome::Kept);
    assert_eq!(ledger.listen(3, Some(streams()), now).unwrap(), Outcome::Welcome);
    assert!(matches!(ledger.next_expected(now), Expected::Listener(_)));
    assert!(matches!(ledger.next_expected(now), Expected::Unannounced));
}

#[test]
fn stream_of_a_listener_that_closed_meanwhile_is_nobody_elses() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.listen(1, Some(streams()), now).unwrap();
    ledger.listen(2, Some(streams()), now).unwrap();
    ledger.knocked(1, now);
    ledger.knocked(2, now);
    ledger.stop_listening(1);
    assert!(matches!(ledger.next_expected(now), Expected::Nobody));
    assert!(matches!(ledger.next_expected(now), Expected::Listener(_)));
}

#[test]
fn welcome_that_comes_too_late_is_noticed() {
    let mut ledger = Ledger::default();
    drop(ledger.await_answer(1).unwrap());
    ledger.give_up_knock(1);
    assert_eq!(ledger.answered(1, Ok(())), Outcome::TooLate);
    ledger.give_up_knock(2);
    assert_eq!(ledger.answered(2, Err("no".to_owned())), Outcome::Kept);
}

#[test]
fn answer_that_nobody_asked_for_opens_nothing() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.answered(1, Ok(())), Outcome::Kept);
    ledger.give_up_knock(1);
    ledger.answered(1, Ok(()));
    assert_eq!(ledger.answered(1, Ok(())), Outcome::Kept);
    assert_eq!(ledger.take_owed(), 1);
}

#[test]
fn knocks_beyond_the_limit_are_not_welcomed() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.listen(1, Some(streams()), now).unwrap();
    let welcomed = (0..EXPECTED_LIMIT * 2).filter(|_| ledger.knocked(1, now) == Outcome::Welcome).count();
    assert_eq!(welcomed, EXPECTED_LIMIT);
}

#[test]
fn stream_that_the_peer_expects_in_vain_is_owed_once() {
    let mut ledger = Ledger::default();
    ledger.give_up_knock(1);
    ledger.answered(1, Ok(()));
    assert_eq!((ledger.take_owed(), ledger.take_owed()), (1, 0));
}

#[test]
fn stream_that_never_came_takes_nobodys_place() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.listen(1, Some(streams()), now).unwrap();
    ledger.knocked(1, now);
    assert!(matches!(ledger.next_expected(now + PATIENCE), Expected::Unannounced));
    ledger.knocked(1, now);
    ledger.knocked(1, now + AT_ONCE);
    assert!(matches!(ledger.next_expected(now + AT_ONCE), Expected::Listener(_)));
    assert!(matches!(ledger.next_expected(now + AT_ONCE), Expected::Unannounced));
}

#[test]
fn closing_tells_everybody_why() {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    let (mut dialler, mut knocker) = (ledger.await_address(1, now).unwrap(), ledger.await_answer(2).unwrap());
    ledger.close("the plugin ended");
    assert!(dialler.try_recv().unwrap().unwrap_err().message().contains("the plugin ended"));
    assert!(knocker.try_recv().unwrap().unwrap_err().message().contains("the plugin ended"));
    assert_eq!(ledger.await_answer(3).unwrap_err().kind(), ErrorKind::BrokerClosed);
}

proptest! {
    #[test]
    fn streams_go_to_the_ids_in_the_order_of_their_knocks(
        moves in prop::collection::vec((0_u8..3, 0_u32..5), 0..200),
    ) {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let (mut listening, mut knocked) = (std::collections::HashSet::new(), VecDeque::new());
        for (kind, id) in moves {
            match kind {
                0 if ledger.listen(id, Some(streams()), now).is_ok_and(|outcome| outcome == Outcome::Welcome) => {
                    listening.insert(id);
                    knocked.push_back(id);
                }
                0 => drop(listening.insert(id)),
                1 if ledger.knocked(id, now) == Outcome::Welcome => knocked.push_back(id),
                1 => prop_assert!(!listening.contains(&id)),
                _ => {
                    let announced = !matches!(ledger.next_expected(now), Expected::Unannounced);
                    prop_assert_eq!(announced, knocked.pop_front().is_some());
                },
            }
        }
    }
}
