//! One plugin from launch to end.
//!
//! A host lives once: started, used, stopped, closed. All of its work happens on the I/O thread; the handle may be held
//! anywhere.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::certificate::{Identity, SERVER_NAME};
use crate::environment::child_environment;
use crate::error::{Error, ErrorKind, Evidence};
use crate::grpc::{GrpcClient, MessageStream};
use crate::handshake::{Expectations, Handshake};
use crate::inbox::{Inbox, Output};
use crate::process::log_line::Level;
use crate::process::stop::{KILL_LIMIT, Rung, StopReport, stop};
use crate::process::{ExitStatus, FirstLine, Launch, Process, diagnose};
use crate::services::health;
use crate::services::stdio::{self, StdioData};
use crate::settings::{Security, Settings};
use crate::tls::{ALPN_H2, Trust, client_config};
use crate::transport::bridge::{Bridge, Epitaph};
use crate::transport::{Address, Dialer, PrivateDirectory, Tls, Traffic};
use crate::wake::Wake;

/// What is known of a plugin that is ready.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Process id.
    pub pid: i32,
    /// Application protocol version in use.
    pub protocol_version: u32,
    /// Where it listens.
    pub address: Address,
    /// Its certificate, if it announced one.
    pub certificate: Option<CertificateDer<'static>>,
    /// The local socket for a stock gRPC library, if asked for.
    pub bridge: Option<PathBuf>,
    /// How long each phase took, in order.
    pub timings: Vec<(&'static str, Duration)>,
}

/// A handle to one plugin. Clones name the same plugin.
#[derive(Clone)]
pub struct Host(Arc<Shared>);

struct Shared {
    settings: Settings,
    inbox: Arc<Inbox>,
    traffic: Traffic,
    identity: OnceLock<Identity>,
    process: OnceLock<Arc<Process>>,
    given_up: CancellationToken,
    /// Held by whoever starts, stops or closes, so that these follow each other.
    session: Mutex<Option<Session>>,
}

/// What must be given back.
struct Session {
    process: Arc<Process>,
    client: Option<GrpcClient>,
    stdio: Option<JoinHandle<()>>,
    bridge: Option<Bridge>,
    address: Option<Address>,
    directory: PrivateDirectory,
}

impl Host {
    /// A host that has done nothing yet; `wake` is told when the inbox fills.
    pub fn new(settings: Settings, wake: Arc<dyn Wake>) -> Self {
        Self(Arc::new(Shared {
            settings,
            inbox: Arc::new(Inbox::new(wake)),
            traffic: Traffic::default(),
            identity: OnceLock::new(),
            process: OnceLock::new(),
            given_up: CancellationToken::new(),
            session: Mutex::new(None),
        }))
    }

    /// Launches the plugin and brings it to where calls work. A failure has cleaned up after itself.
    pub async fn start(&self) -> Result<Facts, Error> {
        let mut place = self.0.session.lock().await;
        let begun = Instant::now();
        let (mut session, first_line) = self.launch()?;
        let launched = begun.elapsed();
        let result = tokio::select! {
            result = self.bring_up(&mut session, first_line) => result,
            () = self.0.given_up.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the client was closed while it started")),
        };
        match result {
            Ok(mut facts) => {
                facts.timings.insert(0, ("launch", launched));
                *place = Some(session);
                Ok(facts)
            }
            Err(error) => {
                let evidence =
                    Evidence { exit_status: session.process.exit_status(), stderr_tail: session.process.stderr_tail() };
                session.destroy().await;
                Err(error.with_evidence(evidence))
            }
        }
    }

    /// Ends the plugin by the ladder. What it said last can still be taken; its directory stays until [`Host::close`].
    pub async fn stop(&self) -> StopReport {
        let mut place = self.0.session.lock().await;
        let Some(session) = place.as_mut() else {
            let exit_status = self.exit_status().unwrap_or(ExitStatus::Unknown);
            return StopReport { rung: Rung::Exited, exit_status, steps: Vec::new() };
        };
        let report = stop(&session.process, session.client.as_ref(), &self.0.settings.timeouts).await;
        session.finish_stdio().await;
        session.client = None;
        report
    }

