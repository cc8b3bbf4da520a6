//! Bodies of calls: prefixes, messages, their compression.

use bytes::Bytes;

use crate::cuts::cuts;
use crate::error::Error;
use crate::grpc::compression::{Decompression, DecompressionError, Encoding};
use crate::grpc::deframer::{DeframeError, Deframer};
use crate::grpc::frame_decoder::{FrameDecoder, encode, message_length, prefix};
use crate::grpc::framing::{PREFIX_BYTES, frame, frame_in_place};

/// Largest messages that are admitted: none but the smallest, and all.
const LIMITS: [usize; 3] = [0, 40, 1 << 20];
/// Largest message that a compressed one may become.
const DECOMPRESSED_BYTES: usize = 1 << 20;

/// What a body is cut into: whether each message is compressed, and its bytes; then the fault, or the bytes left over.
type Body = (Vec<(bool, Vec<u8>)>, Result<usize, DeframeError>);

/// The messages of a body that is there as a whole, cut in the most obvious way.
fn expected(mut body: &[u8], limit: usize) -> Body {
    let mut messages = Vec::new();
    while let Some((prefix @ [flag, length @ ..], rest)) = body.split_first_chunk::<PREFIX_BYTES>() {
        let length = u32::from_be_bytes(*length) as usize;
        if *flag > 1 {
            return (messages, Err(DeframeError::Flag(*prefix)));
        }
        if length > limit {
            return (messages, Err(DeframeError::TooLarge(length)));
        }
        let Some((message, rest)) = rest.split_at_checked(length) else { break };
        messages.push((*flag == 1, message.to_vec()));
        body = rest;
    }
    (messages, Ok(body.len()))
}

fn deframed(pieces: &[&[u8]], limit: usize) -> Body {
    let (mut deframer, mut messages) = (Deframer::new(limit), Vec::new());
    for piece in pieces {
        deframer.push(Bytes::copy_from_slice(piece));
        loop {
            match deframer.next_message() {
                Ok(Some(message)) => {
                    assert_eq!(message.len(), message.pieces().iter().map(Bytes::len).sum::<usize>());
                    messages.push((message.is_compressed(), message.contiguous().to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (messages, Err(error)),
            }
        }
    }
    assert_eq!(deframer.is_between_messages(), deframer.incomplete_bytes() == 0);
    (messages, Ok(deframer.incomplete_bytes()))
}

/// A body has the same messages however it arrives.
pub(crate) fn deframer(bytes: &[u8]) {
    for limit in LIMITS {
        let expected = expected(bytes, limit);
        assert_eq!(deframed(&[bytes], limit), expected);
        for pieces in cuts(bytes) {
            assert_eq!(deframed(&pieces, limit), expected);
        }
    }
}

/// The messages that a decoder gives, and its error if it fails.
fn decoded(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, Result<(), String>) {
    let (mut decoder, mut messages) = (FrameDecoder::new(limit), Vec::new());
    let words = |error: Error| error.to_string();
    for piece in pieces {
        decoder.feed(piece.to_vec());
        loop {
            match decoder.next_message(<[u8]>::to_vec, |message| message.pieces().concat()) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(error) => return (messages, Err(words(error))),
            }
        }
    }
    (messages, decoder.finish().map_err(words))
}

/// Frames without compression: read the same in any pieces and by both readers, and written as they were.
pub(crate) fn framing(bytes: &[u8]) {
    for limit in LIMITS {
        let whole = decoded(&[bytes], limit);
        for pieces in cuts(bytes) {
            assert_eq!(decoded(&pieces, limit), whole);
        }
        let written: Vec<u8> = whole.0.iter().filter_map(|message| encode(message, limit).ok()).flatten().collect();
        assert!(bytes.starts_with(&written));
        let next = message_length(&bytes[written.len()..], limit);
        match (whole.1, next) {
            // The one reader stops at the prefix that the other refuses.
            (Err(words), Err(error)) => assert_eq!(words, error.to_string()),
            (Err(_), Ok(length)) => {
                let arrived = bytes.len() - written.len();
                assert!(length.is_none_or(|length| prefix(length, limit).is_ok() && PREFIX_BYTES + length > arrived));
            }
            (Ok(()), next) => assert!(matches!(next, Ok(None)) && written.len() == bytes.len()),
        }
    }
    survives_framing(bytes);
}

/// A message comes out of its frame as it was, whatever its encoding.
fn survives_framing(message: &[u8]) {
    for encoding in [Encoding::Identity, Encoding::Deflate, Encoding::Gzip] {
        let Ok(framed) = frame(message, encoding, message.len()) else { unreachable!("it is within the limit") };
        let (messages, end) = expected(&framed, framed.len());
        assert!(matches!((messages.len(), end), (1, Ok(0))));
        for (compressed, body) in messages {
            let plain = if compressed { decompressed(encoding, &body, message.len()) } else { Ok(body) };
            assert_eq!(plain.as_deref(), Ok(message));
        }
    }
    let in_place = frame_in_place(Bytes::copy_from_slice(message), message.len());
    let in_place = in_place.map(|framed| [framed.head, framed.body].concat());
    let copied = frame(message, Encoding::Identity, message.len());
    assert!(matches!((in_place, copied), (Ok(in_place), Ok(copied)) if in_place == copied));
}

fn decompressed(encoding: Encoding, bytes: &[u8], limit: usize) -> Result<Vec<u8>, DecompressionError> {
    Decompression::new(encoding, Bytes::copy_from_slice(bytes), limit)?.finish()
}

/// Compressed bytes become the same message in steps of any size, never one above the limit.
pub(crate) fn compression(bytes: &[u8]) {
    for encoding in [Encoding::Deflate, Encoding::Gzip] {
        for limit in [64, DECOMPRESSED_BYTES] {
            let whole = decompressed(encoding, bytes, limit);
            assert!(whole.as_ref().is_ok_and(|message| message.len() <= limit) || whole.is_err());
            for step in [1, 63, 64, 65, 4096] {
                assert_eq!(stepwise(encoding, bytes, limit, step), whole, "{encoding:?} by {step} up to {limit}");
            }
        }
    }
}

/// As calls decompress: the beginning, and then the rest.
fn stepwise(encoding: Encoding, bytes: &[u8], limit: usize, step: usize) -> Result<Vec<u8>, DecompressionError> {
    let mut decompression = Decompression::new(encoding, Bytes::copy_from_slice(bytes), limit)?;
    match decompression.advance(step)? {
        Some(message) => Ok(message),
        None => decompression.finish(),
    }
}
