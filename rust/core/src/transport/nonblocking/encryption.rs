//! TLS between the socket's bytes and the caller's: rustls, which does no I/O of its own.

use std::io::{self, BufRead, IoSlice, Write};

use rustls::ClientConnection;

use super::unread::Unread;

/// The TLS of one connection, whose handshake is done.
pub(super) struct Encryption {
    session: ClientConnection,
    /// Bytes of content whose records have not all been sent, and one for the end.
    sealed: usize,
    end_sealed: bool,
}

impl Encryption {
    pub(super) fn new(session: ClientConnection) -> Self {
        Self { session, sealed: 0, end_sealed: false }
    }

    /// Decrypts what came from the socket, nothing at its end. Returns whether the peer has said its last.
    pub(super) fn open(&mut self, mut records: &[u8], unread: &mut Unread) -> io::Result<bool> {
        let is_end = records.is_empty();
        while !records.is_empty() || is_end {
            self.session.read_tls(&mut records)?;
            // What was decrypted before the error counts as received.
            let result = self.session.process_new_packets();
            let has_ended = self.take_content(unread)?;
            result.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if has_ended || is_end {
                return Ok(has_ended);
            }
        }
        Ok(false)
    }

    /// Moves decrypted bytes; returns whether they were the last. An end without the peer's word for it is an error.
    pub(super) fn take_content(&mut self, unread: &mut Unread) -> io::Result<bool> {
        let mut reader = self.session.reader();
        loop {
            let count = match reader.fill_buf() {
                Ok([]) => return Ok(true),
                Ok(content) => {
                    unread.with_room(content.len()).extend_from_slice(content);
                    content.len()
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            reader.consume(count);
        }
    }

    /// Encrypts; returns how much it took, since it keeps few records that are not sent.
    pub(super) fn seal(&mut self, content: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.session.writer().write_vectored(content)?;
        self.sealed += count;
        Ok(count)
    }

    /// Says that no more will be sent.
    pub(super) fn seal_end(&mut self) {
        if !std::mem::replace(&mut self.end_sealed, true) {
            self.session.send_close_notify();
            self.sealed += 1;
        }
    }

    /// Sends records until there are no more, or `socket` has an error, of which one is that it takes no more now.
    pub(super) fn send(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.session.wants_write() {
            self.session.write_tls(socket)?;
        }
        self.sealed = 0;
        Ok(())
    }

    pub(super) fn sealed(&self) -> usize {
        self.sealed
    }

    pub(super) fn wants_to_send(&self) -> bool {
        self.session.wants_write()
    }
}
