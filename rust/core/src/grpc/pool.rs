//! Buffers of large requests, used again.
//!
//! A freed megabyte goes back to the kernel and costs 256 page faults when it is wanted again. And what one thread
//! allocates and another frees, as happens to every request, some allocators keep for the first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smaller buffers, in bytes, are the allocator's business.
const SMALLEST: usize = 64 * 1024;
/// Bytes kept for later.
const KEPT: usize = 8 << 20;
/// A buffer is not used for a message this many times smaller.
const WASTE: usize = 4;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<Vec<u8>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer for so many bytes.
pub(super) fn buffer(size: usize) -> Vec<u8> {
    if size >= SMALLEST {
        let mut idle = idle();
        let fitting = |buffer: &Vec<u8>| (size..=size.saturating_mul(WASTE)).contains(&buffer.capacity());
        if let Some(index) = idle.iter().position(fitting) {
            return idle.swap_remove(index);
        }
    }
    Vec::with_capacity(size)
}

/// The filled buffer as it travels; large ones come back when the last part of it is dropped.
pub(super) fn freeze(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < SMALLEST { buffer.into() } else { Bytes::from_owner(Large(buffer)) }
}

struct Large(Vec<u8>);

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Large {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut idle = idle();
        let kept: usize = idle.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() <= KEPT {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_come_back_and_small_ones_do_not() {
        let mut large = buffer(SMALLEST + 12_345);
        large.extend_from_slice(&[7; 100]);
        let (capacity, place) = (large.capacity(), large.as_ptr());
        let message = freeze(large);
        assert_eq!(message.len(), 100);
        drop(message.slice(..10));
        drop(message);
        let again = buffer(SMALLEST + 12_345);
        assert_eq!((again.len(), again.capacity(), again.as_ptr()), (0, capacity, place));
        drop(freeze(buffer(10)));
        assert!(idle().iter().all(|buffer| buffer.capacity() >= SMALLEST));
    }
}
