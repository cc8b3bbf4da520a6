//! The broker of a host or of a plugin's side, and what it listens for.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ferrule_core::broker;
use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::host::Host;
use ferrule_core::server::PluginServer;
use pyo3::prelude::*;
use tokio::sync::Notify;

use crate::channel::Channel;
use crate::channel_settings::PassedChannelSettings;
use crate::convert::{address, location};
use crate::errors::to_py_err;
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::mailbox::{Mailbox, Nothing};

/// The side that a broker belongs to.
#[derive(Clone)]
pub(crate) enum Owner {
    Host(Host),
    Server(PluginServer),
}

impl Owner {
    fn broker(&self) -> Result<&broker::Broker, Error> {
        let broker = match self {
            Self::Host(host) => host.broker(),
            Self::Server(server) => server.broker(),
        };
        broker.ok_or_else(|| Error::new(ErrorKind::BrokerClosed, "the broker is not ready"))
    }
}

/// Further connections between a host and its plugin, in both directions.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Broker {
    owner: ForkSafe<Owner>,
}

impl Broker {
    pub(crate) fn of(owner: Owner) -> Self {
        Self { owner: ForkSafe::new(owner) }
    }
}

#[pymethods]
impl Broker {
    /// An id that no listener of this side has.
    fn next_id(&self) -> PyResult<u32> {
        self.owner.broker().map(broker::Broker::next_id).map_err(|error| to_py_err(&error))
    }

    /// Connects to what the peer serves under an id; the future gets a `Channel`.
    fn dial(
        &self,
        service_id: u32,
        settings: PassedChannelSettings,
        mailbox: &Mailbox,
        future: Py<PyAny>,
    ) -> PyResult<Dialling> {
        let ((settings, send_options), owner) = (settings.read(None)?, Owner::clone(&self.owner));
        let dialling = Dialling(Arc::default());
        let given_up = dialling.0.clone();
        mailbox.run(future, async move {
            let channel = tokio::select! {
                channel = owner.broker()?.dial(service_id, settings) => channel?,
                () = given_up.notified() => return Err(broker::given_up(service_id)),
            };
            Ok(Channel::new(channel, send_options))
        })?;
        Ok(dialling)
    }

    /// Connects to an address that came by other means than the broker; the future gets a `Channel`.
    fn dial_address(
        &self,
        network: &str,
        location: &str,
        settings: PassedChannelSettings,
        mailbox: &Mailbox,
        future: Py<PyAny>,
    ) -> PyResult<()> {
        let ((settings, send_options), owner) = (settings.read(None)?, Owner::clone(&self.owner));
        let address = address(network, location, ErrorKind::ConnectFailed)?;
        mailbox.run(future, async move {
            let channel = owner.broker()?.dial_address(address, settings).await?;
            Ok(Channel::new(channel, send_options))
        })
    }

    /// Lets the peer dial an id; the future gets a `BrokerListener`.
    fn accept(&self, service_id: u32, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let owner = Owner::clone(&self.owner);
        mailbox.run(future, async move { Ok(BrokerListener::of(owner.broker()?.accept(service_id).await?)) })
    }
}

/// A dial under way.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Dialling(Arc<Notify>);

#[pymethods]
impl Dialling {
    /// Ends it: its caller no longer waits.
    fn give_up(&self) {
        self.0.notify_one();
    }
}

/// A service that the peer can dial until the listener is closed.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct BrokerListener {
    core: ForkSafe<Arc<Mutex<Option<broker::BrokerListener>>>>,
    backend: PathBuf,
    address: Option<OsString>,
}

impl BrokerListener {
    pub(crate) fn of(core: broker::BrokerListener) -> Self {
        let (backend, address) = (core.backend().to_owned(), core.address().map(location));
        Self { core: ForkSafe::new(Arc::new(Mutex::new(Some(core)))), backend, address }
    }
}

#[pymethods]
impl BrokerListener {
    /// Path of the Unix socket on which the server behind is to listen.
    #[getter]
    fn backend(&self) -> &OsStr {
        self.backend.as_os_str()
    }

    /// How many connections of the peer there are now.
    #[getter]
    fn connections(&self) -> usize {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner);
        core.as_ref().map_or(0, broker::BrokerListener::connections)
    }

    /// A path or `IP:PORT`, as we see it; None when multiplexed.
    #[getter]
    fn address(&self) -> Option<&OsStr> {
        self.address.as_deref()
    }

    /// No more connections, and the end of those there are; the future gets None.
    fn close(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).take();
        mailbox.run(future, async move {
            if let Some(core) = core {
                core.close().await;
            }
            Ok(Nothing)
        })
    }
}

impl Drop for BrokerListener {
    fn drop(&mut self) {
        // The sockets of a forked child's are the parent's.
        if io_thread::is_forked() {
            return;
        }
        let core = self.core.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(core) = core {
            // An error means that no thread can be started.
            let _ = io_thread::spawn(core.close());
        }
    }
}
