//! The core's only error type.
//!
//! An error has a kind, a sentence and the evidence. Kinds are enumerated in one table, so that a test on the Python
//! side can prove that each has an exception class and a row in the documentation.

use std::fmt;

use crate::exit_status::ExitStatus;

/// The family of an error, which callers catch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A setting that cannot work.
    Config,
    /// The plugin could not be executed.
    Launch,
    /// The plugin started, but its handshake is missing or unusable.
    Handshake,
    /// No handshake line, or no answer, in time.
    StartTimeout,
    /// The process ended where a live one was needed.
    Exited,
    /// The two sides do not speak the same protocol.
    Protocol,
    /// Certificates, TLS, or another fault of security.
    Security,
    /// The connection could not be made or was lost.
    Transport,
    /// No connection in time.
    ConnectTimeout,
    /// The caller gave up; the plugin has not failed.
    Cancelled,
}

impl Class {
    /// The name of the family, by which the Python side finds its exception class.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Launch => "launch",
            Self::Handshake => "handshake",
            Self::StartTimeout => "start-timeout",
            Self::Exited => "exited",
            Self::Protocol => "protocol",
            Self::Security => "security",
            Self::Transport => "transport",
            Self::ConnectTimeout => "connect-timeout",
            Self::Cancelled => "cancelled",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $class:ident, $hint:literal;)*) => {
        /// What went wrong, one entry per rule that can be broken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $($(#[$doc])* $name,)* }

        impl ErrorKind {
            /// Every kind there is.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Stable identifier, `phase.rule`.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The family a caller catches.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Self::$name => Class::$class,)* }
            }

            /// What to try, when the message has nothing more precise.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Self::$name => $hint,)* }
            }
        }
    };
}

