//! `plugin.GRPCBroker/StartStream`: carries the broker's messages between a host and its plugin.

use std::ops::ControlFlow;
use std::sync::Arc;

use tokio::sync::Notify;

use crate::broker::Broker;
use crate::broker::conn_info::ConnInfo;
use crate::grpc::{Code, Failure, GrpcClient, MessageStream, Status};

/// Carries messages both ways until the stream ends. Breaks, and closes this side's broker, if the plugin's broker has
/// ended too; messages that a lost connection leaves behind wait for the next one.
pub async fn carry(client: GrpcClient, broker: Broker) -> ControlFlow<()> {
    let ended = carry_until_end(&client, &broker).await;
    broker.carry_by(None);
    let reason = match ended.map_err(Status::from) {
        Ok(()) => "the plugin ended the broker's stream".to_owned(),
        Err(status) if status.code == Code::Unimplemented => {
            "the plugin has none (it does not serve plugin.GRPCBroker)".to_owned()
        }
        Err(_) if !client.connection().takes_calls() => return ControlFlow::Continue(()),
        Err(status) if status.disconnected => return ControlFlow::Continue(()),
        Err(status) => format!("its stream broke: {}", status.message),
    };
    broker.close(&reason);
    ControlFlow::Break(())
}

async fn carry_until_end(client: &GrpcClient, broker: &Broker) -> Result<(), Failure> {
    let (mut upload, mut answers) = client.bidirectional("/plugin.GRPCBroker/StartStream").await?;
    let filled = Arc::new(Notify::new());
    let bell = filled.clone();
    broker.carry_by(Some(Arc::new(move || bell.notify_one())));
    loop {
        tokio::select! {
            () = filled.notified() => {
                while let Some(message) = broker.next_outgoing() {
                    if let Err(failure) = upload.send(&message).await {
                        broker.put_back(message);
                        return Err(failure);
                    }
                }
            }
            received = receive(&mut answers, broker) => if !received? { return Ok(()) },
        }
    }
}

/// Handles one message; false at the end of the stream. Cancel safe: a message is either handled or still to come.
async fn receive(answers: &mut MessageStream<ConnInfo>, broker: &Broker) -> Result<bool, Failure> {
    let Some(info) = answers.next().await? else { return Ok(false) };
    if let Err(error) = broker.receive(info) {
        // The stream goes on: other messages are of other services.
        broker.warn(format!("the plugin's broker sent a message that cannot be used: {error}"));
    }
    Ok(true)
}
