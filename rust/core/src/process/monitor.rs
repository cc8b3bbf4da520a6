//! A running plugin: its output read for ever, its end noticed at once and reported once.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::attached::Attached;
use super::diagnose::effective_user;
use super::{Child, spawner, strays};
use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::inbox::Inbox;
use crate::line_finder::LineFinder;
use crate::output_lines::ErrorOutput;
use crate::runner::{Runner, Running};

/// What came on standard output first.
#[derive(Debug)]
pub enum FirstLine {
    /// A line that looks like a handshake.
    Found(Vec<u8>),
    /// One at the end of standard output, without a line end: perhaps the half of a line.
    Unfinished(Vec<u8>),
    /// The bounds on stray output were exceeded.
    Refused(Error),
    /// Standard output was closed.
    Closed,
}

struct Announcement {
    finder: LineFinder,
    /// Gone once the handshake line was found: whatever follows is thrown away.
    waiter: Option<oneshot::Sender<FirstLine>>,
    has_found: bool,
    /// As whom the process ran, if it ended without a handshake.
    user: Option<u32>,
}

/// A handle to the running process; the work is done by tasks that end with it.
pub struct Process {
    control: Control,
    exit: watch::Receiver<Option<ExitStatus>>,
    announcement: Arc<Mutex<Announcement>>,
    stderr: Arc<Mutex<ErrorOutput>>,
}

/// Whose it is, and how it is signalled.
enum Control {
    /// Our child, leader of its own process group, until it was reaped.
    Child(Pid, Weak<Child>),
    /// Somebody else's, of whom the sender says that it has not ended as far as is known.
    Attached(
        Option<Attached>,
        #[expect(dead_code, reason = "held, so that the receiver waits")] watch::Sender<Option<ExitStatus>>,
    ),
    /// A runner's.
    Runner(Option<i32>, Arc<dyn Runner>),
}

/// The tasks that read a plugin's pipes.
type Readers = (JoinHandle<Rest>, JoinHandle<Rest>);

/// What became of a pipe once the plugin has ended.
enum Rest {
    Closed,
    /// Another process has it still.
    Held,
}

impl Process {
    /// Takes care of a plugin that was started, its sockets in a directory; tells what it prints first.
    pub fn of_child(mut child: Child, inbox: Arc<Inbox>, directory: PathBuf) -> (Self, oneshot::Receiver<FirstLine>) {
        let pipes = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(child);
        let (exit_sender, exit) = watch::channel(None);
        let (process, first_line) = Self::new(Control::Child(child.pid(), Arc::downgrade(&child)), exit);
        let (ended, readers) = process.read(pipes, inbox);
        let announcement = process.announcement.clone();
        tokio::spawn(async move {
            // An error means that the end could not be noticed; then it is now.
            let _ = child.ended().await;
            lock(&announcement).note_user(child.pid());
            // Nothing that the plugin started may outlive it. Before reaping, while the pid still names this group.
            child.signal(Signal::KILL);
            ended.send_replace(true);
            let (stdout, stderr) = tokio::join!(readers.0, readers.1);
            if [stdout, stderr].into_iter().any(|rest| matches!(rest, Ok(Rest::Held))) {
                // Somebody has left the group. Where no thread is free to look for whom, nobody waits longer.
                let _ = timeout(SEARCH_LIMIT, spawner::run(move || strays::kill(&directory))).await;
            }
            let status = child.reap();
            // With its descriptor, before anybody hears of the end.
            drop(child);
            exit_sender.send_replace(Some(status));
        });
        (process, first_line)
    }

    /// Takes over a plugin that a runner has started.
    pub fn take_over(
        runner: Arc<dyn Runner>,
        running: Running,
        inbox: Arc<Inbox>,
    ) -> (Self, oneshot::Receiver<FirstLine>) {
        let (exit_sender, exit) = watch::channel(None);
        let (process, first_line) = Self::new(Control::Runner(running.pid, runner), exit);
        let (ended, readers) = process.read((Some(running.stdout), Some(running.stderr)), inbox);
        tokio::spawn(async move {
            let status = running.exit.await.unwrap_or(ExitStatus::Unknown);
            ended.send_replace(true);
            let _ = tokio::join!(readers.0, readers.1);
            exit_sender.send_replace(Some(status));
        });
        (process, first_line)
    }

