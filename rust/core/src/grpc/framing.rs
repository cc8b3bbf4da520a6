//! Puts gRPC's prefix before messages: one flag byte, four bytes of length (big-endian), the message. No I/O.

use bytes::{BufMut, Bytes, BytesMut};

use super::compression::Encoding;
use super::{Code, Status, pool};

/// Bytes before each message.
pub const PREFIX_BYTES: usize = 5;

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

/// Puts the prefix before a message that is neither compressed nor copied.
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

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
}
