//! The threads that start processes, and make and remove files, so that a slow file system blocks none but its own users:
//! the I/O thread serves all plugins.
//!
//! The threads live as long as the process: on Linux the parent-death signal that ends an orphaned plugin follows the
//! *thread* that started it.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::limit::stood_still;

/// Threads at most. One is enough unless a start is stuck; then others are added while work waits.
const MAX_THREADS: usize = 8;
/// How long work waits, while none is taken up, before another thread is added.
const STUCK_AFTER: Duration = Duration::from_millis(200);

/// How long the removal of files is waited for. One that takes longer goes on alone.
pub(crate) const REMOVAL_LIMIT: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

struct Threads {
    pool: Mutex<Pool>,
    filled: Condvar,
}

struct Pool {
    waiting: VecDeque<Work>,
    threads: usize,
    /// The number of works taken up so far.
    taken: u64,
}

static THREADS: Threads =
    Threads { pool: Mutex::new(Pool { waiting: VecDeque::new(), threads: 0, taken: 0 }), filled: Condvar::new() };

/// Runs work that may block. Returns the outcome and what is left of the limit, which begins anew after a time in which
/// this process stood still; `None` without an outcome in time. After the limit, or after the future is dropped, the
/// thread that did the work drops the outcome.
///
/// One timer serves the limit and the search for stuck threads: each timer that is set makes the I/O thread wake itself.
pub(crate) async fn run<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<Option<(T, Duration)>> {
    let (sender, mut outcome) = oneshot::channel();
    let mut taken = THREADS.submit(Box::new(move || drop(sender.send(work())))).map_err(|(_, error)| error)?;
    let mut left = limit;
    loop {
        let begun = Instant::now();
        let deadline = begun + left.min(STUCK_AFTER);
        let done = timeout_at(deadline, &mut outcome).await;
        left = if stood_still(deadline) { limit } else { left.saturating_sub(begun.elapsed()) };
        match done {
            Ok(done) => return done.map(|outcome| Some((outcome, left))).map_err(|_| panicked()),
            Err(_) if left.is_zero() => break,
            Err(_) => taken = THREADS.add_thread_if_stuck(taken),
        }
    }
    // The receiver would drop an outcome that was sent just now, on this thread.
    outcome.close();
    Ok(outcome.try_recv().ok().map(|outcome| (outcome, left)))
}

/// Runs work that may block; its own error, or that of being late.
pub(crate) async fn run_in_time<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let too_slow = || io::Error::new(io::ErrorKind::TimedOut, format!("not done within {:.1} s", limit.as_secs_f64()));
    run(limit, work).await?.ok_or_else(too_slow)?.0
}

/// Has work done that may block, and waits for nothing. It is done before any later work, unless it takes long. Where there
/// can be no thread, it is done here.
pub(crate) fn begin(work: impl FnOnce() + Send + 'static) {
    if let Err((work, _)) = THREADS.submit(Box::new(work)) {
        work();
    }
}

fn panicked() -> io::Error {
    io::Error::other("the thread that starts plugins panicked")
}

impl Threads {
    /// Returns the work if there can be no thread.
    fn submit(&'static self, work: Work) -> Result<u64, (Work, io::Error)> {
        let mut pool = self.pool();
        if pool.threads == 0
            && let Err(error) = self.add_thread(&mut pool)
        {
            return Err((work, error));
        }
        pool.waiting.push_back(work);
        let taken = pool.taken;
        drop(pool);
        self.filled.notify_one();
        Ok(taken)
    }

    /// Adds a thread if work waits and none was taken up since `taken`. If there can be no thread, the work waits on.
    fn add_thread_if_stuck(&'static self, taken: u64) -> u64 {
        let mut pool = self.pool();
        if pool.taken == taken && !pool.waiting.is_empty() && pool.threads < MAX_THREADS {
            let _ = self.add_thread(&mut pool);
        }
        pool.taken
    }

    fn add_thread(&'static self, pool: &mut Pool) -> io::Result<()> {
        thread::Builder::new().name("ferrule-spawn".to_owned()).spawn(|| self.serve())?;
        pool.threads += 1;
        Ok(())
    }

    fn serve(&self) {
        loop {
            let work = {
                let waited = self.filled.wait_while(self.pool(), |pool| pool.waiting.is_empty());
                let mut pool = waited.unwrap_or_else(PoisonError::into_inner);
                pool.taken += 1;
                pool.waiting.pop_front()
            };
            // A panic ends this work alone: the end of the thread would be that of its plugins.
            let _ = catch_unwind(AssertUnwindSafe(|| work.map(|work| work())));
        }
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    fn done<T>(ran: io::Result<Option<(T, Duration)>>) -> T {
        ran.unwrap().unwrap().0
    }

    #[tokio::test]
    async fn limit_holds_and_what_is_left_of_it_is_returned() {
        let (release, released) = mpsc::channel::<()>();
        assert!(run(STUCK_AFTER / 4, move || released.recv()).await.unwrap().is_none());
        drop(release);
        let pause = STUCK_AFTER + STUCK_AFTER / 4;
        let ((), left) = run(LIMIT, move || thread::sleep(pause)).await.unwrap().unwrap();
        assert!(left + pause <= LIMIT && left > LIMIT / 2, "{left:?}");
    }

    #[tokio::test]
    async fn limit_begins_anew_after_a_time_in_which_the_process_stood_still() {
        let limit = 2 * STUCK_AFTER;
        let working = tokio::spawn(run(limit, || ()));
        tokio::task::yield_now().await;
        thread::sleep(2 * limit);
        assert_eq!(working.await.unwrap().unwrap(), Some(((), limit)));
    }

    #[tokio::test]
    async fn work_that_is_held_up_does_not_hold_up_other_work() {
        let (release, released) = mpsc::channel::<()>();
        let held_up = tokio::spawn(run(LIMIT, move || released.recv()));
        assert_eq!(done(run(LIMIT, || 2).await), 2);
        release.send(()).unwrap();
        done(held_up.await.unwrap()).unwrap();
    }

    #[tokio::test]
    async fn panic_ends_its_own_work_alone() {
        assert!(run(LIMIT, || panic!("boom")).await.is_err());
        assert_eq!(done(run(LIMIT, || 1).await), 1);
    }

    #[tokio::test]
    async fn outcome_that_nobody_waits_for_is_dropped() {
        struct Outcome(mpsc::Sender<()>);
        impl Drop for Outcome {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        let ((dropped, was_dropped), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
        let waiting = tokio::spawn(run(LIMIT, move || {
            released.recv().unwrap();
            Outcome(dropped)
        }));
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        release.send(()).unwrap();
        was_dropped.recv_timeout(LIMIT).unwrap();
    }
}
