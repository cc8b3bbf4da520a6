//! What a launch needs to know. Plain values: defaults and validation belong to the Python face, where users meet them.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// Everything about one plugin and how to drive it. No `Debug`: environment and cookie are not for logs.
#[derive(Clone)]
pub struct Settings {
    /// Program and arguments; never empty.
    pub command: Vec<OsString>,
    /// Working directory of the plugin, or the host's.
    pub working_directory: Option<PathBuf>,
    /// The host's own environment, as far as the plugin may see it.
    pub host_environment: Vec<(OsString, OsString)>,
    /// The caller's additions, which win over the host's.
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
    /// Whether somebody wants the plugin's synchronised standard output.
    pub sync_stdout: bool,
    /// Whether somebody wants the plugin's synchronised standard error.
    pub sync_stderr: bool,
    /// Serve a local socket on which a stock gRPC library reaches the plugin.
    pub bridge: bool,
}

/// How the connection is protected.
#[derive(Debug, Clone)]
pub enum Security {
    /// Not at all: plaintext on this machine.
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
    /// NIST P-521: what go-plugin itself uses.
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
        // Written by hand so that the key can never reach a log.
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
