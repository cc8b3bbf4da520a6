//! How channels reach a plugin: over the host's own connection while that lives, over another one after it, and not at
//! all once the plugin has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use h2::PingPong;
use tokio::time::timeout;

use crate::error::Error;
use crate::grpc::Status;
use crate::grpc::channel::{Connecting, Connector, Opened, Refusal};
use crate::grpc::connection::{Connection, Explain, connection_error};
use crate::process::{ExitStatus, Process};
use crate::transport::{Dialer, Traffic};

/// How long after its socket's end a plugin's own end is waited for, to be able to tell of it.
const MOMENT: Duration = Duration::from_millis(250);

/// The means to reach one plugin.
pub(super) struct Reach {
    process: Arc<Process>,
    dialer: Arc<Dialer>,
    traffic: Traffic,
    connection: Connection,
    pings: Mutex<Option<PingPong>>,
    connect_timeout: Duration,
}

impl Reach {
    pub(super) fn new(
        process: Arc<Process>,
        dialer: Arc<Dialer>,
        traffic: Traffic,
        (connection, pings): Opened,
        connect_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { process, dialer, traffic, connection, pings: Mutex::new(pings), connect_timeout })
    }

    /// The connection that the host itself uses.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether calls travel inside TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.dialer.is_secure()
    }

    async fn connect(self: Arc<Self>) -> Result<Opened, Refusal> {
        if !self.connection.is_over() {
            let pings = self.pings.lock().unwrap_or_else(PoisonError::into_inner).take();
            return Ok((self.connection.clone(), pings));
        }
        if self.process.exit_status().is_some() {
            return Err(self.ended().await);
        }
        let connecting = async {
            let opened = open(&self.dialer, &self.process).await.map_err(|error| error.to_string())?;
            opened.0.settled().await.map(|()| opened)
        };
        let failed = match timeout(self.connect_timeout, connecting).await {
            Ok(Ok(opened)) => return Ok(opened),
            Ok(Err(reason)) => reason,
            Err(_) => format!("the plugin did not answer within {:.1} s", self.connect_timeout.as_secs_f64()),
        };
        // A plugin that is just ending refuses connections first.
        if timeout(MOMENT, self.process.exited()).await.is_ok() {
            return Err(self.ended().await);
        }
        Err(Status::unavailable(failed).into())
    }

    async fn ended(&self) -> Refusal {
        let status = Status::unavailable(epitaph(&self.process, String::new()).await);
        Refusal { status, is_final: true }
    }
}

/// Speaks HTTP/2 with a plugin. Calls that break with the connection are told how the plugin ended.
pub(super) async fn open(dialer: &Dialer, process: &Arc<Process>) -> Result<Opened, Error> {
    let stream = dialer.dial_patiently().await?;
    let process = process.clone();
    let explain: Explain = Box::new(move |reason| Box::pin(async move { epitaph(&process, reason).await }));
    Connection::open(stream, explain).await.map_err(|error| connection_error(dialer, &error))
}

/// Why calls fail: the plugin's end with its last output, or `otherwise` if it lives on.
pub(super) async fn epitaph(process: &Process, otherwise: String) -> String {
    match timeout(MOMENT, process.exited()).await {
        Ok(status) => last_words(process, status),
        Err(_) => otherwise,
    }
}

fn last_words(process: &Process, status: ExitStatus) -> String {
    let last = process.last_words();
    let said = if last.is_empty() { String::new() } else { format!("; its last output:\n{last}") };
    format!("the plugin ended with {status}{said}")
}

/// One channel's way to the plugin.
pub(super) struct PluginConnector(pub(super) Arc<Reach>);

impl Connector for PluginConnector {
    fn connect(&self) -> Connecting {
        Box::pin(self.0.clone().connect())
    }

    fn owns(&self, connection: &Connection) -> bool {
        !self.0.connection.is(connection)
    }

    fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }
}