    /// Gives everything back, at any moment, also during a start; kills the plugin if it still runs.
    pub async fn close(&self) {
        self.0.given_up.cancel();
        if let Some(session) = self.0.session.lock().await.take() {
            session.destroy().await;
        }
    }

    /// Returns when the plugin has ended; never if it was never started.
    pub async fn exited(&self) -> ExitStatus {
        match self.0.process.get() {
            Some(process) => process.exited().await,
            None => std::future::pending().await,
        }
    }

    /// How the plugin ended, if it has.
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.0.process.get().and_then(|process| process.exit_status())
    }

    /// The last lines of the plugin's standard error.
    #[must_use]
    pub fn stderr_tail(&self) -> Vec<String> {
        self.0.process.get().map(|process| process.stderr_tail()).unwrap_or_default()
    }

    /// Log lines and output that wait to be read.
    #[must_use]
    pub fn inbox(&self) -> &Inbox {
        &self.0.inbox
    }

    /// Byte counters of all connections to the plugin.
    #[must_use]
    pub fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// The host's own certificate and key, once there are any.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.0.identity.get()
    }

    fn launch(&self) -> Result<(Session, oneshot::Receiver<FirstLine>), Error> {
        let settings = &self.0.settings;
        let program = diagnose::find_program(settings)?;
        let directory = PrivateDirectory::create(&settings.socket_base)?;
        let identity = match &settings.security {
            Security::AutoMtls(curve) => Some(Identity::generate(*curve)?),
            Security::Certificates(files) => match (&files.certificate, &files.key) {
                (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)?),
                _ => None,
            },
            Security::Plaintext => None,
        };
        let identity = identity.map(|identity| self.0.identity.get_or_init(|| identity));
        let environment = child_environment(settings, identity.map(Identity::certificate_pem), directory.path());
        let launch = Launch {
            program: &program,
            arguments: &settings.command,
            environment: &environment,
            working_directory: settings.working_directory.as_deref(),
            die_with_host: settings.die_with_host,
        };
        let (process, first_line) = Process::start(&launch, self.0.inbox.clone())
            .map_err(|failure| diagnose::explain(&failure, &program, settings))?;
        let process = Arc::new(process);
        let _ = self.0.process.set(process.clone());
        Ok((Session { process, client: None, stdio: None, bridge: None, address: None, directory }, first_line))
    }

    async fn bring_up(&self, session: &mut Session, first_line: oneshot::Receiver<FirstLine>) -> Result<Facts, Error> {
        let begun = Instant::now();
        let handshake = self.handshake(&session.process, first_line).await?;
        let shaken = begun.elapsed();
        session.address = Some(handshake.address.clone());
        let dialer =
            Arc::new(Dialer::new(handshake.address.clone(), self.protection(&handshake)?, self.0.traffic.clone()));

        let begun = Instant::now();
        let (client, connected) = self.connect(&session.process, &dialer).await?;
        let checked = begun.elapsed().saturating_sub(connected);
        session.stdio = self.subscribe(&client).await;
        session.client = Some(client);
        if self.0.settings.bridge {
            let epitaph = epitaph(session.process.clone());
            session.bridge = Some(Bridge::listen(session.directory.join("grpc"), dialer, epitaph)?);
        }
        Ok(Facts {
            pid: session.process.pid(),
            protocol_version: handshake.protocol_version,
            address: handshake.address,
            certificate: handshake.certificate,
            bridge: session.bridge.as_ref().map(|bridge| bridge.path().clone()),
            timings: vec![("handshake", shaken), ("connect", connected), ("health", checked)],
        })
    }

    async fn handshake(&self, process: &Process, first_line: oneshot::Receiver<FirstLine>) -> Result<Handshake, Error> {
        let limit = self.0.settings.timeouts.start;
        let first = timeout(limit, first_line).await.map_err(|_| {
            let (name, seen) = (self.name(), process.stdout_seen());
            let message =
                format!("the plugin {name} printed no handshake line within {:.1} s; {seen}", limit.as_secs_f64());
            Error::new(ErrorKind::HandshakeTimeout, message)
        })?;
        for line in process.stray_lines() {
            let remark = format!("printed before its handshake line: {line}");
            self.0.inbox.push_remark(Level::Warn, remark);
        }
        match first {
            Ok(FirstLine::Found(line)) => Handshake::parse(&line, &self.expectations()),
            Ok(FirstLine::Refused(error)) => Err(error),
            Ok(FirstLine::Closed) | Err(_) => Err(self.no_handshake(process).await),
        }
    }

    /// Standard output is closed: usually because the process has ended, which takes a moment to be known.
    async fn no_handshake(&self, process: &Process) -> Error {
        const MOMENT: Duration = Duration::from_secs(1);
        let name = self.name();
        let seen = process.stdout_seen();
        match timeout(MOMENT, process.exited()).await {
            Ok(status) => {
                let message = format!("the plugin {name} ended with {status} before its handshake; {seen}");
                let error = Error::new(ErrorKind::ExitedBeforeHandshake, message);
                if !process.stderr_tail().is_empty() {
                    return error;
                }
                error.with_hint("It said nothing on standard error either. Run it by hand; a wrong magic cookie is the usual cause.")
            }
            Err(_) => Error::new(
                ErrorKind::HandshakeMissing,
                format!("the plugin {name} closed its standard output without a handshake; {seen}"),
            ),
        }
    }

    fn name(&self) -> impl std::fmt::Display {
        self.0.settings.command[0].display()
    }

    fn expectations(&self) -> Expectations {
        let settings = &self.0.settings;
        Expectations {
            protocol_versions: settings.protocol_versions.clone(),
            transports: settings.transports,
            multiplex: false,
        }
    }

    fn protection(&self, handshake: &Handshake) -> Result<Option<Tls>, Error> {
        let (trust, name) = match (&self.0.settings.security, &handshake.certificate) {
            (Security::Plaintext, _) => return Ok(None),
            (Security::AutoMtls(_), Some(certificate)) => (Trust::Pinned(certificate.clone()), SERVER_NAME),
            (Security::AutoMtls(_), None) => {
                let message =
                    format!("mutual TLS was asked for, but the plugin {} announced no certificate", self.name());
                return Err(Error::new(ErrorKind::CertificateMissing, message));
            }
            (Security::Certificates(files), _) => {
                (Trust::Authorities(files.authorities.clone()), files.server_name.as_str())
            }
        };
        let server_name = ServerName::try_from(name.to_owned()).map_err(|_| {
            let message = format!("the setting tls.server_name is {name:?}, expected a DNS name or an IP address");
            Error::new(ErrorKind::ConfigInvalid, message)
        })?;
        Ok(Some(Tls { config: client_config(&trust, self.identity(), &[ALPN_H2])?, server_name }))
    }

    /// Connects and has the plugin answer once; the duration is that of connecting alone.
    async fn connect(&self, process: &Process, dialer: &Dialer) -> Result<(GrpcClient, Duration), Error> {
        let limit = self.0.settings.timeouts.connect;
        let connecting = async {
            let begun = Instant::now();
            let stream = dial_patiently(dialer).await?;
            let mut client = GrpcClient::connect(stream, dialer).await?;
            let connected = begun.elapsed();
            match health::check(&client).await {
                Ok(()) => Ok((client, connected)),
                Err(status) => {
                    // A peer that refuses our certificate says so only after the TLS 1.3 handshake.
                    if status.disconnected {
                        return Err(client.closed(dialer).await);
                    }
                    let message = format!("the health check of service \"plugin\" failed: {status}");
                    Err(Error::new(ErrorKind::HealthFailed, message))
                }
            }
        };
        let result = tokio::select! {
            biased;
            result = timeout(limit, connecting) => result,
            status = process.exited() => return Err(ended_early(status)),
        };
        match result {
            Ok(Ok(connected)) => Ok(connected),
            // A crash breaks the connection first and is known a moment later: it is the better explanation.
            Ok(Err(error)) if error.kind() != ErrorKind::CertificateMismatch => {
                const MOMENT: Duration = Duration::from_millis(50);
                timeout(MOMENT, process.exited()).await.map_or(Err(error), |status| Err(ended_early(status)))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => {
                let why =
                    dialer.last_error().map_or_else(|| "it does not answer".to_owned(), |error| error.to_string());
                let message =
                    format!("no connection to {} after {:.1} s: {why}", dialer.address(), limit.as_secs_f64());
                Err(Error::new(ErrorKind::ConnectTimeout, message))
            }
        }
    }

    /// Always subscribes, whoever listens: without a subscriber the plugin would block in its own writes.
    async fn subscribe(&self, client: &GrpcClient) -> Option<JoinHandle<()>> {
        let mut stream = stdio::subscribe(client).await.ok()?;
        let host = self.clone();
        Some(tokio::spawn(async move { host.relay_stdio(&mut stream).await }))
    }

    async fn relay_stdio(&self, stream: &mut MessageStream<StdioData>) {
        let Settings { sync_stdout, sync_stderr, .. } = self.0.settings;
        // Any error is the end: the connection is gone, or the plugin has no such service.
        while let Ok(Some(piece)) = stream.next().await {
            match piece.channel {
                stdio::STDOUT if sync_stdout => self.0.inbox.push_output(Output::Stdout, piece.data).await,
                stdio::STDERR if sync_stderr => self.0.inbox.push_output(Output::Stderr, piece.data).await,
                _ => (),
            }
        }
    }
}

