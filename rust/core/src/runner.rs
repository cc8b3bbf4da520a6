//! Plugins that the caller's code launches: in a namespace, in a container, on a remote machine. No I/O.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::address::Address;
use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::future::BoxFuture;

/// What a runner is to start.
#[derive(Debug, Clone)]
pub struct Order {
    /// Program and arguments, as the caller gave them.
    pub command: Vec<OsString>,
    /// The plugin's whole environment, go-plugin's variables included.
    pub environment: BTreeMap<OsString, OsString>,
    /// Working directory, if one was given.
    pub working_directory: Option<PathBuf>,
    /// The private directory in which the plugin is to make its sockets.
    pub socket_directory: PathBuf,
}

/// A plugin that a runner has started.
#[derive(Debug)]
pub struct Running {
    /// Read end of its standard output.
    pub stdout: OwnedFd,
    /// Read end of its standard error.
    pub stderr: OwnedFd,
    /// Its process here, if there is one.
    pub pid: Option<i32>,
    /// Gets the exit status; dropped without a value if it is unknown.
    pub exit: oneshot::Receiver<ExitStatus>,
}

/// Launches and ends a plugin, and translates addresses between its namespaces and the host's.
pub trait Runner: Send + Sync {
    /// Starts the plugin.
    fn start(&self, order: Order) -> BoxFuture<Result<Running, Error>>;
    /// Asks the plugin to end, or kills it if `force` is set.
    fn signal(&self, force: bool);
    /// Translates an address of the plugin for the host.
    fn plugin_to_host(&self, address: Address) -> BoxFuture<Result<Address, Error>>;
    /// Translates an address of the host for the plugin.
    fn host_to_plugin(&self, address: Address) -> BoxFuture<Result<Address, Error>>;
}
