//! One plugin for Python: each operation takes a future that it resolves through the mailbox.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};

use ferrule_core::certificate::Identity;
use ferrule_core::exit_status::ExitStatus;
use ferrule_core::host::Host as CoreHost;
use ferrule_core::inbox::{Inbox, Output};
use ferrule_core::log_line::Level;
use ferrule_core::settings::Settings;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::broker::{Broker, Owner};
use crate::channel::Channel;
use crate::channel_settings::PassedChannelSettings;
use crate::convert::duration;
use crate::fork_safe::ForkSafe;
use crate::io_thread;
use crate::mailbox::{Mailbox, Nothing};
use crate::plugin_facts::{Facts, StopReport};
use crate::settings::PassedSettings;

/// Plugins that were started and not closed yet: what must be ended when the interpreter exits.
static LIVE: LazyLock<Mutex<HashMap<u64, CoreHost>>> = LazyLock::new(Mutex::default);

fn live() -> MutexGuard<'static, HashMap<u64, CoreHost>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Log lines as (level 0 to 4, text), dropped lines, output as (is it standard error, bytes), whether lines are left.
pub(crate) type Batch<'py> = (Vec<(u8, Bound<'py, PyBytes>)>, u64, Vec<(bool, Bound<'py, PyBytes>)>, bool);

/// Log lines per batch: handling one costs Python about 10 us, and an event loop should not be held longer than a few
/// ms.
const LINES_PER_BATCH: usize = 256;

/// One plugin, from launch to end. `listener` is called without arguments when [`Host::take`] has something, for log
/// lines below `wanted_level` in their own time.
#[pyclass(frozen, module = "ferrule._core")]
pub(crate) struct Host {
    core: ForkSafe<CoreHost>,
    id: u64,
    mailbox: Py<Mailbox>,
    listener: u64,
}

#[pymethods]
impl Host {
    #[new]
    #[pyo3(signature = (settings, mailbox, listener, wanted_level))]
    fn new(
        settings: PassedSettings,
        mailbox: Py<Mailbox>,
        listener: Py<PyAny>,
        wanted_level: Option<u8>,
    ) -> PyResult<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let settings = Settings::try_from(settings)?;
        let (listener, wake) = mailbox.get().listener(listener);
        let core = CoreHost::new(settings, wake, wanted_level.map(level));
        Ok(Self { core: ForkSafe::new(core), id: NEXT.fetch_add(1, Ordering::Relaxed), mailbox, listener })
    }

    /// Launches the plugin; the future gets `Facts`.
    fn start(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        // Before the lock, which the parent's I/O thread may have held at the fork.
        io_thread::refuse_fork()?;
        live().insert(self.id, CoreHost::clone(&self.core));
        let (core, id) = (CoreHost::clone(&self.core), self.id);
        let begun = mailbox.run(future, async move {
            let result = core.start().await;
            if result.is_err() {
                live().remove(&id);
            }
            result.map(Facts)
        });
        if begun.is_err() {
            live().remove(&self.id);
        }
        begun
    }

    /// Stops the plugin by the ladder; the future gets a `StopReport`.
    fn stop(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let core = CoreHost::clone(&self.core);
        mailbox.run(future, async move { Ok(StopReport(core.stop().await)) })
    }

    /// Gives everything back, also during a start; the future gets None.
    fn close(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let (core, id) = (CoreHost::clone(&self.core), self.id);
        mailbox.run(future, async move {
            core.close().await;
            live().remove(&id);
            Ok(Nothing)
        })
    }

    /// Gives everything back without waiting, if there is nothing to wait for: the plugin was stopped, or its start has
    /// failed or could not even begin. False if there is.
    fn close_at_once(&self) -> bool {
        if io_thread::is_forked() {
            // No start began here.
            return true;
        }
        let closed = !live().contains_key(&self.id) || self.core.close_at_once();
        if closed {
            live().remove(&self.id);
        }
        closed
    }

    /// Gives everything back in the background, for a client that was forgotten.
    fn abandon(&self) -> PyResult<()> {
        self.forget_listener();
        let (core, id) = (CoreHost::clone(&self.core), self.id);
        io_thread::spawn(async move {
            core.close().await;
            live().remove(&id);
        })
    }

    /// Waits for the plugin's end; the future gets its exit status, or None where unknown or never launched.
    fn exited(&self, mailbox: &Mailbox, future: Py<PyAny>) -> PyResult<()> {
        let core = CoreHost::clone(&self.core);
        mailbox.run(future, async move { Ok(core.exited().await.and_then(ExitStatus::return_code)) })
    }

    /// A channel to the plugin, which must be ready.
    fn channel(&self, settings: PassedChannelSettings) -> PyResult<Channel> {
        let (settings, send_options) = settings.read(None)?;
        let core = self.core.channel(settings).ok_or_else(|| PyRuntimeError::new_err("the plugin is not ready"))?;
        Ok(Channel::new(core, send_options))
    }

    /// No more calls of the listener.
    fn forget_listener(&self) {
        self.mailbox.get().remove_listener(self.listener);
    }

    /// Hands over waiting log lines at or above a level (0 trace to 4 error, None for none of them) and output.
    fn take<'py>(&self, py: Python<'py>, wanted_level: Option<u8>) -> Batch<'py> {
        take_batch(py, self.core.inbox(), wanted_level)
    }

    /// The broker of a plugin that is ready.
    fn broker(&self) -> PyResult<Broker> {
        if self.core.broker().is_none() {
            return Err(PyRuntimeError::new_err("the plugin is not ready"));
        }
        Ok(Broker::of(Owner::Host(CoreHost::clone(&self.core))))
    }

    /// Exit status as `subprocess` has it, or None.
    #[getter]
    fn exit_status(&self) -> Option<i32> {
        self.core.exit_status().and_then(ExitStatus::return_code)
    }

    /// Whether there ever was a process.
    #[getter]
    fn was_launched(&self) -> bool {
        self.core.was_launched()
    }

    /// The last lines of standard error.
    #[getter]
    fn stderr_tail(&self) -> Vec<String> {
        self.core.stderr_tail()
    }

    /// Bytes on the socket and inside TLS: (sent, received, content sent, content received).
    #[getter]
    fn traffic(&self) -> (u64, u64, u64, u64) {
        let traffic = self.core.traffic();
        (traffic.wire.sent(), traffic.wire.received(), traffic.content.sent(), traffic.content.received())
    }

    /// The host's certificate, PEM.
    #[getter]
    fn client_cert(&self) -> Option<&str> {
        self.core.identity().map(Identity::certificate_pem)
    }

    /// The host's private key, PEM. Leaves the core only when asked for by name.
    #[getter]
    fn client_key_pem<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyString>> {
        self.core.identity().map(|identity| PyString::new(py, &identity.key_pem()))
    }
}

