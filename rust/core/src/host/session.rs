//! What a started plugin holds, and how it is given back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::grpc::GrpcClient;
use crate::process::Process;
use crate::process::stop::KILL_LIMIT;
use crate::transport::bridge::Bridge;
use crate::transport::{Address, PrivateDirectory};

/// What must be given back.
pub(super) struct Session {
    pub(super) process: Arc<Process>,
    pub(super) client: Option<GrpcClient>,
    pub(super) stdio: Option<JoinHandle<()>>,
    pub(super) bridge: Option<Bridge>,
    pub(super) address: Option<Address>,
    pub(super) directory: PrivateDirectory,
}

impl Session {
    /// Lets output that has already arrived reach the inbox. The stream ends with the connection, hence at once.
    pub(super) async fn finish_stdio(&mut self) {
        const LIMIT: Duration = Duration::from_secs(1);
        if let Some(stdio) = self.stdio.take() {
            let abort = stdio.abort_handle();
            if timeout(LIMIT, stdio).await.is_err() {
                abort.abort();
            }
        }
    }

    pub(super) async fn destroy(mut self) {
        if let Some(stdio) = self.stdio.take() {
            stdio.abort();
        }
        self.bridge = None;
        self.client = None;
        self.process.signal(Signal::KILL);
        // A process in an uninterruptible system call outlives even that; it must not hold up its host.
        let _ = timeout(KILL_LIMIT, self.process.exited()).await;
        if let Some(Address::Unix(path)) = &self.address {
            remove_socket(path);
        }
        drop(self.directory);
    }
}

/// go-plugin before 1.5 does not know the private directory and puts its socket elsewhere. Go removes it at a clean end;
/// after any other it stays.
fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    if path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket()) {
        // Only litter: nothing depends on it.
        let _ = std::fs::remove_file(path);
    }
}
