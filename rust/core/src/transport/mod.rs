//! From an address to a connected, counted, possibly encrypted stream of bytes.

pub mod bridge;
mod counted;
mod dialer;
pub mod duplex;
pub mod listener;
pub mod multiplex;
mod private_directory;
#[cfg(unix)]
mod socket;
mod stream;
pub mod terminator;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use counted::{Counted, Counters, Traffic};
pub use dialer::{Dialer, Tls};
pub use private_directory::PrivateDirectory;
pub use stream::Stream;

/// Where a peer listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Path of a Unix domain socket.
    Unix(PathBuf),
    /// IP address and port.
    Tcp(SocketAddr),
}

impl Address {
    /// go-plugin's word for the kind of transport.
    #[must_use]
    pub fn network(&self) -> &'static str {
        match self {
            Self::Unix(_) => "unix",
            Self::Tcp(_) => "tcp",
        }
    }

    /// The path, or `IP:PORT`.
    #[must_use]
    pub fn location(&self) -> String {
        match self {
            Self::Unix(path) => path.display().to_string(),
            Self::Tcp(address) => address.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.network(), self.location())
    }
}
