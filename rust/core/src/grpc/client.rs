//! Unary and server-streaming calls over one HTTP/2 connection.

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Reason, RecvStream};
use http::{Method, Request, StatusCode, Uri, Version};
use prost::Message;
use tokio::task::JoinHandle;

use super::framing::{self, FrameDecoder};
use super::{Code, Status};
use crate::certificate::SERVER_NAME;
use crate::error::{Error, ErrorKind};
use crate::transport::{Dialer, Stream};

/// Flow-control window of a stream and of the connection, in bytes: these calls are small.
const WINDOW: u32 = 1 << 20;
/// Limit of one received message; the largest expected is a kilobyte of output.
const MESSAGE_LIMIT: usize = 4 << 20;

/// A connection for calls of the host itself. Dropping it closes the connection, whoever still holds its client.
pub struct GrpcConnection {
    client: GrpcClient,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// Makes calls on a connection.
#[derive(Clone)]
pub struct GrpcClient {
    requests: SendRequest<Bytes>,
}

impl GrpcConnection {
    /// Speaks the HTTP/2 preface on a fresh stream.
    pub async fn open(stream: Stream, dialer: &Dialer) -> Result<Self, Error> {
        let (requests, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .enable_push(false)
            .handshake(stream)
            .await
            .map_err(|error| connection_error(dialer, &error))?;
        Ok(Self { client: GrpcClient { requests }, driver: tokio::spawn(connection) })
    }

    /// What calls are made with.
    #[must_use]
    pub fn client(&self) -> &GrpcClient {
        &self.client
    }

    /// Why the connection ended, once it has: the source of better messages than "broken pipe".
    pub async fn closed(&mut self, dialer: &Dialer) -> Error {
        match (&mut self.driver).await {
            Ok(Err(error)) => connection_error(dialer, &error),
            _ => dialer.last_error().unwrap_or_else(|| {
                let message = format!("{} closed the connection before it answered", dialer.address());
                Error::new(ErrorKind::Http2Failed, message)
            }),
        }
    }
}

impl Drop for GrpcConnection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl GrpcClient {
    /// One request, one answer.
    pub async fn unary<A: Message + Default>(&self, path: &'static str, request: &impl Message) -> Result<A, Status> {
        let mut stream = self.server_streaming(path, request).await?;
        let answer = stream.next().await?;
        match (answer, stream.next().await?) {
            (Some(answer), None) => Ok(answer),
            _ => Err(Status::new(Code::Internal, format!("{path} did not answer exactly one message"))),
        }
    }

    /// One request, any number of answers.
    pub async fn server_streaming<A>(
        &self,
        path: &'static str,
        request: &impl Message,
    ) -> Result<MessageStream<A>, Status> {
        let body = framing::encode(&request.encode_to_vec(), usize::MAX).map_err(Status::unavailable)?;
        let mut requests = self.requests.clone().ready().await.map_err(|error| status_of(&error))?;
        let (response, mut upload) = requests.send_request(post(path)?, false).map_err(|error| status_of(&error))?;
        // Small enough for the initial window; h2 queues it in any case.
        upload.send_data(body, true).map_err(|error| status_of(&error))?;
        Ok(MessageStream {
            state: State::Waiting(response),
            decoder: FrameDecoder::new(MESSAGE_LIMIT),
            answer: std::marker::PhantomData,
        })
    }
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

fn connection_error(dialer: &Dialer, error: &h2::Error) -> Error {
    // What broke TLS says more than what h2 made of it.
    if let Some(error) = dialer.last_error() {
        return error;
    }
    match error.get_io() {
        Some(cause) => dialer.explain(ErrorKind::Http2Failed, "the HTTP/2 connection was closed by", cause),
        None => Error::new(ErrorKind::Http2Failed, format!("no HTTP/2 with {}: {error}", dialer.address())),
    }
}

fn status_of(error: &h2::Error) -> Status {
    let code = match error.reason() {
        Some(Reason::CANCEL) => Code::Cancelled,
        _ => Code::Unavailable,
    };
    Status { disconnected: error.is_io() || error.is_go_away(), ..Status::new(code, error) }
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
    pub async fn next(&mut self) -> Result<Option<A>, Status> {
        loop {
            if let Some(message) = self.decoder.next_message().map_err(unreadable)? {
                return A::decode(message).map(Some).map_err(unreadable);
            }
            match &mut self.state {
                State::Ended => return Ok(None),
                State::Waiting(response) => {
                    let response = response.await.map_err(|error| status_of(&error))?;
                    self.state =
                        check_headers(&response)?.map_or(State::Ended, |()| State::Reading(response.into_body()));
                }
                State::Reading(body) => {
                    if let Some(chunk) = body.data().await {
                        let chunk = chunk.map_err(|error| status_of(&error))?;
                        self.decoder.feed(&chunk);
                        body.flow_control().release_capacity(chunk.len()).map_err(|error| status_of(&error))?;
                    } else {
                        let trailers = body.trailers().await.map_err(|error| status_of(&error))?.unwrap_or_default();
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

fn unreadable(cause: impl std::fmt::Display) -> Status {
    Status::new(Code::Internal, cause)
}

fn check_status(status: Option<Status>) -> Result<(), Status> {
    match status {
        Some(status) if status.code == Code::Ok => Ok(()),
        Some(status) => Err(status),
        None => Err(Status::new(Code::Other(2), "the call ended without a status")),
    }
}
