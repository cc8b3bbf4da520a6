//! The plugin, as the broker knows it.

use std::sync::Arc;

use super::reach::epitaph;
use crate::address::Address;
use crate::broker::{Answer, Peer};
use crate::error::Error;
use crate::process::Process;
use crate::runner::Runner;

pub(super) struct Plugin {
    pub(super) process: Arc<Process>,
    /// Whoever launched it, and knows how its addresses differ from ours.
    pub(super) runner: Option<Arc<dyn Runner>>,
}

impl Peer for Plugin {
    fn has_ended(&self) -> bool {
        self.process.exit_status().is_some()
    }

    fn epitaph(&self, otherwise: String) -> Answer<String> {
        let process = self.process.clone();
        Box::pin(async move { epitaph(&process, otherwise).await })
    }

    fn address_there(&self, address: Address) -> Answer<Result<Address, Error>> {
        match &self.runner {
            Some(runner) => runner.host_to_plugin(address),
            None => Box::pin(std::future::ready(Ok(address))),
        }
    }

    fn address_here(&self, address: Address) -> Answer<Result<Address, Error>> {
        match &self.runner {
            Some(runner) => runner.plugin_to_host(address),
            None => Box::pin(std::future::ready(Ok(address))),
        }
    }
}
