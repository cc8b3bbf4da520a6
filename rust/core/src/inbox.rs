//! The log lines and the synchronised output of one plugin, until the host takes them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::log_line::{Classifier, Level};
use crate::refusals::Refusals;
use crate::wake::Wake;

/// Bytes of log lines that may wait. Further lines are dropped and counted: a host that does not read must neither
/// stall its plugin nor grow without bound.
const MAX_LINES_BYTES: usize = 4 << 20;
/// Bytes charged per line for its bookkeeping.
const LINE_OVERHEAD_BYTES: usize = 64;
/// How long lines below the wanted level wait, unless other lines wake the consumer earlier. Waking it is the main cost
/// of a line; it is woken all the same, because the wanted level may have been lowered.
const UNSEEN_DELAY: Duration = Duration::from_millis(100);
const UNSEEN_BYTES: usize = 256 << 10;
/// Bytes of synchronised output that may wait. Further output makes the plugin wait: none is lost.
const MAX_OUTPUT_BYTES: usize = 1 << 20;

/// The plugin's two synchronised outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The contents of an inbox, handed over.
#[derive(Debug, Default)]
pub struct Batch {
    /// Lines of standard error at or above the wanted level, oldest first.
    pub lines: Vec<(Level, Vec<u8>)>,
    /// Lines dropped since the last batch, because the host did not read.
    pub dropped: u64,
    /// Synchronised output in order of arrival.
    pub output: Vec<(Output, Bytes)>,
    /// True if lines are left: the caller is expected to come back.
    pub more: bool,
}

struct InboxState {
    classifier: Classifier,
    refusals: Refusals,
    /// The lowest level that the consumer wanted when it last looked; `None` for no line at all.
    wanted: Option<Level>,
    lines: VecDeque<(Level, Vec<u8>)>,
    lines_bytes: usize,
    dropped: u64,
    output: Vec<(Output, Bytes)>,
    output_bytes: usize,
    woken: bool,
    /// The task that wakes the consumer for lines below the wanted level.
    later: Option<AbortHandle>,
    /// Whether somebody is about to tell the consumer of the plugin's end, and of its last lines with that.
    is_ending: bool,
}

/// A bounded queue, filled on the I/O thread and emptied by the consumer.
pub struct Inbox {
    state: Mutex<InboxState>,
    room: Notify,
    wake: Arc<dyn Wake>,
}

impl Inbox {
    /// An empty inbox. It wakes its consumer at once for lines at or above `wanted`, and after a while for others.
    pub fn new(wake: Arc<dyn Wake>, wanted: Option<Level>) -> Self {
        let state = InboxState {
            classifier: Classifier::default(),
            refusals: Refusals::default(),
            wanted,
            lines: VecDeque::new(),
            lines_bytes: 0,
            dropped: 0,
            output: Vec::new(),
            output_bytes: 0,
            woken: false,
            later: None,
            is_ending: false,
        };
        Self { state: Mutex::new(state), room: Notify::new(), wake }
    }

    /// Adds a line; never waits. Must be called within the runtime, like the other methods that add something.
    pub fn push_line(self: &Arc<Self>, line: Vec<u8>) {
        let mut state = self.lock();
        let level = state.classifier.level(&line);
        self.add_line(state, level, line);
    }

    /// Adds a warning about the peer, by this side.
    pub fn push_warning(self: &Arc<Self>, text: String) {
        self.add_line(self.lock(), Level::Warn, text.into_bytes());
    }

    /// Adds a warning about a refused peer. Of a flood some are added, and the number of the others.
    pub fn push_refusal(self: &Arc<Self>, mut text: String) {
        let mut state = self.lock();
        let Some(untold) = state.refusals.count(Instant::now()) else { return };
        if untold > 0 {
            text = format!("{text}; {untold} more were refused before");
        }
        self.add_line(state, Level::Warn, text.into_bytes());
    }

    fn add_line(self: &Arc<Self>, mut state: MutexGuard<'_, InboxState>, level: Level, line: Vec<u8>) {
        let cost = line.len() + LINE_OVERHEAD_BYTES;
        if state.lines_bytes + cost > MAX_LINES_BYTES {
            state.dropped += 1;
        } else {
            state.lines_bytes += cost;
            state.lines.push_back((level, line));
        }
        let is_seen = state.wanted.is_some_and(|wanted| level >= wanted);
        if is_seen || state.lines_bytes > UNSEEN_BYTES {
            self.announce(state);
        } else if !state.woken && state.later.is_none() {
            state.later = Some(self.announce_later());
        }
    }

