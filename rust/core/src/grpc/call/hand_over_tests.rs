//! The two sides of a call on two threads.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

/// How long a thread may wait for another.
const LIMIT: Duration = Duration::from_secs(60);
/// Messages of one call.
const MESSAGES: usize = 4;

fn call(watcher: Option<Box<dyn Watcher>>) -> Call {
    let request = Request {
        path: Bytes::from_static(b"/test.Test/Call"),
        metadata: HeaderMap::new(),
        encoding: Encoding::Identity,
        deadline: None,
        wait_for_ready: false,
        single_response: false,
        message: None,
        max_send: 1 << 20,
    };
    Call::new(&request, watcher)
}

/// A thread that reads sockets while it waits: here it is woken, and reads nothing.
#[derive(Default)]
struct Sleeper {
    is_woken: Mutex<bool>,
    changed: Condvar,
}

impl Wake for Sleeper {
    fn wake(&self) {
        *self.is_woken.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl Reader for Sleeper {
    fn has_sockets(&self) -> bool {
        true
    }

    fn wait(&self, limit: Duration) -> bool {
        let woken = self.is_woken.lock().unwrap();
        let (mut woken, _) = self.changed.wait_timeout_while(woken, limit, |woken| !*woken).unwrap();
        *woken = false;
        true
    }

    fn read(&self) {}
}

/// The I/O thread's side of a whole call.
fn answer(call: &Call) {
    call.begin_response(Metadata::new());
    for number in 0..MESSAGES {
        call.deliver(Message::from(vec![0; number]));
    }
    call.finish(Status::ok().into());
}

/// Takes messages up to the end; `wait` is how the thread waits for an event.
fn take_all(call: &Call, wait: impl Fn(&Call, u8) -> bool) -> usize {
    let mut taken = 0;
    loop {
        assert!(wait(call, event::MESSAGE), "no event in time");
        let messages = call.take();
        taken += messages.len();
        if messages.is_empty() && call.code().is_some() {
            return taken;
        }
    }
}

#[test]
fn thread_that_blocks_gets_every_message_and_the_end() {
    let call = call(None);
    let (taken, ()) = in_parallel(|| take_all(&call, |call, event| call.wait(event, LIMIT)), || answer(&call));
    assert_eq!(taken, MESSAGES);
}

#[test]
fn thread_that_reads_meanwhile_gets_every_message_and_the_end() {
    let (call, reader) = (call(None), Arc::new(Sleeper::default()));
    let (taken, ()) =
        in_parallel(|| take_all(&call, |call, event| call.wait_reading(event, LIMIT, &reader)), || answer(&call));
    assert_eq!(taken, MESSAGES);
}

#[test]
fn end_wakes_the_thread_that_reads_and_the_one_that_blocks() {
    let (call, reader) = (call(None), Arc::new(Sleeper::default()));
    let waiting = || {
        in_parallel(|| call.wait_reading(event::END, LIMIT, &reader), || call.wait_reading(event::END, LIMIT, &reader))
    };
    let (woken, ()) = in_parallel(waiting, || call.finish(Status::ok().into()));
    assert_eq!(woken, (true, true));
}

/// Counts what a call tells its watcher.
#[derive(Default)]
struct Told {
    events: AtomicUsize,
    ends: AtomicUsize,
}

impl Watcher for Arc<Told> {
    fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self) {
        self.ends.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn watcher_is_told_of_the_event_that_the_caller_missed() {
    let told = Arc::new(Told::default());
    let call = call(Some(Box::new(told.clone())));
    let (held, ()) = in_parallel(|| call.holds(event::HEADERS), || call.begin_response(Metadata::new()));
    assert_eq!(usize::from(!held), told.events.load(Ordering::Relaxed));
}

#[test]
fn call_that_both_sides_end_has_one_end() {
    let told = Arc::new(Told::default());
    let call = call(Some(Box::new(told.clone())));
    let cancelled = Status::new(Code::Cancelled, "by the caller");
    let (is_cancelled, ()) = in_parallel(|| call.cancel(cancelled), || answer(&call));
    assert_eq!(call.code() == Some(Code::Cancelled), is_cancelled);
    assert_eq!(told.ends.load(Ordering::Relaxed), usize::from(!is_cancelled));
}

fn in_parallel<A, B: Send>(one: impl FnOnce() -> A, other: impl FnOnce() -> B + Send) -> (A, B) {
    thread::scope(|scope| {
        let other = scope.spawn(other);
        (one(), other.join().unwrap())
    })
}
