//! The source of a channel's connections.

use std::future::Future;
use std::pin::Pin;

use super::Status;
use super::connection::Connection;
use crate::transport::Traffic;

/// An attempt to connect.
pub type Connecting = Pin<Box<dyn Future<Output = Result<Connection, Refusal>> + Send>>;

/// Opens connections for a channel.
pub trait Connector: Send + Sync {
    /// Makes one attempt, limited in time. It succeeds when the peer has answered by its SETTINGS.
    fn connect(&self) -> Connecting;
    /// Whether a connection was made for the channel alone, and ends with it.
    fn owns(&self, connection: &Connection) -> bool;
    /// Counts the bytes of all its connections.
    fn traffic(&self) -> &Traffic;
}

/// Why there is no connection.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status of calls that need the connection.
    pub status: Status,
    /// Whether trying again is pointless, because the plugin has ended.
    pub is_final: bool,
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        Self { status, is_final: false }
    }
}
