//! Waits for the handshake line of a running process, and explains why none came.

use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Host;
use super::bring_up::explained_by_stop;
use super::session::Session;
use crate::address::Address;
use crate::error::{Error, ErrorKind, excerpt};
use crate::exit_status::ExitStatus;
use crate::handshake::{Expectations, Handshake, socket_named};
use crate::limit::within;
use crate::process::{FirstLine, Process};
use crate::settings::plugin_name;

/// How long after the end of its standard output a process may end, for its exit status to be reported.
const EXIT_AFTER_STDOUT_GRACE: Duration = Duration::from_secs(1);

/// The message of go-plugin's servers, and of those modelled on them, to a host without their cookie.
const UNKNOWN_HOST: &str = "This binary is a plugin";
const UNKNOWN_HOST_HINT: &str = "The plugin knows its host by another magic cookie. ferrule.families has those of known \
    programs (--family NAME on the command line); else set magic_cookie_key and magic_cookie_value to what the plugin \
    expects (--cookie KEY=VALUE).";

/// For a first line such as `#!/usr/bin/env python3` with CRLF: the system finds env, and env finds no `python3\r`.
const WINDOWS_LINES_HINT: &str = "The program, or one that it starts, has the line ends of Windows (CRLF): convert them, by \
    sed -i 's/\\r$//' FILE for example.";

/// How many texts before a handshake line are logged each; of the others, which may all be the same, only the number is.
const MOST_STRAY_WARNINGS: usize = 5;
/// How lines begin that tell of another cause than the cookie: crashes, and the log of a plugin that has begun to serve.
const OTHER_CAUSES: [&str; 5] = ["Traceback (most recent call last)", "  File \"", "panic: ", "goroutine ", "{\"@"];

impl Host {
    pub(super) async fn handshake(
        &self,
        session: &mut Session,
        first_line: oneshot::Receiver<FirstLine>,
        limit: Duration,
    ) -> Result<Handshake, Error> {
        let first = within(limit, first_line).await;
        let first = first.ok_or_else(|| self.no_line_in_time(session))?;
        for warning in warnings(&session.process.stray_lines()) {
            self.0.inbox.push_warning(warning);
        }
        match first {
            Ok(FirstLine::Found(line)) => self.understand(session, &line).await,
            Ok(FirstLine::Unfinished(line)) => {
                self.check_finished(&session.process, &line).await?;
                self.understand(session, &line).await
            }
            Ok(FirstLine::Refused(error)) => Err(error),
            Ok(FirstLine::Closed) | Err(_) => Err(self.no_handshake(session).await),
        }
    }

    async fn understand(&self, session: &mut Session, line: &[u8]) -> Result<Handshake, Error> {
        let Some(runner) = &self.0.settings.runner else {
            // The socket is kept for a refused line as well: it is removed after the plugin has ended.
            session.address = socket_named(line).map(Address::Unix);
            return Handshake::parse(line, &self.expectations());
        };
        let mut handshake = Handshake::parse(line, &self.expectations())?;
        let limit = self.0.settings.timeouts.start;
        let translated = within(limit, runner.plugin_to_host(handshake.address)).await.ok_or_else(|| {
            let message =
                format!("the runner did not translate the plugin's address within {:.1} s", limit.as_secs_f64());
            Error::new(ErrorKind::RunnerFailed, message)
        })?;
        handshake.address = translated?;
        Ok(handshake)
    }

    fn expectations(&self) -> Expectations {
        let settings = &self.0.settings;
        Expectations {
            protocol_versions: settings.protocol_versions.clone(),
            transports: settings.transports,
            multiplex: settings.multiplex,
        }
    }

    fn no_line_in_time(&self, session: &Session) -> Error {
        let (name, limit, seen) = (self.name(), self.0.settings.timeouts.start, session.process.stdout_seen());
        let message =
            format!("the plugin {name} printed no handshake line within {:.1} s; {seen}", limit.as_secs_f64());
        let error = explained_by_stop(Error::new(ErrorKind::HandshakeTimeout, message), &session.process);
        if let Some(hint) = self.hint_of_user(session) { error.with_hint(hint) } else { error }
    }

    /// Checks that the plugin lives on: only then is a line without a line end a whole one.
    async fn check_finished(&self, process: &Process, line: &[u8]) -> Result<(), Error> {
        let Some(status) = within(EXIT_AFTER_STDOUT_GRACE, process.exited()).await else { return Ok(()) };
        let (name, shown) = (self.name(), excerpt(line));
        let message = format!("the plugin {name} ended with {status} within its handshake line, after {shown}");
        Err(Error::new(ErrorKind::ExitedBeforeHandshake, message)
            .with_hint("Read the plugin's last output, and who ended it."))
    }

    /// The error of a plugin that closed its standard output.
    async fn no_handshake(&self, session: &Session) -> Error {
        let process = &session.process;
        let (name, seen) = (self.name(), process.stdout_seen());
        let Some(status) = within(EXIT_AFTER_STDOUT_GRACE, process.exited()).await else {
            let message = format!("the plugin {name} closed its standard output without a handshake; {seen}");
            return Error::new(ErrorKind::HandshakeMissing, message);
        };
        let message = format!("the plugin {name} ended with {status} before its handshake; {seen}");
        let error = Error::new(ErrorKind::ExitedBeforeHandshake, message);
        let said = process.stderr_tail();
        if said.iter().any(|line| line.contains(UNKNOWN_HOST)) {
            return error.with_hint(UNKNOWN_HOST_HINT);
        }
        if said.iter().any(|line| asks_for_carriage_return(line)) {
            return error.with_hint(WINDOWS_LINES_HINT);
        }
        match self.hint_of_user(session) {
            Some(hint) => error.with_hint(hint),
            None => hint_of_end(status, &said).into_iter().fold(error, Error::with_hint),
        }
    }