    /// Ends the lines: those that wait wake the consumer now, or at the end of [`Inbox::ending`].
    pub fn end_lines(&self) {
        let mut state = self.lock();
        if let Some(later) = state.later.take() {
            later.abort();
        }
        if !state.lines.is_empty() && !state.is_ending {
            self.announce(state);
        }
    }

    /// Until the guard is dropped, the last lines wake the consumer only if it wants them: it is about to be woken by the
    /// news of the end anyway.
    pub fn ending(&self) -> Ending<'_> {
        self.lock().is_ending = true;
        Ending(self)
    }

    /// Adds synchronised output; waits while too much is unread.
    pub async fn push_output(&self, channel: Output, data: Bytes) {
        while self.lock().output_bytes > MAX_OUTPUT_BYTES {
            self.room.notified().await;
        }
        let mut state = self.lock();
        state.output_bytes += data.len();
        state.output.push((channel, data));
        self.announce(state);
    }

    /// Takes what waits, at most `limit` lines; lines below `wanted` are dropped uncounted.
    pub fn take(&self, wanted: Option<Level>, limit: usize) -> Batch {
        let mut state = self.lock();
        state.wanted = wanted;
        let mut lines = Vec::new();
        while lines.len() < limit {
            let Some((level, line)) = state.lines.pop_front() else { break };
            state.lines_bytes -= line.len() + LINE_OVERHEAD_BYTES;
            if wanted.is_some_and(|wanted| level >= wanted) {
                lines.push((level, line));
            }
        }
        let more = !state.lines.is_empty();
        // A consumer that was told of more lines comes back without being woken.
        state.woken = more;
        state.output_bytes = 0;
        let output = std::mem::take(&mut state.output);
        let dropped = if more { 0 } else { std::mem::take(&mut state.dropped) };
        drop(state);
        self.room.notify_one();
        Batch { lines, dropped, output, more }
    }

    fn lock(&self) -> MutexGuard<'_, InboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce_later(self: &Arc<Self>) -> AbortHandle {
        let inbox = Arc::downgrade(self);
        let announcing = tokio::spawn(async move {
            sleep(UNSEEN_DELAY).await;
            let Some(inbox) = inbox.upgrade() else { return };
            let mut state = inbox.lock();
            state.later = None;
            // The consumer may have taken them meanwhile.
            if !state.lines.is_empty() {
                inbox.announce(state);
            }
        });
        announcing.abort_handle()
    }

    fn announce(&self, mut state: MutexGuard<'_, InboxState>) {
        let first = !std::mem::replace(&mut state.woken, true);
        drop(state);
        if first {
            self.wake.wake();
        }
    }
}

