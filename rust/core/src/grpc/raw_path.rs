//! Sends names of methods that are no path of a URI unchanged.
//!
//! gRPC's servers compare `:path` byte by byte, and grpcio's client sends any text there. `h2` takes a URI, which must
//! begin with a slash and loses what follows a `#`. So such a name is given to `h2` as a token, and on its way out the
//! token is replaced by the name, in its frame of headers. Other connections pay for it with the count of their frames.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::uri::PathAndQuery;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// RFC 9113, sections 4.1, 4.2 and 6.2: a frame's head, its smallest largest payload, types and a flag.
const HEAD: usize = 9;
const FRAME_SIZE: usize = 16_384;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// The client's preface, which is no frame (section 3.4).
const PREFACE: usize = 24;

/// Bytes of a name that is no path: about what servers accept of all headers together.
pub(super) const LONGEST_NAME: usize = 8 * 1024;

/// A token is `/!` and digits, all of which take whole bytes in HPACK's Huffman code (RFC 7541, appendix B).
const START: &str = "/!";
const DIGITS: [char; 6] = ['&', '*', ',', ';', 'X', 'Z'];
const FIRST_DIGIT: u8 = 0xf8;
/// Enough for any number of 62 bits; `FIELD` has it, and two more for the start.
const LENGTH: usize = 24;
/// How a token's field begins: a literal without indexing, named by entry 4, Huffman-coded, its length, `/!`.
const FIELD: [u8; 4] = [0x04, 0x9a, 0x63, 0xf8];

/// Names under way on one connection, by the number in their token.
#[derive(Default)]
pub(super) struct RawPaths {
    names: Mutex<(u64, HashMap<u64, Bytes>)>,
    /// How many there are. ORDERING: relaxed; `h2` hands the token over under a lock of its own.
    count: AtomicUsize,
}

/// Keeps a name under way known, until it is dropped.
pub(super) struct RawPath {
    paths: Arc<RawPaths>,
    number: u64,
}

impl Drop for RawPath {
    fn drop(&mut self) {
        self.paths.take(self.number);
    }
}

/// A method's name as `h2` takes it, and what keeps its token known until it is sent; None if it can be sent in no way.
pub(super) fn path(name: &Bytes, paths: &Arc<RawPaths>) -> Option<(PathAndQuery, Option<RawPath>)> {
    if let Ok(path) = PathAndQuery::from_maybe_shared(name.clone())
        && path.as_str().as_bytes() == name
        && !name.starts_with(START.as_bytes())
    {
        return Some((path, None));
    }
    // HTTP/2 forbids these bytes in any field (section 8.2.1).
    if name.is_empty() || name.len() > LONGEST_NAME || name.iter().any(|byte| matches!(byte, 0 | b'\n' | b'\r')) {
        return None;
    }
    let number = paths.add(name.clone());
    let raw = RawPath { paths: paths.clone(), number };
    Some((PathAndQuery::try_from(token(number)).ok()?, Some(raw)))
}

impl RawPaths {
    fn add(&self, name: Bytes) -> u64 {
        let mut names = self.lock();
        names.0 += 1;
        let number = names.0;
        names.1.insert(number, name);
        self.count.store(names.1.len(), Ordering::Relaxed);
        number
    }

    fn take(&self, number: u64) -> Option<Bytes> {
        let mut names = self.lock();
        let name = names.1.remove(&number);
        self.count.store(names.1.len(), Ordering::Relaxed);
        name
    }

    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Bytes>)> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of headers with the name in the token's place; unchanged if it has none.
    fn restored(&self, mut block: Vec<u8>) -> Vec<u8> {
        let found = memchr::memmem::find_iter(&block, &FIELD).find_map(|start| {
            let digits = start + FIELD.len()..start + FIELD.len() + LENGTH;
            let name = self.take(number(block.get(digits.clone())?)?)?;
            Some((start..digits.end, name))
        });
        if let Some((place, name)) = found {
            let mut field = vec![FIELD[0]];
            put_length(name.len(), &mut field);
            field.extend_from_slice(&name);
            block.splice(place, field);
        }
        block
    }
}

fn token(mut number: u64) -> String {
    let mut token = START.to_owned();
    for _ in 0..LENGTH {
        token.push(DIGITS[(number % 6) as usize]);
        number /= 6;
    }
    token
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().rev().try_fold(0_u64, |number, digit| {
        let value = digit.checked_sub(FIRST_DIGIT).filter(|value| *value < 6)?;
        number.checked_mul(6)?.checked_add(u64::from(value))
    })
}

/// The length of a string that is not Huffman-coded (RFC 7541, sections 5.1 and 5.2).
fn put_length(length: usize, field: &mut Vec<u8>) {
    const LONGEST: usize = 127;
    let Some(mut rest) = length.checked_sub(LONGEST) else {
        return field.put_uint(length as u64, 1);
    };
    field.push(127);
    while rest >= 128 {
        field.put_uint((rest % 128 + 128) as u64, 1);
        rest /= 128;
    }
    field.put_uint(rest as u64, 1);
}

