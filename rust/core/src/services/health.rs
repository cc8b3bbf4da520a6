//! `grpc.health.v1.Health`: proof that somebody answers.

use crate::grpc::{Code, GrpcClient, Status};

/// The name under which go-plugin registers itself.
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

/// Checks the service `plugin`. As in Go's host an answer is enough, whatever it says; a plugin without the service, or
/// without the name, answers too.
pub async fn check(client: &GrpcClient) -> Result<(), Status> {
    let request = HealthCheckRequest { service: SERVICE.to_owned() };
    let answer = client.unary::<HealthCheckResponse>("/grpc.health.v1.Health/Check", &request).await;
    match answer.map_err(Status::from) {
        Ok(_) => Ok(()),
        Err(status) if matches!(status.code, Code::Unimplemented | Code::NotFound) => Ok(()),
        Err(status) => Err(status),
    }
}
