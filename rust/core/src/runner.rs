//! A plugin that somebody else launches: in a namespace, a container, on a remote machine.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use tokio::sync::oneshot;

use crate::address::Address;
use crate::error::Error;
use crate::exit_status::ExitStatus;
use crate::future::BoxFuture;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Order {
    /// Program and arguments, as the caller gave them.
    pub command: Vec<OsString>,
    /// Everything that go-plugin wants in the plugin's environment, and the rest of it.
    pub environment: BTreeMap<OsString, OsString>,
    /// Working directory, if one was given.
    pub working_directory: Option<PathBuf>,
    /// The private directory in which the plugin is to make its sockets.
    pub socket_directory: PathBuf,
}

/// A plugin that runs.
#[derive(Debug)]
pub struct Running {
    /// Read end of its standard output.
    pub stdout: OwnedFd,
    /// Read end of its standard error.
    pub stderr: OwnedFd,
    /// Its process here, if there is one.
    pub pid: Option<i32>,
    /// Told of its end; dropped without that when nobody can tell.
    pub exit: oneshot::Receiver<ExitStatus>,
}

/// Launches and ends plugins in the core's stead, and translates addresses between its world and this one.
pub trait Runner: Send + Sync {
    /// Starts the plugin.
    fn start(&self, order: Order) -> BoxFuture<Result<Running, Error>>;
    /// Asks the plugin to end, or ends it.
    fn signal(&self, force: bool);
    /// An address of the plugin's world as this one sees it.
    fn plugin_to_host(&self, address: Address) -> BoxFuture<Result<Address, Error>>;
    /// An address of this world as the plugin sees it.
    fn host_to_plugin(&self, address: Address) -> BoxFuture<Result<Address, Error>>;
}
