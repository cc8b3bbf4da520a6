//! A connected socket, registered only for what is awaited, and read in large pieces for readers that ask for small
//! ones.
//!
//! tokio's own sockets are registered for reading and writing at once. Under edge-triggered epoll that wakes the thread
//! whenever the peer has read something, once per small call, for nothing. Here a socket is registered for reading, and
//! for writing only while the kernel takes no more.

use std::io::{self, IoSlice, Read};
use std::net::TcpStream;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use super::read_interest::ReadInterest;
use super::socket_set::SocketSet;
use super::stream::Stream;

/// Bytes asked for at a time while much arrives.
const BULK_READ_BYTES: usize = 64 * 1024;
/// A read that gives less than this shows that not much arrives any more.
const TRICKLE_BYTES: usize = 8 * 1024;

/// A reader that asks for at least this many bytes, and gets them, will want more.
const SMALL_READ_BYTES: usize = 4 * 1024;

/// Bytes after which other tasks of this thread get their turn: the consumer of these bytes, and other connections.
const TURN_BYTES: usize = 512 * 1024;

/// A write to a socket whose other end is gone is an error, never a SIGPIPE, which ends a program that has it at its default
/// action. The standard library's vectored writes do not ask for that; where the flag is missing, its sockets have an option
/// set instead.
#[cfg(not(target_vendor = "apple"))]
pub(super) const WITHOUT_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(super) const WITHOUT_SIGNAL: SendFlags = SendFlags::empty();

/// The methods of the standard library's sockets that [`Socket`] uses.
pub(super) trait Connected: AsRawFd + AsFd + Send + Sync + Unpin + 'static {
    fn receive(&self, buffer: &mut [u8]) -> io::Result<usize>;
    fn finish(&self) -> io::Result<()>;

    fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(sendmsg(self, slices, &mut SendAncillaryBuffer::default(), WITHOUT_SIGNAL)?)
    }
}

macro_rules! connected {
    ($socket:ty) => {
        impl Connected for $socket {
            fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
                let mut socket = self;
                socket.read(buffer)
            }

            fn finish(&self) -> io::Result<()> {
                self.shutdown(std::net::Shutdown::Write)
            }
        }
    };
}

connected!(UnixStream);
connected!(TcpStream);

/// A duplicate of a descriptor, because epoll takes each descriptor only once.
struct DupFd(OwnedFd);

impl AsRawFd for DupFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

/// Registers a descriptor with the runtime.
#[expect(
    deprecated,
    reason = "the successor is unsafe, for types that may give away their descriptor; these own theirs to the end"
)]
fn watch<D: AsRawFd>(descriptor: D, interest: Interest) -> io::Result<AsyncFd<D>> {
    AsyncFd::with_interest(descriptor, interest)
}

/// Bytes that were read ahead. Without memory while little arrives, so that idle connections cost none.
#[derive(Default)]
struct Ahead {
    buffer: Box<[u8]>,
    unread: Range<usize>,
}

impl Ahead {
    /// Moves as much as fits.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let count = self.unread.len().min(buffer.remaining());
        let end = self.unread.start + count;
        buffer.put_slice(&self.buffer[self.unread.start..end]);
        self.unread.start = end;
    }
}

/// A connected socket.
pub(super) struct Socket<S: Connected> {
    connected: Arc<S>,
    interest: Arc<ReadInterest>,
    /// Registered with the runtime while the I/O thread has the interest.
    readable: Option<AsyncFd<Arc<S>>>,
    /// The set that has the socket while another thread has the interest.
    set: Option<Arc<SocketSet>>,
    /// Registered only while a write waits.
    writable: Option<AsyncFd<DupFd>>,
    /// Whether to read more than is asked for while much arrives. rustls asks for 4 KiB at a time: 260 system calls for a
    /// megabyte. HTTP/2 asks for enough, and there the copy costs more than it saves (1 MiB unary: a sixth more CPU).
    reads_ahead: bool,
    ahead: Ahead,
    is_bulk: bool,
    /// Bytes given since a read last had to wait.
    turn: usize,
}

impl<S: Connected> Socket<S> {
    /// Takes over a socket that does not block.
    pub(super) fn new(socket: S, reads_ahead: bool) -> io::Result<Self> {
        let connected = Arc::new(socket);
        Ok(Self {
            interest: ReadInterest::new(),
            readable: Some(watch(connected.clone(), Interest::READABLE)?),
            set: None,
            connected,
            writable: None,
            reads_ahead,
            ahead: Ahead::default(),
            is_bulk: false,
            turn: 0,
        })
    }

