//! Streams that a peer has opened, proven to be the peer's or not.

use super::Stream;

/// A stream that the peer opened.
pub enum InboundStream {
    /// A stream that has to prove itself.
    Fresh(Stream),
    /// A stream that is proven.
    Proven(Proven),
}

/// A connection that is proven to be the peer's.
pub struct Proven {
    pub(super) stream: Stream,
    /// The bytes that were read for the proof.
    pub(super) early: Vec<u8>,
}
