//! Unary and server-streaming calls over one HTTP/2 connection.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::{RecvStream, SendStream};
use http::{Method, Request, StatusCode, Uri, Version};
use prost::Message;

use super::connection::Connection;
use super::framing::{self, FrameDecoder};
use super::status::was_never_processed;
use super::{Code, Status};
use crate::certificate::SERVER_NAME;

/// Limit of one received message; the largest expected is a kilobyte of output.
const MESSAGE_LIMIT: usize = 4 << 20;

/// Why a call came to nothing.
#[derive(Debug)]
pub enum Failure {
    /// The peer has certainly not seen it: another connection may serve.
    Unsent(Status),
    /// An answer that is no message.
    Unreadable(Status),
    /// It ended with a status, or with its connection.
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
pub struct GrpcClient(Connection);

impl GrpcClient {
    /// A client on a connection that may be shared with others.
    #[must_use]
    pub fn new(connection: &Connection) -> Self {
        Self(connection.clone())
    }

    /// The connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.0
    }

    /// One request, one answer.
    pub async fn unary<A: Message + Default>(&self, path: &'static str, request: &impl Message) -> Result<A, Failure> {
        let mut stream = self.server_streaming(path, request).await?;
        let answer = stream.next().await?;
        match (answer, stream.next().await?) {
            (Some(answer), None) => Ok(answer),
            _ => Err(Status::new(Code::Internal, format!("{path} did not answer exactly one message")).into()),
        }
    }

    /// One request, any number of answers.
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

    /// Any number of requests, any number of answers, independent of each other.
    pub async fn bidirectional<A>(&self, path: &'static str) -> Result<(Upload, MessageStream<A>), Failure> {
        self.begin(path).await
    }

    async fn begin<A>(&self, path: &'static str) -> Result<(Upload, MessageStream<A>), Failure> {
        let unsent = |error: h2::Error| Failure::Unsent(Status::from_h2(&error));
        let mut requests = self.0.requests().ready().await.map_err(unsent)?;
        let (response, upload) = requests.send_request(post(path)?, false).map_err(unsent)?;
        let (state, decoder) = (State::Waiting(response), FrameDecoder::new(MESSAGE_LIMIT));
        Ok((Upload(upload), MessageStream { state, decoder, answer: std::marker::PhantomData }))
    }
}

/// The requests of a call.
pub struct Upload(SendStream<Bytes>);

impl Upload {
    /// Sends one, as fast as the peer's window admits.
    pub async fn send(&mut self, request: &impl Message) -> Result<(), Failure> {
        let mut body = encoded(request)?;
        while !body.is_empty() {
            self.0.reserve_capacity(body.len());
            let capacity = match self.0.capacity() {
                0 => poll_fn(|context| self.0.poll_capacity(context)).await,
                capacity => Some(Ok(capacity)),
            };
            let capacity = capacity.unwrap_or(Ok(0))?;
            if capacity == 0 {
                return Err(Status::unavailable("the peer wants no more").into());
            }
            let piece = body.split_to(capacity.min(body.len()));
            self.0.send_data(piece, false)?;
        }
        Ok(())
    }
}

fn encoded(request: &impl Message) -> Result<Bytes, Status> {
    framing::encode(&request.encode_to_vec(), usize::MAX).map_err(Status::unavailable)
}

fn post(path: &'static str) -> Result<Request<()>, Status> {
    let uri = Uri::builder().scheme("http").authority(SERVER_NAME).path_and_query(path).build();
    Request::builder()
        .method(Method::POST)
        .version(Version::HTTP_2)
        .uri(uri.map_err(Status::unavailable)?)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", concat!("ferrule/", env!("CARGO_PKG_VERSION")))
        .body(())
        .map_err(Status::unavailable)
}

enum State {
    Waiting(ResponseFuture),
    Reading(RecvStream),
    Ended,
}

/// The answers of a call, in order. Dropping it cancels the call.
pub struct MessageStream<A> {
    state: State,
    decoder: FrameDecoder,
    answer: std::marker::PhantomData<A>,
}

impl<A: Message + Default> MessageStream<A> {
    /// The next message; `None` after a call that ended well.
    pub async fn next(&mut self) -> Result<Option<A>, Failure> {
        loop {
            if let Some(message) = self.decoder.next_message().map_err(unreadable)? {
                return A::decode(message).map(Some).map_err(unreadable);
            }
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(response) => {
                    let response = response.await?;
                    self.state =
                        check_headers(&response)?.map_or(State::Ended, |()| State::Reading(response.into_body()));
                }
                State::Reading(body) => {
                    if let Some(chunk) = body.data().await {
                        let chunk = chunk?;
                        self.decoder.feed(&chunk);
                        body.flow_control().release_capacity(chunk.len())?;
                    } else {
                        let trailers = body.trailers().await?.unwrap_or_default();
                        self.state = State::Ended;
                        check_status(Status::from_headers(&trailers))?;
                    }
                }
            }
        }
    }
}

/// `None` for an answer that consists of headers only and means success.
fn check_headers(response: &http::Response<RecvStream>) -> Result<Option<()>, Status> {
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

fn check_status(status: Option<Status>) -> Result<(), Status> {
    match status {
        Some(status) if status.code == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None => Err(Status::new(Code::Unknown, "the call ended without a status")),
    }
}
