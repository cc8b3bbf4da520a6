//! The process groups and directories that must not outlive this host, in a file in memory that the watcher reads at
//! the end.
//!
//! A process group leaves the registry before its leader is reaped, so that its number is never another's.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, getpid};

/// Room for one entry: a line, and empty ones. A page holds a whole number of them, so that none is half written.
const SLOT_BYTES: usize = 128;
const EMPTY: [u8; SLOT_BYTES] = [b'\n'; SLOT_BYTES];

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

struct Registry {
    entries: File,
    slots: u64,
    free: BTreeSet<u64>,
}

/// An entry in the registry, until it is dropped.
#[derive(Debug)]
pub struct Registration {
    slot: u64,
    /// A fork shares the file with its parent, whose entries are not its own.
    process: Pid,
}

impl Registration {
    /// Registers a process group by its leader, if there is a registry.
    pub(super) fn of_group(leader: Pid) -> Option<Self> {
        Self::of("group", leader.as_raw_pid().to_string().as_bytes())
    }

    /// Registers a directory, if there is a registry and the path fits into a line of it.
    pub fn of_directory(path: &Path) -> Option<Self> {
        Self::of("directory", path.as_os_str().as_bytes())
    }

    fn of(kind: &str, value: &[u8]) -> Option<Self> {
        let line = [kind.as_bytes(), b" ", value].concat();
        if line.len() >= SLOT_BYTES || line.contains(&b'\n') {
            return None;
        }
        let mut entry = EMPTY;
        entry[..line.len()].copy_from_slice(&line);
        let slot = lock().as_mut()?.add(&entry)?;
        Some(Self { slot, process: getpid() })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.process != getpid() {
            return;
        }
        if let Some(registry) = lock().as_mut() {
            // Writing the same slot again does not fail.
            let _ = registry.write(self.slot, &EMPTY);
            registry.free.insert(self.slot);
        }
    }
}

impl Registry {
    fn new() -> io::Result<Self> {
        let entries = memfd_create("ferrule-registry", MemfdFlags::CLOEXEC)?;
        Ok(Self { entries: entries.into(), slots: 0, free: BTreeSet::new() })
    }

    /// Writes an entry; `None` if that fails, for want of memory.
    fn add(&mut self, entry: &[u8; SLOT_BYTES]) -> Option<u64> {
        let slot = self.take_slot();
        let written = self.write(slot, entry);
        if written.is_err() {
            self.free.insert(slot);
        }
        written.is_ok().then_some(slot)
    }

    /// The first free slot, so that the file does not grow beyond the most entries at a time.
    fn take_slot(&mut self) -> u64 {
        self.free.pop_first().unwrap_or_else(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    fn write(&self, slot: u64, entry: &[u8; SLOT_BYTES]) -> io::Result<()> {
        self.entries.write_all_at(entry, slot * SLOT_BYTES as u64)
    }
}

/// The file, made at the first call, for a reader that begins at its start.
pub(super) fn entries() -> io::Result<OwnedFd> {
    let mut place = lock();
    let registry = match &mut *place {
        Some(registry) => registry,
        none => none.insert(Registry::new()?),
    };
    registry.entries.try_clone().map(OwnedFd::from)
}

fn lock() -> MutexGuard<'static, Option<Registry>> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn slot_of_an_entry_that_could_not_be_written_is_taken_again() {
        let writable = tempfile::tempfile().unwrap();
        let readable = File::open("/dev/null").unwrap();
        let mut registry = Registry { entries: readable, slots: 0, free: BTreeSet::new() };
        assert_eq!(registry.add(&EMPTY), None);
        registry.entries = writable;
        assert_eq!([registry.add(&EMPTY), registry.add(&EMPTY)], [Some(0), Some(1)]);
    }
}
