//! gRPC's length-prefixed messages: one flag byte, four bytes of length (big-endian), the message. No I/O.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::compression::Encoding;
use super::{Code, Status, pool};
use crate::error::{Error, ErrorKind, excerpt};

/// Bytes before each message.
pub const PREFIX_BYTES: usize = 5;

/// Room made for a message of which little has arrived, in bytes.
const MIN_GROWTH: usize = 64 * 1024;

/// Puts the prefix of an uncompressed message before it.
pub fn encode(message: &[u8], limit: usize) -> Result<Bytes, Error> {
    check_size(message.len(), limit, "sent")?;
    let length = u32::try_from(message.len()).map_err(|_| too_large(message.len(), u32::MAX as usize, "sent"))?;
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    frame.put_u8(0);
    frame.put_u32(length);
    frame.put_slice(message);
    Ok(frame.freeze())
}

/// A message as it travels: in one piece, or its prefix and the very bytes that the caller has.
#[derive(Debug, Clone)]
pub struct Framed {
    /// The prefix, and the message too if that was copied.
    pub head: Bytes,
    /// The rest, often nothing.
    pub body: Bytes,
}

/// Puts the prefix of a call's message before it, compressed where that makes it smaller.
pub fn frame(message: &[u8], encoding: Encoding, limit: usize) -> Result<Bytes, Status> {
    check_sent(message.len(), limit)?;
    let compressed = encoding.compress(message);
    let (flag, body) = compressed.as_deref().map_or((0, message), |compressed| (1, compressed));
    let mut frame = pool::buffer(PREFIX_BYTES + body.len());
    put_prefix(&mut frame, flag, body.len())?;
    frame.put_slice(body);
    Ok(pool::freeze(frame))
}

/// The same without compression and without a copy.
pub fn frame_in_place(message: Bytes, limit: usize) -> Result<Framed, Status> {
    check_sent(message.len(), limit)?;
    let mut head = BytesMut::with_capacity(PREFIX_BYTES);
    put_prefix(&mut head, 0, message.len())?;
    Ok(Framed { head: head.freeze(), body: message })
}

impl From<Bytes> for Framed {
    fn from(whole: Bytes) -> Self {
        Self { head: whole, body: Bytes::new() }
    }
}

fn check_sent(size: usize, limit: usize) -> Result<(), Status> {
    if size <= limit {
        return Ok(());
    }
    Err(Status::new(Code::ResourceExhausted, format!("CLIENT: Sent message larger than max ({size} vs. {limit})")))
}

fn put_prefix(frame: &mut impl BufMut, flag: u8, size: usize) -> Result<(), Status> {
    let length = u32::try_from(size)
        .map_err(|_| Status::new(Code::ResourceExhausted, format!("a message of {size} bytes does not fit gRPC")))?;
    frame.put_u8(flag);
    frame.put_u32(length);
    Ok(())
}

fn check_size(size: usize, limit: usize, direction: &str) -> Result<(), Error> {
    if size <= limit { Ok(()) } else { Err(too_large(size, limit, direction)) }
}

fn too_large(size: usize, limit: usize, direction: &str) -> Error {
    let message = format!("a message of {size} bytes cannot be {direction}: the limit is {limit} bytes");
    Error::new(ErrorKind::MessageTooLarge, message)
}

/// Cuts a stream of bytes into messages, however the bytes arrive.
#[derive(Debug)]
pub struct FrameDecoder {
    buffer: BytesMut,
    limit: usize,
    failed: Option<Error>,
}

impl FrameDecoder {
    /// A decoder that refuses messages over `limit` bytes from their prefix alone, before it stores them.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, failed: None }
    }

    /// Takes what was read.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next complete message, or `None` until more is fed. After an error every further call repeats it.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let length = match self.pending_length() {
            Ok(Some(length)) => length,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.failed.insert(error).clone()),
        };
        if self.buffer.len() < PREFIX_BYTES + length {
            // Few growths per large message, but never more than twice what has really arrived: a prefix alone costs a
            // peer nothing and may announce 4 GiB.
            let missing = PREFIX_BYTES + length - self.buffer.len();
            self.buffer.reserve(missing.min(self.buffer.len().max(MIN_GROWTH)));
            return Ok(None);
        }
        self.buffer.advance(PREFIX_BYTES);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Checks that the stream ended between two messages.
    pub fn finish(&self) -> Result<(), Error> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let message = format!("the stream ended inside a frame: {} bytes of it arrived", self.buffer.len());
        Err(Error::new(ErrorKind::FrameTruncated, message))
    }

    fn pending_length(&self) -> Result<Option<usize>, Error> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_BYTES>() else { return Ok(None) };
        let [flag, length @ ..] = *prefix;
        if flag != 0 {
            let what = if flag == 1 { "is compressed, which was not agreed" } else { "has an unknown flag byte" };
            let message = format!("a frame {what}: its prefix is {}", excerpt(prefix));
            return Err(Error::new(ErrorKind::FrameInvalid, message));
        }
        let length = u32::from_be_bytes(length) as usize;
        check_size(length, self.limit, "received")?;
        Ok(Some(length))
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
    fn message_in_place_differs_only_in_not_being_copied() {
        let message = Bytes::from(vec![7; 100_000]);
        let framed = frame_in_place(message.clone(), usize::MAX).unwrap();
        assert_eq!(framed.body.as_ptr(), message.as_ptr());
        let copied = frame(&message, Encoding::Identity, usize::MAX).unwrap();
        assert!([framed.head, framed.body].concat() == copied);
        let (refused, expected) = (frame_in_place(message.clone(), 10), frame(&message, Encoding::Identity, 10));
        assert_eq!(refused.unwrap_err().message, expected.unwrap_err().message);
    }

    #[test]
    fn oversize_is_refused_from_the_prefix_and_stays_refused() {
        let mut decoder = FrameDecoder::new(10);
        decoder.feed(&[0, 0, 0, 0, 11]);
        let error = decoder.next_message().unwrap_err();
        assert_eq!(error.message(), "a message of 11 bytes cannot be received: the limit is 10 bytes");
        decoder.feed(&[0; 100]);
        assert_eq!(decoder.next_message().unwrap_err().kind(), ErrorKind::MessageTooLarge);
    }

    #[test]
    fn announced_length_alone_takes_no_memory() {
        let mut decoder = FrameDecoder::new(usize::MAX);
        decoder.feed(&[0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(decoder.next_message().unwrap(), None);
        assert!(decoder.buffer.capacity() <= 2 * MIN_GROWTH);
    }

    #[test]
    fn flag_other_than_zero_is_refused() {
        for flag in [1, 2, 255] {
            let mut decoder = FrameDecoder::new(10);
            decoder.feed(&[flag, 0, 0, 0, 0]);
            assert_eq!(decoder.next_message().unwrap_err().kind(), ErrorKind::FrameInvalid);
        }
    }

    #[test]
    fn end_inside_a_frame_is_an_error() {
        let mut decoder = FrameDecoder::new(10);
        assert!(decoder.finish().is_ok());
        decoder.feed(&[0, 0, 0]);
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
                decoder.feed(piece);
                while let Some(message) = decoder.next_message().unwrap() {
                    decoded.push(message.to_vec());
                }
            }
            prop_assert!(decoder.finish().is_ok());
            prop_assert_eq!(decoded, messages);
        }

        #[test]
        fn no_input_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut decoder = FrameDecoder::new(100);
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next_message() {}
        }
    }
}
