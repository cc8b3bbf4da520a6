//! `plugin.GRPCStdio`: what the plugin writes to its language's standard output and error.

use crate::grpc::{Failure, GrpcClient, MessageStream};

use super::Empty;

/// One piece of output; the plugin cuts anywhere, also inside a line or a character.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct StdioData {
    /// 1 standard output, 2 standard error.
    #[prost(int32, tag = "1")]
    pub channel: i32,
    /// At most 1024 bytes from a Go plugin.
    #[prost(bytes = "bytes", tag = "2")]
    pub data: bytes::Bytes,
}

/// `StdioData.channel` of standard output.
pub const STDOUT: i32 = 1;
/// `StdioData.channel` of standard error.
pub const STDERR: i32 = 2;

/// Subscribes to the plugin's output. A Go plugin without a subscriber blocks in its writes after about 64 KiB.
pub async fn subscribe(client: &GrpcClient) -> Result<MessageStream<StdioData>, Failure> {
    client.server_streaming("/plugin.GRPCStdio/StreamStdio", &Empty {}).await
}