/// The stream that `h2` writes to, which puts names in the places of their tokens.
pub(super) struct RawPathStream<S> {
    stream: S,
    paths: Arc<RawPaths>,
    /// Whether nothing was written yet.
    is_fresh: bool,
    /// The head of the frame that is being written, as far as it has come, and how much of its payload has not.
    head: Vec<u8>,
    left: usize,
    /// A frame of headers that is held back until it is complete.
    held: Option<Vec<u8>>,
    /// Bytes that `h2` believes to be written.
    unsent: BytesMut,
}

impl<S> RawPathStream<S> {
    pub(super) fn new(stream: S, paths: Arc<RawPaths>) -> Self {
        let (head, unsent) = (Vec::with_capacity(HEAD), BytesMut::new());
        Self { stream, paths, is_fresh: true, head, left: PREFACE, held: None, unsent }
    }

    fn is_plain(&self) -> bool {
        self.paths.count.load(Ordering::Relaxed) == 0 && self.unsent.is_empty() && self.held.is_none()
    }

    /// Follows the frames in what was written.
    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let count = self.piece(bytes).0;
            bytes = &bytes[count..];
        }
    }

    /// The next piece of one frame in `bytes`: its size, and whether the frame is complete with it.
    fn piece(&mut self, bytes: &[u8]) -> (usize, bool) {
        if self.left == 0 {
            let count = bytes.len().min(HEAD - self.head.len());
            self.head.extend_from_slice(&bytes[..count]);
            if let &[a, b, c, _, _, _, _, _, _] = self.head.as_slice() {
                self.left = frame_length([a, b, c]);
                if self.left == 0 {
                    self.head.clear();
                    return (count, true);
                }
            }
            return (count, false);
        }
        let count = bytes.len().min(self.left);
        self.left -= count;
        if self.left == 0 {
            self.head.clear();
        }
        (count, self.left == 0)
    }

    /// Takes everything, with names in the place of tokens.
    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.head.is_empty() && self.left == 0 {
                self.held = Some(Vec::new());
            }
            let (count, is_complete) = self.piece(bytes);
            let (piece, rest) = bytes.split_at(count);
            bytes = rest;
            let Some(mut frame) = self.held.take() else {
                self.unsent.extend_from_slice(piece);
                continue;
            };
            frame.extend_from_slice(piece);
            if frame.get(3).is_some_and(|kind| *kind != HEADERS) {
                self.unsent.extend_from_slice(&frame);
            } else if is_complete {
                let block = self.paths.restored(frame.split_off(HEAD));
                put_headers(&frame, &block, &mut self.unsent);
            } else {
                self.held = Some(frame);
            }
        }
    }
}

/// A frame of headers, and one more where it has become too long. `h2` uses neither padding nor priorities.
fn put_headers(head: &[u8], block: &[u8], out: &mut BytesMut) {
    let &[a, b, c, kind, flags, ref stream @ ..] = head else { return };
    // The peer takes frames as long as that which it would have got.
    let longest = FRAME_SIZE.max(frame_length([a, b, c]));
    let (first, rest) = block.split_at(block.len().min(longest));
    let mut put = |kind: u8, flags: u8, payload: &[u8]| {
        out.put_uint(payload.len() as u64, 3);
        out.put_slice(&[kind, flags]);
        out.put_slice(stream);
        out.put_slice(payload);
    };
    if rest.is_empty() {
        return put(kind, flags, first);
    }
    put(kind, flags & !END_HEADERS, first);
    put(CONTINUATION, flags & END_HEADERS, rest);
}

fn frame_length([a, b, c]: [u8; 3]) -> usize {
    usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c)
}

impl<S: AsyncWrite + Unpin> RawPathStream<S> {
    fn poll_unsent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let count = ready!(Pin::new(&mut self.stream).poll_write(context, &self.unsent))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.unsent.advance(count);
        }
        Poll::Ready(Ok(()))
    }

    fn poll_restored(&mut self, context: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.unsent.len() > PREFACE {
            ready!(self.poll_unsent(context))?;
        }
        for slice in slices {
            self.take(slice);
        }
        // The rest goes out with the flush, for which a writer never forgets to ask.
        if let Poll::Ready(result) = self.poll_unsent(context) {
            result?;
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RawPathStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RawPathStream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if std::mem::take(&mut self.is_fresh)
            && let [preface] = slices
            && preface.len() == PREFACE
        {
            // `h2` writes the preface alone. It goes out with the first frames, which follow at once: one system call,
            // one record of TLS, and one wake-up of the peer for both.
            self.take(preface);
            return Poll::Ready(Ok(PREFACE));
        }
        if !self.is_plain() {
            return self.poll_restored(context, slices);
        }
        let count = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices))?;
        let mut left = count;
        for slice in slices {
            let written = slice.len().min(left);
            self.advance(&slice[..written]);
            left -= written;
        }
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_unsent(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
#[path = "raw_path_tests.rs"]
mod tests;
