//! `plugin.GRPCController`: asks the plugin to end itself.

use super::Empty;
use crate::grpc::{Code, Failure, GrpcClient};

/// Asks the plugin to shut down; true if it has answered. A Go plugin stops its server inside the call, so a lost
/// connection is the usual end of the call and no failure. A request that was never sent is a failure.
pub async fn shutdown(client: &GrpcClient) -> Result<bool, Failure> {
    match client.unary::<Empty>("/plugin.GRPCController/Shutdown", &Empty {}).await {
        Ok(_) => Ok(true),
        Err(Failure::Ended(status)) if matches!(status.code, Code::Unavailable | Code::Cancelled) => Ok(false),
        Err(failure) => Err(failure),
    }
}
