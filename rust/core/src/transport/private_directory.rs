//! The directory of one plugin's sockets: only its owner may enter, and it goes away with the plugin.

use std::fs::Permissions;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::listener::{SocketGroup, share};
use crate::error::{Error, ErrorKind};

/// Room that a socket's name needs after the directory: `/plugin` and up to 20 digits, within 103 bytes.
const LONGEST_DIRECTORY: usize = 75;

/// A directory of mode 0700 with an unpredictable name, removed with all that is in it.
#[derive(Debug)]
pub struct PrivateDirectory(TempDir);

impl PrivateDirectory {
    /// Makes the directory under `base`, or under `/tmp` where `base` would make socket paths too long.
    pub fn create(base: &Path) -> Result<Self, Error> {
        const NAME_LENGTH: usize = "/ferrule-".len() + 10;
        let fits = base.as_os_str().len() + NAME_LENGTH <= LONGEST_DIRECTORY;
        let base = if fits { base } else { Path::new("/tmp") };
        make(base).map(Self).map_err(|error| {
            let message = format!("no private socket directory could be made in {}: {error}", base.display());
            Error::new(ErrorKind::LaunchFailed, message)
        })
    }

    /// Lets the members of a group enter as well, and make files, but not touch those of others: the mode becomes 1770.
    pub fn share(&self, group: &SocketGroup) -> Result<(), Error> {
        share(self.path(), group, 0o1770).map_err(|error| {
            let (path, group) = (self.path().display(), &group.0);
            let message = format!(
                "the directory {path} cannot be given to the group {group:?} (setting unix_socket_group): {error}"
            );
            Error::new(ErrorKind::LaunchFailed, message)
        })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // As a rule its sockets are gone by now, and looking through an empty directory costs more than removing it.
        if std::fs::remove_dir(self.path()).is_ok() {
            self.0.disable_cleanup(true);
        }
    }
}

#[cfg(unix)]
fn make(base: &Path) -> std::io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("ferrule-")
        .rand_bytes(10)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(base)
}

#[cfg(not(unix))]
fn make(base: &Path) -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("ferrule-").rand_bytes(10).tempdir_in(base)
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_owner_may_enter_and_nothing_remains() {
        let base = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::create(base.path()).unwrap();
        assert_eq!(directory.path().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        std::fs::write(directory.join("plugin1"), b"").unwrap();
        drop(directory);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 0);
    }

    #[test]
    fn long_base_falls_back_to_a_short_one() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(80));
        std::fs::create_dir(&long).unwrap();
        let directory = PrivateDirectory::create(&long).unwrap();
        assert!(directory.path().as_os_str().len() <= LONGEST_DIRECTORY);
    }
}
