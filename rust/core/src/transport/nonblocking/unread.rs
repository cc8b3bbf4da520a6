//! Received bytes that wait for their reader, in one piece. No I/O.

/// Room for one read of unknown length, in bytes: so few stay in the processor's cache until they are taken.
const READ_BYTES: usize = 32 * 1024;
/// Room that a promise alone is worth, in bytes. Only the pages that are filled cost memory.
const PROMISED_BYTES: usize = 256 * 1024;
/// Room that is kept while nothing is unread, in bytes.
const KEPT_BYTES: usize = 1024 * 1024;

/// A buffer that is filled at its end and emptied at its beginning.
#[derive(Default)]
pub(super) struct Unread {
    bytes: Vec<u8>,
    start: usize,
}

impl Unread {
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The buffer, with room behind its end for one read, or for `missing` bytes if they are more. What is promised but
    /// has not arrived gets no more room than the buffer has already: a peer must not make a few bytes cost gigabytes.
    pub(super) fn with_room(&mut self, missing: usize) -> &mut Vec<u8> {
        let wanted = missing.min(PROMISED_BYTES.max(self.bytes.len())).max(READ_BYTES / 4);
        if self.bytes.capacity() - self.bytes.len() < wanted {
            self.bytes.drain(..std::mem::take(&mut self.start));
            self.bytes.reserve(wanted.max(READ_BYTES.saturating_sub(self.bytes.len())));
        }
        &mut self.bytes
    }

    /// Forgets bytes at the beginning.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        if self.start < self.bytes.len() {
            return;
        }
        // A large message is often followed by others; once smaller ones come, its room goes back.
        if self.bytes.capacity() > KEPT_BYTES && self.bytes.len() < self.bytes.capacity() / 4 {
            self.bytes = Vec::new();
        }
        self.bytes.clear();
        self.start = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_however_they_are_taken() {
        let mut unread = Unread::default();
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let (mut sent, mut received) = (bytes.iter().copied(), Vec::new());
        for round in 1.. {
            let piece: Vec<u8> = sent.by_ref().take(round * 37).collect();
            if piece.is_empty() {
                break;
            }
            unread.with_room(round % 3 * 100_000).extend_from_slice(&piece);
            let taken = unread.as_slice().len() * (round % 4) / 3;
            received.extend_from_slice(&unread.as_slice()[..taken]);
            unread.consume(taken);
        }
        received.extend_from_slice(unread.as_slice());
        assert_eq!(received, bytes);
    }

    #[test]
    fn promised_bytes_get_room_as_they_arrive() {
        let mut unread = Unread::default();
        assert!(unread.with_room(usize::MAX).capacity() <= 2 * PROMISED_BYTES);
    }

    #[test]
    fn room_of_a_large_message_goes_back_after_a_small_one() {
        let mut unread = Unread::default();
        for size in [4 << 20, 10] {
            let buffer = unread.with_room(size);
            buffer.resize(size, 1);
            unread.consume(size);
        }
        assert!(unread.with_room(0).capacity() <= KEPT_BYTES);
    }
}
