//! The resources of a started plugin, and how they are freed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::endpoint::PluginEndpoint;
use super::stop::KILL_LIMIT;
use crate::address::Address;
use crate::broker::Broker;
use crate::grpc::{Failure, GrpcClient};
use crate::limit::within;
use crate::process::Process;
use crate::process::watcher::Registration;
use crate::services::controller;
use crate::transport::PrivateDirectory;
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
    /// The directory of the plugin's sockets; a group may enter if the settings say so.
    pub(super) directory: PrivateDirectory,
    /// The directory of the sockets behind TLS, for this user alone; `None` if the other one is not shared.
    pub(super) backends: Option<PrivateDirectory>,
    /// Keeps the directories registered with the watcher until they are removed.
    #[expect(dead_code, reason = "held for its end")]
    pub(super) registrations: Vec<Registration>,
    /// Whether the plugin is to end with the host.
    pub(super) owned: bool,
    /// Cancelled when the host opens no more streams of its own.
    pub(super) ending: CancellationToken,
}

impl Session {
    /// The directory that only this user may enter.
    pub(super) fn backends(&self) -> &Path {
        self.backends.as_ref().unwrap_or(&self.directory).path()
    }

    /// Asks the plugin to end itself, on a connection that takes calls; true if it was asked and did not refuse. A
    /// plugin that has agreed closes its connection before it ends: its directory goes meanwhile.
    pub(super) async fn ask_to_end(&self) -> bool {
        let Some(endpoint) = &self.endpoint else { return false };
        let mut asked = false;
        for _ in 0..SHUTDOWN_ATTEMPTS {
            let Ok(connection) = endpoint.connection().await else { return asked };
            self.ending.cancel();
            match controller::shutdown(&GrpcClient::new(&connection, endpoint.is_secure())).await {
                Ok(true) => {
                    connection.closed().await;
                    self.directory.remove_if_empty();
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
        if let Some(Address::Unix(path)) = &self.address {
            remove_socket(path);
        }
        drop(self.directory);
    }
}

/// Removes the socket of a plugin outside the private directory, where go-plugin before 1.5 puts it. Go removes it at a
/// clean end only. A socket with a listener is kept: the plugin may have named another's.
fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && is_deserted(path) {
        // An error leaves the file, which harms nothing.
        let _ = std::fs::remove_file(path);
    }
}

fn is_deserted(path: &Path) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let refused = || -> rustix::io::Result<bool> {
        let probe = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        // Connecting to a listener with a full queue must not block.
        rustix::io::ioctl_fionbio(&probe, true)?;
        Ok(connect(&probe, &SocketAddrUnix::new(path)?) == Err(rustix::io::Errno::CONNREFUSED))
    };
    refused().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_at_which_nobody_listens_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, file) = (directory.path().join("socket"), directory.path().join("file"));
        std::fs::write(&file, "").unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        remove_socket(&file);
        remove_socket(&socket);
        assert!(file.exists() && socket.exists());
        drop(listener);
        remove_socket(&socket);
        assert!(!socket.exists());
    }
}