    /// Watches a plugin that somebody else started, by its id if that is known.
    pub fn attach(pid: Option<i32>, owned: bool) -> Result<Self, Error> {
        let (sender, exit) = watch::channel(None);
        let attached = pid.map(|pid| Attached::find(pid, owned, sender.clone())).transpose()?;
        Ok(Self::new(Control::Attached(attached, sender), exit).0)
    }

    fn new(control: Control, exit: watch::Receiver<Option<ExitStatus>>) -> (Self, oneshot::Receiver<FirstLine>) {
        let (waiter, first_line) = oneshot::channel();
        let announcement = Arc::new(Mutex::new(Announcement {
            finder: LineFinder::default(),
            waiter: Some(waiter),
            has_found: false,
            user: None,
        }));
        (Self { control, exit, announcement, stderr: Arc::default() }, first_line)
    }

    /// Reads both pipes to their ends, which come soon after the sender is told that the process has ended.
    fn read(
        &self,
        (stdout, stderr): (Option<OwnedFd>, Option<OwnedFd>),
        inbox: Arc<Inbox>,
    ) -> (watch::Sender<bool>, Readers) {
        let (ended, stdout_ended) = watch::channel(false);
        let stderr_ended = stdout_ended.clone();
        let stdout = read_stdout(stdout, stdout_ended, self.announcement.clone());
        let stderr = read_stderr(stderr, stderr_ended, self.stderr.clone(), inbox);
        (ended, (tokio::spawn(stdout), tokio::spawn(stderr)))
    }

