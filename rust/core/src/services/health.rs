//! `grpc.health.v1.Health`: the check that the plugin answers.

use crate::grpc::{Code, GrpcClient, Status};

/// The service whose health go-plugin's server reports.
const SERVICE: &str = "plugin";

#[derive(Clone, PartialEq, Eq, prost::Message)]
struct HealthCheckRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct HealthCheckResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

/// Checks the service `plugin`. As in Go's host any answer is enough, also that of a plugin without the health service
/// or without that name.
pub async fn check(client: &GrpcClient) -> Result<(), Status> {
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let answer = client.unary::<HealthCheckResponse>("/grpc.health.v1.Health/Check", &request).await;
    match answer.map_err(Status::from) {
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code, Code::Unimplemented | Code::NotFound) => Ok(()),
        Err(status) => Err(status),
    }
}
