//! Cuts a call's body into messages without copying: a message is made of the pieces in which it arrived. No I/O.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use super::framing::PREFIX_BYTES;

/// One received message, not yet decompressed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pieces: Pieces,
    length: usize,
    compressed: bool,
}

/// Most messages arrive in one piece and need no list.
#[derive(Debug, Default, PartialEq, Eq)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many(Vec<Bytes>),
}

impl Message {
    /// Size in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether the message has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The message's pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        match &self.pieces {
            Pieces::None => &[],
            Pieces::One(piece) => std::slice::from_ref(piece),
            Pieces::Many(pieces) => pieces,
        }
    }

    /// Whether the flag in the prefix says that the message is compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The message in one piece.
    pub(super) fn contiguous(self) -> Bytes {
        match self.pieces {
            Pieces::None => Bytes::new(),
            Pieces::One(piece) => piece,
            Pieces::Many(pieces) => pieces.concat().into(),
        }
    }

    fn push(&mut self, piece: Bytes) {
        self.pieces = match std::mem::take(&mut self.pieces) {
            Pieces::None => Pieces::One(piece),
            Pieces::One(first) => Pieces::Many(vec![first, piece]),
            Pieces::Many(mut pieces) => {
                pieces.push(piece);
                Pieces::Many(pieces)
            }
        };
    }
}

impl From<Vec<u8>> for Message {
    fn from(message: Vec<u8>) -> Self {
        Self { length: message.len(), pieces: Pieces::One(message.into()), compressed: false }
    }
}

/// Why a body cannot be cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeframeError {
    /// The first byte of a prefix is neither 0 nor, where messages may be compressed, 1.
    Flag([u8; PREFIX_BYTES]),
    /// A message is larger than admitted.
    TooLarge(usize),
}

/// Bytes below which a piece is copied. A piece keeps the whole block alive into which it was read, and a peer must not
/// make a few bytes cost kilobytes by cutting them finely.
pub(super) const COPIED_PIECE_BYTES: usize = 1024;

/// The state between two pieces of a body.
pub(super) struct Deframer {
    pieces: VecDeque<Bytes>,
    /// Small pieces that arrived last, joined; they come after `pieces`.
    tail: BytesMut,
    available: usize,
    /// Whether it is compressed, and length, of the message whose prefix has been read.
    expected: Option<(bool, usize)>,
    limit: usize,
    admits_compression: bool,
}

impl Deframer {
    /// Refuses messages over `limit` bytes from their prefix alone.
    pub(super) fn new(limit: usize) -> Self {
        let (pieces, tail) = (VecDeque::new(), BytesMut::new());
        Self { pieces, tail, available: 0, expected: None, limit, admits_compression: true }
    }

    /// Refuses compressed messages.
    pub(super) fn without_compression(self) -> Self {
        Self { admits_compression: false, ..self }
    }

    /// Takes a piece that arrived.
    pub(super) fn push(&mut self, piece: Bytes) {
        if piece.len() < COPIED_PIECE_BYTES {
            self.push_copy(&piece);
        } else {
            self.available += piece.len();
            self.settle_tail();
            self.pieces.push_back(piece);
        }
    }

    /// Takes a copy of a piece that arrived.
    pub(super) fn push_copy(&mut self, piece: &[u8]) {
        self.available += piece.len();
        self.tail.extend_from_slice(piece);
    }

    /// Passes the next message to `act` if its prefix and all of it lie in one piece, of which no reference is taken then:
    /// for small messages those cost more than all the rest.
    pub(super) fn next_in_one_piece<R>(&mut self, act: impl FnOnce(&[u8]) -> R) -> Result<Option<R>, DeframeError> {
        if self.expected.is_some() {
            return Ok(None);
        }
        let piece = self.pieces.front().map_or(&self.tail[..], |piece| piece);
        let Some((prefix, rest)) = piece.split_first_chunk() else { return Ok(None) };
        let (_, length) = self.check_prefix(*prefix)?;
        let Some(message) = rest.get(..length) else { return Ok(None) };
        let result = act(message);
        self.skip(PREFIX_BYTES + length);
        Ok(Some(result))
    }

    /// The next message that is complete.
    pub(super) fn next_message(&mut self) -> Result<Option<Message>, DeframeError> {
        let (compressed, length) = match self.expected {
            Some(expected) => expected,
            None if self.available < PREFIX_BYTES => return Ok(None),
            None => {
                let expected = self.read_prefix()?;
                *self.expected.insert(expected)
            }
        };
        if self.available < length {
            return Ok(None);
        }
        self.expected = None;
        self.settle_tail();
        let mut message = Message { pieces: Pieces::None, length, compressed };
        let mut missing = length;
        while missing > 0 {
            let piece = self.take(missing);
            missing -= piece.len();
            message.push(piece);
        }
        Ok(Some(message))
    }

    /// Whether the body may end here.
    pub(super) fn is_between_messages(&self) -> bool {
        self.available == 0 && self.expected.is_none()
    }

    /// Bytes of the message that has not come to its end.
    pub(super) fn incomplete_bytes(&self) -> usize {
        self.available + self.expected.map_or(0, |_| PREFIX_BYTES)
    }

