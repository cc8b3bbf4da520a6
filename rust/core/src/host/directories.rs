//! The directories of one plugin's sockets, made and removed on a thread that a slow file system may block: the I/O thread
//! serves all plugins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::blocking;
use crate::error::Error;
use crate::process::watcher::Registration;
use crate::settings::Settings;
use crate::transport::PrivateDirectory;

/// The directories of one plugin's sockets, removed when dropped, in the order of the fields.
pub(super) struct Directories {
    /// The plugin's own; a group may enter if the settings say so.
    plugin: Arc<PrivateDirectory>,
    /// That of the sockets behind TLS, for this user alone; `None` if the plugin's is not shared.
    backends: Option<PrivateDirectory>,
    /// Keep the directories registered with the watcher until they are removed.
    #[expect(dead_code, reason = "held for its end")]
    registrations: Vec<Registration>,
}

impl Directories {
    /// Makes them; may block. `is_watched`: whether the watcher removes them if the host is killed.
    pub(super) fn create(settings: &Settings, is_watched: bool) -> Result<Self, Error> {
        let mut registrations = Vec::new();
        let mut make = || {
            let directory = PrivateDirectory::create(&settings.socket_base)?;
            registrations.extend(is_watched.then(|| Registration::of_directory(directory.path())).flatten());
            Ok(directory)
        };
        let plugin = Arc::new(make()?);
        let backends = settings.socket_group.is_some().then(make).transpose()?;
        if let (Some(group), None) = (&settings.socket_group, &settings.reattach) {
            plugin.share(group)?;
        }
        Ok(Self { plugin, backends, registrations })
    }

    /// The directory of the plugin's sockets.
    pub(super) fn plugin(&self) -> &Path {
        self.plugin.path()
    }

    /// The directory that only this user may enter.
    pub(super) fn backends(&self) -> &Path {
        self.backends.as_ref().unwrap_or(&self.plugin).path()
    }

    /// Has the plugin's directory removed if it is empty; waits for nothing.
    pub(super) fn begin_to_remove(&self) {
        let plugin = self.plugin.clone();
        blocking::begin(move || plugin.remove_if_empty());
    }

    /// Removes the directories, and the plugin's socket outside of them.
    pub(super) async fn remove(self, socket: Option<PathBuf>) {
        let outside = socket.filter(|socket| !socket.starts_with(self.plugin()));
        if outside.is_none() && self.backends.is_none() && self.plugin.is_removed() {
            return;
        }
        let removing = move || {
            if let Some(socket) = outside {
                remove_socket(&socket);
            }
            drop(self);
        };
        // Where no thread is to be had, the directories are dropped here.
        let _ = blocking::run(blocking::REMOVAL_LIMIT, removing).await;
    }
}

/// Removes the socket of a plugin outside the private directory, where go-plugin before 1.5 puts it. Go removes it at a
/// clean end only. A socket with a listener is kept: the plugin may have named another's.
fn remove_socket(path: &Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = path.symlink_metadata().is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && is_deserted(path) {
        // An error leaves the file, which harms nothing.
        let _ = std::fs::remove_file(path);
    }
}

fn is_deserted(path: &Path) -> bool {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, connect, socket};
    let refused = || -> rustix::io::Result<bool> {
        let probe = socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
        // Connecting to a listener with a full queue must not block.
        rustix::io::ioctl_fionbio(&probe, true)?;
        Ok(connect(&probe, &SocketAddrUnix::new(path)?) == Err(rustix::io::Errno::CONNREFUSED))
    };
    refused().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn only_a_socket_at_which_nobody_listens_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, file) = (directory.path().join("socket"), directory.path().join("file"));
        std::fs::write(&file, "").unwrap();
        let listener = UnixListener::bind(&socket).unwrap();
        remove_socket(&file);
        remove_socket(&socket);
        assert!(file.exists() && socket.exists());
        drop(listener);
        remove_socket(&socket);
        assert!(!socket.exists());
    }
}
