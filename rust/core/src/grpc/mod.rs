//! As much of gRPC as the host's own services need: HTTP/2 by the `h2` crate, framing and status here.

mod client;
pub mod framing;
mod status;

pub use client::{GrpcClient, GrpcConnection, MessageStream};
pub use status::{Code, Status};
