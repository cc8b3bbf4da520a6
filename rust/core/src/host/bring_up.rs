//! The steps from a running process to a plugin that answers: handshake, connection, health check, subscription.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::endpoint::{PluginEndpoint, exit_explanation, open};
use super::launch::Announced;
use super::session::Session;
use super::streams::keep_carrying;
use super::{Host, PluginFacts};
use crate::certificate::SERVER_NAME;
use crate::error::{Error, ErrorKind};
use crate::exit_status::ExitStatus;
use crate::grpc::connection::Connection;
use crate::grpc::{GrpcClient, Status};
use crate::handshake::Handshake;
use crate::limit::within;
use crate::process::Process;
use crate::services::health;
use crate::settings::{Curve, Security};
use crate::tls::{ALPN_H2, Trust, client_config};
use crate::transport::bridge::{Bridge, ExitExplanation};
use crate::transport::multiplex::{Multiplex, Side};
use crate::transport::{Dialer, Tls};

impl Host {
    pub(super) async fn bring_up(&self, session: &mut Session, announced: Announced) -> Result<PluginFacts, Error> {
        let begun = Instant::now();
        let handshake = match announced {
            Announced::Line(first_line, limit) => self.handshake(session, first_line, limit).await?,
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
        let endpoint =
            PluginEndpoint::new(session.process.clone(), dialer.clone(), self.0.traffic.clone(), connection, limit);
        let _ = self.0.endpoint.set(endpoint.clone());
        session.stdio = Some(tokio::spawn(self.clone().keep_subscribed(endpoint.clone(), session.ending.clone())));
        session.owned = self.0.settings.reattach.as_ref().is_none_or(|reattach| reattach.owned);
        let broker = self.make_broker(session, protection, multiplex);
        tokio::spawn(keep_carrying(broker.clone(), endpoint.clone(), session.ending.clone()));
        (session.broker, session.endpoint) = (Some(broker), Some(endpoint));
        if self.0.settings.bridge {
            let path = session.directories.backends().join("grpc");
            session.bridge =
                Some(Bridge::listen(path, dialer, explain_for_bridge(session.process.clone()), limit).await?);
        }
        Ok(PluginFacts {
            pid: session.process.pid(),
            protocol_version: handshake.protocol_version,
            address: handshake.address,
            certificate: handshake.certificate,
            bridge: session.bridge.as_ref().map(|bridge| bridge.path().clone()),
            timings: vec![("handshake", shaken), ("connect", connected), ("health", checked)],
        })
    }

    /// The dialler of connections to the plugin. With multiplexing there is one socket for the plugin's whole life, for
    /// which a Go plugin waits no longer than five seconds.
    async fn dialer(
        &self,
        process: &Process,
        handshake: &Handshake,
        protection: Option<(Tls, Trust)>,
    ) -> Result<(Arc<Dialer>, Option<Arc<Multiplex>>), Error> {
        let (address, traffic) = (handshake.address.clone(), self.0.traffic.clone());
        let tls = protection.map(|(tls, _)| tls);
        if !handshake.multiplex {
            return Ok((Arc::new(Dialer::new(address, tls, traffic).limited_to(self.0.settings.peers())), None));
        }
        let plain = Dialer::new(address.clone(), None, traffic.clone()).limited_to(self.0.settings.peers());
        let socket = self.in_time(process, &plain, plain.connect_patiently()).await?;
        let session = Arc::new(Multiplex::start(socket, Side::Client));
        Ok((Arc::new(Dialer::multiplexed(session.clone(), address, tls, traffic)), Some(session)))
    }

    /// TLS of all connections to the plugin, and the certificates to trust; `None` for plaintext.
    fn protection(&self, handshake: &Handshake) -> Result<Option<(Tls, Trust)>, Error> {
        let settings = &self.0.settings;
        let (trust, name) = match (&settings.security, &handshake.certificate) {
            (Security::Certificates(files), _) => {
                (Trust::Authorities(files.authorities.clone()), files.server_name.as_str())
            }
            (Security::AutoMtls(_), Some(certificate)) => (Trust::Pinned(certificate.clone()), SERVER_NAME),
            // As with Go's host, a reattach without certificates reaches a plugin that serves plaintext.
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

    /// Connects, and checks that the plugin answers; the duration is that of the check.
    async fn connect(&self, process: &Arc<Process>, dialer: &Dialer) -> Result<(Connection, Duration), Error> {
        let connecting = async {
            let connection = open(dialer, process).await?;
            let begun = Instant::now();
            match health::check(&GrpcClient::new(&connection, dialer.is_secure())).await {
                Ok(()) => Ok((connection, begun.elapsed())),
                Err(status) => {
                    // A peer that refuses our certificate says so only after the TLS 1.3 handshake.
                    if status.disconnected {
                        return Err(dialer.last_error().unwrap_or_else(|| self.closed_early(dialer, &status)));
                    }
                    let message = format!("the health check of service \"plugin\" failed: {status}");
                    Err(Error::new(ErrorKind::HealthFailed, message))
                }
            }
        };
        self.in_time(process, dialer, connecting).await
    }

    /// The error of a connection that closed before it answered. Under TLS 1.3 a server checks its client's certificate
    /// after the client takes the connection for made. Go's server then sends an alert; BoringSSL, which grpcio uses,
    /// sends nothing.
    fn closed_early(&self, dialer: &Dialer, status: &Status) -> Error {
        let address = dialer.address();
        // A server that has said anything inside TLS has accepted the certificate.
        if !dialer.is_secure() || self.0.traffic.content.received() > 0 {
            let message = format!("{address} closed the connection before it answered: {}", status.message);
            return Error::new(ErrorKind::Http2Failed, message);
        }
        let message = format!(
            "{address} closed the connection after the TLS handshake, before it answered: so does a server that refuses \
             the certificate of its client"
        );
        Error::new(ErrorKind::TlsFailed, message).with_hint(match self.0.settings.security {
            Security::AutoMtls(Curve::P521) => {
                "Leave certificate_curve at P-256: plugins on gRPC's own library (Python, C++, Ruby) take no P-521."
            }
            Security::AutoMtls(_) => {
                "Read the plugin's log; it must accept the certificate in PLUGIN_CLIENT_CERT as an authority of its own."
            }
            _ => "Read the plugin's log; it must accept the certificate of the setting tls.",
        })
    }

    /// Runs an attempt to connect within its limit, and no longer than the plugin lives.
    async fn in_time<T>(
        &self,
        process: &Process,
        dialer: &Dialer,
        connecting: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let limit = self.0.settings.timeouts.connect;
        let result = tokio::select! {
            biased;
            result = within(limit, connecting) => result,
            status = process.exited() => return Err(ended_early(status)),
        };
        match result {
            Some(Ok(connected)) => Ok(connected),
            // A crash breaks the connection a moment before it is noticed, and explains the failure better.
            Some(Err(error)) if !error.names_certificate() => {
                const EXIT_AFTER_ERROR_GRACE: Duration = Duration::from_millis(50);
                match timeout(EXIT_AFTER_ERROR_GRACE, process.exited()).await {
                    Ok(status) => Err(ended_early(status)),
                    Err(_) => Err(dialer.explained_by_session(error)),
                }
            }
            Some(Err(error)) => Err(error),
            None => {
                let why =
                    dialer.last_error().map_or_else(|| "it does not answer".to_owned(), |error| error.to_string());
                let message =
                    format!("no connection to {} after {:.1} s: {why}", dialer.address(), limit.as_secs_f64());
                Err(explained_by_stop(Error::new(ErrorKind::ConnectTimeout, message), process))
            }
        }
    }
}

/// Adds to an error that the process is stopped, if it is: limits pass while it does nothing.
pub(super) fn explained_by_stop(error: Error, process: &Process) -> Error {
    let Some(signal) = process.stopped_by() else { return error };
    let message = format!("{}; it is stopped by {}", error.message(), ExitStatus::Signal(signal));
    let hint = match signal {
        libc::SIGTTIN | libc::SIGTTOU => {
            "The terminal stops a plugin that reads from it or changes it, since plugins have process groups of their own. \
             Give the host another standard input, such as /dev/null."
        }
        _ => "Whoever sent that signal is expected to send SIGCONT, too; a debugger does.",
    };
    Error::new(error.kind(), message).with_hint(hint)
}

fn ended_early(status: ExitStatus) -> Error {
    let message = format!("the plugin ended with {status} after its handshake, before it could be used");
    Error::new(ErrorKind::ExitedBeforeReady, message)
}

fn explain_for_bridge(process: Arc<Process>) -> ExitExplanation {
    Arc::new(move || {
        let process = process.clone();
        Box::pin(async move { exit_explanation(&process, "the plugin closed the connection".to_owned()).await })
    })
}
