//! Buffers of large requests, used again.
//!
//! A freed megabyte goes back to the kernel and costs 256 page faults when it is wanted again. Besides, every request
//! is allocated by one thread and freed by another, and some allocators keep such memory for the first.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Buffers with fewer bytes are left to the allocator.
const MIN_POOLED_BYTES: usize = 64 * 1024;
/// Bytes that all idle buffers may have together.
const MAX_IDLE_BYTES: usize = 8 << 20;
/// How many times larger than its message a buffer may be.
const MAX_CAPACITY_RATIO: usize = 4;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<Vec<u8>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An empty buffer with room for `size` bytes.
pub(super) fn buffer(size: usize) -> Vec<u8> {
    if size >= MIN_POOLED_BYTES {
        let mut idle = idle();
        let fitting = |buffer: &Vec<u8>| (size..=size.saturating_mul(MAX_CAPACITY_RATIO)).contains(&buffer.capacity());
        if let Some(index) = idle.iter().position(fitting) {
            return idle.swap_remove(index);
        }
    }
    Vec::with_capacity(size)
}

/// Freezes a filled buffer. A large one comes back when the last part of it is dropped.
pub(super) fn freeze(buffer: Vec<u8>) -> Bytes {
    if buffer.capacity() < MIN_POOLED_BYTES { buffer.into() } else { Bytes::from_owner(PooledBuffer(buffer)) }
}

struct PooledBuffer(Vec<u8>);

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.0);
        buffer.clear();
        let mut idle = idle();
        let kept: usize = idle.iter().map(Vec::capacity).sum();
        if kept + buffer.capacity() <= MAX_IDLE_BYTES {
            idle.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_buffers_come_back_and_small_ones_do_not() {
        let mut large = buffer(MIN_POOLED_BYTES + 12_345);
        large.extend_from_slice(&[7; 100]);
        let (capacity, place) = (large.capacity(), large.as_ptr());
        let message = freeze(large);
        assert_eq!(message.len(), 100);
        drop(message.slice(..10));
        drop(message);
        let again = buffer(MIN_POOLED_BYTES + 12_345);
        assert_eq!((again.len(), again.capacity(), again.as_ptr()), (0, capacity, place));
        drop(freeze(buffer(10)));
        assert!(idle().iter().all(|buffer| buffer.capacity() >= MIN_POOLED_BYTES));
    }
}
