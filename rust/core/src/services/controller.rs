//! `plugin.GRPCController`: asks the plugin to end itself.

use super::Empty;
use crate::grpc::{Code, GrpcClient, Status};

/// Asks the plugin to shut down. A Go plugin stops its server inside the call, so that losing the connection is the
/// usual answer and counts as success.
pub async fn shutdown(client: &GrpcClient) -> Result<(), Status> {
    match client.unary::<Empty>("/plugin.GRPCController/Shutdown", &Empty {}).await {
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code, Code::Unavailable | Code::Cancelled) => Ok(()),
        Err(status) => Err(status),
    }
}
