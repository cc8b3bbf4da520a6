//! The settings of one plugin and its host, as plain values. Defaults and validation belong to the Python side, where
//! users meet them.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::runner::Runner;

/// The settings of one plugin. No `Debug`: environment and cookie must not reach a log.
pub struct Settings {
    /// Program and arguments; never empty.
    pub command: Vec<OsString>,
    /// Working directory of the plugin, or the host's.
    pub working_directory: Option<PathBuf>,
    /// The part of the host's environment that the plugin inherits.
    pub host_environment: Vec<(OsString, OsString)>,
    /// The caller's variables, which override the host's.
    pub environment: Vec<(OsString, OsString)>,
    /// Where to look for a program named without a slash.
    pub search_path: OsString,
    /// Name and value of the magic cookie.
    pub cookie: (String, String),
    /// Application protocol versions that the caller's stubs speak.
    pub protocol_versions: Vec<u32>,
    /// How the connection is protected.
    pub security: Security,
    /// Transports that the plugin may announce.
    pub transports: Transports,
    /// First and last TCP port the plugin may use.
    pub ports: (u16, u16),
    /// Time limits of each phase.
    pub timeouts: Timeouts,
    /// Directory under which the private socket directory is made.
    pub socket_base: PathBuf,
    /// Whether the plugin dies with this process even when that is killed (Linux).
    pub die_with_host: bool,
    /// Whether the plugin's synchronised standard output is delivered.
    pub sync_stdout: bool,
    /// Whether the plugin's synchronised standard error is delivered.
    pub sync_stderr: bool,
    /// Whether to serve a local socket on which a stock gRPC library reaches the plugin.
    pub bridge: bool,
    /// Whether to ask for broker multiplexing: one socket for all connections.
    pub multiplex: bool,
    /// A group whose members may use the plugin's sockets: a name or a number.
    pub socket_group: Option<SocketGroup>,
    /// The program as it was opened and checked, executed instead of the file that its path names later.
    pub executable: Option<OwnedFd>,
    /// Resource limits of the plugin's process.
    pub limits: Limits,
    /// A running plugin to attach to, instead of a launch.
    pub reattach: Option<Reattach>,
    /// The caller's code that launches the plugin, instead of the core.
    pub runner: Option<Arc<dyn Runner>>,
}

impl Settings {
    /// The users to whom the plugin's sockets may belong. A group admits another user, a runner chooses the user, and
    /// the address of a reattach was chosen by the caller.
    #[must_use]
    pub fn peers(&self) -> Peers {
        let chosen = self.socket_group.is_some() || self.runner.is_some() || self.reattach.is_some();
        if chosen { Peers::Anybody } else { Peers::OwnUser }
    }
}

/// Programs that run another one, which their arguments name; version numbers at the end aside.
const INTERPRETERS: [&str; 12] =
    ["python", "pypy", "node", "bun", "ruby", "perl", "php", "java", "dotnet", "sh", "bash", "dash"];
/// Options of theirs whose value is another argument, and says nothing of the program.
const WITH_VALUE: [&str; 6] = ["-W", "-X", "-I", "-r", "-cp", "-classpath"];

/// What errors call the plugin of a command: the program, and behind an interpreter what that runs. Other arguments may
/// be secret.
#[must_use]
pub fn plugin_name(command: &[OsString]) -> String {
    let mut texts = command.iter().map(|argument| argument.to_str().unwrap_or("?"));
    let mut name = texts.next().unwrap_or_default().to_owned();
    let file = name.rsplit('/').next().unwrap_or_default();
    if !INTERPRETERS.contains(&file.trim_end_matches(|character: char| character.is_ascii_digit() || character == '.'))
    {
        return name;
    }
    while let Some(argument) = texts.next() {
        match argument {
            // What follows is code, or the arguments of what is read from standard input.
            "-c" | "-e" | "-" => break,
            "-m" | "-jar" => name.extend([" ", argument]),
            option if option.starts_with('-') => {
                if WITH_VALUE.contains(&option) {
                    texts.next();
                }
            }
            program => {
                name.extend([" ", program]);
                break;
            }
        }
    }
    name
}

/// The users whose Unix sockets are dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// This user, and root, who may do anything anyway.
    OwnUser,
    /// Any user: another one was agreed on, or the caller chose the address.
    Anybody,
}

/// A group that may use sockets, by name or number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketGroup(pub String);

/// Resource limits of a process. Beyond them the system refuses memory, or kills.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Address space in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU time in seconds.
    pub cpu_seconds: Option<u64>,
}

/// How to reach a plugin that another host started. No `Debug`: the key must not reach a log.
#[derive(Clone)]
pub struct Reattach {
    /// Where it listens.
    pub address: Address,
    /// Its process, if known.
    pub pid: Option<i32>,
    /// The application protocol version that it speaks.
    pub protocol_version: u32,
    /// Whether this host may shut the plugin down, and kill it.
    pub owned: bool,
    /// Certificate and key of the host that started it, PEM.
    pub identity: Option<(String, Zeroizing<String>)>,
    /// Its own certificate.
    pub server_certificate: Option<CertificateDer<'static>>,
}

/// How the connection is protected.
#[derive(Debug, Clone)]
pub enum Security {
    /// Plaintext.
    Plaintext,
    /// go-plugin's AutoMTLS: one-time certificates, pinned in both directions.
    AutoMtls(Curve),
    /// The caller's own certificates.
    Certificates(TlsFiles),
}

/// Curve of a one-time key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256: the fastest, and accepted by every go-plugin peer.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521: go-plugin's own choice.
    P521,
}

/// Certificates that the caller brings, all PEM.
#[derive(Clone, Default)]
pub struct TlsFiles {
    /// Certificates to trust, one or more.
    pub authorities: Vec<u8>,
    /// Our own certificate chain, leaf first.
    pub certificate: Option<Vec<u8>>,
    /// The key of our own certificate.
    pub key: Option<Zeroizing<Vec<u8>>>,
    /// The name that the peer's certificate must carry.
    pub server_name: String,
}

impl std::fmt::Debug for TlsFiles {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Written by hand, so that the key never reaches a log.
        formatter.debug_struct("TlsFiles").field("server_name", &self.server_name).finish_non_exhaustive()
    }
}

/// Transports that a plugin may announce.
#[derive(Debug, Clone, Copy)]
pub struct Transports {
    /// Unix domain sockets.
    pub unix: bool,
    /// TCP.
    pub tcp: bool,
}

/// Time limits.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// From the launch to the handshake line.
    pub start: Duration,
    /// From the handshake line to the first answered health check.
    pub connect: Duration,
    /// From the request to shut down to the end of the process, before SIGTERM.
    pub shutdown: Duration,
    /// From SIGTERM to SIGKILL.
    pub kill: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_plugin_has_what_an_interpreter_runs_and_no_other_arguments() {
        for (command, name) in [
            ("", ""),
            ("/opt/kv --token secret", "/opt/kv"),
            ("python plugin.py --token secret", "python plugin.py"),
            ("/usr/bin/python3.11 -u -X dev plugin.py secret", "/usr/bin/python3.11 plugin.py"),
            ("python -m acme.plugin secret", "python -m acme.plugin"),
            ("java -Dtoken=secret -jar kv.jar secret", "java -jar kv.jar"),
            ("sh -c secret", "sh"),
            ("bash -ex ./kv.sh", "bash ./kv.sh"),
            ("python", "python"),
            ("/opt/pythonic plugin.py", "/opt/pythonic"),
        ] {
            let command: Vec<OsString> = command.split(' ').map(OsString::from).collect();
            assert_eq!(plugin_name(&command), name);
        }
    }
}
