//! From a running process to a plugin that answers: handshake, connection, health check, subscription.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::launch::Announced;
use super::reach::{Reach, epitaph, open};
use super::session::Session;
use super::streams::keep_carrying;
use super::{Facts, Host};
use crate::certificate::SERVER_NAME;
use crate::error::{Error, ErrorKind};
use crate::grpc::connection::Connection;
use crate::grpc::{GrpcClient, Status};
use crate::handshake::{Expectations, Handshake};
use crate::process::log_line::Level;
use crate::process::{ExitStatus, FirstLine, Process};
use crate::services::health;
use crate::settings::Security;
use crate::tls::{ALPN_H2, Trust, client_config};
use crate::transport::bridge::{Bridge, Epitaph};
use crate::transport::multiplex::{Multiplex, Side};
use crate::transport::{Dialer, Tls};

/// What go-plugin's server says to whoever does not set its cookie, and every server that is made like it.
const UNKNOWN_HOST: &str = "This binary is a plugin";
const UNKNOWN_HOST_HINT: &str = "The plugin knows its host by another magic cookie. ferrule.families has those of known \
    programs (ferrule inspect --family NAME); else set magic_cookie_key and magic_cookie_value to what the plugin expects.";

impl Host {
    pub(super) async fn bring_up(&self, session: &mut Session, announced: Announced) -> Result<Facts, Error> {
        let begun = Instant::now();
        let handshake = match announced {
            Announced::Line(first_line) => self.handshake(&session.process, first_line).await?,
            Announced::Already(handshake) => handshake,
        };
        let shaken = begun.elapsed();
        session.address = Some(handshake.address.clone());

        let begun = Instant::now();
        let protection = self.protection(&handshake)?;
        let (dialer, multiplex) = self.dialer(&session.process, &handshake, protection.clone()).await?;
        let limit = self.0.settings.timeouts.connect;
        let (connection, checked) = self.connect(&session.process, &dialer).await?;
        let connected = begun.elapsed().saturating_sub(checked);
        let reach = Reach::new(session.process.clone(), dialer.clone(), self.0.traffic.clone(), connection, limit);
        let _ = self.0.reach.set(reach.clone());
        session.stdio = Some(tokio::spawn(self.clone().keep_subscribed(reach.clone(), session.ending.clone())));
        session.owned = self.0.settings.reattach.as_ref().is_none_or(|reattach| reattach.owned);
        let broker = self.make_broker(session, protection, multiplex);
        tokio::spawn(keep_carrying(broker.clone(), reach.clone(), session.ending.clone()));
        (session.broker, session.reach) = (Some(broker), Some(reach));
        if self.0.settings.bridge {
            let path = session.backends().join("grpc");
            session.bridge = Some(Bridge::listen(path, dialer, bridge_epitaph(session.process.clone()), limit)?);
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

    /// How connections to the plugin are made. With multiplexing there is only one socket ever, and a Go plugin waits for it
    /// no longer than five seconds.
    async fn dialer(
        &self,
        process: &Process,
        handshake: &Handshake,
        protection: Option<(Tls, Trust)>,
    ) -> Result<(Arc<Dialer>, Option<Arc<Multiplex>>), Error> {
        let (address, traffic) = (handshake.address.clone(), self.0.traffic.clone());
        let tls = protection.map(|(tls, _)| tls);
        if !handshake.multiplex {
            return Ok((Arc::new(Dialer::new(address, tls, traffic)), None));
        }
        let plain = Dialer::new(address.clone(), None, traffic.clone());
        let socket = self.in_time(process, &plain, plain.connect_patiently()).await?;
        let session = Arc::new(Multiplex::start(socket, Side::Client));
        Ok((Arc::new(Dialer::multiplexed(session.clone(), address, tls, traffic)), Some(session)))
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
            Ok(FirstLine::Found(line)) => timeout(limit, self.understand(&line)).await.unwrap_or_else(|_| {
                let seconds = limit.as_secs_f64();
                let message = format!("the runner did not translate the plugin's address within {seconds:.1} s");
                Err(Error::new(ErrorKind::RunnerFailed, message))
            }),
            Ok(FirstLine::Refused(error)) => Err(error),
            Ok(FirstLine::Closed) | Err(_) => Err(self.no_handshake(process).await),
        }
    }

    async fn understand(&self, line: &[u8]) -> Result<Handshake, Error> {
        let mut handshake = Handshake::parse(line, &self.expectations())?;
        if let Some(runner) = &self.0.settings.runner {
            handshake.address = runner.plugin_to_host(handshake.address).await?;
        }
        Ok(handshake)
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
                match process.stderr_tail().as_slice() {
                    [] => error.with_hint("It said nothing on standard error either. Run it by hand; a wrong magic cookie is the usual cause."),
                    said if said.iter().any(|line| line.contains(UNKNOWN_HOST)) => error.with_hint(UNKNOWN_HOST_HINT),
                    _ => error,
                }
            }
            Err(_) => Error::new(
                ErrorKind::HandshakeMissing,
                format!("the plugin {name} closed its standard output without a handshake; {seen}"),
            ),
        }
    }

    fn name(&self) -> impl std::fmt::Display {
        self.0.settings.command.first().map_or("", |program| program.to_str().unwrap_or("?"))
    }

    fn expectations(&self) -> Expectations {
        let settings = &self.0.settings;
        Expectations {
            protocol_versions: settings.protocol_versions.clone(),
            transports: settings.transports,
            multiplex: settings.multiplex,
        }
    }

    /// TLS of all connections to the plugin, and whom to believe; nothing for plaintext.
    fn protection(&self, handshake: &Handshake) -> Result<Option<(Tls, Trust)>, Error> {
        let settings = &self.0.settings;
        let (trust, name) = match (&settings.security, &handshake.certificate) {
            (Security::Certificates(files), _) => {
                (Trust::Authorities(files.authorities.clone()), files.server_name.as_str())
            }
            (Security::AutoMtls(_), Some(certificate)) => (Trust::Pinned(certificate.clone()), SERVER_NAME),
            // As with Go's host: whoever attaches without certificates reaches a plugin that serves plaintext.
            (Security::AutoMtls(_), None) if settings.reattach.is_some() => return Ok(None),
            (Security::Plaintext, _) => return Ok(None),
            (Security::AutoMtls(_), None) => {
                let message =
                    format!("mutual TLS was asked for, but the plugin {} announced no certificate", self.name());
                return Err(Error::new(ErrorKind::CertificateMissing, message));
            }
        };
        let tls = Tls::new(client_config(&trust, self.identity(), &[ALPN_H2])?, name)?;
        Ok(Some((tls, trust)))
    }

    /// Connects and has the plugin answer once; the duration is that of the answer.
    async fn connect(&self, process: &Arc<Process>, dialer: &Dialer) -> Result<(Connection, Duration), Error> {
        let connecting = async {
            let connection = open(dialer, process).await?;
            let begun = Instant::now();
            match health::check(&GrpcClient::new(&connection)).await {
                Ok(()) => Ok((connection, begun.elapsed())),
                Err(status) => {
                    // A peer that refuses our certificate says so only after the TLS 1.3 handshake.
                    if status.disconnected {
                        return Err(dialer.last_error().unwrap_or_else(|| closed_early(dialer, &status)));
                    }
                    let message = format!("the health check of service \"plugin\" failed: {status}");
                    Err(Error::new(ErrorKind::HealthFailed, message))
                }
            }
        };
        self.in_time(process, dialer, connecting).await
    }

    /// An attempt to connect, within its limit and the plugin's life.
    async fn in_time<T>(
        &self,
        process: &Process,
        dialer: &Dialer,
        connecting: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.0.settings.timeouts.connect;
        let result = tokio::select! {
            biased;
            result = timeout(limit, connecting) => result,
            status = process.exited() => return Err(ended_early(status)),
        };
        match result {
            Ok(Ok(connected)) => Ok(connected),
            // A crash breaks the connection first and is known a moment later: it is the better explanation.
            Ok(Err(error)) if !names_certificate(&error) => {
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
}

/// Such an error must not be hidden behind another.
fn names_certificate(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::CertificateMismatch | ErrorKind::CertificateExpired)
}

fn ended_early(status: ExitStatus) -> Error {
    let message = format!("the plugin ended with {status} after its handshake, before it could be used");
    Error::new(ErrorKind::ExitedBeforeReady, message)
}

fn closed_early(dialer: &Dialer, status: &Status) -> Error {
    let message = format!("{} closed the connection before it answered: {}", dialer.address(), status.message);
    Error::new(ErrorKind::Http2Failed, message)
}

fn bridge_epitaph(process: Arc<Process>) -> Epitaph {
    Arc::new(move || {
        let process = process.clone();
        Box::pin(async move { epitaph(&process, "the plugin closed the connection".to_owned()).await })
    })
}
