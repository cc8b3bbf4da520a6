//! A running plugin: its output read for ever, its end noticed at once and reported once.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::attached::Attached;
use super::diagnose::effective_user;
use super::pipe_reader::{Rest, read_to_end};
use super::{Child, strays};
use crate::blocking;
use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::inbox::Inbox;
use crate::line_finder::LineFinder;
use crate::output_lines::ErrorOutput;
use crate::runner::{Runner, Running};

/// How long the report of a plugin's end waits for the search for processes that left its group.
const SEARCH_LIMIT: Duration = Duration::from_secs(1);

/// The first event on standard output.
#[derive(Debug)]
pub enum FirstLine {
    /// A line that looks like a handshake.
    Found(Vec<u8>),
    /// A handshake line at the end of standard output, without a line end: perhaps half a line.
    Unfinished(Vec<u8>),
    /// The bounds on stray output were exceeded.
    Refused(Error),
    /// Standard output was closed.
    Closed,
}

struct Announcement {
    finder: LineFinder,
    /// `None` once the handshake line was found: later output is dropped.
    waiter: Option<oneshot::Sender<FirstLine>>,
    has_found: bool,
    /// The user as whom the process ran, if it ended without a handshake.
    user: Option<u32>,
}

/// A handle to a running process. Tasks that end with the process do the work.
pub struct Process {
    control: Control,
    exit: watch::Receiver<Option<ExitStatus>>,
    announcement: Arc<Mutex<Announcement>>,
    stderr: Arc<Mutex<ErrorOutput>>,
}

/// How the process is signalled, by its origin.
enum Control {
    /// A child, leader of its own process group, until it is reaped.
    Child(Pid, Weak<Child>),
    /// A process of another host. The sender keeps the exit status open while no end is noticed.
    Attached(
        Option<Attached>,
        #[expect(dead_code, reason = "held, so that the receiver waits")] watch::Sender<Option<ExitStatus>>,
    ),
    /// A process of a runner.
    Runner(Option<i32>, Arc<dyn Runner>),
}

/// The tasks that read a plugin's pipes.
type Readers = (JoinHandle<Rest>, JoinHandle<Rest>);

impl Process {
    /// Reads and reaps a started plugin, whose sockets are in `directory`; the receiver gets the first event on its
    /// standard output.
    pub fn of_child(mut child: Child, inbox: Arc<Inbox>, directory: PathBuf) -> (Self, oneshot::Receiver<FirstLine>) {
        let pipes = (child.stdout.take(), child.stderr.take());
        let child = Arc::new(child);
        let (exit_sender, exit) = watch::channel(None);
        let (process, first_line) = Self::new(Control::Child(child.pid(), Arc::downgrade(&child)), exit);
        let (ended, readers) = process.read(pipes, inbox);
        let announcement = process.announcement.clone();
        tokio::spawn(async move {
            // An error means that the end cannot be noticed; then the plugin is ended now.
            let _ = child.ended().await;
            lock(&announcement).note_user(child.pid());
            // Processes that the plugin started end with it. They are killed before it is reaped, while the pid still
            // names the group.
            child.signal(Signal::KILL);
            ended.send_replace(true);
            let (stdout, stderr) = tokio::join!(readers.0, readers.1);
            if [stdout, stderr].into_iter().any(|rest| matches!(rest, Ok(Rest::Held))) {
                // A process has left the group. If no thread is free to look for it in time, the end is reported
                // without that.
                let _ = blocking::run(SEARCH_LIMIT, move || strays::kill(&directory)).await;
            }
            let status = child.reap();
            // The child's descriptor is closed before its end is reported.
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

    /// Watches a plugin of another host, by its id if that is known.
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

    /// Reads both pipes to their ends, or until shortly after the sender is told that the process has ended.
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

    /// The process id, if it is known.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        match &self.control {
            Control::Child(pid, _) => Some(pid.as_raw_pid()),
            Control::Attached(attached, _) => attached.as_ref().map(|attached| attached.pid.as_raw_pid()),
            Control::Runner(pid, _) => *pid,
        }
    }

    /// The exit status, once the process has ended.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// Returns once the process has ended and its output has been read.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.exit.clone();
        // The sender is dropped without a value only when the runtime goes down.
        exit.wait_for(Option::is_some).await.map_or(ExitStatus::Unknown, |status| status.unwrap_or(ExitStatus::Unknown))
    }

    /// Signals the process and its group.
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

    /// The signal that has stopped the process, if it is stopped and a child of this host.
    #[must_use]
    pub fn stopped_by(&self) -> Option<i32> {
        match &self.control {
            Control::Child(_, child) => child.upgrade()?.stopped_by(),
            Control::Attached(..) | Control::Runner(..) => None,
        }
    }

    /// The last lines of standard error, oldest first, with the line that is not complete.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        lock(&self.stderr).lines()
    }

    /// The lines of standard error that say most about the exit: from a panic on, else the last ones.
    #[must_use]
    pub fn exit_lines(&self) -> String {
        const LINES: usize = 3;
        lock(&self.stderr).most_relevant(LINES).join("\n")
    }

    /// The output seen instead of a handshake, for an error message.
    #[must_use]
    pub fn stdout_seen(&self) -> String {
        lock(&self.announcement).finder.seen()
    }

    /// The user as whom a child runs, or ran before its handshake, if that is another than the host's.
    #[must_use]
    pub fn foreign_user(&self) -> Option<u32> {
        let Control::Child(pid, _) = self.control else { return None };
        let noted = lock(&self.announcement).user;
        // After the reaping the number may be another's.
        let user = if self.exit_status().is_some() { noted } else { effective_user(pid.as_raw_pid()) };
        user.filter(|user| *user != rustix::process::geteuid().as_raw())
    }

    /// Lines before the handshake.
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
    /// Notes the user for the explanation of a failed start; the end of any other plugin costs nothing here.
    fn note_user(&mut self, pid: Pid) {
        if !self.has_found {
            self.user = effective_user(pid.as_raw_pid());
        }
    }

    fn tell(&mut self, first: FirstLine) {
        self.has_found |= matches!(first, FirstLine::Found(_));
        if let Some(waiter) = self.waiter.take() {
            // The receiver is gone if the start was given up.
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
