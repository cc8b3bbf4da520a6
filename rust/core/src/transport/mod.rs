//! From an address to a connected, counted, possibly encrypted stream of bytes.

pub mod bridge;
mod counted;
mod dialer;
mod inbound;
mod last_error;
mod last_words;
pub mod listener;
pub(crate) mod lobby;
pub(crate) mod lookup;
pub mod multiplex;
#[cfg(unix)]
pub mod nonblocking;
mod permissions;
mod private_directory;
pub mod read_interest;
#[cfg(unix)]
mod socket;
#[cfg(target_os = "linux")]
mod socket_set;
#[cfg(not(target_os = "linux"))]
#[path = "socket_set_portable.rs"]
mod socket_set;
mod stream;
pub mod tls_terminator;
mod unix_socket;
mod write_through;

pub use counted::{Counted, Counters, Traffic};
pub use dialer::{Dialer, Tls};
pub use inbound::{InboundStream, Proven};
pub use lookup::MAX_LOOKUPS;
pub use private_directory::PrivateDirectory;
pub use read_interest::ReadInterest;
pub use socket_set::SocketSet;
pub use stream::Stream;
pub(crate) use write_through::write_through;
