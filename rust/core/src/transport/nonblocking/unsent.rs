//! Bytes that the kernel has not taken yet. No I/O.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// Pieces below this size, in bytes, are joined; larger ones are kept as they are.
const JOINED_BYTES: usize = 16 * 1024;
/// Room for joined pieces that is kept while nothing waits, in bytes.
const KEPT_BYTES: usize = 128 * 1024;
/// Pieces that one write takes at most.
const PIECES_PER_WRITE: usize = 16;

/// A queue of bytes in the order in which they are to be sent.
#[derive(Default)]
pub(super) struct Unsent {
    pieces: VecDeque<Bytes>,
    /// Small pieces that came last, joined; they come after `pieces`.
    tail: Vec<u8>,
    /// Bytes at the beginning of `tail` that were sent.
    tail_sent: usize,
    bytes: usize,
}

impl Unsent {
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// Adds `bytes`, of which `keep` makes a reference if they are many.
    pub(super) fn push(&mut self, bytes: &[u8], keep: impl FnOnce() -> Bytes) {
        self.bytes += bytes.len();
        if bytes.len() < JOINED_BYTES {
            self.tail.extend_from_slice(bytes);
            return;
        }
        let mut joined = Bytes::from(std::mem::take(&mut self.tail));
        joined.advance(std::mem::take(&mut self.tail_sent));
        if !joined.is_empty() {
            self.pieces.push_back(joined);
        }
        self.pieces.push_back(keep());
    }

    /// The pieces that are next.
    pub(super) fn slices(&self) -> [IoSlice<'_>; PIECES_PER_WRITE] {
        let mut slices = [IoSlice::new(&[]); PIECES_PER_WRITE];
        let tail = &self.tail[self.tail_sent..];
        let next = self.pieces.iter().map(|piece| &piece[..]).chain([tail]);
        for (slice, piece) in slices.iter_mut().zip(next) {
            *slice = IoSlice::new(piece);
        }
        slices
    }

    /// Forgets bytes that were sent.
    pub(super) fn advance(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.pieces.front_mut() {
            let taken = first.len().min(count);
            first.advance(taken);
            count -= taken;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.tail_sent += count;
        if self.tail_sent < self.tail.len() {
            // What was sent must not pile up before a rest that never becomes empty.
            if self.tail_sent > KEPT_BYTES {
                self.tail.drain(..std::mem::take(&mut self.tail_sent));
            }
            return;
        }
        self.tail.clear();
        self.tail.shrink_to(KEPT_BYTES);
        self.tail_sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_sent_in_order_however_few_are_taken() {
        let pieces: Vec<Vec<u8>> = (0..200_u8).map(|number| vec![number; usize::from(number) * 153]).collect();
        let (mut unsent, mut sent) = (Unsent::default(), Vec::new());
        for (number, piece) in pieces.iter().enumerate() {
            unsent.push(piece, || Bytes::copy_from_slice(piece));
            let next: Vec<u8> = unsent.slices().iter().flat_map(|slice| slice.to_vec()).take(number * 40).collect();
            unsent.advance(next.len());
            sent.extend(next);
        }
        while unsent.len() > 0 {
            let next: Vec<u8> = unsent.slices().iter().flat_map(|slice| slice.to_vec()).take(7001).collect();
            unsent.advance(next.len());
            sent.extend(next);
        }
        assert_eq!(sent, pieces.concat());
    }
}
