//! The messages and the end of a response.

use h2::{Reason, RecvStream};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use super::call::{Call, End};
use super::compression::{Decompression, DecompressionError, Encoding};
use super::counters::ChannelCounters;
use super::deframer::{DeframeError, Deframer, Message};
use super::profile::{GRPC_ENCODING, Profile};
use super::{Code, Status, metadata};

/// Bytes of a compressed message from which on it is decompressed off the I/O thread, which all plugins share.
const OFF_THREAD_COMPRESSED_BYTES: usize = 64 * 1024;
/// Decompressed bytes of a smaller message after which the rest is decompressed off the I/O thread.
const INLINE_DECOMPRESSED_BYTES: usize = 256 * 1024;

/// Why a response has no orderly end.
pub(super) enum Broken {
    /// The stream or its connection broke before the response began. Only then can the request be unprocessed.
    Unanswered(h2::Error),
    /// The stream or its connection broke inside the response.
    Stream(h2::Error),
    /// The response cannot be accepted. The stream is reset for this reason.
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

/// The end that trailers mean. `single_response` says that one message is expected, and none has come.
pub(super) fn end_of(trailers: &HeaderMap, single_response: bool) -> End {
    let (trailing, broken) = metadata::decode(trailers);
    let status = match (Status::from_headers(trailers), broken) {
        (_, Some(broken)) => Status::new(Code::Internal, broken),
        (None, None) => Status::new(Code::Unknown, "No status received"),
        (Some(status), None) if status.code == Code::Ok && single_response => {
            Status::new(Code::Unimplemented, "no message answered a call that expects one")
        }
        (Some(status), None) => status,
    };
    End { status, trailing, answered: true }
}

/// The status of a body that ended with its last frame, as those of peers do that do not speak gRPC.
pub(super) fn without_trailers() -> Status {
    Status::new(Code::Unknown, "Stream removed (Data frame with END_STREAM flag received)")
}

fn response_encoding(headers: &HeaderMap) -> Result<Encoding, Status> {
    let Some(name) = headers.get(GRPC_ENCODING) else { return Ok(Encoding::Identity) };
    Encoding::from_name(name.as_bytes()).ok_or_else(|| {
        let name = crate::error::excerpt(name.as_bytes());
        Status::new(
            Code::Internal,
            format!("Error parsing 'grpc-encoding' metadata: {name} is not among identity, deflate, gzip"),
        )
    })
}

/// Decompresses a message that may stay small.
async fn decompress_inline_first(
    begun: Result<Decompression, DecompressionError>,
) -> Result<Vec<u8>, DecompressionError> {
    let mut decompression = begun?;
    match decompression.advance(INLINE_DECOMPRESSED_BYTES)? {
        Some(message) => Ok(message),
        None => off_thread(move || decompression.finish()).await,
    }
}

async fn off_thread(
    work: impl FnOnce() -> Result<Vec<u8>, DecompressionError> + Send + 'static,
) -> Result<Vec<u8>, DecompressionError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(DecompressionError::Corrupt))
}

/// Reads the messages of one response.
pub(super) struct ResponseReader<'a> {
    call: &'a Call,
    counters: &'a ChannelCounters,
    encoding: Encoding,
    is_grpc: bool,
    profile: &'a Profile,
    single: bool,
    messages: usize,
}

impl<'a> ResponseReader<'a> {
    /// Reads from the headers how the messages are encoded.
    pub(super) fn new(
        call: &'a Call,
        counters: &'a ChannelCounters,
        profile: &'a Profile,
        single: bool,
        headers: &HeaderMap,
    ) -> Result<Self, Status> {
        let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        Ok(Self { call, counters, encoding: response_encoding(headers)?, is_grpc, profile, single, messages: 0 })
    }