    /// A hint for a plugin that another user runs, who may not enter the socket directory.
    fn hint_of_user(&self, session: &Session) -> Option<String> {
        let user = session.process.foreign_user();
        if user.is_none() && !was_kept_out(&session.process, session.directories.plugin()) {
            return None;
        }
        let who = user.map_or_else(|| "another user".to_owned(), |user| format!("user {user}"));
        Some(match &self.0.settings.socket_group {
            None => format!(
                "The plugin seems to run as {who}, and the directory of its socket is open to this user alone: set \
                 unix_socket_group to a group that both are in."
            ),
            Some(_) => format!(
                "The plugin seems to run as {who}, and the directory of its socket is open to the group of the setting \
                 unix_socket_group alone: check that {who} is in it, and may enter the directories above."
            ),
        })
    }

    pub(super) fn name(&self) -> String {
        plugin_name(&self.0.settings.command)
    }
}

/// What is logged of the text before a handshake line.
fn warnings(stray: &[String]) -> Vec<String> {
    let shown = stray.iter().take(MOST_STRAY_WARNINGS);
    let mut warnings: Vec<String> = shown.map(|text| format!("printed before its handshake line: {text}")).collect();
    if let Some(more @ 1..) = stray.len().checked_sub(MOST_STRAY_WARNINGS) {
        warnings.push(format!("printed before its handshake line: {more} more lines"));
    }
    warnings
}

/// A hint for a plugin that ended by itself, where its last output is not the whole answer.
fn hint_of_end(status: ExitStatus, said: &[String]) -> Option<&'static str> {
    match status {
        ExitStatus::Signal(_) if said.is_empty() => {
            Some("It said nothing on standard error either. Run it by hand, and find out who ended it.")
        }
        ExitStatus::Signal(_) => Some("Read the plugin's last output, and who ended it."),
        _ if said.is_empty() => {
            Some("It said nothing on standard error either. Run it by hand; a wrong magic cookie is the usual cause.")
        }
        ExitStatus::Code(1) if speaks_of_cookie(said) => {
            Some("Read the plugin's last output; a wrong magic cookie is the usual cause.")
        }
        _ => None,
    }
}

/// Whether a plugin may be refusing a host that does not know its cookie.
fn speaks_of_cookie(said: &[String]) -> bool {
    let has_cause = |line: &String| OTHER_CAUSES.iter().any(|begin| line.starts_with(begin));
    let has_word = |line: &String| {
        let words = line.split_whitespace().map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()));
        words.map(str::to_ascii_lowercase).any(|word| matches!(word.as_str(), "plugin" | "plugins" | "cookie"))
    };
    !said.iter().any(has_cause) && said.iter().any(has_word)
}

/// Whether the plugin reports that it may not use its socket directory.
fn was_kept_out(process: &Process, directory: &Path) -> bool {
    let directory = directory.to_string_lossy();
    let complains =
        |line: &String| line.contains(&*directory) && line.to_ascii_lowercase().contains("permission denied");
    process.stderr_tail().iter().any(complains)
}

/// Whether `env` reports a missing program whose name has a carriage return; GNU's writes it as `\r`, others as it is.
fn asks_for_carriage_return(line: &str) -> bool {
    line.contains("env: ") && (line.contains('\r') || line.contains("\\r"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn cookie_is_named_where_nothing_else_explains_the_end() {
        let cookie = |status, said: &str| hint_of_end(status, &lines(said)).is_some_and(|hint| hint.contains("cookie"));
        for (status, said) in
            [(1, ""), (0, ""), (1, "Error: this program is a plugin, run it by its host."), (1, "MISSING COOKIE")]
        {
            assert!(cookie(ExitStatus::Code(status), said), "{said}");
        }
        for (status, said) in [
            (1, "Traceback (most recent call last):\n  File \"plugin.py\", line 1\nNameError: plugin"),
            // What is kept of a long one.
            (1, "  File \"plugin.py\", line 9, in <module>\nRuntimeError: the plugin is broken"),
            (2, "panic: the plugin is broken\n\ngoroutine 1 [running]:"),
            (2, "plugin.sh: 1: Syntax error: end of file unexpected"),
            (1, "/opt/plugin/run: cannot open the database"),
            (3, "the plugin gives up"),
            (1, "{\"@level\":\"error\",\"@message\":\"plugin init error\",\"error\":\"no such plugin here\"}"),
        ] {
            assert!(!cookie(ExitStatus::Code(status), said), "{said}");
        }
        for said in ["", "a plugin says something"] {
            assert!(!cookie(ExitStatus::Signal(libc::SIGSEGV), said), "{said}");
        }
    }

    #[test]
    fn flood_before_the_handshake_is_a_few_warnings_and_a_number() {
        let flood = vec!["\"y\"".to_owned(); 65];
        let logged = warnings(&flood);
        assert_eq!(logged.len(), MOST_STRAY_WARNINGS + 1);
        assert_eq!(logged.last().map(String::as_str), Some("printed before its handshake line: 60 more lines"));
        assert_eq!(warnings(&flood[..MOST_STRAY_WARNINGS]).len(), MOST_STRAY_WARNINGS);
        assert!(warnings(&[]).is_empty());
    }
}
