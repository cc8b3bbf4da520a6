//! A connection driven by the I/O thread, for Python's asyncio transport on top of it.

use std::sync::Arc;

use bytes::Bytes;
use ferrule_core::certificate::Identity;
use ferrule_core::error::{Error, ErrorKind};
use ferrule_core::settings::TlsFiles;
use ferrule_core::tls::{Trust, client_config};
use ferrule_core::transport::duplex::{Duplex, drive};
use ferrule_core::transport::{Dialer, Tls, Traffic};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::convert;
use crate::errors::to_py_err;
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::mailbox::{Mailbox, Nothing};
use crate::settings::PassedTls;

/// Received chunks, unsent bytes, end of input, ended, reason.
type StreamArrivals<'py> = (Vec<Bound<'py, PyBytes>>, usize, bool, bool, Option<String>);

/// One connection. `listener` is called without arguments when [`Stream::take`] has something.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Stream {
    duplex: ForkSafe<Duplex>,
    traffic: Traffic,
    dialer: ForkSafe<Arc<Dialer>>,
    mailbox: Py<Mailbox>,
    listener: u64,
}

#[pymethods]
impl Stream {
    /// A stream to (`unix`, path) or (`tcp`, `HOST:PORT`), not connected yet.
    #[new]
    #[pyo3(signature = (network, address, tls, mailbox, listener))]
    fn new(
        network: &str,
        address: &str,
        tls: Option<PassedTls>,
        mailbox: Py<Mailbox>,
        listener: Py<PyAny>,
    ) -> PyResult<Self> {
        let address = convert::address(network, address, ErrorKind::ConnectFailed)?;
        let tls = tls.map(|tls| protection(&tls.into())).transpose().map_err(|error| to_py_err(&error))?;
        let traffic = Traffic::default();
        let dialer = Arc::new(Dialer::new(address, tls, traffic.clone()));
        let (listener, wake) = mailbox.get().listener(listener);
        Ok(Self { duplex: ForkSafe::new(Duplex::new(wake)), traffic, dialer: ForkSafe::new(dialer), mailbox, listener })
    }

    /// Connects; the future gets None.
    fn connect(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let completion = mailbox.completion(future);
        let (duplex, dialer) = (Duplex::clone(&self.duplex), Arc::clone(&self.dialer));
        io_thread::spawn(async move {
            let dialled = tokio::select! {
                dialled = dialer.dial() => dialled,
                () = duplex.closed() => Err(Error::new(ErrorKind::Cancelled, "closed while it connected")),
            };
            match dialled {
                Ok(stream) => {
                    completion.post(Ok(Nothing));
                    drive(duplex, stream).await;
                }
                Err(error) => completion.post::<Nothing>(Err(error)),
            }
        })
    }

    /// Queues bytes; returns how many are unsent.
    fn write(&self, data: &[u8]) -> usize {
        self.duplex.write(Bytes::copy_from_slice(data))
    }

    /// Closes the sending side once all is sent.
    fn finish(&self) {
        self.duplex.finish();
    }

    /// Stops or resumes reading.
    fn pause(&self, paused: bool) {
        self.duplex.pause(paused);
    }

    /// Ends the connection at once. In a forked child it is the parent's.
    fn close(&self) {
        if io_thread::is_forked() {
            return;
        }
        self.mailbox.get().remove_listener(self.listener);
        self.duplex.close();
    }

    /// Hands over what has arrived.
    fn take<'py>(&self, py: Python<'py>) -> StreamArrivals<'py> {
        let arrivals = self.duplex.take();
        let chunks = arrivals.chunks.iter().map(|chunk| PyBytes::new(py, chunk)).collect();
        let (ended, reason) = match arrivals.end {
            None => (false, None),
            Some(result) => (true, result.err()),
        };
        (chunks, arrivals.unsent, arrivals.end_of_input, ended, reason)
    }

    /// Bytes on the socket and inside TLS: (sent, received, content sent, content received).
    #[getter]
    fn traffic(&self) -> (u64, u64, u64, u64) {
        let (wire, content) = (&self.traffic.wire, &self.traffic.content);
        (wire.sent(), wire.received(), content.sent(), content.received())
    }
}

fn protection(files: &TlsFiles) -> Result<Tls, Error> {
    let identity = match (&files.certificate, &files.key) {
        (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)?),
        _ => None,
    };
    let trust = Trust::Authorities(files.authorities.clone());
    Tls::new(client_config(&trust, identity.as_ref(), &[])?, &files.server_name)
}