    /// The stream of the socket's bytes, which tells who waits for them.
    pub(super) fn into_stream(self) -> Stream {
        let interest = self.interest.clone();
        Stream::new(self).with_interest(Some(interest))
    }

    /// Reads into what is unfilled, which is not touched before there is something to read.
    fn receive(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        match self.interest.holder() {
            Some(set) if self.join(&set) => self.receive_reported(buffer),
            _ => self.receive_on_io_thread(context, buffer),
        }
    }

    /// Moves the socket into a set; whether the system had room for it.
    fn join(&mut self, set: &Arc<SocketSet>) -> bool {
        if self.set.as_ref().is_some_and(|current| Arc::ptr_eq(current, set)) {
            return true;
        }
        self.leave_set();
        if self.interest.enter(set, self.connected.as_fd()).is_err() {
            return false;
        }
        (self.readable, self.set) = (None, Some(set.clone()));
        true
    }

    /// Reads what the set has reported. There is no waker to keep: whoever watches the set has the connection driven.
    fn receive_reported(&mut self, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        while self.interest.is_readable() {
            match self.connected.receive(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.interest.exhausted(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                result => {
                    if is_short(&result, buffer) {
                        self.interest.exhausted();
                    }
                    return Poll::Ready(result);
                }
            }
        }
        Poll::Pending
    }

    fn leave_set(&mut self) {
        if let Some(set) = self.set.take() {
            self.interest.leave(&set, self.connected.as_fd());
        }
    }

    fn receive_on_io_thread(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        self.leave_set();
        let readable = match &mut self.readable {
            Some(readable) => readable,
            // The registration reports what has arrived already.
            none => none.insert(watch(self.connected.clone(), Interest::READABLE)?),
        };
        loop {
            let mut guard = ready!(readable.poll_read_ready(context))?;
            let result = match guard.get_inner().receive(buffer.initialize_unfilled()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    guard.clear_ready();
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result,
            };
            if is_short(&result, buffer) {
                // Later bytes give a new edge.
                guard.clear_ready();
            }
            return Poll::Ready(result);
        }
    }

    fn read_ahead(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ahead = std::mem::take(&mut self.ahead);
        if ahead.buffer.is_empty() {
            ahead.buffer = vec![0; BULK_READ_BYTES].into_boxed_slice();
        }
        let result = self.receive(context, &mut ReadBuf::new(&mut ahead.buffer));
        if let Poll::Ready(Ok(count)) = &result {
            self.is_bulk = *count >= TRICKLE_BYTES;
            ahead.unread = 0..*count;
        }
        self.ahead = ahead;
        result.map_ok(drop)
    }

    fn send(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.interest.defers_write() {
            return Poll::Pending;
        }
        loop {
            if let Some(writable) = &self.writable {
                let mut guard = ready!(writable.poll_write_ready(context))?;
                guard.clear_ready();
            }
            match self.connected.send(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.writable.is_none() {
                        let name = DupFd(self.connected.as_fd().try_clone_to_owned()?);
                        self.writable = Some(watch(name, Interest::WRITABLE)?);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
                result => {
                    self.writable = None;
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// Whether a read shows that the socket has no more.
fn is_short(result: &io::Result<usize>, buffer: &ReadBuf<'_>) -> bool {
    result.as_ref().is_ok_and(|count| (1..buffer.remaining()).contains(count))
}

impl<S: Connected> Drop for Socket<S> {
    fn drop(&mut self) {
        self.leave_set();
    }
}

impl<S: Connected> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let result = self.read(context, buffer);
        self.turn = if result.is_ready() { self.turn + buffer.filled().len() - before } else { 0 };
        result
    }
}

impl<S: Connected> Socket<S> {
    fn read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.ahead.unread.is_empty() && self.is_bulk && buffer.remaining() < BULK_READ_BYTES {
            ready!(self.read_ahead(context))?;
        }
        if !self.ahead.unread.is_empty() {
            self.ahead.give(buffer);
            if self.ahead.unread.is_empty() && !self.is_bulk {
                self.ahead = Ahead::default();
            }
            return Poll::Ready(Ok(()));
        }
        let count = ready!(self.receive(context, buffer))?;
        self.is_bulk = self.reads_ahead && count == buffer.remaining() && count >= SMALL_READ_BYTES;
        buffer.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<S: Connected> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.send(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.send(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.connected.finish())
    }
}
