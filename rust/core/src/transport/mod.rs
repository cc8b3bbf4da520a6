//! From an address to a connected, counted, possibly encrypted stream of bytes.

mod arrived;
pub mod bridge;
mod counted;
mod dialer;
pub mod duplex;
mod last_error;
pub mod listener;
pub(crate) mod lobby;
pub(crate) mod lookup;
pub mod multiplex;
mod permissions;
mod private_directory;
#[cfg(unix)]
mod socket;
mod stream;
pub mod terminator;

pub use arrived::{Arrived, Proven};
pub use counted::{Counted, Counters, Traffic};
pub use dialer::{Dialer, Tls};
pub use lookup::LOOKUPS;
pub use private_directory::PrivateDirectory;
pub use stream::Stream;
