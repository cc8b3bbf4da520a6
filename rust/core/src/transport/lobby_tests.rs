#![allow(clippy::unwrap_used)]

use std::future::{pending, ready};

use tokio::sync::oneshot;

use super::*;

#[tokio::test(start_paused = true)]
async fn oldest_goes_and_the_newest_proves_itself() {
    let mut lobby = Lobby::<u8>::new();
    let (first, evicted) = oneshot::channel::<()>();
    let silent = async move {
        let _held = first;
        pending().await
    };
    assert!(!lobby.enter("the first".to_owned(), silent));
    for _ in 1..MAX_PROOFS {
        assert!(!lobby.enter("a stranger".to_owned(), pending()));
    }
    assert!(lobby.enter("the peer".to_owned(), ready(Ok(7))));
    assert_eq!(lobby.leave().await.ok(), Some(7));
    assert!(evicted.await.is_err());
}

#[tokio::test(start_paused = true)]
async fn patience_ends() {
    let mut lobby = Lobby::<u8>::new();
    lobby.enter("a stranger".to_owned(), pending());
    let refused = lobby.leave().await.err().unwrap();
    assert_eq!(refused.peer, "a stranger");
    assert!(refused.reason.contains("within 5 s"), "{}", refused.reason);
}

#[tokio::test(start_paused = true)]
async fn proven_ones_are_not_sent_away() {
    let mut lobby = Lobby::new();
    lobby.enter("the peer".to_owned(), ready(Ok(7)));
    tokio::task::yield_now().await;
    assert_eq!(lobby.done(), 1);
    for _ in 0..MAX_PROOFS {
        assert!(!lobby.enter("a stranger".to_owned(), pending()));
    }
    assert_eq!(lobby.leave().await.ok(), Some(7));
    assert_eq!(lobby.done(), 0);
}
