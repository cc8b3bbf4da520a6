//! Message compression. No I/O.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::{GzDecoder, ZlibDecoder};
use flate2::write::{GzEncoder, ZlibEncoder};

/// How messages are encoded; the numbers are those of grpcio's `grpc.Compression`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encoding {
    /// As they are.
    #[default]
    Identity,
    /// With zlib's wrapper, as gRPC means it.
    Deflate,
    /// With gzip's.
    Gzip,
}

/// What this side can read, as announced in requests.
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

    /// The message decoded, unless it is larger than `limit`: then no more than that is ever stored.
    pub(super) fn decompress(self, message: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Identity => Err(Failure::NotConfigured),
            Self::Deflate => read_all(ZlibDecoder::new(message), limit),
            Self::Gzip => read_all(GzDecoder::new(message), limit),
        }
    }
}

/// Why a compressed message cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NotConfigured,
    Corrupt,
    TooLarge,
}

fn write_all<E: Write>(mut encoder: E, message: &[u8], finish: fn(E) -> io::Result<Vec<u8>>) -> io::Result<Vec<u8>> {
    encoder.write_all(message)?;
    finish(encoder)
}

fn read_all(decoder: impl Read, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut message = Vec::new();
    let bound = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    decoder.take(bound).read_to_end(&mut message).map_err(|_| Failure::Corrupt)?;
    if message.len() > limit { Err(Failure::TooLarge) } else { Ok(message) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn round_trip_and_bounds() {
        let message = b"pong".repeat(1000);
        for encoding in [Encoding::Deflate, Encoding::Gzip] {
            let compressed = encoding.compress(&message).unwrap();
            assert_eq!(encoding.decompress(&compressed, message.len()).unwrap(), message);
            assert_eq!(encoding.decompress(&compressed, message.len() - 1), Err(Failure::TooLarge));
            assert_eq!(encoding.decompress(&compressed[..20], 10_000), Err(Failure::Corrupt));
            assert_eq!(encoding.decompress(&message, 10_000), Err(Failure::Corrupt));
            assert_eq!(encoding.compress(b"ab"), None);
        }
        assert_eq!(Encoding::Identity.decompress(b"x", 10), Err(Failure::NotConfigured));
    }
}