    /// The process id, where there is one.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match &self.control {
            Control::Child(pid, _) => Some(pid.as_raw_pid()),
            Control::Attached(attached, _) => attached.as_ref().map(|attached| attached.pid.as_raw_pid()),
            Control::Runner(pid, _) => *pid,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Returns when the process has ended and all it said has been read.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        // The sender is dropped without a value only when the runtime goes down.
        exit.wait_for(Option::is_some).await.map_or(ExitStatus::Unknown, |status| status.unwrap_or(ExitStatus::Unknown))
    }

    /// Signals the process and all it started.
    pub fn signal(&self, signal: Signal) {
        if self.exit_status().is_some() {
            return;
        }
        match &self.control {
            Control::Child(_, child) => child.upgrade().iter().for_each(|child| child.signal(signal)),
            Control::Attached(attached, _) => attached.iter().for_each(|attached| attached.signal(signal)),
            Control::Runner(_, runner) => runner.signal(signal == Signal::KILL),
        }
    }

    /// The signal by which it is stopped, if it is, and is ours.
    #[must_use]
    pub fn stopped_by(&self) -> Option<i32> {
        match &self.control {
            Control::Child(_, child) => child.upgrade()?.stopped_by(),
            Control::Attached(..) | Control::Runner(..) => None,
        }
    }

    /// The last lines of standard error, oldest first, also one that has no end yet.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        lock(&self.stderr).lines()
    }

    /// The few lines of standard error that say most about the end.
    #[must_use]
    pub fn exit_lines(&self) -> String {
        const LINES: usize = 3;
        lock(&self.stderr).most_relevant(LINES).join("\n")
    }

    /// What standard output began with instead of a handshake, for an error message.
    #[must_use]
    pub fn stdout_seen(&self) -> String {
        lock(&self.announcement).finder.seen()
    }

    /// The user as whom our child runs or ran before its handshake, if that is another than the host's.
    #[must_use]
    pub fn foreign_user(&self) -> Option<u32> {
        let Control::Child(pid, _) = self.control else { return None };
        let noted = lock(&self.announcement).user;
        // Once it has been reaped, the number may be another's.
        let user = if self.exit_status().is_some() { noted } else { effective_user(pid.as_raw_pid()) };
        user.filter(|user| *user != rustix::process::geteuid().as_raw())
    }

    /// Texts that came before the handshake.
    #[must_use]
    pub fn stray_lines(&self) -> Vec<String> {
        lock(&self.announcement).finder.stray_lines().map(str::to_owned).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn read_stdout(
    pipe: Option<OwnedFd>,
    ended: watch::Receiver<bool>,
    announcement: Arc<Mutex<Announcement>>,
) -> Rest {
    let rest = read_to_end(pipe, ended, |bytes| {
        let mut announcement = lock(&announcement);
        if announcement.waiter.is_none() {
            return;
        }
        let found = match announcement.finder.feed(bytes) {
            Ok(None) => return,
            Ok(Some(line)) => FirstLine::Found(line),
            Err(error) => FirstLine::Refused(error),
        };
        announcement.tell(found);
    })
    .await;
    let mut announcement = lock(&announcement);
    let last = announcement.finder.finish();
    announcement.tell(last.map_or(FirstLine::Closed, FirstLine::Unfinished));
    rest
}

impl Announcement {
    /// Only for the explanation of a failed start: the end of any other plugin costs nothing here.
    fn note_user(&mut self, pid: Pid) {
        if !self.has_found {
            self.user = effective_user(pid.as_raw_pid());
        }
    }

    fn tell(&mut self, first: FirstLine) {
        self.has_found |= matches!(first, FirstLine::Found(_));
        if let Some(waiter) = self.waiter.take() {
            // Nobody waits any more when the start was given up.
            let _ = waiter.send(first);
        }
    }
}

async fn read_stderr(
    pipe: Option<OwnedFd>,
    ended: watch::Receiver<bool>,
    stderr: Arc<Mutex<ErrorOutput>>,
    inbox: Arc<Inbox>,
) -> Rest {
    let rest = read_to_end(pipe, ended, |bytes| lock(&stderr).feed(bytes, |line| inbox.push_line(line))).await;
    lock(&stderr).finish(|line| inbox.push_line(line));
    inbox.end_lines();
    rest
}

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// Reads in a row before other tasks have their turn: a flood must not starve the calls of 499 other plugins.
const READS_PER_TURN: usize = 16;
/// Turns granted after the process has ended, while something that left its group may still hold and fill the pipe.
const LAST_TURNS: usize = 64;

thread_local! {
    /// One buffer for all pipes: reads happen on the I/O thread only, and hundreds of idle plugins need no buffer each.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// How long the end of a plugin may be put off by the search for what has left its group.
const SEARCH_LIMIT: Duration = Duration::from_secs(1);

enum PipeState {
    Empty,
    Busy,
    Closed,
}

async fn read_to_end(pipe: Option<OwnedFd>, mut ended: watch::Receiver<bool>, mut take: impl FnMut(&[u8])) -> Rest {
    let Some(Ok(pipe)) = pipe.map(Receiver::from_owned_fd) else { return Rest::Closed };
    loop {
        let readable = tokio::select! {
            readable = pipe.readable() => readable.is_ok(),
            _ = ended.wait_for(|ended| *ended) => break,
        };
        match if readable { read_available(&pipe, &mut take) } else { PipeState::Closed } {
            PipeState::Closed => return Rest::Closed,
            PipeState::Busy => tokio::task::yield_now().await,
            PipeState::Empty => (),
        }
    }
    for _ in 0..LAST_TURNS {
        match read_available(&pipe, &mut take) {
            PipeState::Closed => return Rest::Closed,
            PipeState::Busy => tokio::task::yield_now().await,
            PipeState::Empty => return Rest::Held,
        }
    }
    Rest::Held
}

fn read_available(pipe: &Receiver, take: &mut impl FnMut(&[u8])) -> PipeState {
    BUFFER.with_borrow_mut(|buffer| {
        for _ in 0..READS_PER_TURN {
            match pipe.try_read(buffer) {
                Ok(0) => return PipeState::Closed,
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return PipeState::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => return PipeState::Closed,
            }
        }
        PipeState::Busy
    })
}
