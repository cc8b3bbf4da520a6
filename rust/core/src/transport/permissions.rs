//! Permissions of sockets and directories: for their owner, or for a group.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::settings::SocketGroup;

/// Lets the owner use a socket: the process's umask may have taken that away as well.
pub(super) fn open_to_owner(path: &Path) -> io::Result<()> {
    const READ_AND_WRITE: u32 = 0o600;
    let mut permissions = std::fs::symlink_metadata(path)?.permissions();
    if permissions.mode() & READ_AND_WRITE == READ_AND_WRITE {
        return Ok(());
    }
    permissions.set_mode(permissions.mode() | READ_AND_WRITE);
    std::fs::set_permissions(path, permissions)
}

/// Lets a group use a socket or a directory. No other user can put a link in its place: it lies in a directory that is
/// ours alone, or sticky.
pub(super) fn share(path: &Path, group: &SocketGroup, mode: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(path, None, Some(group_id(group)?))?;
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The id of a group. A name is looked up in the file that every Unix has.
fn group_id(group: &SocketGroup) -> io::Result<u32> {
    if let Ok(number) = group.0.parse() {
        return Ok(number);
    }
    let groups = std::fs::read_to_string("/etc/group")?;
    let mut fields = groups.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let found = fields.find(|fields| fields.first() == Some(&group.0.as_str()));
    let number = found.and_then(|fields| fields.get(2)?.parse().ok());
    number.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no group {:?}", group.0)))
}
