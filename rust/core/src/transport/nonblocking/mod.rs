//! A connected stream that its owner reads and writes without waiting: each call does at once what the kernel allows.

mod burst;
mod encryption;
mod unread;
mod unsent;
mod wire;

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Instant;

use bytes::Bytes;
use rustls::ClientConnection;

use self::burst::{BLOCK_BYTES, Burst};
use self::encryption::Encryption;
use self::unread::Unread;
use self::unsent::Unsent;
use self::wire::{Filled, Wire, is_later};
use super::Traffic;

/// Encrypted bytes of one read.
const RECORDS_BYTES: usize = 64 * 1024;
/// Messages up to this size, in bytes, are joined with their prefix.
const JOINED_BYTES: usize = 512;
/// What one flush sends at most, or little more.
const TURN_BYTES: usize = 1 << 20;
/// What is read at most after a write has failed.
const LAST_WORD_BYTES: usize = 1 << 20;
/// What is read at most before the socket is closed: as much as a kernel keeps.
const REST_BYTES: usize = 8 << 20;

/// What is left to do for the sending side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    Open,
    /// To be closed once all is sent.
    Finishing,
    Finished,
}

/// One connection: socket, TLS if there is any, and the bytes of both directions that wait.
pub struct NonblockingStream {
    wire: Wire,
    encryption: Option<Box<Encryption>>,
    /// Room for encrypted bytes.
    records: Vec<u8>,
    unread: Unread,
    unsent: Unsent,
    burst: Burst,
    input_ended: bool,
    output: Output,
    failure: Option<String>,
}

impl NonblockingStream {
    /// Takes over a socket that does not block, and the TLS on it, whose handshake is done.
    pub(super) fn new(socket: OwnedFd, session: Option<ClientConnection>, traffic: Traffic) -> Self {
        let mut stream = Self {
            wire: Wire { socket: Some(socket), traffic },
            encryption: session.map(|session| Box::new(Encryption::new(session))),
            records: Vec::new(),
            unread: Unread::default(),
            unsent: Unsent::default(),
            burst: Burst::default(),
            input_ended: false,
            output: Output::Open,
            failure: None,
        };
        // What the peer sent right behind its handshake has been read already.
        let early = match &mut stream.encryption {
            Some(encryption) => encryption.take_content(&mut stream.unread),
            None => Ok(false),
        };
        stream.wire.traffic.content.add_received(stream.unread.as_slice().len());
        stream.note_input(early);
        stream
    }

    /// Reads what has arrived, about `budget` bytes at most, with room for `missing` bytes.
    pub fn fill(&mut self, missing: usize, budget: usize) {
        let before = self.unread.as_slice().len();
        while self.may_read() && self.unread.as_slice().len() - before < budget {
            let unread = self.unread.as_slice().len();
            let result = if self.encryption.is_some() { self.fill_opened() } else { self.fill_plain(missing) };
            self.wire.traffic.content.add_received(self.unread.as_slice().len() - unread);
            match result {
                Ok(Filled::All) => break,
                Ok(Filled::Some) => (),
                Ok(Filled::End) => self.input_ended = true,
                Err(error) if is_later(&error) => break,
                Err(error) => self.fail(&error),
            }
        }
        if self.unread.as_slice().len() > before {
            self.burst.answered();
        }
    }

    fn fill_plain(&mut self, missing: usize) -> io::Result<Filled> {
        let buffer = self.unread.with_room(missing);
        let room = buffer.capacity() - buffer.len();
        Ok(Filled::of(self.wire.receive(buffer)?, room))
    }

    fn fill_opened(&mut self) -> io::Result<Filled> {
        let Some(encryption) = &mut self.encryption else { return Ok(Filled::All) };
        self.records.clear();
        self.records.reserve(RECORDS_BYTES);
        let room = self.records.capacity();
        let count = self.wire.receive(&mut self.records)?;
        let has_ended = encryption.open(&self.records, &mut self.unread);
        // An alert, or the answer to a change of keys.
        if encryption.wants_to_send() && self.output != Output::Finished {
            let _ = encryption.send(&mut &self.wire);
        }
        Ok(if has_ended? { Filled::End } else { Filled::of(count, room) })
    }

    fn note_input(&mut self, has_ended: io::Result<bool>) {
        match has_ended {
            Ok(has_ended) => self.input_ended |= has_ended,
            Err(error) => self.fail(&error),
        }
    }

    fn may_read(&self) -> bool {
        !self.input_ended && self.failure.is_none()
    }

    /// Bytes that have been read and not consumed.
    pub fn unread(&self) -> &[u8] {
        self.unread.as_slice()
    }

    /// Forgets bytes at the beginning of the unread ones.
    pub fn consume(&mut self, count: usize) {
        self.unread.consume(count);
    }

    /// Sends `head` and `body`: at once what the kernel takes, the rest with [`NonblockingStream::flush`]. Amid a burst
    /// they wait for that, too, until they are a block. Of a large rest `keep` makes a reference to all of `body`.
    pub fn send(&mut self, head: &[u8], body: &[u8], keep: impl FnOnce() -> Bytes) {
        if !self.is_writable() {
            return;
        }
        let waits = self.unsent() > 0 || self.burst.joins(Instant::now);
        let taken = if waits { Ok(0) } else { self.send_now(head, body) };
        match taken {
            Ok(count) => {
                let (in_head, in_body) = (count.min(head.len()), count.saturating_sub(head.len()));
                self.unsent.push(&head[in_head..], || Bytes::copy_from_slice(&head[in_head..]));
                self.unsent.push(&body[in_body..], || keep().slice(in_body..));
            }
            Err(error) => self.fail_to_send(&error),
        }
        if self.burst.is_joining() {
            self.flush_block();
        } else if self.encryption.is_some() {
            self.flush_unsent();
        }
    }

