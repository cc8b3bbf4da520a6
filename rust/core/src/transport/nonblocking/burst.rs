//! Whether bytes are sent at once, or wait for others of the same turn of the event loop. No I/O.
//!
//! A system call per message costs more than everything else about a small one. So the first of many goes at once, and
//! those right behind it are joined.

use std::time::{Duration, Instant};

/// Longest time between two sends of one burst.
const BURST_GAP: Duration = Duration::from_micros(100);
/// Joined bytes that do not wait for the end of the turn.
pub(super) const BLOCK_BYTES: usize = 64 * 1024;

/// What has been sent lately.
#[derive(Default)]
pub(super) enum Burst {
    /// Nothing that more may follow.
    #[default]
    Over,
    /// The first of a burst perhaps, at this time.
    Begun(Instant),
    /// Bytes that wait for the end of the turn, or could.
    Joining,
}

impl Burst {
    /// Whether bytes that are to be sent now are joined with others.
    pub(super) fn joins(&mut self, now: impl FnOnce() -> Instant) -> bool {
        match self {
            Self::Joining => true,
            Self::Over => {
                *self = Self::Begun(now());
                false
            }
            Self::Begun(begun) => {
                let now = now();
                let follows = now.saturating_duration_since(*begun) <= BURST_GAP;
                *self = if follows { Self::Joining } else { Self::Begun(now) };
                follows
            }
        }
    }

    pub(super) fn is_joining(&self) -> bool {
        matches!(self, Self::Joining)
    }

    /// The peer has sent something: what is sent next may be the answer.
    pub(super) fn answered(&mut self) {
        if let Self::Begun(_) = self {
            *self = Self::Over;
        }
    }

    /// Nothing waits any more.
    pub(super) fn end(&mut self) {
        *self = Self::Over;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_at_once_is_joined_until_the_burst_ends() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        assert!(!burst.joins(|| start));
        assert!(burst.joins(|| start + BURST_GAP));
        assert!(burst.joins(|| start + 1000 * BURST_GAP));
        burst.end();
        assert!(!burst.joins(|| start));
    }

    #[test]
    fn what_follows_later_goes_at_once() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        for number in 0..9 {
            assert!(!burst.joins(|| start + 2 * number * BURST_GAP));
        }
    }

    #[test]
    fn an_answer_goes_at_once() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        for _ in 0..9 {
            assert!(!burst.joins(|| start));
            burst.answered();
        }
    }

    #[test]
    fn what_arrives_amid_a_burst_leaves_it_joined() {
        let (mut burst, start) = (Burst::default(), Instant::now());
        burst.joins(|| start);
        burst.joins(|| start);
        burst.answered();
        assert!(burst.is_joining());
    }
}
