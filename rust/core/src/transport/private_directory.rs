//! The directory of one plugin's sockets, which only its owner may enter, removed with the plugin.

use std::fs::Permissions;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;

use super::permissions::share;
use crate::error::{Error, ErrorKind};
use crate::settings::SocketGroup;

/// Room that a socket's name needs after the directory: `/plugin` and up to 20 digits, within 103 bytes.
const MAX_DIRECTORY_BYTES: usize = 75;

/// A directory with a short name, which every Unix has.
const FALLBACK: &str = "/tmp";

/// A directory whose sockets a handshake line can name: the given one, or `/tmp` if its path is no text, or would end
/// the line or the field.
pub(super) fn announceable(directory: &Path) -> &Path {
    let carried = directory.to_str().is_some_and(|text| !text.contains(|char: char| char == '|' || char.is_control()));
    if carried { directory } else { Path::new(FALLBACK) }
}

/// A directory of mode 0700 with an unpredictable name, removed with its contents when dropped.
#[derive(Debug)]
pub struct PrivateDirectory {
    made: TempDir,
    is_removed: AtomicBool,
}

impl PrivateDirectory {
    /// Makes the directory under `base`, or under `/tmp` where sockets below `base` could not be announced.
    pub fn create(base: &Path) -> Result<Self, Error> {
        const NAME_LENGTH: usize = "/ferrule-".len() + 10;
        let fits = base.as_os_str().len() + NAME_LENGTH <= MAX_DIRECTORY_BYTES;
        let place = if fits { announceable(base) } else { Path::new(FALLBACK) };
        let made = make(place).map_err(|error| {
            let instead = if place == base { String::new() } else { format!(" instead of {}", base.display()) };
            let message = format!("no private socket directory could be made in {}{instead}: {error}", place.display());
            Error::new(ErrorKind::LaunchFailed, message)
                .with_hint("Set TMPDIR, or the setting unix_socket_dir, to a directory in which this user may write.")
        })?;
        Ok(Self { made, is_removed: AtomicBool::new(false) })
    }

    /// Lets the members of a group enter as well, and make files, but not touch those of others: the mode becomes 1770.
    pub fn share(&self, group: &SocketGroup) -> Result<(), Error> {
        share(self.path(), group, 0o1770).map_err(|error| {
            let (path, group) = (self.path().display(), &group.0);
            let message = format!(
                "the directory {path} cannot be given to the group {group:?} (setting unix_socket_group): {error}"
            );
            Error::new(ErrorKind::LaunchFailed, message)
                .with_hint("Set unix_socket_group to a group that exists, and of which this user is a member.")
        })
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.made.path()
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Removes the directory now, if it is empty.
    pub fn remove_if_empty(&self) {
        if !self.is_removed() && std::fs::remove_dir(self.path()).is_ok() {
            self.is_removed.store(true, Ordering::Release);
        }
    }

    /// Whether [`Self::remove_if_empty`] has removed it.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.is_removed.load(Ordering::Acquire)
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Its sockets are usually gone by now, and looking through an empty directory costs more than removing it.
        self.remove_if_empty();
        if *self.is_removed.get_mut() {
            self.made.disable_cleanup(true);
        }
    }
}

#[cfg(unix)]
fn make(base: &Path) -> std::io::Result<TempDir> {
    use std::os::unix::fs::PermissionsExt;
    let owner_only = || Permissions::from_mode(0o700);
    let created =
        tempfile::Builder::new().prefix("ferrule-").rand_bytes(10).permissions(owner_only()).tempdir_in(base)?;
    // The process's umask may take from its owner as well.
    std::fs::set_permissions(created.path(), owner_only())?;
    Ok(created)
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
    fn early_removal_takes_an_empty_directory_alone() {
        let base = tempfile::tempdir().unwrap();
        let directory = PrivateDirectory::create(base.path()).unwrap();
        let socket = directory.join("plugin1");
        std::fs::write(&socket, b"").unwrap();
        directory.remove_if_empty();
        assert!(socket.exists());
        std::fs::remove_file(&socket).unwrap();
        directory.remove_if_empty();
        assert!(!directory.path().exists());
        // Another's by now.
        std::fs::create_dir(directory.path()).unwrap();
        drop(directory);
        assert_eq!(std::fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn long_base_falls_back_to_a_short_one() {
        let base = tempfile::tempdir().unwrap();
        let long = base.path().join("x".repeat(80));
        std::fs::create_dir(&long).unwrap();
        let directory = PrivateDirectory::create(&long).unwrap();
        assert!(directory.path().as_os_str().len() <= MAX_DIRECTORY_BYTES);
    }

    #[test]
    fn base_that_no_handshake_line_carries_falls_back() {
        use std::os::unix::ffi::OsStrExt;
        let base = tempfile::tempdir().unwrap();
        for name in [&b"a|b"[..], b"a\nb", b"a\rb", b"a\x1b[1mb", b"not \xff text"] {
            let odd = base.path().join(std::ffi::OsStr::from_bytes(name));
            std::fs::create_dir(&odd).unwrap();
            let directory = PrivateDirectory::create(&odd).unwrap();
            assert_eq!(directory.path().parent(), Some(Path::new(FALLBACK)), "{}", odd.display());
        }
        for name in ["a#b?c%20d", "a b", "ä", "a:b"] {
            let carried = base.path().join(name);
            std::fs::create_dir(&carried).unwrap();
            let directory = PrivateDirectory::create(&carried).unwrap();
            assert_eq!(directory.path().parent(), Some(&*carried));
        }
    }
}
