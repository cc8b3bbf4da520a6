//! gRPC over HTTP/2 by the `h2` crate, used directly: the crates built on top of `h2` hide the codes of resets.
//!
//! `channel` connects and keeps calls on a connection; `attempt` is one call on one connection; `call` is what the
//! caller and the I/O thread share of a call. Sans-I/O are `framing`, `deframer`, `metadata`, `compression` and
//! `status`.

mod attempt;
pub mod call;
pub mod channel;
mod client;
pub mod compression;
pub mod connection;
pub mod connector;
mod counters;
mod deframer;
pub mod driver;
pub mod frame_decoder;
mod frame_watch;
pub mod framing;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
pub mod metadata;
mod pool;
mod profile;
mod raw_path;
mod request_head;
mod response;
mod status;
pub mod target;
mod upload;

pub use client::{Failure, GrpcClient, MessageStream};
pub use deframer::Message;
pub use framing::{Framed, frame, frame_in_place};
pub use status::{Code, Status};
