//! What is fuzzed of gRPC: see `fuzzing/mod.rs`.

mod connection;
mod headers;
mod messages;

pub(crate) use connection::{connection, frame_watch, raw_path};
pub(crate) use headers::{metadata, status};
pub(crate) use messages::{compression, deframer, framing};
