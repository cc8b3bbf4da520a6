//! A limit on warnings about refused peers, whose number strangers decide. No I/O; the time is passed in.

use std::time::{Duration, Instant};

/// Refusals that are logged one by one, in each period.
const LOGGED_PER_PERIOD: u32 = 8;
const PERIOD: Duration = Duration::from_secs(10);

/// Counts refused peers.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    begin: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

impl Refusals {
    /// Counts one more refusal. If it is to be logged, the number of earlier ones that were not.
    pub(crate) fn count(&mut self, now: Instant) -> Option<u64> {
        if self.begin.is_none_or(|begin| now.duration_since(begin) >= PERIOD) {
            (self.begin, self.logged) = (Some(now), 0);
        }
        if self.logged == LOGGED_PER_PERIOD {
            self.unlogged += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.unlogged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_told_of_in_part_and_counted() {
        let (mut refusals, begin) = (Refusals::default(), Instant::now());
        let logged = (0..1000).filter(|_| refusals.count(begin) == Some(0)).count();
        assert_eq!(logged, LOGGED_PER_PERIOD as usize);
        assert_eq!(refusals.count(begin + PERIOD / 2), None);
        assert_eq!(refusals.count(begin + PERIOD), Some(1001 - u64::from(LOGGED_PER_PERIOD)));
        assert_eq!(refusals.count(begin + PERIOD), Some(0));
    }
}
