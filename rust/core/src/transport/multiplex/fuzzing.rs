//! What is fuzzed of sessions: see `fuzzing/mod.rs`.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;

use super::{Multiplex, Side};

/// How long a session may take to end after its peer.
const LIMIT: Duration = Duration::from_secs(20);

/// A peer sends these bytes and closes: the session ends with a reason, and takes the streams that it opened with it.
pub(crate) fn yamux(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    for side in [Side::Client, Side::Server] {
        assert!(runtime.as_ref().is_ok_and(|runtime| runtime.block_on(survives(bytes, side))), "{side:?}");
    }
}

/// Whether the end comes in time.
async fn survives(bytes: &[u8], side: Side) -> bool {
    let (mut peer, socket) = duplex(1 << 20);
    let session = Multiplex::start(socket, side);
    let mut arrivals = session.take_inbound();
    let taking = tokio::spawn(async move {
        while let Some(arrivals) = &mut arrivals
            && arrivals.next().await.is_some()
        {}
    });
    // The session may be over already.
    let _ = peer.write_all(bytes).await;
    let _ = peer.shutdown().await;
    let mut answers = Vec::new();
    let read = timeout(LIMIT, peer.read_to_end(&mut answers)).await;
    let reason = timeout(LIMIT, session.ended()).await;
    // The driver's own words; a panic in it would leave none.
    let explained = reason.is_ok_and(|reason| reason.contains("multiplexed connection"));
    explained && matches!(read, Ok(Ok(_))) && matches!(timeout(LIMIT, taking).await, Ok(Ok(())))
}
