//! The host's own calls of a plugin's services: typed messages, unary or streamed, on a connection that others may
//! share.
//!
//! These calls share the head of a request, the upload and the deframer with a channel's, but not `Call` and `attempt`.
//! Their callers need the status of the stream itself, at once, where an attempt waits for the reason of the
//! connection's end. HTTP statuses and broken frames must not pass for responses of the service. And a message to the
//! broker is taken back if the stream ends before it was sent.

use std::marker::PhantomData;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use prost::Message;

use super::compression::Encoding;
use super::connection::Connection;
use super::deframer::{DeframeError, Deframer};
use super::framing::frame;
use super::profile::Profile;
use super::status::was_never_processed;
use super::upload::send_frame;
use super::{Code, Status};
use crate::certificate::SERVER_NAME;

/// Limit of one received message; the largest expected is a kilobyte of output.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The peer has certainly not seen the call: another connection may serve.
    Unsent(Status),
    /// The response has something that is no message of the expected kind.
    Unreadable(Status),
    /// The call ended with a status, or with its connection.
    Ended(Status),
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsent(status) | Failure::Unreadable(status) | Failure::Ended(status) => status,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Self::Ended(status)
    }
}

impl From<h2::Error> for Failure {
    fn from(error: h2::Error) -> Self {
        let status = Status::from_h2(&error);
        if was_never_processed(&error) { Self::Unsent(status) } else { Self::Ended(status) }
    }
}

/// Makes calls on a connection.
#[derive(Clone)]
pub struct GrpcClient {
    connection: Connection,
    profile: Profile,
}

impl GrpcClient {
    /// A client on a connection that may be shared with others. `secure` says whether the connection is inside TLS.
    #[must_use]
    pub fn new(connection: &Connection, secure: bool) -> Self {
        Self { connection: connection.clone(), profile: profile(secure) }
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// One request, one response message.
    pub async fn unary<A: Message + Default>(&self, path: &'static str, request: &impl Message) -> Result<A, Failure> {
        let mut stream = self.server_streaming(path, request).await?;
        let answer = stream.next().await?;
        match (answer, stream.next().await?) {
            (Some(answer), None) => Ok(answer),
            _ => Err(Status::new(Code::Internal, format!("{path} did not answer exactly one message")).into()),
        }
    }

    /// One request, any number of response messages.
    pub async fn server_streaming<A>(
        &self,
        path: &'static str,
        request: &impl Message,
    ) -> Result<MessageStream<A>, Failure> {
        let (mut upload, answers) = self.begin(path).await?;
        // Small enough for the initial window; h2 queues it in any case.
        upload.0.send_data(encoded(request)?, true)?;
        Ok(answers)
    }

    /// Any number of requests and of response messages, independent of each other.
    pub async fn bidirectional<A>(&self, path: &'static str) -> Result<(Upload, MessageStream<A>), Failure> {
        self.begin(path).await
    }

    async fn begin<A>(&self, path: &'static str) -> Result<(Upload, MessageStream<A>), Failure> {
        let unsent = |error: h2::Error| Failure::Unsent(Status::from_h2(&error));
        let head = head(&self.profile, path)?;
        let mut requests = self.connection.requests().ready().await.map_err(unsent)?;
        let (response, upload) = requests.send_request(head, false).map_err(unsent)?;
        let deframer = Deframer::new(self.profile.max_receive).without_compression();
        Ok((Upload(upload), MessageStream { state: StreamState::Waiting(response), deframer, message: PhantomData }))
    }
}

fn profile(secure: bool) -> Profile {
    Profile {
        scheme: if secure { Scheme::HTTPS } else { Scheme::HTTP },
        authority: Authority::from_static(SERVER_NAME),
        user_agent: HeaderValue::from_static(concat!("ferrule/", env!("CARGO_PKG_VERSION"))),
        max_receive: MAX_MESSAGE_BYTES,
        max_metadata: usize::MAX,
    }
}

fn head(profile: &Profile, path: &'static str) -> Result<Request<()>, Status> {
    let mut headers = HeaderMap::with_capacity(3);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    headers.insert(USER_AGENT, profile.user_agent.clone());
    profile.head(PathAndQuery::from_static(path), headers)
}

/// The requests of a call.
pub struct Upload(SendStream<Bytes>);

impl Upload {
    /// Sends one, as fast as the peer's window admits.
    pub async fn send(&mut self, request: &impl Message) -> Result<(), Failure> {
        if send_frame(&mut self.0, encoded(request)?).await? {
            return Ok(());
        }
        Err(Status::unavailable("the peer wants no more").into())
    }
}

fn encoded(request: &impl Message) -> Result<Bytes, Status> {
    frame(&request.encode_to_vec(), Encoding::Identity, usize::MAX)
}

enum StreamState {
    Waiting(ResponseFuture),
    Reading(RecvStream),
    Ended,
}

/// The response messages of a call, in order. Dropping the stream cancels the call.
pub struct MessageStream<A> {
    state: StreamState,
    deframer: Deframer,
    message: PhantomData<A>,
}

impl<A: Message + Default> MessageStream<A> {
    /// The next message; `None` after a call that ended well.
    pub async fn next(&mut self) -> Result<Option<A>, Failure> {
        loop {
            if let Some(message) = self.deframer.next_message().map_err(broken_frame)? {
                return A::decode(message.contiguous()).map(Some).map_err(unreadable);
            }
            match &mut self.state {
                StreamState::Ended => return Ok(None),
                StreamState::Waiting(response) => {
                    let response = response.await?;
                    self.state = check_headers(&response)?
                        .map_or(StreamState::Ended, |()| StreamState::Reading(response.into_body()));
                }
                StreamState::Reading(body) => {
                    if let Some(chunk) = body.data().await {
                        let chunk = chunk?;
                        body.flow_control().release_capacity(chunk.len())?;
                        self.deframer.push(chunk);
                    } else {
                        let trailers = body.trailers().await?.unwrap_or_default();
                        self.state = StreamState::Ended;
                        check_status(Status::from_headers(&trailers))?;
                    }
                }
            }
        }
    }
}

/// Checks the head of a response. `None` for one of headers alone that means success.
fn check_headers(response: &Response<RecvStream>) -> Result<Option<()>, Status> {
    if response.status() != StatusCode::OK {
        return Err(Status::unavailable(format!("HTTP status {}", response.status())));
    }
    if !response.body().is_end_stream() {
        return Ok(Some(()));
    }
    check_status(Status::from_headers(response.headers())).map(|()| None)
}

fn unreadable(cause: impl std::fmt::Display) -> Failure {
    Failure::Unreadable(Status::new(Code::Internal, cause))
}

fn broken_frame(error: DeframeError) -> Failure {
    match error {
        DeframeError::TooLarge(size) => {
            unreadable(format!("a message of {size} bytes, expected {MAX_MESSAGE_BYTES} at most"))
        }
        DeframeError::Flag([1, ..]) => unreadable("a message is compressed, which was not agreed"),
        DeframeError::Flag([flag, ..]) => unreadable(format!("a message begins with the flag byte {flag}, expected 0")),
    }
}

fn check_status(status: Option<Status>) -> Result<(), Status> {
    match status {
        Some(status) if status.code == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None => Err(Status::new(Code::Unknown, "the call ended without a status")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn scheme_says_whether_the_connection_is_encrypted() {
        for (secure, uri) in [(false, "http://localhost/service/Method"), (true, "https://localhost/service/Method")] {
            assert_eq!(head(&profile(secure), "/service/Method").unwrap().uri(), uri);
        }
    }
}
