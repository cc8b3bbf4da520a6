//! One plugin from launch to end.
//!
//! A host is started, used, stopped and closed once. All of its work happens on the I/O thread; any thread may hold the
//! handle.

mod bring_up;
mod broker;
mod directories;
mod endpoint;
mod handshake;
mod launch;
mod peer;
mod session;
mod stop;
mod streams;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex as StdMutex, OnceLock};
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::endpoint::{PluginConnector, PluginEndpoint};
use self::session::Session;
pub use self::stop::{Rung, StopReport};
use self::stop::{kill, stop};
use crate::address::Address;
use crate::broker::Broker;
use crate::certificate::Identity;
use crate::error::{Error, ErrorKind, Evidence};
use crate::exit_status::ExitStatus;
use crate::grpc::channel::{Channel, ChannelSettings};
use crate::inbox::Inbox;
use crate::log_line::Level;
use crate::process::Process;
use crate::settings::Settings;
use crate::transport::Traffic;
use crate::wake::Wake;

/// The facts about a plugin that is ready.
#[derive(Debug, Clone)]
pub struct PluginFacts {
    /// Process id, where there is one.
    pub pid: Option<i32>,
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

/// A handle to one plugin. Clones are handles to the same one.
#[derive(Clone)]
pub struct Host(Arc<HostShared>);

struct HostShared {
    settings: Settings,
    /// Taken and closed by the launch, so that hundreds of plugins keep no descriptor each.
    executable: StdMutex<Option<OwnedFd>>,
    inbox: Arc<Inbox>,
    traffic: Traffic,
    identity: OnceLock<Identity>,
    process: OnceLock<Arc<Process>>,
    endpoint: OnceLock<Arc<PluginEndpoint>>,
    broker: OnceLock<Broker>,
    given_up: CancellationToken,
    /// Locked while the plugin is started, stopped or closed, so that these follow each other.
    session: Mutex<Option<Session>>,
}

impl Host {
    /// A host that has started nothing. `wake` is called when the inbox fills: at once for lines at or above `wanted`.
    pub fn new(mut settings: Settings, wake: Arc<dyn Wake>, wanted: Option<Level>) -> Self {
        Self(Arc::new(HostShared {
            executable: StdMutex::new(settings.executable.take()),
            settings,
            inbox: Arc::new(Inbox::new(wake, wanted)),
            traffic: Traffic::default(),
            identity: OnceLock::new(),
            process: OnceLock::new(),
            endpoint: OnceLock::new(),
            broker: OnceLock::new(),
            given_up: CancellationToken::new(),
            session: Mutex::new(None),
        }))
    }

    /// Launches the plugin and brings it to where calls work. After a failure everything is given back.
    pub async fn start(&self) -> Result<PluginFacts, Error> {
        let mut place = self.0.session.lock().await;
        let begun = Instant::now();
        if self.0.given_up.is_cancelled() {
            return Err(given_up());
        }
        let (mut session, announced) = self.launch().await?;
        let launched = begun.elapsed();
        let result = tokio::select! {
            result = self.bring_up(&mut session, announced) => result,
            () = self.0.given_up.cancelled() => Err(given_up()),
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
                Err(error.of_plugin(&self.name()).with_evidence(evidence))
            }
        }
    }

    /// Stops the plugin step by step, and frees what cannot be used any more. Its last output can still be taken.
    pub async fn stop(&self) -> StopReport {
        let mut place = self.0.session.lock().await;
        let Some(session) = place.as_mut() else {
            let exit_status = self.exit_status().unwrap_or(ExitStatus::Unknown);
            return StopReport { rung: Rung::Exited, exit_status, steps: Vec::new() };
        };
        let _ending = self.0.inbox.ending();
        if !session.owned {
            session.disconnect();
            return StopReport { rung: Rung::Detached, exit_status: ExitStatus::Unknown, steps: Vec::new() };
        }
        let report = tokio::select! {
            report = stop(&session.process, session.ask_to_end(), &self.0.settings.timeouts) => report,
            // The host was closed meanwhile: the plugin is given no more time.
            () = self.0.given_up.cancelled() => kill(&session.process).await,
        };
        session.ending.cancel();
        session.finish_stdio().await;
        session.disconnect();
        // Calls over the bridge have yet to be told how the plugin ended.
        let is_useless = session.process.exit_status().is_some() && session.bridge.is_none();
        if let Some(session) = place.take_if(|_| is_useless) {
            session.destroy().await;
        }
        report
    }

    /// Closes a host that has nothing left to free; `false` if it takes [`Host::close`].
    #[must_use]
    pub fn close_at_once(&self) -> bool {
        // The lock is also free before a start, but then there is no process. The process is set under the lock.
        let was_given_back = || self.0.session.try_lock().is_ok_and(|place| place.is_none());
        let is_closed = self.was_launched() && was_given_back();
        if is_closed {
            self.0.given_up.cancel();
        }
        is_closed
    }

    /// Frees everything, at any moment, also during a start; kills the plugin if it still runs.
    pub async fn close(&self) {
        self.0.given_up.cancel();
        if let Some(session) = self.0.session.lock().await.take() {
            session.destroy().await;
        }
    }

    /// Returns when the plugin has ended; `None` at once if it was never launched.
    pub async fn exited(&self) -> Option<ExitStatus> {
        Some(self.0.process.get()?.exited().await)
    }

    /// Whether the plugin was launched, or attached to.
    #[must_use]
    pub fn was_launched(&self) -> bool {
        self.0.process.get().is_some()
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

    /// A channel to the plugin; `None` before it is ready.
    #[must_use]
    pub fn channel(&self, settings: ChannelSettings) -> Option<Channel> {
        let endpoint = self.0.endpoint.get()?.clone();
        let secure = endpoint.is_secure();
        Some(Channel::new(Box::new(PluginConnector(endpoint)), ChannelSettings { secure, ..settings }))
    }

    /// The broker; `None` before the plugin is ready.
    #[must_use]
    pub fn broker(&self) -> Option<&Broker> {
        self.0.broker.get()
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
}

fn given_up() -> Error {
    Error::new(ErrorKind::Cancelled, "the client was closed while it started")
}