    fn settle_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(self.tail.split().freeze());
        }
    }

    fn read_prefix(&mut self) -> Result<(bool, usize), DeframeError> {
        let prefix = self.take_prefix();
        self.check_prefix(prefix)
    }

    /// Whether the message is compressed, and its length.
    fn check_prefix(&self, prefix: [u8; PREFIX_BYTES]) -> Result<(bool, usize), DeframeError> {
        let [flag, length @ ..] = prefix;
        let length = u32::from_be_bytes(length) as usize;
        match flag {
            2.. => Err(DeframeError::Flag(prefix)),
            1 if !self.admits_compression => Err(DeframeError::Flag(prefix)),
            _ if length > self.limit => Err(DeframeError::TooLarge(length)),
            _ => Ok((flag == 1, length)),
        }
    }

    fn take_prefix(&mut self) -> [u8; PREFIX_BYTES] {
        self.settle_tail();
        // A prefix is in one piece as a rule, and is then copied without another reference to that piece.
        if let Some(first) = self.pieces.front_mut()
            && first.len() > PREFIX_BYTES
            && let Some(prefix) = first.first_chunk().copied()
        {
            first.advance(PREFIX_BYTES);
            self.available -= PREFIX_BYTES;
            return prefix;
        }
        let mut prefix = [0; PREFIX_BYTES];
        let mut filled = 0;
        while filled < PREFIX_BYTES {
            let piece = self.take(PREFIX_BYTES - filled);
            prefix[filled..filled + piece.len()].copy_from_slice(&piece);
            filled += piece.len();
        }
        prefix
    }

    /// Drops bytes of the first piece; the caller knows that it has so many.
    fn skip(&mut self, count: usize) {
        self.available -= count;
        let Some(first) = self.pieces.front_mut() else { return self.tail.advance(count) };
        first.advance(count);
        if first.is_empty() {
            self.pieces.pop_front();
        }
    }

    /// At most `wanted` bytes, all from the first piece; the caller knows that there is one.
    fn take(&mut self, wanted: usize) -> Bytes {
        let Some(first) = self.pieces.front_mut() else { return Bytes::new() };
        let taken = if first.len() <= wanted {
            self.pieces.pop_front().unwrap_or_default()
        } else {
            let taken = first.slice(..wanted);
            first.advance(wanted);
            taken
        };
        self.available -= taken.len();
        taken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;
    use crate::grpc::compression::Encoding;
    use crate::grpc::framing::frame;

    #[test]
    fn flag_and_limit_are_checked_from_the_prefix() {
        let mut deframer = Deframer::new(10);
        deframer.push(Bytes::from_static(&[2, 0, 0, 0, 0]));
        assert_eq!(deframer.next_message(), Err(DeframeError::Flag([2, 0, 0, 0, 0])));
        let mut deframer = Deframer::new(10);
        deframer.push(Bytes::from_static(&[0, 0, 0, 0, 11]));
        assert_eq!(deframer.next_message(), Err(DeframeError::TooLarge(11)));
        let mut deframer = Deframer::new(10);
        deframer.push(Bytes::from_static(&[1, 0, 0, 0, 0]));
        assert!(deframer.next_message().unwrap().unwrap().is_compressed());
        assert!(deframer.is_between_messages());
        deframer.push(Bytes::from_static(&[0, 0]));
        assert!(!deframer.is_between_messages());
    }

    #[test]
    fn announced_length_alone_takes_no_memory() {
        let mut deframer = Deframer::new(usize::MAX);
        deframer.push(Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(deframer.next_message().unwrap(), None);
        assert_eq!(deframer.incomplete_bytes(), PREFIX_BYTES);
        assert!(deframer.tail.capacity() <= 64 * 1024 && deframer.pieces.is_empty());
    }

    proptest! {
        #[test]
        fn any_messages_cut_anywhere_come_out_whole(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
            chunk in 1_usize..64,
        ) {
            let mut wire = Vec::new();
            for message in &messages {
                wire.extend_from_slice(&frame(message, Encoding::Identity, 1000).unwrap());
            }
            let mut deframer = Deframer::new(1000);
            let mut out = Vec::new();
            for piece in wire.chunks(chunk) {
                deframer.push(Bytes::copy_from_slice(piece));
                while let Some(message) = deframer.next_message().unwrap() {
                    let joined: Vec<u8> = message.pieces().concat();
                    prop_assert_eq!(joined.len(), message.len());
                    prop_assert_eq!(joined.is_empty(), message.is_empty());
                    prop_assert!(!message.is_compressed());
                    prop_assert_eq!(&joined, &message.contiguous());
                    out.push(joined);
                }
            }
            prop_assert!(deframer.is_between_messages());
            prop_assert_eq!(out, messages);
        }

        #[test]
        fn no_input_makes_it_panic(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..10)) {
            let mut deframer = Deframer::new(100);
            for piece in pieces {
                deframer.push(piece.into());
                while let Ok(Some(_)) = deframer.next_message() {}
            }
        }
    }
}
