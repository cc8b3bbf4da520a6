//! A plugin's side for Python.

use std::ffi::OsString;
use std::path::PathBuf;

use ferrule_core::broker::Broker as CoreBroker;
use ferrule_core::server::{PluginServer as CoreServer, ServerFacts as CoreFacts, ServerSecurity, ServerSettings};
use ferrule_core::settings::SocketGroup;
use ferrule_core::transport::listener::Place;
use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::broker::{Broker, Owner};
use crate::convert::location;
use crate::errors::to_py_err;
use crate::fork_safe::ForkSafe;
use crate::host::{Batch, take_batch};
use crate::io_thread;
use crate::mailbox::{Mailbox, Nothing};
use crate::settings::{PassedTls, curve};

/// Settings as the Python face passes them: a dict of plain values, already checked.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct PassedServerSettings {
    security: String,
    client_certificate: Option<String>,
    tls: Option<PassedTls>,
    curve: String,
    multiplex: bool,
    protocol_version: u32,
    network: String,
    ports: (u16, u16),
    socket_directory: Option<PathBuf>,
    socket_group: Option<String>,
    socket_base: PathBuf,
}

impl TryFrom<PassedServerSettings> for ServerSettings {
    type Error = PyErr;

    fn try_from(passed: PassedServerSettings) -> PyResult<Self> {
        let security = match (passed.security.as_str(), passed.client_certificate, passed.tls) {
            ("plaintext", _, _) => ServerSecurity::Plaintext,
            ("auto-mtls", Some(host), _) => ServerSecurity::AutoMtls(host, curve(&passed.curve)?),
            ("certificates", _, Some(tls)) => ServerSecurity::Certificates(tls.into()),
            (other, _, _) => {
                let message =
                    format!("security {other:?}, expected plaintext, auto-mtls or certificates, with what it needs");
                return Err(PyValueError::new_err(message));
            }
        };
        let directory = passed.socket_directory.unwrap_or_else(|| passed.socket_base.clone());
        let place = match passed.network.as_str() {
            "tcp" => Place::Tcp(passed.ports.0, passed.ports.1),
            _ => Place::Unix(directory, passed.socket_group.map(SocketGroup)),
        };
        let (multiplex, protocol_version) = (passed.multiplex, passed.protocol_version);
        Ok(Self { security, multiplex, protocol_version, place, socket_base: passed.socket_base })
    }
}

/// The socket that a host dials. `listener` is called without arguments when [`PluginServer::take`] has something.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct PluginServer {
    core: ForkSafe<CoreServer>,
    mailbox: Py<Mailbox>,
    listener: u64,
}

#[pymethods]
impl PluginServer {
    #[new]
    fn new(settings: PassedServerSettings, mailbox: Py<Mailbox>, listener: Py<PyAny>) -> PyResult<Self> {
        let settings = ServerSettings::try_from(settings)?;
        let (listener, wake) = mailbox.get().listener(listener);
        Ok(Self { core: ForkSafe::new(CoreServer::new(settings, wake)), mailbox, listener })
    }

    /// Listens; the future gets `ServerFacts`.
    fn start(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let core = CoreServer::clone(&self.core);
        mailbox.run(future, async move { core.start().await.map(ServerFacts) })
    }

    /// Ends all connections and gives everything back; the future gets None.
    fn close(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        self.mailbox.get().remove_listener(self.listener);
        let core = CoreServer::clone(&self.core);
        mailbox.run(future, async move {
            core.close().await;
            Ok(Nothing)
        })
    }

    /// Has everything be given back without waiting. No error: without an I/O thread there is nothing.
    fn abandon(&self) {
        self.mailbox.get().remove_listener(self.listener);
        self.close_soon();
    }

    /// The plugin's broker.
    fn broker(&self) -> Broker {
        Broker::of(Owner::Server(CoreServer::clone(&self.core)))
    }

    /// Carries the broker's messages from now on; the server must be started.
    fn broker_stream(&self, mailbox: Py<Mailbox>, listener: Py<PyAny>) -> PyResult<BrokerStream> {
        let broker = self.core.broker().ok_or_else(|| PyRuntimeError::new_err("the server is not started"))?.clone();
        let (listener, wake) = mailbox.get().listener(listener);
        broker.carry_by(Some(wake));
        Ok(BrokerStream { broker: ForkSafe::new(broker), mailbox, listener })
    }

    /// Hands over remarks about those who were refused, as `Host.take` does.
    fn take<'py>(&self, py: Python<'py>, wanted_level: Option<u8>) -> Batch<'py> {
        take_batch(py, self.core.inbox(), wanted_level)
    }
}

impl PluginServer {
    fn close_soon(&self) {
        // Sockets and directory of a forked child's are the parent's.
        if !io_thread::is_forked() {
            let core = CoreServer::clone(&self.core);
            // An error means that no thread can be started.
            let _ = io_thread::spawn(async move { core.close().await });
        }
    }
}

impl Drop for PluginServer {
    fn drop(&mut self) {
        // The server is closed already, as a rule; afterwards it could not be closed any more.
        self.close_soon();
    }
}

/// Facts of a plugin's side that listens.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct ServerFacts(CoreFacts);

#[pymethods]
impl ServerFacts {
    /// For standard output, without the line's end.
    #[getter]
    fn handshake_line(&self) -> &str {
        &self.0.handshake_line
    }

    /// `unix` or `tcp`.
    #[getter]
    fn network(&self) -> &'static str {
        self.0.address.network()
    }

    /// Socket path, or `IP:PORT`.
    #[getter]
    fn address(&self) -> OsString {
        location(&self.0.address)
    }

    /// Path of the Unix socket on which the server behind is to listen.
    #[getter]
    fn backend(&self) -> PathBuf {
        self.0.backend.clone()
    }

    /// The plugin's certificate, PEM.
    #[getter]
    fn certificate(&self) -> Option<&str> {
        self.0.certificate.as_deref()
    }
}

/// The messages of one `plugin.GRPCBroker/StartStream` call.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct BrokerStream {
    broker: ForkSafe<CoreBroker>,
    mailbox: Py<Mailbox>,
    listener: u64,
}

#[pymethods]
impl BrokerStream {
    /// Takes a serialised ConnInfo of the host.
    fn receive(&self, message: &[u8]) -> PyResult<()> {
        io_thread::inside_runtime(|| self.broker.receive_bytes(message))?.map_err(|error| to_py_err(&error))
    }

    /// The next serialised ConnInfo for the host, if there is one.
    fn take<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        self.broker.next_outgoing().map(|message| PyBytes::new(py, &message.to_bytes()))
    }

    /// The call has ended; messages wait for the next one.
    fn close(&self) {
        self.mailbox.get().remove_listener(self.listener);
    }
}
