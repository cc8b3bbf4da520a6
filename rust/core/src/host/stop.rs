//! How a plugin is stopped: Shutdown call, SIGTERM, SIGKILL. Each step waits for the process to end, up to its limit;
//! none sleeps.

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::exit_status::ExitStatus;
use crate::limit::within;
use crate::process::Process;
use crate::settings::Timeouts;
use rustix::process::Signal;

/// The steps of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rung {
    /// The process had ended before it was asked to.
    Exited,
    /// It ended after the Shutdown call.
    Shutdown,
    /// It ended after SIGTERM.
    Terminate,
    /// It was killed.
    Kill,
    /// It runs on, because another host started it.
    Detached,
}

impl Rung {
    /// The step's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exited => "exited",
            Self::Shutdown => "shutdown",
            Self::Terminate => "sigterm",
            Self::Kill => "sigkill",
            Self::Detached => "detached",
        }
    }
}

/// The report of a stop.
#[derive(Debug, Clone)]
pub struct StopReport {
    /// The last step needed.
    pub rung: Rung,
    /// How the process ended.
    pub exit_status: ExitStatus,
    /// Time spent on each step that was tried.
    pub steps: Vec<(Rung, Duration)>,
}

/// How long the end of a killed process is waited for. One in an uninterruptible system call outlives SIGKILL; then its
/// status stays unknown.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Stops the process: by the Shutdown call, SIGTERM, SIGKILL, each with its limit. `asking` makes the call, and is true
/// if the plugin did not refuse it.
pub(super) async fn stop(process: &Process, asking: impl Future<Output = bool>, limits: &Timeouts) -> StopReport {
    if let Some(exit_status) = process.exit_status() {
        return StopReport { rung: Rung::Exited, exit_status, steps: Vec::new() };
    }
    let mut asking = pin!(asking);
    let mut steps = Vec::new();
    for rung in [Rung::Shutdown, Rung::Terminate, Rung::Kill] {
        let begun = Instant::now();
        let exit_status = match rung {
            Rung::Shutdown => ask(process, asking.as_mut(), limits.shutdown).await,
            Rung::Terminate => signal(process, Signal::TERM, limits.kill).await,
            _ => signal(process, Signal::KILL, KILL_LIMIT).await,
        };
        steps.push((rung, begun.elapsed()));
        if let Some(exit_status) = exit_status {
            return StopReport { rung, exit_status, steps };
        }
    }
    StopReport { rung: Rung::Kill, exit_status: ExitStatus::Unknown, steps }
}

/// Kills the process.
pub(super) async fn kill(process: &Process) -> StopReport {
    let begun = Instant::now();
    let exit_status = signal(process, Signal::KILL, KILL_LIMIT).await.unwrap_or(ExitStatus::Unknown);
    StopReport { rung: Rung::Kill, exit_status, steps: vec![(Rung::Kill, begun.elapsed())] }
}

async fn ask(process: &Process, asking: impl Future<Output = bool>, limit: Duration) -> Option<ExitStatus> {
    let refused = async {
        if asking.await {
            // From here on only the end of the process is waited for.
            std::future::pending::<()>().await;
        }
    };
    let ended = async {
        tokio::select! {
            exit_status = process.exited() => Some(exit_status),
            // A plugin without the controller service refuses: waiting for its end would be in vain.
            () = refused => None,
        }
    };
    within(limit, ended).await.flatten()
}

async fn signal(process: &Process, signal: Signal, limit: Duration) -> Option<ExitStatus> {
    process.signal(signal);
    within(limit, process.exited()).await
}