fn ended_early(status: ExitStatus) -> Error {
    let message = format!("the plugin ended with {status} after its handshake, before it could be used");
    Error::new(ErrorKind::ExitedBeforeReady, message)
}

/// A plugin that announces itself before it listens is refused at first. Not Go's, but others exist.
async fn dial_patiently(dialer: &Dialer) -> Result<crate::transport::Stream, Error> {
    let mut pause = Duration::from_millis(2);
    loop {
        match dialer.dial().await {
            // The caller's limit ends this.
            Err(error) if error.kind() == ErrorKind::ConnectFailed => tokio::time::sleep(pause).await,
            result => return result,
        }
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// For calls that fail because the plugin is gone.
fn epitaph(process: Arc<Process>) -> Epitaph {
    const MOMENT: Duration = Duration::from_millis(250);
    Arc::new(move || {
        let process = process.clone();
        Box::pin(async move {
            let Ok(status) = timeout(MOMENT, process.exited()).await else {
                return "the plugin closed the connection".to_owned();
            };
            let last = process.last_words();
            let said = if last.is_empty() { String::new() } else { format!("; its last output:\n{last}") };
            format!("the plugin ended with {status}{said}")
        })
    })
}

/// go-plugin before 1.5 does not know the private directory and puts its socket elsewhere. Go removes it at a clean end;
/// after any other it stays.
fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    if path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()) {
        // Only litter: nothing depends on it.
        let _ = std::fs::remove_file(path);
    }
}

impl Session {
    /// Lets output that has already arrived reach the inbox. The stream ends with the connection, hence at once.
    async fn finish_stdio(&mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        if let Some(stdio) = self.stdio.take() {
            let abort = stdio.abort_handle();
            if timeout(LIMIT, stdio).await.is_err() {
                abort.abort();
            }
        }
    }

    async fn destroy(mut self) {
        if let Some(stdio) = self.stdio.take() {
            stdio.abort();
        }
        self.bridge = None;
        self.client = None;
        self.process.signal(Signal::KILL);
        // A process in an uninterruptible system call outlives even that; it must not hold up its host.
        let _ = timeout(KILL_LIMIT, self.process.exited()).await;
        if let Some(Address::Unix(path)) = &self.address {
            remove_socket(path);
        }
        drop(self.directory);
    }
}
