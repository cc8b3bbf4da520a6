//! gRPC's framing for connections that Python drives: messages are never compressed, and errors are the library's own.
//! No I/O.

use bytes::Bytes;

use super::compression::Encoding;
use super::deframer::{COPIED_PIECE_BYTES, DeframeError, Deframer, Message};
use super::framing::{PREFIX_BYTES, frame};
use crate::error::{Error, ErrorKind, excerpt};

/// Puts the prefix of an uncompressed message before it.
pub fn encode(message: &[u8], limit: usize) -> Result<Bytes, Error> {
    let limit = limit.min(u32::MAX as usize);
    frame(message, Encoding::Identity, limit).map_err(|_| too_large(message.len(), limit, "sent"))
}

/// The length of the message whose prefix is at the beginning of `unread`, or `None` until all of the prefix is there.
/// Refuses a prefix that is invalid, or promises more than `limit` bytes.
pub fn message_length(unread: &[u8], limit: usize) -> Result<Option<usize>, Error> {
    let Some(prefix) = unread.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
    let [flag, length @ ..] = prefix;
    let length = u32::from_be_bytes(*length) as usize;
    if *flag != 0 {
        return Err(error_of(DeframeError::Flag(*prefix), limit));
    }
    if length > limit {
        return Err(too_large(length, limit, "received"));
    }
    Ok(Some(length))
}

/// The prefix of a message of `length` bytes that is not compressed.
pub fn prefix(length: usize, limit: usize) -> Result<[u8; PREFIX_BYTES], Error> {
    let limit = limit.min(u32::MAX as usize);
    if length > limit {
        return Err(too_large(length, limit, "sent"));
    }
    let [.., first, second, third, fourth] = (length as u64).to_be_bytes();
    Ok([0, first, second, third, fourth])
}

/// The error for a stream that ended inside a frame, of which `arrived` bytes were received.
#[must_use]
pub fn truncated(arrived: usize) -> Error {
    let message = format!("the stream ended inside a frame: {arrived} bytes of it arrived");
    Error::new(ErrorKind::FrameTruncated, message)
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
    pub fn feed(&mut self, bytes: impl AsRef<[u8]> + Send + 'static) {
        if bytes.as_ref().len() < COPIED_PIECE_BYTES {
            self.deframer.push_copy(bytes.as_ref());
        } else {
            self.deframer.push(Bytes::from_owner(bytes));
        }
    }

    /// What one of the two makes of the next complete message, or `None` until more is fed: `of_whole` of a message in one
    /// piece, `of_pieces` of any other. After an error every further call repeats it.
    pub fn next_message<R>(
        &mut self,
        of_whole: impl FnOnce(&[u8]) -> R,
        of_pieces: impl FnOnce(&Message) -> R,
    ) -> Result<Option<R>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let next = match self.deframer.next_in_one_piece(of_whole) {
            Ok(None) => self.deframer.next_message().map(|message| message.as_ref().map(of_pieces)),
            next => next,
        };
        next.map_err(|error| self.failed.insert(error_of(error, self.limit)).clone())
    }

    /// Checks that the stream ended between two messages.
    pub fn finish(&self) -> Result<(), Error> {
        if self.deframer.is_between_messages() {
            return Ok(());
        }
        Err(truncated(self.deframer.incomplete_bytes()))
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

    fn next(decoder: &mut FrameDecoder) -> Result<Option<Vec<u8>>, Error> {
        decoder.next_message(<[u8]>::to_vec, |message| message.pieces().concat())
    }

    #[test]
    fn prefix_is_flag_and_big_endian_length() {
        assert_eq!(&encode(b"abc", 3).unwrap()[..], b"\0\0\0\0\x03abc");
        assert_eq!(encode(b"abcd", 3).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn prefix_alone_tells_the_length() {
        assert_eq!(prefix(0x0102_0304, usize::MAX).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(prefix(3, 3).unwrap(), [0, 0, 0, 0, 3]);
        assert_eq!(prefix(4, 3).unwrap_err().kind(), ErrorKind::MessageTooLarge);
        assert_eq!(message_length(&[0, 0, 0, 1], 1000).unwrap(), None);
        assert_eq!(message_length(&[0, 0, 0, 1, 2, 7], 258).unwrap(), Some(258));
        assert_eq!(message_length(&[0, 0, 0, 1, 2], 257).unwrap_err().kind(), ErrorKind::MessageTooLarge);
        assert_eq!(message_length(&[1, 0, 0, 0, 0], 1000).unwrap_err().kind(), ErrorKind::FrameInvalid);
    }

    #[test]
    fn oversize_is_refused_from_the_prefix_and_stays_refused() {
        let mut decoder = FrameDecoder::new(10);
        decoder.feed([0, 0, 0, 0, 11]);
        let error = next(&mut decoder).unwrap_err();
        assert_eq!(error.message(), "a message of 11 bytes cannot be received: the limit is 10 bytes");
        decoder.feed([0; 100]);
        assert_eq!(next(&mut decoder).unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn flag_other_than_zero_is_refused() {
        for flag in [1, 2, 255] {
            let mut decoder = FrameDecoder::new(10);
            decoder.feed([flag, 0, 0, 0, 0]);
            assert_eq!(next(&mut decoder).unwrap_err().kind(), ErrorKind::FrameInvalid);
        }
    }

    #[test]
    fn end_inside_a_frame_is_an_error() {
        let mut decoder = FrameDecoder::new(10);
        assert!(decoder.finish().is_ok());
        decoder.feed([0, 0, 0]);
        assert_eq!(next(&mut decoder).unwrap(), None);
        assert_eq!(decoder.finish().unwrap_err().kind(), ErrorKind::FrameTruncated);
    }

    proptest! {
        #[test]
        fn any_messages_cut_anywhere_come_out_whole(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..20),
            chunk in prop_oneof![1_usize..64, 1_usize..8000],
        ) {
            let wire: Vec<u8> = messages.iter().flat_map(|m| encode(m, 2000).unwrap()).collect();
            let mut decoder = FrameDecoder::new(2000);
            let mut decoded = Vec::new();
            for piece in wire.chunks(chunk) {
                decoder.feed(piece.to_vec());
                while let Some(message) = next(&mut decoder).unwrap() {
                    decoded.push(message);
                }
            }
            prop_assert!(decoder.finish().is_ok());
            prop_assert_eq!(decoded, messages);
        }

        #[test]
        fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = FrameDecoder::new(100);
            decoder.feed(bytes);
            while let Ok(Some(_)) = next(&mut decoder) {}
        }
    }
}
