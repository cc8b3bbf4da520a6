//! The resources of a started plugin, and how they are freed.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::directories::Directories;
use super::endpoint::PluginEndpoint;
use super::stop::KILL_LIMIT;
use crate::address::Address;
use crate::broker::Broker;
use crate::grpc::connection::Connection;
use crate::grpc::{Failure, GrpcClient};
use crate::limit::within;
use crate::process::Process;
use crate::services::controller;
use crate::transport::bridge::Bridge;

/// Connections on which a plugin is asked to end, one after another.
const SHUTDOWN_ATTEMPTS: usize = 5;

/// The resources of a started plugin.
pub(super) struct Session {
    pub(super) process: Arc<Process>,
    pub(super) endpoint: Option<Arc<PluginEndpoint>>,
    pub(super) stdio: Option<JoinHandle<()>>,
    pub(super) bridge: Option<Bridge>,
    pub(super) address: Option<Address>,
    pub(super) broker: Option<Broker>,
    pub(super) directories: Directories,
    /// Whether the plugin is to end with the host.
    pub(super) owned: bool,
    /// Cancelled when the host opens no more streams of its own.
    pub(super) ending: CancellationToken,
}

impl Session {
    /// Asks the plugin to end itself, on a connection that takes calls; true if it was asked and did not refuse.
    pub(super) async fn ask_to_end(&self) -> bool {
        let Some(endpoint) = &self.endpoint else { return false };
        let mut asked = false;
        for _ in 0..SHUTDOWN_ATTEMPTS {
            let Ok(connection) = endpoint.connection().await else { return asked };
            self.ending.cancel();
            let client = GrpcClient::new(&connection, endpoint.is_secure());
            let mut asking = pin!(controller::shutdown(&client));
            let answer = tokio::select! {
                biased;
                // A Go plugin stops its server inside the call.
                () = self.tidy_after(&connection) => asking.await,
                answer = &mut asking => answer,
            };
            match answer {
                Ok(true) => {
                    self.tidy_after(&connection).await;
                    return true;
                }
                // The plugin may have heard it, and be ending. If it lives on it is asked again.
                Ok(false) => asked = true,
                Err(Failure::Unsent(_)) => (),
                Err(_) => return asked,
            }
            connection.retired().await;
        }
        asked
    }

    /// Has the plugin's directory removed once the plugin has closed its connection: the plugin is about to end, and that
    /// takes as long.
    async fn tidy_after(&self, connection: &Connection) {
        connection.closed().await;
        self.directories.begin_to_remove();
    }

    /// Waits until output that has arrived is in the inbox. The stream ends with the connection, hence soon.
    pub(super) async fn finish_stdio(&mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        if let Some(stdio) = self.stdio.take() {
            let abort = stdio.abort_handle();
            if timeout(LIMIT, stdio).await.is_err() {
                abort.abort();
            }
        }
    }

    /// Ends all connections; their calls are told how the plugin ended.
    pub(super) fn disconnect(&mut self) {
        self.ending.cancel();
        if let Some(broker) = self.broker.take() {
            broker.shut_down("the client was closed");
        }
        if let Some(endpoint) = &self.endpoint {
            endpoint.disconnect("the client was closed");
        }
    }

    pub(super) async fn destroy(mut self) {
        if let Some(stdio) = self.stdio.take() {
            stdio.abort();
        }
        self.bridge = None;
        self.disconnect();
        if !self.owned {
            return;
        }
        self.process.signal(Signal::KILL);
        // A process in an uninterruptible system call outlives SIGKILL, and must not hold up its host.
        let _ = within(KILL_LIMIT, self.process.exited()).await;
        let socket = self.address.and_then(|address| if let Address::Unix(path) = address { Some(path) } else { None });
        self.directories.remove(socket).await;
    }
}
