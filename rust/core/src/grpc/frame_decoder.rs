//! gRPC's framing for connections that Python drives: messages are never compressed, and errors are the library's own.
//! No I/O.

use bytes::Bytes;

use super::compression::Encoding;
use super::deframer::{DeframeError, Deframer, Message};
use super::framing::frame;
use crate::error::{Error, ErrorKind, excerpt};

/// Puts the prefix of an uncompressed message before it.
pub fn encode(message: &[u8], limit: usize) -> Result<Bytes, Error> {
    let limit = limit.min(u32::MAX as usize);
    frame(message, Encoding::Identity, limit).map_err(|_| too_large(message.len(), limit, "sent"))
}

fn too_large(size: usize, limit: usize, direction: &str) -> Error {
    let message = format!("a message of {size} bytes cannot be {direction}: the limit is {limit} bytes");
    Error::new(ErrorKind::MessageTooLarge, message)
}

/// Cuts a stream of bytes into messages, however the bytes arrive.
pub struct FrameDecoder {
    deframer: Deframer,
    limit: usize,
    failed: Option<Error>,
}

impl FrameDecoder {
    /// A decoder that refuses messages over `limit` bytes from their prefix alone, before it stores them.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { deframer: Deframer::new(limit).without_compression(), limit, failed: None }
    }

    /// Takes bytes that were read. Larger pieces are not copied, but kept up to the end of the messages in them.
    pub fn feed(&mut self, bytes: Bytes) {
        self.deframer.push(bytes);
    }

    /// The next complete message, or `None` until more is fed. After an error every further call repeats it.
    pub fn next_message(&mut self) -> Result<Option<Message>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.deframer.next_message().map_err(|error| self.failed.insert(error_of(error, self.limit)).clone())
    }

    /// Checks that the stream ended between two messages.
    pub fn finish(&self) -> Result<(), Error> {
        if self.deframer.is_between_messages() {
            return Ok(());
        }
        let message =
            format!("the stream ended inside a frame: {} bytes of it arrived", self.deframer.incomplete_bytes());
        Err(Error::new(ErrorKind::FrameTruncated, message))
    }
}

fn error_of(error: DeframeError, limit: usize) -> Error {
    match error {
        DeframeError::TooLarge(size) => too_large(size, limit, "received"),
        DeframeError::Flag(prefix @ [flag, ..]) => {
            let what = if flag == 1 { "is compressed, which was not agreed" } else { "has an unknown flag byte" };
            Error::new(ErrorKind::FrameInvalid, format!("a frame {what}: its prefix is {}", excerpt(&prefix)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn prefix_is_flag_and_big_endian_length() {
        assert_eq!(&encode(b"abc", 3).unwrap()[..], b"\0\0\0\0\x03abc");
        assert_eq!(encode(b"abcd", 3).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn oversize_is_refused_from_the_prefix_and_stays_refused() {
        let mut decoder = FrameDecoder::new(10);
        decoder.feed(Bytes::copy_from_slice(&[0, 0, 0, 0, 11]));
        let error = decoder.next_message().unwrap_err();
        assert_eq!(error.message(), "a message of 11 bytes cannot be received: the limit is 10 bytes");
        decoder.feed(Bytes::copy_from_slice(&[0; 100]));
        assert_eq!(decoder.next_message().unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn flag_other_than_zero_is_refused() {
        for flag in [1, 2, 255] {
            let mut decoder = FrameDecoder::new(10);
            decoder.feed(Bytes::copy_from_slice(&[flag, 0, 0, 0, 0]));
            assert_eq!(decoder.next_message().unwrap_err().kind(), ErrorKind::FrameInvalid);
        }
    }

    #[test]
    fn end_inside_a_frame_is_an_error() {
        let mut decoder = FrameDecoder::new(10);
        assert!(decoder.finish().is_ok());
        decoder.feed(Bytes::copy_from_slice(&[0, 0, 0]));
        assert_eq!(decoder.next_message().unwrap(), None);
        assert_eq!(decoder.finish().unwrap_err().kind(), ErrorKind::FrameTruncated);
    }

    proptest! {
        #[test]
        fn any_messages_cut_anywhere_come_out_whole(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            chunk in 1_usize..64,
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(|m| encode(m, 1000).unwrap()).collect();
            let mut decoder = FrameDecoder::new(1000);
            let mut decoded = Vec::new();
            for piece in wire.chunks(chunk) {
                decoder.feed(Bytes::copy_from_slice(piece));
                while let Some(message) = decoder.next_message().unwrap() {
                    decoded.push(message.contiguous().to_vec());
                }
            }
            prop_assert!(decoder.finish().is_ok());
            prop_assert_eq!(decoded, messages);
        }

        #[test]
        fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = FrameDecoder::new(100);
            decoder.feed(Bytes::copy_from_slice(&bytes));
            while let Ok(Some(_)) = decoder.next_message() {}
        }
    }
}
