//! Processes of a plugin outside its group: a wrapper like `timeout` has put them into another one.
//!
//! A process that was given the plugin's directory for sockets comes from that plugin. A process with a session of its
//! own is spared: a daemon makes one in order to stay. The watcher does the same for a killed host.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Pid, Signal, geteuid, getpid, kill_process};

use crate::environment::UNIX_SOCKET_DIR;

/// Kills the processes that were given `directory`. Looks at each process of the system, which takes milliseconds.
pub(super) fn kill(directory: &Path) {
    let mut entry = OsString::from(UNIX_SOCKET_DIR);
    entry.push("=");
    entry.push(directory);
    // The second look finds processes that were forked during the first.
    for _ in 0..2 {
        // Without the list of processes nothing can be done.
        let _ = kill_listed(entry.as_bytes());
    }
}

fn kill_listed(entry: &[u8]) -> io::Result<()> {
    let (own, session) = pid_and_session(Path::new("/proc/self"))?;
    // In the `/proc` of another namespace the numbers are those of other processes.
    if own != getpid().as_raw_pid() {
        return Ok(());
    }
    for process in fs::read_dir("/proc")?.flatten() {
        let process = process.path();
        // An error means that the process has ended meanwhile, or that the entry is none.
        let Ok((pid, in_session)) = pid_and_session(&process) else { continue };
        if pid != own && in_session == session && was_given(&process, entry).unwrap_or(false) {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
    Ok(())
}

/// Process and session of `/proc/PID/stat`: the number, a name in parentheses that may hold anything, state, parent,
/// group, session.
fn pid_and_session(process: &Path) -> io::Result<(i32, i32)> {
    let stat = fs::read(process.join("stat"))?;
    let stat = String::from_utf8_lossy(&stat);
    let pid = stat.split(' ').next().and_then(|pid| pid.parse().ok());
    let session = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_ascii_whitespace().nth(3)?.parse().ok());
    pid.zip(session).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn was_given(process: &Path, entry: &[u8]) -> io::Result<bool> {
    let is_ours = fs::metadata(process)?.uid() == geteuid().as_raw();
    Ok(is_ours && fs::read(process.join("environ"))?.split(|byte| *byte == 0).any(|given| given == entry))
}
