//! The threads that start processes, so that a slow file system blocks none but its own starts.
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
use tokio::time::timeout;

/// Threads at most. One is enough unless a start is stuck; then others are added while work waits.
const MAX_THREADS: usize = 8;
/// How long work waits, while none is taken up, before another thread is added.
const STUCK_AFTER: Duration = Duration::from_millis(200);

type Work = Box<dyn FnOnce() + Send>;

struct Spawner {
    pool: Mutex<Pool>,
    filled: Condvar,
}

struct Pool {
    waiting: VecDeque<Work>,
    threads: usize,
    /// The number of works taken up so far.
    taken: u64,
}

static SPAWNER: Spawner =
    Spawner { pool: Mutex::new(Pool { waiting: VecDeque::new(), threads: 0, taken: 0 }), filled: Condvar::new() };

/// Runs work that may block. After the future is dropped, the thread that did the work drops the outcome.
pub async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (sender, mut outcome) = oneshot::channel();
    let mut taken = SPAWNER.submit(Box::new(move || drop(sender.send(work()))))?;
    loop {
        match timeout(STUCK_AFTER, &mut outcome).await {
            Ok(outcome) => return outcome.map_err(|_| io::Error::other("the thread that starts plugins panicked")),
            Err(_) => taken = SPAWNER.add_thread_if_stuck(taken),
        }
    }
}

impl Spawner {
    fn submit(&'static self, work: Work) -> io::Result<u64> {
        let mut pool = self.pool();
        if pool.threads == 0 {
            self.add_thread(&mut pool)?;
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

    #[tokio::test]
    async fn work_that_is_held_up_does_not_hold_up_other_work() {
        let (release, released) = mpsc::channel::<()>();
        let held_up = tokio::spawn(run(move || released.recv()));
        assert_eq!(run(|| 2).await.unwrap(), 2);
        release.send(()).unwrap();
        held_up.await.unwrap().unwrap().unwrap();
    }

    #[tokio::test]
    async fn panic_ends_its_own_work_alone() {
        assert!(run(|| panic!("boom")).await.is_err());
        assert_eq!(run(|| 1).await.unwrap(), 1);
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
        let waiting = tokio::spawn(run(move || {
            released.recv().unwrap();
            Outcome(dropped)
        }));
        tokio::task::yield_now().await;
        waiting.abort();
        assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
        release.send(()).unwrap();
        was_dropped.recv_timeout(Duration::from_secs(20)).unwrap();
    }
}
