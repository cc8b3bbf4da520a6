//! Connections that have not proved yet that they are the peer's. Their number and time are limited apart from the
//! peer's, so that silent strangers never keep the peer out.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Proofs at a time. One more ends the oldest, which has had the most time.
const MAX_PROOFS: usize = 256;
/// How long a proof may take: a peer speaks as soon as it has connected.
pub(super) const PROOF_LIMIT: Duration = Duration::from_secs(5);

/// A refused connection, and the reason.
pub(crate) struct Refused {
    pub(crate) peer: String,
    pub(crate) reason: String,
}

/// Proofs under way, and finished ones that were not taken. Dropping it ends all.
pub(crate) struct Lobby<T> {
    proofs: JoinSet<Result<T, Refused>>,
    waiting: VecDeque<AbortHandle>,
}

impl<T: Send + 'static> Lobby<T> {
    pub(crate) fn new() -> Self {
        Self { proofs: JoinSet::new(), waiting: VecDeque::new() }
    }

    /// Begins a proof; true if the oldest was ended for it.
    pub(crate) fn enter(
        &mut self,
        peer: String,
        proof: impl Future<Output = Result<T, String>> + Send + 'static,
    ) -> bool {
        self.waiting.retain(|proof| !proof.is_finished());
        let oldest = if self.waiting.len() < MAX_PROOFS { None } else { self.waiting.pop_front() };
        if let Some(oldest) = &oldest {
            oldest.abort();
        }
        self.waiting.push_back(self.proofs.spawn(async move {
            let proven = timeout(PROOF_LIMIT, proof).await.unwrap_or_else(|_| {
                Err(format!("it did not prove within {} s who it is: it has to speak first", PROOF_LIMIT.as_secs()))
            });
            proven.map_err(|reason| Refused { peer, reason })
        }));
        oldest.is_some()
    }

    /// The next finished proof, or refusal; waits for ever while there is none.
    pub(crate) async fn leave(&mut self) -> Result<T, Refused> {
        loop {
            match self.proofs.join_next().await {
                Some(Ok(done)) => return done,
                // It was the oldest, and was ended.
                Some(Err(_)) => (),
                None => std::future::pending().await,
            }
        }
    }

    /// The number of finished proofs that were not taken.
    pub(crate) fn done(&self) -> usize {
        self.proofs.len() - self.waiting.iter().filter(|proof| !proof.is_finished()).count()
    }
}

#[cfg(test)]
#[path = "lobby_tests.rs"]
mod tests;