kinds! {
    /// A setting is out of range or contradicts another.
    ConfigInvalid = "config.invalid", Config, "Correct the setting that the message names.";
    /// The program does not exist.
    LaunchNotFound = "launch.not-found", Launch, "Check the path, or put the program's directory on PATH.";
    /// The program exists but the operating system refuses to execute it.
    LaunchRefused = "launch.refused", Launch, "Check the file's mode and owner, and that it was built for this machine.";
    /// The operating system could not provide what a launch needs (descriptors, memory, a directory).
    LaunchFailed = "launch.failed", Launch, "Check the limits of open files and processes, and the temporary directory.";
    /// The process ended before it printed its handshake line.
    ExitedBeforeHandshake = "handshake.exited", Exited, "Read the plugin's last output.";
    /// The process ended after its handshake line, before it could be used.
    ExitedBeforeReady = "connect.exited", Exited, "Read the plugin's last output.";
    /// Nothing usable on standard output in time.
    HandshakeTimeout = "handshake.timeout", StartTimeout, "Raise start_timeout if the plugin is slow; else check that it is a go-plugin program.";
    /// Standard output closed without a handshake line.
    HandshakeMissing = "handshake.missing", Handshake, "The program may not be a go-plugin plugin, or a wrapper may swallow its standard output.";
    /// More output than the bound came before any handshake line.
    HandshakeTooNoisy = "handshake.too-noisy", Handshake, "The plugin must print its handshake line first; send other output to standard error.";
    /// One line longer than any handshake can be.
    HandshakeTooLong = "handshake.too-long", Handshake, "The plugin must print its handshake line first; send other output to standard error.";
    /// The line is not text.
    HandshakeNotText = "handshake.not-text", Handshake, "The program may not be a go-plugin plugin.";
    /// Fewer than four fields.
    HandshakeFields = "handshake.fields", Handshake, "Expected CORE|APP|NETWORK|ADDRESS|PROTOCOL|CERTIFICATE; the program may not be a go-plugin plugin.";
    /// The core version is not a number.
    CoreVersionInvalid = "handshake.core-version-invalid", Handshake, "The first field must be the number 1.";
    /// The core version is not ours.
    CoreVersionUnsupported = "handshake.core-version", Handshake, "Rebuild the plugin with a go-plugin release of core protocol 1.";
    /// The application version is not a number.
    AppVersionInvalid = "handshake.app-version-invalid", Handshake, "The second field must be a number.";
    /// The application version was not offered.
    AppVersionUnsupported = "handshake.app-version", Handshake, "Add the plugin's version to protocol_versions if your stubs speak it, or use another release of the plugin.";
    /// A network other than unix and tcp, or one that the settings exclude.
    NetworkUnsupported = "handshake.network", Handshake, "The third field must be unix or tcp, and allowed by the setting transports.";
    /// The address cannot be dialled.
    AddressInvalid = "handshake.address", Handshake, "The fourth field must be a socket path (unix) or HOST:PORT (tcp).";
    /// The plugin speaks net/rpc or something unknown.
    ProtocolUnsupported = "handshake.protocol", Protocol, "Build the plugin with a gRPC server (go-plugin's GRPCServer setting); only gRPC is supported.";
    /// The certificate field does not decode.
    CertificateInvalid = "handshake.certificate", Security, "The sixth field must be base64 of a DER certificate.";
    /// Mutual TLS was asked for, but the plugin announced no certificate.
    CertificateMissing = "handshake.certificate-missing", Security, "The plugin does not do AutoMTLS. Set auto_mtls to False only if plaintext on this machine is acceptable.";
    /// Multiplexing was asked for, but the plugin does not announce it.
    MultiplexUnsupported = "handshake.multiplex", Protocol, "Update go-plugin in the plugin, or turn broker multiplexing off.";
    /// The multiplexing field is not a boolean.
    MultiplexInvalid = "handshake.multiplex-invalid", Handshake, "The seventh field must be true or false.";
    /// Key or certificate could not be generated or read.
    IdentityFailed = "tls.identity", Security, "Check the certificate and key in the setting tls, or reattach.tls: PEM, and belonging together.";
    /// The peer showed another certificate than announced.
    CertificateMismatch = "tls.certificate-mismatch", Security, "Something else may be listening at this address. Do not go on; find out what answered.";
    /// The certificate is not valid now.
    CertificateExpired = "tls.certificate-expired", Security, "Compare the clocks, or renew the certificate.";
    /// The TLS handshake failed otherwise.
    TlsFailed = "tls.failed", Security, "Check that both sides agree on TLS: auto_mtls for go-plugin's own, tls for your certificates.";
    /// The socket could not be connected.
    ConnectFailed = "connect.failed", Transport, "Check that the plugin is alive and that its socket is reachable from this process.";
    /// The socket belongs to another user.
    ConnectStranger = "connect.stranger", Security, "Something else may be listening at this address: find out what answered. For a plugin that runs as another user on purpose, give unix_socket_group.";
    /// No connection in time.
    ConnectTimeout = "connect.timeout", ConnectTimeout, "Raise connect_timeout if the machine is slow; else the plugin does not serve.";
    /// The peer does not speak HTTP/2 as gRPC needs.
    Http2Failed = "connect.http2", Protocol, "Check that the plugin serves gRPC, and that both sides agree on TLS.";
    /// The health check of service `plugin` failed.
    HealthFailed = "connect.health", Transport, "The plugin answers, but not to its health check; see its log.";
    /// The peer's broker sent what cannot be understood.
    BrokerInvalid = "broker.invalid", Protocol, "The peer breaks the rules of go-plugin's broker; find out what answers there.";
    /// The peer did not do its part of a brokered connection in time.
    BrokerTimeout = "broker.timeout", Protocol, "Check that the peer accepts this id, and that both sides agree on broker multiplexing.";
    /// The peer, or this side, does not accept this id.
    BrokerRefused = "broker.refused", Protocol, "Take each id from next_id() of the side that serves it, and use it once.";
    /// The broker's stream has ended, or its plugin has.
    BrokerClosed = "broker.closed", Protocol, "The plugin may have no broker, or has ended; see its log.";
    /// There is no process to attach to.
    ReattachGone = "reattach.gone", Transport, "Start the plugin again and use the configuration that it prints then.";
    /// What should describe a running plugin cannot be read.
    ReattachInvalid = "reattach.invalid", Config, "Pass what the plugin printed, unchanged.";
    /// A runner could not start the plugin, or translate an address.
    RunnerFailed = "runner.failed", Launch, "Read what the runner says; it was given by the setting runner.";
    /// No socket could be opened to listen on.
    ListenFailed = "listen.failed", Transport, "Check the directory or the range of ports that the message names.";
    /// A message over the limit.
    MessageTooLarge = "grpc.message-too-large", Protocol, "Raise the limit, or have the peer send less.";
    /// A frame that breaks the format.
    FrameInvalid = "grpc.frame-invalid", Protocol, "The peer does not send gRPC's 5-byte prefix, or bytes were lost.";
    /// The stream ended inside a frame.
    FrameTruncated = "grpc.frame-truncated", Protocol, "The peer closed the connection in the middle of a message.";
    /// The caller closed or cancelled while the operation ran.
    Cancelled = "client.cancelled", Cancelled, "Nothing to do.";
}

