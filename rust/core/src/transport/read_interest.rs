//! Who waits for a socket's bytes: as a rule the I/O thread, and the caller's own thread while calls come one at a time.
//!
//! The interest is one word of state beside the socket. Whoever reads the socket, under the lock of its connection,
//! first makes the kernel's registration fit that word. So the interest can change hands on any thread at any time.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::socket_set::{Member, SocketSet};

/// Lone calls in a row after which their thread reads the socket.
const LONE_CALLS: u32 = 4;
/// Longest time between the beginnings of two such calls. With more between them, taking the interest back and forth
/// costs what it saves.
const LONE_CALL_GAP: Duration = Duration::from_millis(3);
/// How often the I/O thread looks whether the holder of an interest is alive. A holder that stops right after a look is
/// noticed at the next but one: 10 ms at the latest, since timers are late by up to 1 ms.
pub(crate) const HOLDER_CHECK_INTERVAL: Duration = Duration::from_millis(4);

/// Moves the bytes of a connection between its socket and its calls.
pub(crate) trait Drive: Send + Sync {
    /// Goes as far as possible without waiting.
    fn drive(self: Arc<Self>);
}

/// Who waits for the bytes of one socket.
pub struct ReadInterest {
    number: u64,
    state: Mutex<State>,
    /// Whether the socket may have bytes that its holder has not read.
    readable: AtomicBool,
    /// Whether the holder has driven the connection since the I/O thread last looked.
    is_used: AtomicBool,
    /// Whether a write was put off, and none has been made since.
    has_deferred: AtomicBool,
    driver: OnceLock<Weak<dyn Drive>>,
}

#[derive(Default)]
struct State {
    /// `None` is the I/O thread.
    holder: Option<Arc<SocketSet>>,
    /// Whether the I/O thread looks after the holder.
    is_checked: bool,
    lone_calls: u32,
    latest: Option<(Instant, Weak<SocketSet>)>,
}

/// What the I/O thread finds when it looks after the holder of an interest.
pub(crate) enum Check {
    /// The holder goes on.
    Alive,
    /// The holder did nothing, and has the interest no more.
    Expired,
    /// The I/O thread has the interest.
    Returned,
}

impl ReadInterest {
    /// The interest in a fresh socket, held by the I/O thread.
    pub(super) fn new() -> Arc<Self> {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        let number = LATEST.fetch_add(1, Ordering::Relaxed);
        let state = Mutex::default();
        let (readable, is_used, has_deferred) = (AtomicBool::default(), AtomicBool::default(), AtomicBool::default());
        Arc::new(Self { number, state, readable, is_used, has_deferred, driver: OnceLock::new() })
    }

    /// Names the connection to be driven when the socket is readable.
    pub(crate) fn attach(&self, driver: Weak<dyn Drive>) {
        let _ = self.driver.set(driver);
    }

    /// A lone call begins on the thread of `caller`, or of none that can wait for sockets. If that thread now holds the
    /// interest and nobody looks after it yet, the answer is true: see [`ReadInterest::check`].
    pub(crate) fn note_lone_call(&self, caller: Option<&Arc<SocketSet>>) -> bool {
        let Some(caller) = caller else {
            self.give_back();
            return false;
        };
        self.note_lone_call_at(caller, Instant::now())
    }

    fn note_lone_call_at(&self, caller: &Arc<SocketSet>, now: Instant) -> bool {
        self.is_used.store(true, Ordering::Relaxed);
        let mut state = self.state();
        if state.is_next_of(caller, now) {
            state.lone_calls = state.lone_calls.saturating_add(1);
        } else {
            (state.lone_calls, state.holder) = (1, None);
        }
        if !mode::takes(state.lone_calls >= LONE_CALLS) || state.holder.is_some() {
            return false;
        }
        state.holder = Some(caller.clone());
        !std::mem::replace(&mut state.is_checked, true)
    }

    /// The I/O thread was called in for what a lone call does not need: it waits for the socket from now on.
    pub(crate) fn give_back(&self) {
        if mode::gives_back() {
            let mut state = self.state();
            if state.holder.take().is_some() {
                state.lone_calls = 0;
            }
        }
    }