/// The time in which a host ends its plugin.
pub struct Ending<'a>(&'a Inbox);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_ending = false;
        // Lines of a plugin that lives on have their timer.
        if !state.lines.is_empty() && state.later.is_none() {
            self.0.announce(state);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn inbox() -> (Arc<Inbox>, Arc<AtomicUsize>) {
        inbox_for(Some(Level::Trace))
    }

    fn inbox_for(wanted: Option<Level>) -> (Arc<Inbox>, Arc<AtomicUsize>) {
        let wakes = Arc::new(AtomicUsize::new(0));
        let counter = wakes.clone();
        let wake = move || {
            counter.fetch_add(1, Ordering::Relaxed);
        };
        (Arc::new(Inbox::new(Arc::new(wake), wanted)), wakes)
    }

    #[test]
    fn consumer_is_woken_once_until_it_looks() {
        let (inbox, wakes) = inbox();
        inbox.push_line(b"one".to_vec());
        inbox.push_line(b"two".to_vec());
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.take(Some(Level::Trace), usize::MAX).lines.len(), 2);
        inbox.push_line(b"three".to_vec());
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn only_wanted_levels_come_out() {
        let (inbox, _) = inbox();
        inbox.push_line(b"[DEBUG] no".to_vec());
        inbox.push_line(b"[ERROR] yes".to_vec());
        assert_eq!(inbox.take(Some(Level::Warn), usize::MAX).lines, [(Level::Error, b"[ERROR] yes".to_vec())]);
        inbox.push_line(b"[ERROR] nobody listens".to_vec());
        assert!(inbox.take(None, usize::MAX).lines.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_nobody_sees_wait_for_a_wake_in_their_own_time() {
        let (inbox, wakes) = inbox_for(Some(Level::Warn));
        for _ in 0..10 {
            inbox.push_line(b"[DEBUG] who cares".to_vec());
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        sleep(UNSEEN_DELAY * 2).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        // The level was lowered meanwhile.
        assert_eq!(inbox.take(Some(Level::Debug), usize::MAX).lines.len(), 10);
        inbox.push_line(b"[DEBUG] we do".to_vec());
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
        assert_eq!(inbox.take(None, usize::MAX).lines.len(), 0);
        inbox.push_line(b"[ERROR] not even this".to_vec());
        inbox.push_output(Output::Stdout, Bytes::from_static(b"but this")).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 3);
        assert_eq!(inbox.take(None, usize::MAX).output.len(), 1);
        sleep(UNSEEN_DELAY * 2).await;
        assert_eq!(wakes.load(Ordering::Relaxed), 3, "nothing waited");
        inbox.push_line(b"[ERROR] and the last".to_vec());
        inbox.end_lines();
        assert_eq!(wakes.load(Ordering::Relaxed), 4);
        assert!(inbox.lock().later.is_none(), "the I/O thread is not to wake for a plugin that has ended");
    }

    #[tokio::test]
    async fn last_lines_of_a_plugin_that_is_ended_wait_for_the_news_of_its_end() {
        let (inbox, wakes) = inbox_for(Some(Level::Warn));
        inbox.push_line(b"[DEBUG] bye".to_vec());
        let ending = inbox.ending();
        inbox.end_lines();
        assert_eq!(wakes.load(Ordering::Relaxed), 0);
        drop(ending);
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.take(Some(Level::Debug), usize::MAX).lines.len(), 1);
        let ending = inbox.ending();
        inbox.push_line(b"[ERROR] told at once".to_vec());
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
        drop(ending);
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn many_lines_that_nobody_sees_do_not_wait() {
        let (inbox, wakes) = inbox_for(None);
        for _ in 0..UNSEEN_BYTES / 1000 {
            inbox.push_line(vec![b'x'; 1000]);
        }
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        assert_eq!(inbox.take(None, usize::MAX).dropped, 0);
    }

    #[test]
    fn batch_is_bounded_and_says_that_there_is_more() {
        let (inbox, wakes) = inbox();
        for _ in 0..5 {
            inbox.push_line(b"[INFO] x".to_vec());
        }
        let sizes: Vec<_> = std::iter::from_fn(|| Some(inbox.take(Some(Level::Info), 2)))
            .map(|batch| (batch.lines.len(), batch.more))
            .take(3)
            .collect();
        assert_eq!(sizes, [(2, true), (2, true), (1, false)]);
        assert_eq!(wakes.load(Ordering::Relaxed), 1);
        inbox.push_line(b"[INFO] y".to_vec());
        assert_eq!(wakes.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn flood_is_bounded_and_counted() {
        let (inbox, _) = inbox();
        let line = vec![b'x'; 1000];
        for _ in 0..10_000 {
            inbox.push_line(line.clone());
        }
        let batch = inbox.take(Some(Level::Trace), usize::MAX);
        assert_eq!(batch.lines.len() as u64 + batch.dropped, 10_000);
        assert!(batch.lines.len() * 1000 <= MAX_LINES_BYTES);
        inbox.push_line(line);
        assert_eq!(inbox.take(Some(Level::Trace), usize::MAX).lines.len(), 1);
    }

    #[tokio::test]
    async fn output_waits_for_room_and_none_is_lost() {
        let (inbox, _) = inbox();
        let filler = inbox.clone();
        let task = tokio::spawn(async move {
            for _ in 0..100 {
                filler.push_output(Output::Stdout, Bytes::from(vec![0; 100_000])).await;
            }
        });
        let mut received = 0;
        while received < 10_000_000 {
            tokio::task::yield_now().await;
            let bytes: usize = inbox.take(None, usize::MAX).output.iter().map(|(_, data)| data.len()).sum();
            assert!(bytes <= MAX_OUTPUT_BYTES + 100_000);
            received += bytes;
        }
        assert!(task.await.is_ok());
    }
}
