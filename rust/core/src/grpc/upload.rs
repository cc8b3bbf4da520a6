//! A call's request messages on their way into its HTTP/2 stream.

use std::future::{Future, poll_fn};
use std::pin::pin;

use bytes::Bytes;
use h2::SendStream;

use super::call::{Call, End};
use super::counters::ChannelCounters;
use super::response::Broken;

/// Sends queued requests while the response is awaited. The call ends with the response.
pub(super) async fn with_upload(
    call: &Call,
    upload: &mut SendStream<Bytes>,
    download: impl Future<Output = Result<End, Broken>>,
    counters: &ChannelCounters,
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

/// Returns after the last message, or when the peer wants no more.
async fn send_all(call: &Call, upload: &mut SendStream<Bytes>, counters: &ChannelCounters) {
    loop {
        match call.next_outgoing() {
            Ok(frame) => {
                if !matches!(send_frame(upload, frame).await, Ok(true)) {
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

/// Hands a message to the connection as fast as the peer's window admits; false if the stream is gone.
pub(super) async fn send_frame(upload: &mut SendStream<Bytes>, mut frame: Bytes) -> Result<bool, h2::Error> {
    while !frame.is_empty() {
        upload.reserve_capacity(frame.len());
        let capacity = match upload.capacity() {
            0 => match poll_fn(|context| upload.poll_capacity(context)).await {
                Some(capacity) => capacity?,
                None => return Ok(false),
            },
            capacity => capacity,
        };
        let piece = frame.split_to(capacity.min(frame.len()));
        upload.send_data(piece, false)?;
    }
    Ok(true)
}
