//! The plugin as a process: how it is started, read, signalled and reaped, and why it does not start.

mod attached;
#[cfg(target_os = "linux")]
mod before_exec;
mod child;
pub mod diagnose;
mod executable;
mod launch;
mod monitor;
mod pidfd;
mod pipe;
mod pipe_reader;
#[cfg(target_os = "linux")]
mod registry;
#[cfg(target_os = "linux")]
mod spawn;
#[cfg(not(target_os = "linux"))]
#[path = "spawn_portable.rs"]
mod spawn;
mod strays;
#[cfg(target_os = "linux")]
pub mod watcher;
#[cfg(not(target_os = "linux"))]
#[path = "watcher_portable.rs"]
pub mod watcher;

pub use child::Child;
pub use launch::{Launch, SpawnError};
pub use monitor::{FirstLine, Process};