    /// Delivers messages to the end of the body; whether it ended between two of them.
    ///
    /// Messages for which there is no room stay undecoded, and the peer's window is not given back meanwhile: so little
    /// compressed data cannot become much, and a stream that nobody reads stops. Its end is noticed all the same.
    pub(super) async fn receive(&mut self, body: &mut RecvStream) -> Result<bool, Broken> {
        let mut deframer = Deframer::new(self.profile.max_receive);
        let mut owed = 0;
        loop {
            let room = self.deliver_all(&mut deframer, body).await?;
            if room {
                let _ = body.flow_control().release_capacity(std::mem::take(&mut owed));
            }
            let chunk = tokio::select! {
                biased;
                () = self.call.readable(), if !room => continue,
                chunk = body.data() => chunk,
            };
            let Some(chunk) = chunk else { break };
            let chunk = chunk?;
            owed += chunk.len();
            deframer.push(chunk);
        }
        while !self.deliver_all(&mut deframer, body).await? {
            self.call.readable().await;
        }
        Ok(deframer.is_between_messages())
    }

    /// Delivers what is complete as long as there is room; whether there still is.
    async fn deliver_all(&mut self, deframer: &mut Deframer, body: &RecvStream) -> Result<bool, Broken> {
        while self.single || self.call.has_room() {
            match deframer.next_message() {
                Ok(Some(message)) => self.deliver(message).await?,
                Ok(None) => return Ok(true),
                // A body without trailers is no gRPC, which says more.
                Err(_) if body.is_end_stream() => return Err(without_trailers().into()),
                Err(failure) => return Err(self.refuse(failure)),
            }
        }
        Ok(false)
    }

    async fn deliver(&mut self, message: Message) -> Result<(), Status> {
        self.messages += 1;
        self.counters.message_received();
        if self.single && self.messages > 1 {
            return Err(Status::new(Code::Unimplemented, "more than one message answered a call that expects one"));
        }
        let message = if message.is_compressed() { self.decompress(message).await? } else { message };
        self.call.deliver(message);
        Ok(())
    }

    async fn decompress(&self, message: Message) -> Result<Message, Status> {
        let (encoding, limit) = (self.encoding, self.profile.max_receive);
        let result = if message.len() < OFF_THREAD_COMPRESSED_BYTES {
            decompress_inline_first(Decompression::new(encoding, message.contiguous(), limit)).await
        } else {
            off_thread(move || Decompression::new(encoding, message.contiguous(), limit)?.finish()).await
        };
        result.map(Message::from).map_err(|failure| match failure {
            DecompressionError::NotConfigured => {
                Status::new(Code::Internal, "Compression bit set but no encoding configured")
            }
            DecompressionError::Corrupt => Status::new(
                Code::Internal,
                format!("Decompression failed: the message is no valid {}", encoding.name()),
            ),
            DecompressionError::TooLarge => {
                Status::new(Code::ResourceExhausted, "Decompressed message larger than max")
            }
        })
    }

    fn refuse(&self, failure: DeframeError) -> Broken {
        match failure {
            DeframeError::TooLarge(size) => {
                let limit = self.profile.max_receive;
                let text = format!("Stream removed (CLIENT: Received message larger than max ({size} vs. {limit}))");
                Broken::Rules(Status::new(Code::ResourceExhausted, text), Reason::ENHANCE_YOUR_CALM)
            }
            DeframeError::Flag([flag, ..]) => {
                let code = if self.is_grpc { Code::Internal } else { Code::Unknown };
                let text =
                    format!("a message begins with the flag byte {flag}, expected 0 or 1: the answer is no gRPC");
                Status::new(code, text).into()
            }
        }
    }

    pub(super) fn finish(&self, trailers: &HeaderMap, between_messages: bool) -> End {
        if let Err((status, trailing)) = self.profile.check_metadata(trailers) {
            return End { status, trailing, answered: true };
        }
        let mut end = end_of(trailers, self.single && self.messages == 0 && between_messages);
        if end.status.code == Code::Ok && !between_messages {
            end.status = Status::new(Code::Internal, "the answer ended inside a message");
        }
        end
    }
}
