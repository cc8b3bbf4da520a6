//! The plugin as a process: started, listened to, ended, and explained when it does not start.

mod attached;
#[cfg(target_os = "linux")]
mod before_exec;
mod child;
pub mod diagnose;
mod executable;
mod launch;
pub mod log_line;
mod monitor;
mod output;
mod pidfd;
#[cfg(target_os = "linux")]
mod registry;
mod runner;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(not(target_os = "linux"))]
#[path = "spawn_portable.rs"]
mod spawn;
pub mod spawner;
pub mod stop;
mod strays;
#[cfg(target_os = "linux")]
pub mod watcher;
#[cfg(not(target_os = "linux"))]
#[path = "watcher_portable.rs"]
pub mod watcher;

use std::fmt;

pub use child::Child;
pub use launch::{Launch, SpawnError};
pub use monitor::{FirstLine, Process};
pub use output::LineSplitter;
pub use runner::{Answer, Order, Runner, Running};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somebody else collected the status.
    Unknown,
}

impl ExitStatus {
    /// As Python's `subprocess` has it: the code, or the negative signal; `None` where unknown.
    #[must_use]
    pub fn return_code(self) -> Option<i32> {
        match self {
            Self::Code(code) => Some(code),
            Self::Signal(signal) => Some(-signal),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(formatter, "exit status {code}"),
            Self::Signal(signal) => write!(formatter, "signal {signal}{}", signal_name(*signal)),
            Self::Unknown => formatter.write_str("an unknown exit status"),
        }
    }
}

#[cfg(unix)]
fn signal_name(signal: i32) -> &'static str {
    match signal {
        libc::SIGHUP => " (SIGHUP)",
        libc::SIGINT => " (SIGINT)",
        libc::SIGQUIT => " (SIGQUIT)",
        libc::SIGABRT => " (SIGABRT)",
        libc::SIGKILL => " (SIGKILL)",
        libc::SIGSEGV => " (SIGSEGV)",
        libc::SIGPIPE => " (SIGPIPE)",
        libc::SIGTERM => " (SIGTERM)",
        libc::SIGSTOP => " (SIGSTOP)",
        libc::SIGTSTP => " (SIGTSTP)",
        libc::SIGTTIN => " (SIGTTIN)",
        libc::SIGTTOU => " (SIGTTOU)",
        _ => "",
    }
}

#[cfg(not(unix))]
fn signal_name(_signal: i32) -> &'static str {
    ""
}
