//! gRPC over HTTP/2 by the `h2` crate, used directly: what is built on top of it hides the codes of resets.
//!
//! `channel` connects and keeps calls on a connection; `exchange` is one call on one connection; `call` is what the
//! caller and the I/O thread share of it. Formats are sans-I/O: `framing`, `deframer`, `metadata`, `compression`,
//! `status`.

mod answer;
pub mod call;
pub mod channel;
mod client;
pub mod compression;
pub mod connection;
pub mod connector;
mod deframer;
pub mod driver;
mod exchange;
mod frame_watch;
pub mod framing;
pub mod metadata;
mod pool;
mod raw_path;
mod reconnect;
mod stats;
mod status;
pub mod target;

pub use client::{Failure, GrpcClient, MessageStream};
pub use deframer::Message;
pub use framing::{Framed, frame, frame_in_place};
pub use status::{Code, Status};
