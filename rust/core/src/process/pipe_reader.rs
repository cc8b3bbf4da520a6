//! Reads a plugin's output: pipes in large pieces, into one buffer, a flood in turns with other tasks.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;

use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;

/// Bytes of one read.
const READ_BYTES: usize = 64 * 1024;
/// Reads in a row before other tasks have their turn: a flood must not starve the calls of 499 other plugins.
const READS_PER_TURN: usize = 16;
/// Turns after the process has ended, while a process that left its group may hold and fill the pipe.
const LAST_TURNS: usize = 64;

thread_local! {
    /// One buffer for all pipes: they are read on the I/O thread only, and idle plugins need no buffer each.
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
}

/// The state of a pipe after the plugin's end.
pub(super) enum Rest {
    Closed,
    /// Another process holds its other end.
    Held,
}

/// The state of a pipe after one turn of reading.
enum PipeState {
    Empty,
    Busy,
    Closed,
}

/// Passes on what is read until the pipe is closed, or for a few turns after `ended` is true.
pub(super) async fn read_to_end(
    pipe: Option<OwnedFd>,
    mut ended: watch::Receiver<bool>,
    mut take: impl FnMut(&[u8]),
) -> Rest {
    let Some(Ok(pipe)) = pipe.map(Receiver::from_owned_fd) else { return Rest::Closed };
    loop {
        let readable = tokio::select! {
            readable = pipe.readable() => readable.is_ok(),
            _ = ended.wait_for(|ended| *ended) => break,
        };
        match if readable { read_available(&pipe, &mut take) } else { PipeState::Closed } {
            PipeState::Closed => return Rest::Closed,
            PipeState::Busy => tokio::task::yield_now().await,
            PipeState::Empty => (),
        }
    }
    for _ in 0..LAST_TURNS {
        match read_available(&pipe, &mut take) {
            PipeState::Closed => return Rest::Closed,
            PipeState::Busy => tokio::task::yield_now().await,
            PipeState::Empty => return Rest::Held,
        }
    }
    Rest::Held
}

fn read_available(pipe: &Receiver, take: &mut impl FnMut(&[u8])) -> PipeState {
    BUFFER.with_borrow_mut(|buffer| {
        for _ in 0..READS_PER_TURN {
            match pipe.try_read(buffer) {
                Ok(0) => return PipeState::Closed,
                Ok(count) => take(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return PipeState::Empty,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                Err(_) => return PipeState::Closed,
            }
        }
        PipeState::Busy
    })
}
