//! Time limits that do not count the time in which this process stood still.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A timer that fires this late shows that the process stood still: Ctrl-Z, a debugger, a paused container, a suspended
/// machine.
const STOOD_STILL: Duration = Duration::from_millis(200);

/// Whether this process stood still past a deadline.
pub(crate) fn stood_still(deadline: Instant) -> bool {
    deadline.elapsed() >= STOOD_STILL
}

/// The result of `work` within the limit; `None` without one.
///
/// The limit begins anew after a time in which this process stood still: events of that time were not seen, and the
/// other side may have stood still as well.
pub(crate) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        let deadline = Instant::now() + limit;
        tokio::select! {
            biased;
            result = &mut work => return Some(result),
            () = sleep_until(deadline) => (),
        }
        if !stood_still(deadline) {
            break;
        }
    }
    // The runtime may serve timers before descriptors. After a yield it has polled those too.
    tokio::select! {
        biased;
        result = &mut work => Some(result),
        () = tokio::task::yield_now() => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LIMIT: Duration = Duration::from_secs(1);

    /// Lets the clock of the test jump over everything, as that of a process does that was stopped.
    async fn stand_still(begin: Duration, length: Duration) {
        tokio::time::sleep(begin).await;
        tokio::time::advance(length).await;
    }

    #[tokio::test(start_paused = true)]
    async fn limit_holds_while_the_process_runs() {
        let begun = Instant::now();
        assert_eq!(within(LIMIT, std::future::pending::<()>()).await, None);
        assert_eq!(begun.elapsed(), LIMIT);
        assert_eq!(within(LIMIT, tokio::time::sleep(LIMIT / 2)).await, Some(()));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_the_process_stood_still_does_not_count() {
        let work = async {
            tokio::time::sleep(LIMIT / 2).await;
            tokio::time::sleep(LIMIT / 2 + LIMIT / 4).await;
            true
        };
        let ((), result) = tokio::join!(stand_still(LIMIT / 4, 10 * LIMIT), within(LIMIT, work));
        assert_eq!(result, Some(true));
        let ((), result) =
            tokio::join!(stand_still(LIMIT / 4, 10 * LIMIT), within(LIMIT, std::future::pending::<bool>()));
        assert_eq!(result, None);
    }

    #[tokio::test]
    async fn what_has_arrived_is_looked_at_once_more() {
        use std::io::Write;

        use tokio::io::AsyncReadExt;

        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut reader = tokio::net::unix::pipe::Receiver::from_owned_fd(reader.into()).unwrap();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        tokio::spawn(async move { sender.send(reader.read_u8().await.unwrap()) });
        tokio::task::yield_now().await;
        let begun = Instant::now();
        let waiting = within(LIMIT / 10, async {
            // The thread of the runtime is away until the limit has passed, and what it waits for arrives meanwhile.
            while begun.elapsed() < LIMIT / 10 {
                std::thread::park_timeout(LIMIT / 100);
            }
            writer.write_all(b"x").unwrap();
            receiver.await.unwrap()
        });
        assert_eq!(waiting.await, Some(b'x'));
    }
}