/// Takes one batch of lines and output out of an inbox.
pub(crate) fn take_batch<'py>(py: Python<'py>, inbox: &Inbox, wanted_level: Option<u8>) -> Batch<'py> {
    let batch = inbox.take(wanted_level.map(level), LINES_PER_BATCH);
    let lines = batch.lines.iter().map(|(level, line)| (*level as u8, PyBytes::new(py, line))).collect();
    let output = batch.output.iter();
    let output = output.map(|(channel, data)| (*channel == Output::Stderr, PyBytes::new(py, data))).collect();
    (lines, batch.dropped, output, batch.more)
}

fn level(number: u8) -> Level {
    match number {
        0 => Level::Trace,
        1 => Level::Debug,
        2 => Level::Info,
        3 => Level::Warn,
        _ => Level::Error,
    }
}

/// How many plugins are started and not closed.
#[pyfunction]
pub(crate) fn live_plugins() -> usize {
    // A fork asks for no lock that the parent's I/O thread may have held.
    if io_thread::is_forked() { 0 } else { live().len() }
}

/// Kills and cleans up all plugins, waiting at most `limit` seconds. For the interpreter's exit.
#[pyfunction]
pub(crate) fn end_all(py: Python<'_>, limit: f64) -> PyResult<()> {
    if io_thread::is_forked() {
        // The plugins are the parent's.
        return Ok(());
    }
    let hosts: Vec<CoreHost> = live().drain().map(|(_, host)| host).collect();
    if hosts.is_empty() {
        return Ok(());
    }
    let limit = duration(limit)?;
    let (sender, receiver) = mpsc::channel::<()>();
    for host in hosts {
        let sender = sender.clone();
        io_thread::spawn(async move {
            host.close().await;
            drop(sender);
        })?;
    }
    drop(sender);
    // Nothing is ever sent: the channel closes when the last host is done.
    let _ = py.detach(move || receiver.recv_timeout(limit));
    Ok(())
}
