//! The socket of a connection, which never waits and counts its bytes.

use std::io::{self, IoSlice, Write};
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::net::{SendAncillaryBuffer, Shutdown, send, sendmsg, shutdown};

use crate::transport::Traffic;
use crate::transport::socket::WITHOUT_SIGNAL;

/// The socket, which counts.
pub(super) struct Wire {
    /// None once the connection is closed.
    pub(super) socket: Option<OwnedFd>,
    pub(super) traffic: Traffic,
}

impl Wire {
    fn socket(&self) -> io::Result<&OwnedFd> {
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Tells the peer that no more will be sent.
    pub(super) fn finish(&self) {
        let _ = self.socket.as_ref().map(|socket| shutdown(socket, Shutdown::Write));
    }

    pub(super) fn receive(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            match rustix::io::read(self.socket()?, spare_capacity(buffer)) {
                Err(rustix::io::Errno::INTR) => (),
                Err(error) => return Err(error.into()),
                Ok(count) => {
                    self.traffic.wire.add_received(count);
                    return Ok(count);
                }
            }
        }
    }

    pub(super) fn send(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let sent = match slices {
                [slice] => send(self.socket()?, slice, WITHOUT_SIGNAL),
                _ => sendmsg(self.socket()?, slices, &mut SendAncillaryBuffer::default(), WITHOUT_SIGNAL),
            };
            match sent {
                Err(rustix::io::Errno::INTR) => (),
                Err(error) => return Err(error.into()),
                Ok(count) => {
                    self.traffic.wire.add_sent(count);
                    return Ok(count);
                }
            }
        }
    }
}

impl Write for &Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a read has shown.
pub(super) enum Filled {
    /// There was no more.
    All,
    /// There may be more.
    Some,
    /// The peer has said its last.
    End,
}

impl Filled {
    pub(super) fn of(count: usize, room: usize) -> Self {
        match count {
            0 => Self::End,
            count if count < room => Self::All,
            _ => Self::Some,
        }
    }
}

/// Whether the kernel asks to try again later. It has no memory left for a moment when it says ENOBUFS.
pub(super) fn is_later(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error())
}