/// The evidence of an error: what was seen of the process when it happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How the process ended, if it did.
    pub exit_status: Option<ExitStatus>,
    /// Last lines of the plugin's standard error, oldest first.
    pub stderr_tail: Vec<String>,
}

/// An error: kind, one sentence, hint, evidence.
#[derive(Debug, Clone, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    evidence: Box<Evidence>,
}

impl Error {
    /// An error of this kind; `message` says what failed, with which value, and what was expected.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, evidence: Box::default() }
    }

    /// Whether the error is about the peer's certificate: no other explanation may replace it.
    #[must_use]
    pub fn names_certificate(&self) -> bool {
        matches!(self.kind, ErrorKind::CertificateMismatch | ErrorKind::CertificateExpired)
    }

    /// Replaces the kind's general hint by a precise one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says whose fault it is, unless the message does: formats know no names.
    #[must_use]
    pub fn of_plugin(mut self, name: &str) -> Self {
        if name.is_empty() || self.kind == ErrorKind::Cancelled || self.message.contains(&format!("plugin {name}")) {
            return self;
        }
        self.message = match self.message.strip_prefix("the plugin ") {
            Some(rest) => format!("the plugin {name} {rest}"),
            None => format!("the plugin {name}: {}", self.message),
        };
        self
    }

    /// Adds what was seen of the process.
    #[must_use]
    pub fn with_evidence(mut self, evidence: Evidence) -> Self {
        *self.evidence = evidence;
        self
    }

    /// The kind: the rule that was broken.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The message: what failed, in one sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The hint: what to try.
    #[must_use]
    pub fn hint(&self) -> &str {
        self.hint.as_deref().unwrap_or_else(|| self.kind.hint())
    }

    /// The evidence: what was seen of the process.
    #[must_use]
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

/// The longest piece of foreign text that an error message repeats, in characters.
const MAX_EXCERPT_CHARACTERS: usize = 120;

/// Foreign bytes as they may appear in an error message: quoted, escaped, bounded.
#[must_use]
pub fn excerpt(bytes: &[u8]) -> String {
    // Four bytes hold any character, so this prefix is long enough and a 10 MB line costs nothing.
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_EXCERPT_CHARACTERS * 4)]).into_owned();
    let shown: String = head.chars().take(MAX_EXCERPT_CHARACTERS).collect();
    if shown.len() < bytes.len() && head.chars().count() > MAX_EXCERPT_CHARACTERS {
        format!("{shown:?} and so on, {} bytes in all", bytes.len())
    } else {
        format!("{shown:?}")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn messages_name_their_plugin_once() {
        let named =
            |message: &str| Error::new(ErrorKind::HandshakeFields, message).of_plugin("/bin/kv").message().to_owned();
        assert_eq!(named("the plugin speaks net/rpc"), "the plugin /bin/kv speaks net/rpc");
        assert_eq!(named("the version is no number"), "the plugin /bin/kv: the version is no number");
        assert_eq!(named("the plugin's socket is gone"), "the plugin /bin/kv: the plugin's socket is gone");
        for unchanged in ["the plugin /bin/kv ended", "nothing came of the plugin /bin/kv"] {
            assert_eq!(named(unchanged), unchanged);
        }
        let nameless = Error::new(ErrorKind::HandshakeFields, "the plugin ended").of_plugin("");
        assert_eq!(nameless.message(), "the plugin ended");
        let given_up = Error::new(ErrorKind::Cancelled, "the client was closed").of_plugin("/bin/kv");
        assert_eq!(given_up.message(), "the client was closed");
    }

    #[test]
    fn excerpt_is_bounded_and_escaped() {
        assert_eq!(excerpt(b"a\0b\xff"), "\"a\\0b\u{fffd}\"");
        let long = excerpt(&vec![b'x'; 10_000_000]);
        assert!(long.len() < 200, "{long}");
        assert!(long.ends_with("10000000 bytes in all"), "{long}");
    }
}
