//! The way to one plugin: a connection that all share, another once that takes no more calls, and none once the plugin has
//! ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::grpc::Status;
use crate::grpc::connection::{Connection, Explain, connection_error};
use crate::grpc::connector::{Connecting, Connector, Refusal};
use crate::limit::within;
use crate::process::Process;
use crate::transport::{Dialer, Traffic};

/// How long after its connection a plugin may end, for its calls to be told how it ended.
const EXIT_GRACE: Duration = Duration::from_millis(250);

/// The connection to one plugin, replaced once it takes no more calls.
pub(super) struct PluginEndpoint {
    process: Arc<Process>,
    dialer: Arc<Dialer>,
    traffic: Traffic,
    /// The last one is in use; calls may still run on those before it.
    connections: watch::Sender<Vec<Connection>>,
    dialling: Mutex<()>,
    connect_timeout: Duration,
}

impl PluginEndpoint {
    pub(super) fn new(
        process: Arc<Process>,
        dialer: Arc<Dialer>,
        traffic: Traffic,
        connection: Connection,
        connect_timeout: Duration,
    ) -> Arc<Self> {
        let (connections, dialling) = (watch::Sender::new(vec![connection]), Mutex::default());
        Arc::new(Self { process, dialer, traffic, connections, dialling, connect_timeout })
    }

    /// Whether calls travel inside TLS.
    pub(super) fn is_secure(&self) -> bool {
        self.dialer.is_secure()
    }

    /// The connection that takes calls; dialled if there is none.
    pub(super) async fn connection(&self) -> Result<Connection, Refusal> {
        if let Some(connection) = usable(&self.connections.borrow()) {
            return Ok(connection);
        }
        let _dialling = self.dialling.lock().await;
        let last = self.connections.borrow().last().cloned();
        match last {
            // Another caller has dialled meanwhile.
            Some(last) if last.takes_calls() => return Ok(last),
            // If the plugin has ended, that is known once the connection's end is explained.
            Some(last) if !last.is_going_away() => drop(last.ended().await),
            _ => (),
        }
        if self.process.exit_status().is_some() {
            return Err(self.ended().await);
        }
        let connection = self.dial().await?;
        self.connections.send_modify(|connections| {
            connections.retain(|connection| !connection.is_closed());
            connections.push(connection.clone());
        });
        Ok(connection)
    }

    /// Returns once there is a connection that takes calls.
    pub(super) async fn usable_again(&self) {
        // Never fails: `self` holds the sender.
        let _ = self.connections.subscribe().wait_for(|connections| usable(connections).is_some()).await;
    }

    /// Ends all connections, with the calls on them.
    pub(super) fn disconnect(&self, reason: &str) {
        self.connections.borrow().iter().for_each(|connection| connection.fail(reason.to_owned()));
    }

    async fn dial(&self) -> Result<Connection, Refusal> {
        let connecting = async {
            let connection = open(&self.dialer, &self.process).await.map_err(|error| error.to_string())?;
            connection.settled().await.map(|()| connection)
        };
        let result = tokio::select! {
            biased;
            result = within(self.connect_timeout, connecting) => result,
            _ = self.process.exited() => return Err(self.ended().await),
        };
        let failed = match result {
            Some(Ok(connection)) => return Ok(connection),
            Some(Err(reason)) => reason,
            None => format!("the plugin did not answer within {:.1} s", self.connect_timeout.as_secs_f64()),
        };
        // A plugin that is about to end refuses connections before its end is noticed.
        if timeout(EXIT_GRACE, self.process.exited()).await.is_ok() {
            return Err(self.ended().await);
        }
        Err(Refusal { status: Status::unavailable(failed), is_final: self.dialer.is_spent() })
    }

    async fn ended(&self) -> Refusal {
        let status = Status::unavailable(exit_explanation(&self.process, String::new()).await);
        Refusal { status, is_final: true }
    }
}

fn usable(connections: &[Connection]) -> Option<Connection> {
    connections.last().filter(|connection| connection.takes_calls()).cloned()
}

/// Opens an HTTP/2 connection to a plugin. Calls that it breaks are told how the plugin ended.
pub(super) async fn open(dialer: &Dialer, process: &Arc<Process>) -> Result<Connection, Error> {
    let stream = dialer.dial_patiently().await?;
    let process = process.clone();
    let explain: Explain = Box::new(move |reason| Box::pin(async move { exit_explanation(&process, reason).await }));
    Connection::open(stream, explain).await.map_err(|error| connection_error(dialer, &error))
}

/// Why calls fail: the plugin's end with its last output, or `otherwise` if it lives on.
pub(super) async fn exit_explanation(process: &Process, otherwise: String) -> String {
    match timeout(EXIT_GRACE, process.exited()).await {
        Ok(status) => describe_exit(process, status),
        Err(_) => otherwise,
    }
}

fn describe_exit(process: &Process, status: ExitStatus) -> String {
    let last = process.exit_lines();
    let said = if last.is_empty() { String::new() } else { format!("; its last output:\n{last}") };
    format!("the plugin ended with {status}{said}")
}

/// Connects a channel to the plugin.
pub(super) struct PluginConnector(pub(super) Arc<PluginEndpoint>);

impl Connector for PluginConnector {
    fn connect(&self) -> Connecting {
        let endpoint = self.0.clone();
        Box::pin(async move { endpoint.connection().await })
    }

    /// The host owns the connection, whichever channel dialled it.
    fn owns(&self, _connection: &Connection) -> bool {
        false
    }

    fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }
}
