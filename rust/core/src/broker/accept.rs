//! Listening for the peer under an id, in front of a stock gRPC server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};

use super::Broker;
use super::state::Outcome;
use super::{conn_info, translated};
use crate::address::Address;
use crate::blocking;
use crate::error::Error;
use crate::transport::InboundStream;
use crate::transport::listener::Listener;
use crate::transport::tls_terminator::{MAX_CONNECTIONS, Terminator};

/// A service that the peer can dial until this is dropped; its connections end with it.
pub struct BrokerListener {
    broker: Broker,
    id: u32,
    backend: PathBuf,
    address: Option<Address>,
    open: Arc<AtomicUsize>,
    serving: Option<JoinHandle<()>>,
}

impl Broker {
    /// Serves `id` to the peer. Its connections are carried to the server at [`BrokerListener::backend`], which may
    /// begin to listen a little later.
    pub async fn accept(&self, id: u32) -> Result<BrokerListener, Error> {
        self.state().check_open()?;
        let terminator = self.terminator()?;
        let open = terminator.open.clone();
        let number = self.0.last_backend.fetch_add(1, Ordering::Relaxed);
        let backend = self.0.context.backends.join(format!("serve{number}"));
        let (address, serving) = if self.0.context.session.is_some() {
            (None, self.accept_streams(id, terminator, backend.clone())?)
        } else {
            self.accept_sockets(id, terminator, &backend).await?
        };
        Ok(BrokerListener { broker: self.clone(), id, backend, address, open, serving: Some(serving) })
    }

    async fn accept_sockets(
        &self,
        id: u32,
        terminator: Terminator,
        backend: &Path,
    ) -> Result<(Option<Address>, JoinHandle<()>), Error> {
        let listener = Listener::bind(&self.0.context.place).await?;
        let address = listener.address().clone();
        let there = translated(self.0.context.peer.address_there(address.clone())).await?;
        self.state().listen(id, None, Instant::now())?;
        let serving = self.spawn(terminator.serve(listener, Arc::from(backend)));
        self.send(conn_info::listening(id, there.network(), there.location()));
        Ok((Some(address), serving))
    }

    fn accept_streams(&self, id: u32, terminator: Terminator, backend: PathBuf) -> Result<JoinHandle<()>, Error> {
        let (sender, streams) = mpsc::unbounded_channel();
        if self.state().listen(id, Some(sender), Instant::now())? == Outcome::Acknowledge {
            self.send(conn_info::acknowledgement(id));
        }
        let peer = format!("the peer's dialler of service {id}");
        Ok(self.spawn(serve_streams(streams, terminator, peer, backend)))
    }

    /// Runs `serving` until it is done or the broker is closed.
    fn spawn(&self, serving: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let closing = self.0.closing.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = serving => (),
                () = closing.cancelled() => (),
            }
        })
    }
}

async fn serve_streams(
    mut streams: mpsc::UnboundedReceiver<InboundStream>,
    terminator: Terminator,
    peer: String,
    backend: PathBuf,
) {
    // Owned by this task, so that all connections end with it.
    let mut connections = JoinSet::new();
    while let Some(stream) = streams.recv().await {
        if connections.len() >= MAX_CONNECTIONS {
            connections.join_next().await;
        }
        let (terminator, peer, backend) = (terminator.clone(), peer.clone(), backend.clone());
        connections.spawn(async move { terminator.carry_inbound(stream, &peer, &backend).await });
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

impl BrokerListener {
    /// Where the server behind this listener is to listen: a path in a private directory.
    #[must_use]
    pub fn backend(&self) -> &Path {
        &self.backend
    }

    /// The number of the peer's open connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Where the peer connects to; `None` when multiplexed.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }
}

impl BrokerListener {
    /// Stops listening, and returns once everything is given back.
    pub async fn close(mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            // An error only says that the task was aborted.
            let _ = serving.await;
        }
        let backend = std::mem::take(&mut self.backend);
        // The listener's own file goes before, on the same thread.
        let _ = blocking::run(blocking::REMOVAL_LIMIT, move || remove(&backend)).await;
    }
}

impl Drop for BrokerListener {
    fn drop(&mut self) {
        self.broker.state().stop_listening(self.id);
        // The socket's file goes with the task that owns its listener.
        self.serving.iter().for_each(JoinHandle::abort);
        let backend = std::mem::take(&mut self.backend);
        if !backend.as_os_str().is_empty() {
            blocking::begin(move || remove(&backend));
        }
    }
}

/// Removes the file of a server's socket. The server may have done that itself.
fn remove(backend: &Path) {
    let _ = std::fs::remove_file(backend);
}