    /// Sends joined bytes if they are a block. What the kernel does not take ends the burst.
    fn flush_block(&mut self) {
        if self.unsent() < BLOCK_BYTES {
            return;
        }
        self.flush_unsent();
        if self.unsent() > 0 {
            self.burst.end();
        }
    }

    /// Sends what the kernel takes, and no more than a turn's worth: a peer may read as fast as it is sent to.
    pub fn flush(&mut self) {
        self.burst.end();
        self.flush_unsent();
    }

    fn flush_unsent(&mut self) {
        let mut sent = 0;
        while self.failure.is_none() && sent < TURN_BYTES {
            match self.flush_records() {
                Err(error) if is_later(&error) => return,
                Err(error) => return self.fail_to_send(&error),
                Ok(()) => (),
            }
            if self.unsent.len() == 0 {
                return self.finish_output();
            }
            let slices = self.unsent.slices();
            let result = send_slices(&self.wire, &mut self.encryption, &slices);
            match result {
                Ok(0) => return,
                Ok(count) => {
                    self.unsent.advance(count);
                    sent += count;
                }
                Err(error) => self.fail_to_send(&error),
            }
        }
    }

    fn send_now(&mut self, head: &[u8], body: &[u8]) -> io::Result<usize> {
        // Copying a small message is cheaper than having the kernel gather it.
        let (mut joined, size) = ([0; JOINED_BYTES], head.len() + body.len());
        if let Some((first, rest)) = joined[..].split_at_mut_checked(head.len())
            && let Some(rest) = rest.get_mut(..body.len())
        {
            first.copy_from_slice(head);
            rest.copy_from_slice(body);
            return send_slices(&self.wire, &mut self.encryption, &[IoSlice::new(&joined[..size])]);
        }
        send_slices(&self.wire, &mut self.encryption, &[IoSlice::new(head), IoSlice::new(body)])
    }

    fn flush_records(&mut self) -> io::Result<()> {
        self.encryption.as_mut().map_or(Ok(()), |encryption| encryption.send(&mut &self.wire))
    }

    /// Bytes that wait for the kernel.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.unsent.len() + self.encryption.as_ref().map_or(0, |encryption| encryption.sealed())
    }

    /// Whether bytes wait for others, or for [`NonblockingStream::flush`] at the end of the turn.
    #[must_use]
    pub fn is_joining(&self) -> bool {
        self.burst.is_joining()
    }

    /// Closes the sending side once all is sent.
    pub fn finish(&mut self) {
        if self.output == Output::Open {
            self.output = Output::Finishing;
            self.flush();
        }
    }

    fn finish_output(&mut self) {
        if self.output != Output::Finishing {
            return;
        }
        if let Some(encryption) = &mut self.encryption {
            encryption.seal_end();
            if encryption.send(&mut &self.wire).is_err_and(|error| is_later(&error)) {
                return;
            }
        }
        self.output = Output::Finished;
        self.wire.finish();
    }

    /// Whether bytes can be sent.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.failure.is_none() && self.output == Output::Open
    }

    /// Whether the peer has sent its last byte.
    #[must_use]
    pub fn input_ended(&self) -> bool {
        self.input_ended
    }

    /// Why the connection broke.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// The socket's descriptor, until the connection is closed.
    #[must_use]
    pub fn descriptor(&self) -> Option<RawFd> {
        self.wire.socket.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Closes the connection; unread bytes are dropped, and those that the kernel does not take now.
    pub fn close(&mut self) {
        if self.is_joining() {
            self.flush();
        }
        if self.unsent() == 0 && self.failure.is_none() {
            self.finish();
            self.discard_rest();
        }
        self.hang_up();
        self.input_ended = true;
        self.unread = Unread::default();
    }

    /// Reads what nobody will. The kernel resets a connection that is closed before, and the peer may lose our last
    /// bytes.
    fn discard_rest(&mut self) {
        let mut count = 0;
        while count < REST_BYTES {
            self.records.clear();
            self.records.reserve(RECORDS_BYTES);
            match self.wire.receive(&mut self.records) {
                Ok(1..) => count += self.records.len(),
                _ => return,
            }
        }
    }

    /// Gives the socket back. What is unread stays so.
    pub fn hang_up(&mut self) {
        // A forked child may hold the socket too: the peer is told all the same.
        self.wire.finish();
        self.wire.socket = None;
        self.output = Output::Finished;
        self.unsent = Unsent::default();
    }

    /// A peer that refuses us sends an alert, or a last word, and closes; writing can fail before that was read.
    fn fail_to_send(&mut self, error: &io::Error) {
        self.fill(0, LAST_WORD_BYTES);
        self.fail(error);
    }

    fn fail(&mut self, error: &io::Error) {
        self.failure.get_or_insert_with(|| error.to_string());
    }
}

/// Hands content to the kernel, or to TLS; returns how much was taken, nothing if it has to wait.
fn send_slices(wire: &Wire, encryption: &mut Option<Box<Encryption>>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let taken = match encryption {
        Some(encryption) => encryption.seal(slices),
        None => wire.send(slices),
    };
    match taken {
        Err(error) if is_later(&error) => Ok(0),
        Ok(count) => {
            wire.traffic.content.add_sent(count);
            Ok(count)
        }
        failed => failed,
    }
}
