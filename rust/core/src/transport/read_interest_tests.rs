#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::AtomicUsize;

use super::*;

const SOON: Duration = Duration::from_millis(1);

fn set() -> Arc<SocketSet> {
    SocketSet::new().unwrap().unwrap()
}

/// Lone calls in a row from a time on, one per millisecond; whether each lent the interest for the first time.
fn lone_calls(interest: &ReadInterest, caller: &Arc<SocketSet>, from: Instant, count: u32) -> Vec<bool> {
    (0..count).map(|number| interest.note_lone_call_at(caller, from + number * SOON)).collect()
}

#[test]
fn a_few_lone_calls_in_a_row_take_the_interest() {
    let (interest, caller, now) = (ReadInterest::new(), set(), Instant::now());
    assert_eq!(lone_calls(&interest, &caller, now, LONE_CALLS + 1), [false, false, false, true, false]);
    assert!(Arc::ptr_eq(&interest.holder().unwrap(), &caller));
}

#[test]
fn calls_that_are_far_apart_do_not() {
    let (interest, caller, now) = (ReadInterest::new(), set(), Instant::now());
    for number in 0..3 * LONE_CALLS {
        assert!(!interest.note_lone_call_at(&caller, now + number * (LONE_CALL_GAP + SOON)));
    }
    assert!(interest.holder().is_none());
}

#[test]
fn another_caller_begins_anew() {
    let (interest, first, second, now) = (ReadInterest::new(), set(), set(), Instant::now());
    lone_calls(&interest, &first, now, LONE_CALLS);
    assert!(!interest.note_lone_call_at(&second, now + LONE_CALLS * SOON));
    assert!(interest.holder().is_none());
    lone_calls(&interest, &second, now + (LONE_CALLS + 1) * SOON, LONE_CALLS - 1);
    assert!(Arc::ptr_eq(&interest.holder().unwrap(), &second));
}

#[test]
fn a_caller_without_sockets_gives_the_interest_back() {
    let (interest, caller, now) = (ReadInterest::new(), set(), Instant::now());
    lone_calls(&interest, &caller, now, LONE_CALLS);
    assert!(!interest.note_lone_call(None));
    assert!(interest.holder().is_none());
    assert_eq!(lone_calls(&interest, &caller, now + LONE_CALLS * SOON, LONE_CALLS - 1), [false; 3]);
}

#[test]
fn a_holder_that_stands_still_loses_the_interest() {
    let (interest, caller, now) = (ReadInterest::new(), set(), Instant::now());
    lone_calls(&interest, &caller, now, LONE_CALLS);
    assert!(matches!(interest.check(), Check::Alive));
    interest.drive();
    assert!(matches!(interest.check(), Check::Alive));
    assert!(matches!(interest.check(), Check::Expired));
    assert!(interest.holder().is_none());
    assert!(matches!(interest.check(), Check::Returned));
    // The next holder is looked after again.
    let again = now + 2 * LONE_CALLS * SOON;
    assert_eq!(lone_calls(&interest, &caller, again, LONE_CALLS).last(), Some(&true));
}

#[test]
fn writes_are_put_off_only_for_a_holder_that_is_at_reading() {
    let (interest, caller, now) = (ReadInterest::new(), set(), Instant::now());
    caller.deferring_writes(|| assert!(!interest.defers_write()));
    lone_calls(&interest, &caller, now, LONE_CALLS);
    assert!(!interest.defers_write());
    caller.deferring_writes(|| assert!(interest.defers_write()));
    assert!(interest.has_deferred());
    assert!(!interest.defers_write());
    assert!(!interest.has_deferred());
}

/// Counts how often it is driven.
#[derive(Default)]
struct Counted(AtomicUsize);

impl Drive for Counted {
    fn drive(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_set_drives_the_connections_whose_sockets_are_readable() {
    let set = set();
    let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
    let interests: Vec<_> = pairs.iter().map(|_| ReadInterest::new()).collect();
    let drivers: Vec<Arc<Counted>> = pairs.iter().map(|_| Arc::default()).collect();
    for ((pair, interest), driver) in pairs.iter().zip(&interests).zip(&drivers) {
        let driver: Weak<Counted> = Arc::downgrade(driver);
        interest.attach(driver);
        interest.enter(&set, pair.0.as_fd()).unwrap();
    }
    let counts = || drivers.iter().map(|driver| driver.0.load(Ordering::Relaxed)).collect::<Vec<_>>();
    set.drive_readable();
    assert_eq!(counts(), [0, 0, 0]);
    (&pairs[1].1).write_all(b"x").unwrap();
    // What is left unread is reported again.
    set.drive_readable();
    set.drive_readable();
    assert_eq!(counts(), [0, 2, 0]);
    interests[1].leave(&set, pairs[1].0.as_fd());
    set.drive_readable();
    assert_eq!(counts(), [0, 2, 0]);
}
