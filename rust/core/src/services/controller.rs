//! `plugin.GRPCController`: asks the plugin to end itself.

use super::Empty;
use crate::grpc::{Code, Failure, GrpcClient};

/// Asks the plugin to shut down; whether it has answered. A Go plugin stops its server inside the call, so that losing the
/// connection is the usual end of it, and no failure; a request that was never sent is one.
pub async fn shutdown(client: &GrpcClient) -> Result<bool, Failure> {
    match client.unary::<Empty>("/plugin.GRPCController/Shutdown", &Empty {}).await {
        Ok(_) => Ok(true),
        Err(Failure::Ended(status)) if matches!(status.code, Code::Unavailable | Code::Cancelled) => Ok(false),
        Err(failure) => Err(failure),
    }
}
