//! Message compression. No I/O.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

/// How messages are encoded; the numbers are those of grpcio's `grpc.Compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As they are.
    #[default]
    Identity,
    /// Deflate in zlib's wrapper, as gRPC means it.
    Deflate,
    /// Deflate in gzip's wrapper.
    Gzip,
}

/// The encodings that this side can read, as requests announce them.
pub(super) const ACCEPTED: &str = "identity, deflate, gzip";

impl Encoding {
    /// By name, as in `grpc-encoding`.
    #[must_use]
    pub fn from_name(name: &[u8]) -> Option<Self> {
        match name {
            b"identity" => Some(Self::Identity),
            b"deflate" => Some(Self::Deflate),
            b"gzip" => Some(Self::Gzip),
            _ => None,
        }
    }

    /// By grpcio's number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Identity, Self::Deflate, Self::Gzip].get(number as usize).copied()
    }

    /// The name in `grpc-encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Deflate => "deflate",
            Self::Gzip => "gzip",
        }
    }

    /// The message encoded, or `None` where that would not make it smaller.
    pub(super) fn compress(self, message: &[u8]) -> Option<Vec<u8>> {
        let compressed = match self {
            Self::Identity => return None,
            Self::Deflate => {
                write_all(ZlibEncoder::new(Vec::new(), Compression::default()), message, ZlibEncoder::finish)
            }
            Self::Gzip => write_all(GzEncoder::new(Vec::new(), Compression::default()), message, GzEncoder::finish),
        };
        compressed.ok().filter(|compressed| compressed.len() < message.len())
    }
}

/// Why a compressed message cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecompressionError {
    NotConfigured,
    Corrupt,
    TooLarge,
}

fn write_all<E: Write>(mut encoder: E, message: &[u8], finish: fn(E) -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    encoder.write_all(message)?;
    finish(encoder)
}

/// Decodes a message in steps, because its size shows only on the way.
pub(super) struct Decompression {
    source: Box<dyn Read + Send>,
    message: Vec<u8>,
    limit: usize,
}

impl Decompression {
    /// Begins to decode a message. No more than `limit` bytes are ever stored.
    pub(super) fn new(encoding: Encoding, compressed: Bytes, limit: usize) -> Result<Self, DecompressionError> {
        let source: Box<dyn Read + Send> = match encoding {
            Encoding::Identity => return Err(DecompressionError::NotConfigured),
            Encoding::Deflate => Box::new(ZlibDecoder::new(compressed.reader())),
            Encoding::Gzip => Box::new(GzDecoder::new(compressed.reader())),
        };
        Ok(Self { source, message: Vec::new(), limit })
    }

    /// Decodes on to `size` bytes; the message, if it has no more.
    pub(super) fn advance(&mut self, size: usize) -> Result<Option<Vec<u8>>, DecompressionError> {
        let room = size.min(self.limit.saturating_add(1)).saturating_sub(self.message.len()) as u64;
        let count =
            self.source.by_ref().take(room).read_to_end(&mut self.message).map_err(|_| DecompressionError::Corrupt)?;
        if self.message.len() > self.limit {
            return Err(DecompressionError::TooLarge);
        }
        Ok(((count as u64) < room).then(|| std::mem::take(&mut self.message)))
    }

    /// All of it.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, DecompressionError> {
        self.advance(usize::MAX)?.ok_or(DecompressionError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn decompress(encoding: Encoding, message: &[u8], limit: usize) -> Result<Vec<u8>, DecompressionError> {
        Decompression::new(encoding, Bytes::copy_from_slice(message), limit)?.finish()
    }

    #[test]
    fn round_trip_and_bounds() {
        let message = b"pong".repeat(1000);
        for encoding in [Encoding::Deflate, Encoding::Gzip] {
            let compressed = encoding.compress(&message).unwrap();
            assert_eq!(decompress(encoding, &compressed, message.len()).unwrap(), message);
            assert_eq!(decompress(encoding, &compressed, message.len() - 1), Err(DecompressionError::TooLarge));
            assert_eq!(decompress(encoding, &compressed[..20], 10_000), Err(DecompressionError::Corrupt));
            assert_eq!(decompress(encoding, &message, 10_000), Err(DecompressionError::Corrupt));
            assert_eq!(encoding.compress(b"ab"), None);
        }
        assert_eq!(decompress(Encoding::Identity, b"x", 10), Err(DecompressionError::NotConfigured));
    }

    #[test]
    fn encodings_have_names_and_numbers() {
        // The names of the specification of gRPC, and the numbers of grpcio's `Compression`.
        let named = [("identity", Encoding::Identity), ("deflate", Encoding::Deflate), ("gzip", Encoding::Gzip)];
        for (number, (name, encoding)) in (0..).zip(named) {
            assert_eq!(encoding.name(), name);
            assert_eq!(Encoding::from_name(name.as_bytes()), Some(encoding));
            assert_eq!(Encoding::from_number(number), Some(encoding));
        }
        assert_eq!(Encoding::from_name(b"snappy"), None);
        assert_eq!(Encoding::from_name(b"GZIP"), None);
        assert_eq!(Encoding::from_number(3), None);
    }

    #[test]
    fn what_is_sent_compressed_is_smaller() {
        for message in (0..100).map(|length| b"a".repeat(length)) {
            for encoding in [Encoding::Deflate, Encoding::Gzip] {
                let size = encoding.compress(&message).map_or(0, |compressed| compressed.len());
                assert!(size < message.len().max(1), "{size} bytes of {}", message.len());
            }
        }
    }

    #[test]
    fn steps_give_the_same_wherever_they_end() {
        let message = b"pong".repeat(1000);
        let compressed = Bytes::from(Encoding::Gzip.compress(&message).unwrap());
        for step in [1, 3999, 4000, 4001] {
            let mut decompression = Decompression::new(Encoding::Gzip, compressed.clone(), 4000).unwrap();
            let early = decompression.advance(step).unwrap();
            assert_eq!(early.is_some(), step > message.len(), "{step}");
            assert_eq!(early.map_or_else(|| decompression.finish(), Ok).unwrap(), message, "{step}");
        }
    }
}
