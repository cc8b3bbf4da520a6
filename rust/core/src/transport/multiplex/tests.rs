#![allow(clippy::panic, clippy::unwrap_used)]

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::fuzzing::yamux;
use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn pair() -> (Multiplex, Multiplex) {
    let (left, right) = duplex(64 * 1024);
    (Multiplex::start(left, Side::Client), Multiplex::start(right, Side::Server))
}

fn fresh(arrived: InboundStream) -> Stream {
    match arrived {
        InboundStream::Fresh(stream) => stream,
        InboundStream::Proven(_) => panic!("nothing was to be proved"),
    }
}

async fn open(session: &Multiplex, first: &[u8]) -> Stream {
    let permit = session.permit().await;
    let mut stream = session.open(&permit).await.unwrap();
    stream.write_all(first).await.unwrap();
    stream
}

#[tokio::test]
async fn streams_arrive_in_the_order_of_their_turns_from_both_sides() {
    let (host, plugin) = pair();
    for (opener, taker) in [(&host, &plugin), (&plugin, &host)] {
        let mut arrivals = taker.take_inbound().unwrap();
        let mut opened = Vec::new();
        for number in 0..50_u8 {
            opened.push(open(opener, &[number]).await);
        }
        for number in 0..50_u8 {
            let mut stream = fresh(timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().unwrap());
            assert_eq!(stream.read_u8().await.unwrap(), number);
        }
    }
}

#[tokio::test]
async fn stream_that_nobody_reads_does_not_stop_the_others() {
    let (host, plugin) = pair();
    let mut arrivals = plugin.take_inbound().unwrap();
    let mut stuck = open(&host, b"stuck").await;
    let unread = fresh(timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().unwrap());
    let filling = tokio::spawn(async move { stuck.write_all(&vec![0; 4 << 20]).await });
    let mut fluent = open(&host, b"x").await;
    let mut echo = fresh(timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().unwrap());
    fluent.write_all(&vec![7; 100_000]).await.unwrap();
    let mut received = vec![0; 100_001];
    timeout(LIMIT, echo.read_exact(&mut received)).await.unwrap().unwrap();
    assert!(!filling.is_finished());
    drop(unread);
    assert!(timeout(LIMIT, filling).await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn end_of_one_side_is_told_to_the_other() {
    let (host, plugin) = pair();
    drop(plugin);
    assert!(timeout(LIMIT, host.ended()).await.unwrap().contains("closed"));
    let permit = host.permit().await;
    assert!(host.open(&permit).await.is_err());
}

#[tokio::test]
async fn stream_that_was_reset_at_once_still_has_its_place() {
    let (host, plugin) = pair();
    let permit = host.permit().await;
    drop(host.open(&permit).await.unwrap());
    drop(permit);
    let _second = open(&host, b"x").await;
    let mut arrivals = plugin.take_inbound().unwrap();
    let first = timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().map(fresh);
    let mut left = Vec::new();
    if let Ok(mut first) = first {
        let _ = timeout(LIMIT, first.read_to_end(&mut left)).await.unwrap();
    }
    assert!(left.is_empty());
    let mut second = fresh(timeout(LIMIT, arrivals.next()).await.unwrap().unwrap().unwrap());
    assert_eq!(second.read_u8().await.unwrap(), b'x');
}

/// One frame with the header fields of yamux.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let body = prop::collection::vec(any::<u8>(), 0..40);
    (0_u8..3, 0_u8..6, 0_u16..16, 0_u32..8, prop_oneof![0_u32..64, any::<u32>()], body).prop_map(
        |(version, kind, flags, id, length, body)| {
            let mut frame = vec![version / 2, kind];
            frame.extend_from_slice(&flags.to_be_bytes());
            frame.extend_from_slice(&id.to_be_bytes());
            frame.extend_from_slice(&length.to_be_bytes());
            frame.extend_from_slice(&body);
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A hostile peer ends the session or is ignored; it neither panics nor hangs it.
    #[test]
    fn any_frames_end_in_a_reason(frames in prop::collection::vec(frame(), 0..30)) {
        yamux(&frames.concat());
    }

    /// What Go really sends, and what attackers would, with bytes changed and the end cut off.
    #[test]
    fn damaged_sessions_end_in_a_reason(
        choice in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        end in any::<prop::sample::Index>(),
    ) {
        let corpus = corpus();
        let mut session = corpus[choice.index(corpus.len())].clone();
        for (place, value) in damage {
            let place = place.index(session.len());
            session[place] = value;
        }
        session.truncate(end.index(session.len()) + 1);
        yamux(&session);
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let directory = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/yamux")).unwrap();
    directory.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect()
}
