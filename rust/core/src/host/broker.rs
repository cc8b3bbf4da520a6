//! The host's broker, under the protection of its connection to the plugin.

use std::sync::Arc;

use super::Host;
use super::peer::PluginPeer;
use super::session::Session;
use crate::broker::{Broker, BrokerContext};
use crate::error::{Error, ErrorKind};
use crate::tls::{Trust, server_config};
use crate::transport::Tls;
use crate::transport::listener::Place;
use crate::transport::multiplex::Multiplex;

impl Host {
    /// The host's broker, made once.
    pub(super) fn make_broker(
        &self,
        session: &Session,
        protection: Option<(Tls, Trust)>,
        multiplex: Option<Arc<Multiplex>>,
    ) -> Broker {
        let settings = &self.0.settings;
        let (dialing, trust) = protection.unzip();
        let identity = self.identity().cloned();
        let accepting = move || {
            let Some(trust) = &trust else { return Ok(None) };
            let identity = identity.as_ref().ok_or_else(|| {
                let message = "the plugin cannot be let in: this side has no certificate to show (settings tls.certificate and tls.key)";
                Error::new(ErrorKind::IdentityFailed, message)
            })?;
            server_config(trust, identity).map(Some)
        };
        let context = BrokerContext {
            dialing,
            accepting: Box::new(accepting),
            session: multiplex,
            place: Place::Unix(session.directories.plugin().to_owned(), settings.socket_group.clone()),
            backends: session.directories.backends().to_owned(),
            transports: settings.transports,
            peers: settings.peers(),
            connect_timeout: settings.timeouts.connect,
            traffic: self.0.traffic.clone(),
            inbox: self.0.inbox.clone(),
            peer: Arc::new(PluginPeer { process: session.process.clone(), runner: settings.runner.clone() }),
        };
        self.0.broker.get_or_init(|| Broker::new(context, None)).clone()
    }
}
