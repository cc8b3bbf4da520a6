//! One attempt of a call, on one connection: request out, response in.

use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::StatusCode;

use super::call::{Call, End, Request};
use super::connection::Connection;
use super::counters::ChannelCounters;
use super::profile::Profile;
use super::request_head::head;
use super::response::{Broken, ResponseReader, end_of, without_trailers};
use super::status::{was_never_processed, was_refused};
use super::upload::with_upload;
use super::{Code, Status, metadata};

/// Bytes of a body that is not gRPC that are read to end its stream in order.
const FOREIGN_BODY_BYTES: usize = 1 << 20;

/// How an attempt went.
pub(super) enum Attempt {
    /// The call has ended.
    Ended(End),
    /// The peer has certainly not seen the request, and it can be sent again.
    Unprocessed(Status),
}

impl From<Status> for Attempt {
    fn from(status: Status) -> Self {
        Self::Ended(status.into())
    }
}

/// Makes the call. Dropping the future resets the call's stream.
pub(super) async fn attempt(
    call: &Call,
    request: &mut Request,
    profile: &Profile,
    connection: &Connection,
    counters: &ChannelCounters,
) -> Attempt {
    // The raw path is held until the call has ended: the token in its place must be known when the head is sent.
    let (head, _raw_path) = match head(request, profile, connection.raw_paths()) {
        Ok(head) => head,
        Err(status) => return status.into(),
    };
    let mut requests = match connection.requests().ready().await {
        Ok(requests) => requests,
        Err(error) => return Attempt::Unprocessed(connection.status_of(&error).await),
    };
    if !call.begin() {
        return Status::new(Code::Cancelled, "the caller has ended the call").into();
    }
    let (response, mut upload) = match requests.send_request(head, false) {
        Ok(streams) => streams,
        Err(error) => {
            call.withdraw();
            if error.is_io() || error.is_go_away() {
                return Attempt::Unprocessed(connection.status_of(&error).await);
            }
            return Status::new(Code::Internal, error).into();
        }
    };
    drop(requests);
    let streams_requests = request.message.is_none();
    if let Some(message) = &request.message {
        counters.message_sent();
        // The connection queues what does not fit its peer's window: no more than this one message. An error means that
        // the stream is gone, which the response tells of.
        let _ = upload.send_data(message.head.clone(), message.body.is_empty());
        if !message.body.is_empty() {
            let _ = upload.send_data(message.body.clone(), true);
        }
    }
    let result = {
        let download = download(call, request, profile, response, counters);
        if streams_requests { with_upload(call, &mut upload, download, counters).await } else { download.await }
    };
    match result {
        Ok(end) => {
            // The response is complete. If the request is not, the peer does not want the rest of it.
            upload.send_reset(Reason::NO_ERROR);
            Attempt::Ended(end)
        }
        Err(Broken::Rules(status, reason)) => {
            upload.send_reset(reason);
            status.into()
        }
        Err(Broken::Unanswered(error)) => unanswered(call, connection, &error).await,
        Err(Broken::Stream(error)) => connection.status_of(&error).await.into(),
    }
}

/// The end of an attempt before its response. A request that the peer has never processed has not begun, also where it
/// is not sent again: because it is no longer kept, or, after `REFUSED_STREAM`, as in grpcio.
async fn unanswered(call: &Call, connection: &Connection, error: &h2::Error) -> Attempt {
    let never_processed = was_never_processed(error);
    if never_processed || was_refused(error) {
        call.withdraw();
    }
    let sent_again = never_processed && call.rewind();
    let status = connection.status_of(error).await;
    if sent_again { Attempt::Unprocessed(status) } else { status.into() }
}

async fn download(
    call: &Call,
    request: &mut Request,
    profile: &Profile,
    response: ResponseFuture,
    counters: &ChannelCounters,
) -> Result<End, Broken> {
    let (head, mut body) = response.await.map_err(Broken::Unanswered)?.into_parts();
    // The peer has the request, so it is never sent again, and need not be held beside the response.
    request.message = None;
    if let Err((status, initial)) = profile.check_metadata(&head.headers) {
        call.begin_response(initial);
        return Err(status.into());
    }
    if body.is_end_stream() || head.status != StatusCode::OK {
        return without_messages(&head, &mut body, request.single_response).await;
    }
    let (initial, broken) = metadata::decode(&head.headers);
    call.begin_response(initial);
    if let Some(broken) = broken {
        return Err(Status::new(Code::Internal, broken).into());
    }
    let mut reader = ResponseReader::new(call, counters, profile, request.single_response, &head.headers)?;
    let between_messages = reader.receive(&mut body).await?;
    let Some(trailers) = body.trailers().await? else {
        return Err(without_trailers().into());
    };
    Ok(reader.finish(&trailers, between_messages))
}

/// Reads a response of headers alone, or of a peer that does not speak gRPC.
async fn without_messages(
    head: &http::response::Parts,
    body: &mut RecvStream,
    single_response: bool,
) -> Result<End, Broken> {
    if head.status == StatusCode::OK || head.headers.contains_key("grpc-status") {
        return Ok(end_of(&head.headers, single_response));
    }
    let status = Status::from_http(head.status);
    let mut skipped = 0;
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        let _ = body.flow_control().release_capacity(length);
        skipped += length;
        if skipped > FOREIGN_BODY_BYTES {
            return Err(status.into());
        }
    }
    match body.trailers().await? {
        Some(trailers) if trailers.contains_key("grpc-status") => Ok(end_of(&trailers, single_response)),
        _ => Ok(status.into()),
    }
}
