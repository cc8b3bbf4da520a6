//! A channel's connectivity state, and the connection or the refusal that belongs to it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::grpc::connection::Connection;
use crate::grpc::connector::Refusal;
use crate::grpc::{Code, Status};

/// gRPC's connectivity states, with grpcio's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // https://github.com/grpc/grpc/blob/master/doc/connectivity-semantics-and-api.md
#[repr(u8)]
pub enum ConnectivityState {
    Idle = 0,
    Connecting = 1,
    Ready = 2,
    TransientFailure = 3,
    Shutdown = 4,
}

/// The state together with what belongs to it.
pub(super) struct Connectivity {
    /// Changed under the lock of `details` only. So under that lock state and details fit: READY always has its
    /// connection.
    state: watch::Sender<ConnectivityState>,
    details: Mutex<Details>,
}

#[derive(Default)]
struct Details {
    connection: Option<Connection>,
    /// Why the latest attempt to connect failed.
    refusal: Option<Refusal>,
    /// The status of all calls after the channel was closed.
    shutdown: Option<Status>,
}

impl Connectivity {
    pub(super) fn new() -> Self {
        Self { state: watch::Sender::new(ConnectivityState::Idle), details: Mutex::default() }
    }

    pub(super) fn state(&self) -> ConnectivityState {
        *self.state.borrow()
    }

    /// Sees all changes of the state, and the end of the channel.
    pub(super) fn subscribe(&self) -> watch::Receiver<ConnectivityState> {
        self.state.subscribe()
    }

    /// State, connection and refusal of one moment.
    pub(super) fn snapshot(&self) -> (ConnectivityState, Option<Connection>, Option<Refusal>) {
        let details = self.lock();
        (self.state(), details.connection.clone(), details.refusal.clone())
    }

    pub(super) fn shutdown_status(&self) -> Status {
        let status = self.lock().shutdown.clone();
        status.unwrap_or_else(|| Status::new(Code::Cancelled, "Channel closed!"))
    }

    /// Leaves IDLE; whether the channel was idle.
    pub(super) fn leave_idle(&self) -> bool {
        let _details = self.lock();
        let was_idle = self.state() == ConnectivityState::Idle;
        if was_idle {
            self.enter(ConnectivityState::Connecting);
        }
        was_idle
    }

    /// Begins another attempt to connect.
    pub(super) fn begin_attempt(&self) {
        self.change(ConnectivityState::Connecting, |_| ());
    }

    /// Ends a failed attempt to connect.
    pub(super) fn refuse(&self, refusal: Refusal) {
        self.change(ConnectivityState::TransientFailure, |details| details.refusal = Some(refusal));
    }

    /// Makes a connection the channel's own; false if the channel was closed meanwhile.
    pub(super) fn install(&self, connection: &Connection) -> bool {
        self.change(ConnectivityState::Ready, |details| {
            (details.connection, details.refusal) = (Some(connection.clone()), None);
        })
    }

    /// Gives no more calls to a connection. Those that run go on.
    pub(super) fn discard(&self, connection: &Connection) {
        let mut details = self.lock();
        if details.connection.as_ref().is_some_and(|current| current.is_same_as(connection)) {
            self.enter(ConnectivityState::Idle);
            let discarded = details.connection.take();
            drop(details);
            drop(discarded);
        }
    }

    /// Ends the channel.
    pub(super) fn shut_down(&self, status: Status) {
        let connection = {
            let mut details = self.lock();
            details.shutdown.get_or_insert(status);
            self.enter(ConnectivityState::Shutdown);
            details.connection.take()
        };
        // Calls that are cancelled now still have to send their resets, so the connection ends with the last of them.
        drop(connection);
    }

    fn lock(&self) -> MutexGuard<'_, Details> {
        self.details.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The caller holds the lock of the details.
    fn enter(&self, new: ConnectivityState) {
        self.state.send_if_modified(|state| std::mem::replace(state, new) != new);
    }

    /// Changes the state and its details together, unless the channel is closed; whether the channel is open.
    fn change(&self, new: ConnectivityState, change: impl FnOnce(&mut Details)) -> bool {
        let mut details = self.lock();
        if details.shutdown.is_some() {
            return false;
        }
        change(&mut details);
        self.enter(new);
        true
    }
}

/// Returns when the channel was closed or forgotten.
pub(super) async fn until_shut_down(mut state: watch::Receiver<ConnectivityState>) {
    let _ = state.wait_for(|state| *state == ConnectivityState::Shutdown).await;
}
