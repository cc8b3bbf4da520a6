//! A process that ends and removes what a killed host leaves behind, one for all plugins of a host.
//!
//! The parent-death signal reaches the host's own children alone, not a plugin behind a wrapper. So a shell waits for
//! the end of a pipe that the host holds, kills the process groups that it then finds registered, kills what a wrapper
//! like `timeout` has put into a group of its own, and removes the directories. Registering is one write to a file in
//! memory, and wakes nobody. The shell is an orphan with a session of its own: no signal to the host's group ends it
//! first, none of the host's waits sees it, it holds nothing of the host's.

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, getpid};

use super::launch::{Launch, SpawnError, Streams};
use super::pipe::{above_standard, pipe};
pub use super::registry::Registration;
use super::{registry, spawn};
use crate::settings::Limits;

/// The program of the watcher.
pub const SHELL: &str = "/bin/sh";

/// Standard input ends with the host; standard output is the registry, read from its beginning. A directory is removed
/// if it is ours by name and owner.
///
/// A process that was given one of these directories is a plugin or comes from one, whatever its group. A process with
/// a session of its own is spared: a daemon makes one in order to stay. The second look finds what is forked during the
/// first. In the `/proc` of another namespace process ids mean other processes; the shell's own id tells.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
session=$1 newline='
'
shift
is_here() { [ "$4" = "$session" ]; }
kill_owners() {
    for process in /proc/[0-9]*; do
        [ -O "$process" ] && read -r status <"$process/stat" && is_here ${status##*) } || continue
        environment=$newline$(tr '\0' '\n' <"$process/environ")$newline
        for directory in "$@"; do
            case $environment in
            *"${newline}PLUGIN_UNIX_SOCKET_DIR=$directory$newline"*) kill -s KILL "${process#/proc/}" ;;
            esac
        done
    done
}
read -r nothing
while read -r kind value; do
    case $kind in
    group) kill -s KILL -- "-$value" ;;
    directory) case ${value##*/} in ferrule-*) [ -O "$value" ] && [ ! -L "$value" ] && set -- "$@" "$value" ;; esac ;;
    esac
done <&1
[ $# -gt 0 ] || exit
if read -r self rest </proc/self/stat && [ "$self" = "$$" ]; then
    kill_owners "$@"
    kill_owners "$@"
fi
rm -rf -- "$@"
"#;

/// Held while the watcher is looked for and started.
static LIFE: Mutex<Option<OwnedFd>> = Mutex::new(None);

/// Starts the watcher unless it runs; blocks for a fraction of a millisecond, the first time.
pub fn start() -> Result<(), SpawnError> {
    // With its first process the kernel ends a whole namespace of processes, plugins included.
    if getpid() == Pid::INIT {
        return Ok(());
    }
    let mut life = LIFE.lock().unwrap_or_else(PoisonError::into_inner);
    if !life.as_ref().is_some_and(is_watched) {
        *life = Some(start_watching()?);
    }
    Ok(())
}

/// Whether the other end of the pipe is open.
fn is_watched(life: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(life, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut polled, Some(&at_once)).is_ok() && !polled[0].revents().contains(PollFlags::ERR)
}

/// Returns the end of the pipe that the shell waits for.
fn start_watching() -> Result<OwnedFd, SpawnError> {
    let (read, write) = pipe().map_err(SpawnError::Resources)?;
    // Set before the shell runs: a fork of that time would keep the pipe open, and the shell from seeing the host's
    // end.
    let before = spawn::close_in_forks(write.as_raw_fd());
    if let Err(failure) = start_shell(read.as_fd()) {
        // The number is about to be that of another descriptor, which forks need.
        spawn::close_in_forks(before);
        return Err(failure);
    }
    Ok(write)
}

fn start_shell(life: BorrowedFd<'_>) -> Result<(), SpawnError> {
    let resources = SpawnError::Resources;
    let entries = registry::entries().and_then(above_standard).map_err(resources)?;
    let null = File::options().write(true).open("/dev/null").map_err(resources)?;
    let null = above_standard(null.into()).map_err(resources)?;
    let launch = Launch {
        program: Path::new(SHELL),
        executable: None,
        arguments: &["sh", "-c", SCRIPT, "ferrule-watcher", &spawn::session().to_string()].map(OsString::from),
        // The path of `rm` and `tr`; nothing else of the environment, which may hold secrets.
        environment: &std::env::var_os("PATH").map(|path| ("PATH".into(), path)).into_iter().collect(),
        working_directory: Some(Path::new("/")),
        limits: Limits::default(),
        die_with_host: false,
    };
    let streams = Streams { stdin: Some(life), stdout: entries.as_fd(), stderr: null.as_fd() };
    spawn::start_orphan(&launch, &streams)
}
