//! Connected streams, one type for every transport, and a watch on errors of TLS.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::last_error::LastError;
use super::read_interest::ReadInterest;
use super::write_through;
use crate::tls;

trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// A connected stream. It costs one indirect call per read or write, which is small beside their system calls.
pub struct Stream {
    bytes: Box<dyn ByteStream>,
    /// Who waits for the socket below; `None` if that cannot change.
    read_interest: Option<Arc<ReadInterest>>,
}

impl Stream {
    pub(crate) fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { bytes: Box::new(stream), read_interest: None }
    }

    /// A stream whose bytes all come through a socket with this interest.
    pub(super) fn with_interest(self, read_interest: Option<Arc<ReadInterest>>) -> Self {
        Self { read_interest, ..self }
    }

    /// Who waits for the socket below, if that can change.
    #[must_use]
    pub fn read_interest(&self) -> Option<Arc<ReadInterest>> {
        self.read_interest.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.bytes).poll_read(context, buffer)
    }
}

write_through!(Stream, bytes);

/// Bytes of a closing peer that may wait for their reader.
const MAX_EARLY_BYTES: usize = 1 << 20;

/// Remembers the error that broke TLS: readers such as `h2` keep only its text.
pub(super) struct TlsWatch<S> {
    stream: S,
    peer: String,
    last_error: LastError,
    /// The error of a write, kept back until the peer's last bytes have been read.
    failed_write: Option<io::Error>,
    /// Bytes read meanwhile, for the next reads.
    early: BytesMut,
}

impl<S: AsyncRead + Unpin> TlsWatch<S> {
    pub(super) fn new(stream: S, peer: String, last_error: LastError) -> Self {
        Self { stream, peer, last_error, failed_write: None, early: BytesMut::new() }
    }

    fn note(&self, error: &io::Error) {
        if let Some(error) = tls::explain(error, &self.peer) {
            self.last_error.set(Some(error));
        }
    }

    /// Keeps the error of a write back until the alert, or the end of the stream, was read. A peer that refuses our
    /// certificate sends an alert and closes, and a write can fail before the alert was read.
    fn settle<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        let error = match (result, self.failed_write.take()) {
            (_, Some(error)) | (Poll::Ready(Err(error)), None) => error,
            (other, None) => return other,
        };
        if !matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) {
            self.note(&error);
            return Poll::Ready(Err(error));
        }
        let mut scratch = [0; 4096];
        while self.early.len() < MAX_EARLY_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
                Poll::Pending => {
                    self.failed_write = Some(error);
                    return Poll::Pending;
                }
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.early.extend_from_slice(buffer.filled()),
                Poll::Ready(Ok(())) => break,
                Poll::Ready(Err(alert)) => {
                    self.note(&alert);
                    break;
                }
            }
        }
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TlsWatch<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early.split_to(count));
            return Poll::Ready(Ok(()));
        }
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Poll::Ready(Err(error)) = &result {
            self.note(error);
        }
        result
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for TlsWatch<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.settle(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.settle(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.settle(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
