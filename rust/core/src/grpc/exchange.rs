//! One call on one connection: request out, answer in.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream, SendStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request as HttpRequest, StatusCode, Uri, Version};

use super::answer::{Answer, end_of, without_trailers};
use super::call::{Call, End, Request};
use super::compression::{self, Encoding};
use super::connection::Connection;
use super::metadata::{self, Metadata};
use super::raw_path::{self, RawPath, RawPaths};
use super::stats::Counters;
use super::{Code, Status};
use crate::error::excerpt;

pub(super) const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// What is read of an answer that is not gRPC, in bytes, to end its stream in order.
const FOREIGN_BODY_LIMIT: usize = 1 << 20;

/// What is the same for all calls of a channel.
pub(super) struct Profile {
    pub(super) scheme: http::uri::Scheme,
    pub(super) authority: http::uri::Authority,
    pub(super) user_agent: HeaderValue,
    pub(super) max_receive: usize,
    pub(super) max_metadata: usize,
}

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

/// Makes the call; dropping the future resets its stream.
pub(super) async fn attempt(
    call: &Call,
    request: &mut Request,
    profile: &Profile,
    connection: &Connection,
    counters: &Counters,
) -> Attempt {
    // Held until the call has ended: what it was sent as must be known when it is sent.
    let (head, _raw_path) = match head(request, profile, connection.raw_paths()) {
        Ok(head) => head,
        Err(status) => return status.into(),
    };
    let mut requests = match connection.requests().ready().await {
        Ok(requests) => requests,
        Err(error) => return Attempt::Unprocessed(connection.status_of(&error).await),
    };
    let (response, mut upload) = match requests.send_request(head, false) {
        Ok(streams) => streams,
        Err(error) if error.is_io() || error.is_go_away() => {
            return Attempt::Unprocessed(connection.status_of(&error).await);
        }
        Err(error) => return Status::new(Code::Internal, error).into(),
    };
    drop(requests);
    call.accept();
    let streams_requests = request.message.is_none();
    if let Some(message) = &request.message {
        counters.message_sent();
        // The connection queues what does not fit its peer's window: no more than this one message. An error means that the
        // stream is gone, which the answer tells of.
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
            // The answer is complete. If the request is not, the peer does not want the rest of it.
            upload.send_reset(Reason::NO_ERROR);
            Attempt::Ended(end)
        }
        Err(Broken::Rules(status, reason)) => {
            upload.send_reset(reason);
            status.into()
        }
        Err(Broken::Unanswered(error)) if was_never_processed(&error) && call.rewind() => {
            Attempt::Unprocessed(connection.status_of(&error).await)
        }
        Err(Broken::Unanswered(error) | Broken::Stream(error)) => connection.status_of(&error).await.into(),
    }
}

/// A GOAWAY that names an earlier stream as the last one says so; `h2` gives such streams this error.
pub(super) fn was_never_processed(error: &h2::Error) -> bool {
    error.is_go_away() && error.is_remote()
}

/// Why there is no orderly end.
pub(super) enum Broken {
    /// The same as below, before the answer began. Afterwards nobody may claim that the request was never processed.
    Unanswered(h2::Error),
    /// The peer reset the stream, or the connection broke.
    Stream(h2::Error),
    /// What arrived cannot be accepted, and the stream is reset for this reason.
    Rules(Status, Reason),
}

impl From<h2::Error> for Broken {
    fn from(error: h2::Error) -> Self {
        Self::Stream(error)
    }
}

impl From<Status> for Broken {
    fn from(status: Status) -> Self {
        Self::Rules(status, Reason::CANCEL)
    }
}

fn head(
    request: &Request,
    profile: &Profile,
    raw_paths: &Arc<RawPaths>,
) -> Result<(HttpRequest<()>, Option<RawPath>), Status> {
    let (path, raw_path) = raw_path::path(&request.path, raw_paths).ok_or_else(|| {
        let (shown, longest) = (excerpt(&request.path), raw_path::LONGEST_NAME);
        let expected = format!("expected at most {longest} bytes, without NUL or line breaks");
        Status::new(Code::Internal, format!("no header can hold the method {shown}, {expected}"))
    })?;
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(profile.scheme.clone());
    parts.authority = Some(profile.authority.clone());
    parts.path_and_query = Some(path);
    let uri = Uri::from_parts(parts).map_err(|error| Status::new(Code::Internal, error))?;
    let mut head = HttpRequest::new(());
    *head.method_mut() = Method::POST;
    *head.version_mut() = Version::HTTP_2;
    *head.uri_mut() = uri;
    *head.headers_mut() = headers(request, profile)?;
    Ok((head, raw_path))
}

