//! Host side of HashiCorp's go-plugin protocol.
//!
//! Launches a plugin, shakes hands, locks the connection with mutual TLS, checks that it answers, and stops it. Parsers
//! and formats take bytes and return values: no socket, clock or process. `tests/architecture.rs` lists them, and keeps the
//! modules free of cycles. Everything else runs on one current-thread tokio runtime.

pub mod address;
mod blocking;
pub mod broker;
pub mod certificate;
#[cfg(any(test, fuzzing))]
mod cuts;
pub mod environment;
pub mod error;
pub mod exit_status;
pub mod future;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod grpc;
pub mod handshake;
pub mod host;
pub mod inbox;
mod limit;
pub mod line_finder;
pub mod log_line;
mod output_lines;
pub mod process;
pub mod reattach;
mod refusals;
pub mod runner;
pub mod server;
pub mod services;
pub mod settings;
pub mod tls;
pub mod tls_settings;
pub mod transport;
pub mod wake;

/// Version of this crate and of the distribution.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
