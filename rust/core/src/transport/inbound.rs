//! What a peer has opened: a stream of which nothing is known, or one that has proved whose it is.

use super::Stream;

/// A stream that the peer opened.
pub enum InboundStream {
    /// One that has said nothing.
    Fresh(Stream),
    /// One that has proved whose it is.
    Proven(Proven),
}

/// A connection whose peer is the right one.
pub struct Proven {
    pub(super) stream: Stream,
    /// What was read of it to find that out.
    pub(super) early: Vec<u8>,
}
