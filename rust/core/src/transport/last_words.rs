//! Hearing what a peer said before it left.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose refused writes wait until the peer's last bytes have been read. A peer that speaks another protocol
/// says so and closes, and a handshake that writes first would report the broken pipe alone.
pub(super) struct LastWords<S> {
    stream: S,
    listening: bool,
    failed_write: Option<io::Error>,
}

impl<S> LastWords<S> {
    /// Keeps the errors of writes back until [`LastWords::heard`].
    pub(super) fn new(stream: S) -> Self {
        Self { stream, listening: true, failed_write: None }
    }

    /// Errors of writes are reported at once from now on.
    pub(super) fn heard(&mut self) {
        self.listening = false;
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// What a write of `count` bytes is to report.
    fn written(&mut self, result: Poll<io::Result<usize>>, count: usize) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Err(error)) if self.listening && peer_left(&error) => {
                self.failed_write.get_or_insert(error);
                Poll::Ready(Ok(count))
            }
            other => other,
        }
    }
}

fn peer_left(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

impl<S: AsyncRead + Unpin> AsyncRead for LastWords<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        let ended = match &result {
            Poll::Ready(Ok(())) => buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        match self.failed_write.take_if(|_| ended) {
            Some(error) => Poll::Ready(Err(error)),
            None => result,
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LastWords<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(result, slices.iter().map(|slice| slice.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.written(result.map_ok(|()| 0), 0).map_ok(drop)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