fn headers(request: &Request, profile: &Profile) -> Result<HeaderMap, Status> {
    let too_many = |_| Status::new(Code::Internal, metadata::too_many());
    let mut headers = HeaderMap::try_with_capacity(8 + request.metadata.keys_len()).map_err(too_many)?;
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if request.encoding != Encoding::Identity {
        headers.insert(GRPC_ENCODING, HeaderValue::from_static(request.encoding.name()));
    }
    headers.insert(GRPC_ACCEPT_ENCODING, HeaderValue::from_static(compression::ACCEPTED));
    if let Some(deadline) = request.deadline {
        let remaining = deadline.saturating_duration_since(Instant::now());
        let timeout = HeaderValue::try_from(timeout_header(remaining.as_nanos()));
        headers.insert(GRPC_TIMEOUT, timeout.map_err(|error| Status::new(Code::Internal, error))?);
    }
    headers.insert(USER_AGENT, profile.user_agent.clone());
    for (name, value) in &request.metadata {
        headers.try_append(name, value.clone()).map_err(too_many)?;
    }
    Ok(headers)
}

/// At most eight digits and a unit, as precise as they allow, and never zero.
fn timeout_header(nanoseconds: u128) -> String {
    const LARGEST: u128 = 99_999_999;
    let units = [(1, 'n'), (1000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S'), (60_000_000_000, 'M')];
    let (size, unit) =
        units.into_iter().find(|(size, _)| nanoseconds / size < LARGEST).unwrap_or((3_600_000_000_000, 'H'));
    format!("{}{unit}", nanoseconds.div_ceil(size).clamp(1, LARGEST))
}

/// Sends queued requests while the answer is awaited; the answer's end is the end.
async fn with_upload(
    call: &Call,
    upload: &mut SendStream<Bytes>,
    download: impl Future<Output = Result<End, Broken>>,
    counters: &Counters,
) -> Result<End, Broken> {
    let mut download = pin!(download);
    let sending = send_all(call, upload, counters);
    tokio::select! {
        biased;
        end = &mut download => return end,
        () = sending => (),
    }
    download.await
}

/// Ends with the last message, or when the peer wants no more.
async fn send_all(call: &Call, upload: &mut SendStream<Bytes>, counters: &Counters) {
    loop {
        match call.next_outgoing() {
            Ok(frame) => {
                if send_frame(upload, frame).await.is_none() {
                    return;
                }
                counters.message_sent();
                call.sent();
            }
            Err(true) => {
                let _ = upload.send_data(Bytes::new(), true);
                return;
            }
            Err(false) => call.outgoing_changed().await,
        }
    }
}

/// Hands a message to the connection as fast as the peer's window admits; `None` if the stream is gone.
async fn send_frame(upload: &mut SendStream<Bytes>, mut frame: Bytes) -> Option<()> {
    while !frame.is_empty() {
        upload.reserve_capacity(frame.len());
        let capacity = match upload.capacity() {
            0 => std::future::poll_fn(|context| upload.poll_capacity(context)).await?.ok()?,
            capacity => capacity,
        };
        let piece = frame.split_to(capacity.min(frame.len()));
        upload.send_data(piece, false).ok()?;
    }
    Some(())
}

async fn download(
    call: &Call,
    request: &mut Request,
    profile: &Profile,
    response: ResponseFuture,
    counters: &Counters,
) -> Result<End, Broken> {
    let (head, mut body) = response.await.map_err(Broken::Unanswered)?.into_parts();
    // The peer has it, so it is never sent again, and need not be held beside the answer.
    request.message = None;
    if let Err((status, initial)) = check_size(&head.headers, profile) {
        call.begin_answer(initial);
        return Err(status.into());
    }
    if body.is_end_stream() || head.status != StatusCode::OK {
        return without_messages(&head, &mut body, request.single_response).await;
    }
    let (initial, broken) = metadata::decode(&head.headers);
    call.begin_answer(initial);
    if let Some(broken) = broken {
        return Err(Status::new(Code::Internal, broken).into());
    }
    let mut answer = Answer::new(call, counters, profile, request.single_response, &head.headers)?;
    let between = answer.receive(&mut body).await?;
    let Some(trailers) = body.trailers().await? else {
        return Err(without_trailers().into());
    };
    Ok(answer.finish(&trailers, between))
}

/// Refuses oversize metadata, but shows it if it is not much too large: it often tells what is wrong.
pub(super) fn check_size(headers: &HeaderMap, profile: &Profile) -> Result<(), (Status, Metadata)> {
    let (size, limit) = (metadata::size(headers), profile.max_metadata);
    if size <= limit {
        return Ok(());
    }
    let text = format!("received metadata size exceeds hard limit ({size} vs. {limit})");
    let shown = if size <= 2 * limit { metadata::decode(headers).0 } else { Vec::new() };
    Err((Status::new(Code::ResourceExhausted, text), shown))
}

/// An answer of headers alone, or from something that does not speak gRPC.
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
        if skipped > FOREIGN_BODY_LIMIT {
            return Err(status.into());
        }
    }
    match body.trailers().await? {
        Some(trailers) if trailers.contains_key("grpc-status") => Ok(end_of(&trailers, single_response)),
        _ => Ok(status.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_legal_and_precise() {
        for (nanoseconds, header) in [
            (0, "1n"),
            (100, "100n"),
            (500_000_000, "500000u"),
            (10_000_000_000, "10000000u"),
            (1_000_000_000_000, "1000000m"),
            (1_000_000_000_000_000, "1000000S"),
            (u128::MAX, "99999999H"),
        ] {
            assert_eq!(timeout_header(nanoseconds), header);
        }
    }
}
