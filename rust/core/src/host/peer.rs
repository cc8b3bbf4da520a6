//! The plugin as the broker's peer.

use std::sync::Arc;

use super::endpoint::exit_explanation;
use crate::address::Address;
use crate::broker::Peer;
use crate::error::Error;
use crate::future::BoxFuture;
use crate::process::Process;
use crate::runner::Runner;

pub(super) struct PluginPeer {
    pub(super) process: Arc<Process>,
    /// The runner that launched the plugin, and translates its addresses.
    pub(super) runner: Option<Arc<dyn Runner>>,
}

impl Peer for PluginPeer {
    fn has_ended(&self) -> bool {
        self.process.exit_status().is_some()
    }

    fn exit_explanation(&self, otherwise: String) -> BoxFuture<String> {
        let process = self.process.clone();
        Box::pin(async move { exit_explanation(&process, otherwise).await })
    }

    fn address_there(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        match &self.runner {
            Some(runner) => runner.host_to_plugin(address),
            None => Box::pin(std::future::ready(Ok(address))),
        }
    }

    fn address_here(&self, address: Address) -> BoxFuture<Result<Address, Error>> {
        match &self.runner {
            Some(runner) => runner.plugin_to_host(address),
            None => Box::pin(std::future::ready(Ok(address))),
        }
    }
}
