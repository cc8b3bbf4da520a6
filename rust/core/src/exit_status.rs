//! The exit status of a process, and its wording. No I/O.

use std::fmt;

/// The exit status of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// The exit code.
    Code(i32),
    /// The signal that ended it.
    Signal(i32),
    /// Unknown, because another waiter collected it.
    Unknown,
}

impl ExitStatus {
    /// The status as Python's `subprocess` has it: the code, the negative signal, or `None` if unknown.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn return_codes_are_those_of_subprocess() {
        let statuses = [ExitStatus::Code(0), ExitStatus::Code(3), ExitStatus::Signal(9), ExitStatus::Unknown];
        assert_eq!(statuses.map(ExitStatus::return_code), [Some(0), Some(3), Some(-9), None]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn signals_have_the_names_of_signal_7() {
        let named = [
            (1, "SIGHUP"),
            (2, "SIGINT"),
            (3, "SIGQUIT"),
            (6, "SIGABRT"),
            (9, "SIGKILL"),
            (11, "SIGSEGV"),
            (13, "SIGPIPE"),
            (15, "SIGTERM"),
            (19, "SIGSTOP"),
            (20, "SIGTSTP"),
            (21, "SIGTTIN"),
            (22, "SIGTTOU"),
        ];
        for (number, name) in named {
            assert_eq!(ExitStatus::Signal(number).to_string(), format!("signal {number} ({name})"));
        }
        assert_eq!(ExitStatus::Signal(64).to_string(), "signal 64");
        assert_eq!(ExitStatus::Code(2).to_string(), "exit status 2");
        assert_eq!(ExitStatus::Unknown.to_string(), "an unknown exit status");
    }
}