    /// Takes the interest from a holder that has not driven the connection since the last look.
    pub(crate) fn check(&self) -> Check {
        let mut state = self.state();
        if state.holder.is_some() && self.is_used.swap(false, Ordering::Relaxed) {
            return Check::Alive;
        }
        state.is_checked = false;
        if state.holder.take().is_none() {
            return Check::Returned;
        }
        state.lone_calls = 0;
        Check::Expired
    }

    /// Whether a holder other than the I/O thread has left bytes unread.
    pub(crate) fn has_more(&self) -> bool {
        self.is_readable() && self.holder().is_some()
    }

    /// Adds the socket to a set. What has arrived already is reported, too.
    pub(super) fn enter(self: &Arc<Self>, set: &SocketSet, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.exhausted();
        let member: Weak<Self> = Arc::downgrade(self);
        set.add(socket, self.number, member)
    }

    pub(super) fn leave(&self, set: &SocketSet, socket: BorrowedFd<'_>) {
        set.remove(socket, self.number);
    }

    pub(super) fn holder(&self) -> Option<Arc<SocketSet>> {
        self.state().holder.clone()
    }

    /// Whether a write is to be put off, because the thread that reads has not yet said what it will send. It has the
    /// connection driven once more before it waits. If it stands still meanwhile, the I/O thread takes the interest, and
    /// writes.
    pub(super) fn defers_write(&self) -> bool {
        let defers = self.state().holder.as_ref().is_some_and(|holder| holder.defers_writes());
        self.has_deferred.store(defers, Ordering::Relaxed);
        defers
    }

    pub(super) fn is_readable(&self) -> bool {
        self.readable.load(Ordering::Relaxed)
    }

    /// The socket has been read to its end; the set reports what arrives later.
    pub(super) fn exhausted(&self) {
        self.readable.store(false, Ordering::Relaxed);
    }

    fn drive_connection(&self) {
        if let Some(driver) = self.driver.get().and_then(Weak::upgrade) {
            driver.drive();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member for ReadInterest {
    fn drive(&self) {
        self.readable.store(true, Ordering::Relaxed);
        self.is_used.store(true, Ordering::Relaxed);
        self.drive_connection();
    }

    fn has_deferred(&self) -> bool {
        self.has_deferred.load(Ordering::Relaxed)
    }

    fn write(&self) {
        self.drive_connection();
    }
}

impl State {
    /// Whether a call that begins now comes soon after the latest one, from the same thread.
    fn is_next_of(&mut self, caller: &Arc<SocketSet>, now: Instant) -> bool {
        let next = self.latest.as_ref().is_some_and(|(begun, latest)| {
            std::ptr::eq(latest.as_ptr(), Arc::as_ptr(caller)) && now.saturating_duration_since(*begun) <= LONE_CALL_GAP
        });
        match &mut self.latest {
            Some((begun, _)) if next => *begun = now,
            latest => *latest = Some((now, Arc::downgrade(caller))),
        }
        next
    }
}

/// Who reads, by order of a test.
pub mod mode {
    use super::{AtomicU8, AtomicU64, Ordering};

    /// As the calls' pattern has it.
    pub const AUTOMATIC: u8 = 0;
    /// The I/O thread.
    pub const IO_THREAD: u8 = 1;
    /// The caller's thread, whatever it does.
    pub const CALLER: u8 = 2;
    /// Either, at random at every occasion to change.
    pub const RANDOM: u8 = 3;

    static MODE: AtomicU8 = AtomicU8::new(AUTOMATIC);

    /// Sets one of the modes, from the next call on.
    pub fn set(mode: u8) {
        MODE.store(mode, Ordering::Relaxed);
    }

    /// Whether a call begins on its caller's thread, where `usual` says what the pattern of calls asks for.
    #[must_use]
    pub fn takes(usual: bool) -> bool {
        match MODE.load(Ordering::Relaxed) {
            IO_THREAD => false,
            CALLER => true,
            RANDOM => heads(),
            _ => usual,
        }
    }

    pub(super) fn gives_back() -> bool {
        match MODE.load(Ordering::Relaxed) {
            CALLER => false,
            RANDOM => heads(),
            _ => true,
        }
    }

    fn heads() -> bool {
        static LATEST: AtomicU64 = AtomicU64::new(0);
        // The increment and the multiplier are those of SplitMix64.
        let number = LATEST.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 63 == 0
    }
}

#[cfg(all(test, target_os = "linux"))]
#[path = "read_interest_tests.rs"]
mod tests;
