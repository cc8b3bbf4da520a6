//! Names that are no paths arrive unchanged at a server of `h2`, whatever the size of the pieces on the way.

#![allow(clippy::unwrap_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

const NAMES: [&[u8]; 12] = [
    b"/a/b#c",
    b"svc/Method",
    b"NoSlash",
    b"/a/with space",
    b"/a/<b>",
    b"/a/`b`",
    b"/a/b?c#d",
    b"#",
    b"a",
    b"/!&&&&&&&&&&&&&&&&&&&&&&&&",
    b"/a/\xff",
    "/a/gr\u{fc}n <".as_bytes(),
];

fn head(kind: u8, flags: u8, length: usize) -> Vec<u8> {
    let mut head = BytesMut::new();
    head.put_uint(length as u64, 3);
    head.put_slice(&[kind, flags, 0, 0, 0, 1]);
    head.to_vec()
}

/// A block as `h2` encodes it: what is indexed, the path, what follows.
fn block(path: &str, rest: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = path[2..].chars().map(digit_of).collect();
    [&[0x83, 0x86, 0xbe], &FIELD[..], &digits, rest].concat()
}

fn digit_of(digit: char) -> u8 {
    FIRST_DIGIT + u8::try_from(DIGITS.iter().position(|known| *known == digit).unwrap()).unwrap()
}

/// What arrives of writes in pieces of `size`, over a stream that takes no more than `room` at once.
async fn carried(paths: &Arc<RawPaths>, bytes: &[u8], size: usize, room: usize) -> Vec<u8> {
    let (near, mut far) = tokio::io::duplex(room);
    let mut outgoing = RawPathStream::new(near, paths.clone());
    let reading = tokio::spawn(async move {
        let mut arrived = Vec::new();
        far.read_to_end(&mut arrived).await.unwrap();
        arrived
    });
    for piece in bytes.chunks(size) {
        outgoing.write_all(piece).await.unwrap();
    }
    outgoing.shutdown().await.unwrap();
    drop(outgoing);
    reading.await.unwrap()
}

#[test]
fn what_is_a_path_is_left_to_h2() {
    let paths = Arc::default();
    for name in ["/a/b", "/a/b?c=d", "/a/b%20", "/", "*", "/a/\u{fc}"] {
        let (path, raw) = path(&Bytes::from(name), &paths).unwrap();
        assert!(path.as_str() == name && raw.is_none(), "{name}");
    }
}

#[test]
fn what_http_forbids_is_refused() {
    let paths = Arc::default();
    for name in [&b""[..], b"/a\nb", b"/a\0", b"\r", &[b'x'; LONGEST_NAME + 1]] {
        assert!(path(&Bytes::copy_from_slice(name), &paths).is_none());
    }
}

#[test]
fn numbers_survive_their_token() {
    for value in [0, 1, 5, 6, 12345, u64::MAX >> 2] {
        let digits: Vec<u8> = token(value)[2..].chars().map(digit_of).collect();
        assert_eq!(number(&digits), Some(value));
    }
    assert_eq!(number(&[FIRST_DIGIT + 6]), None);
}

#[tokio::test]
async fn token_is_replaced_in_its_frame_alone() {
    for name in NAMES {
        for (size, room) in [(1, 1), (7, 3), (1 << 20, 64), (1 << 20, 1 << 20)] {
            let paths = Arc::default();
            let (path, raw) = path(&Bytes::copy_from_slice(name), &paths).unwrap();
            let (block, rest) = (block(path.as_str(), b"rest"), head(4, 1, 0));
            let preface = [b'P'; PREFACE];
            let data = [head(0, 0, block.len()), block.clone()].concat();
            let sent = [&preface[..], &rest, &data, &head(HEADERS, 5, block.len()), &block, &rest].concat();
            let mut field = vec![FIELD[0], u8::try_from(name.len()).unwrap()];
            field.extend_from_slice(name);
            let block = [&[0x83, 0x86, 0xbe], &field[..], b"rest"].concat();
            let expected = [&preface[..], &rest, &data, &head(HEADERS, 5, block.len()), &block, &rest].concat();
            assert_eq!(carried(&paths, &sent, size, room).await, expected, "{size} {room}");
            assert!(paths.lock().1.is_empty());
            drop(raw);
        }
    }
}

#[tokio::test]
async fn frames_are_followed_before_there_is_a_name() {
    let paths = Arc::default();
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut outgoing = RawPathStream::new(near, paths);
    let before = [&[0; PREFACE][..], &head(0, 0, 300), &[HEADERS; 100]].concat();
    outgoing.write_all(&before).await.unwrap();
    let (path, _raw) = path(&Bytes::from_static(b"x"), &outgoing.paths).unwrap();
    let block = block(path.as_str(), b"");
    let after = [&[HEADERS; 200][..], &head(HEADERS, 4, block.len()), &block].concat();
    outgoing.write_all(&after).await.unwrap();
    outgoing.shutdown().await.unwrap();
    let mut arrived = Vec::new();
    far.read_to_end(&mut arrived).await.unwrap();
    let restored = [0x83, 0x86, 0xbe, 0x04, 1, b'x'];
    let expected = [&before[..], &[HEADERS; 200], &head(HEADERS, 4, restored.len()), &restored].concat();
    assert_eq!(arrived, expected);
}

#[tokio::test]
async fn frame_that_becomes_too_long_is_continued() {
    let paths = Arc::default();
    let name = [b'#'; 500];
    let (path, _raw) = path(&Bytes::copy_from_slice(&name), &paths).unwrap();
    let filler = vec![0x82; FRAME_SIZE - block(path.as_str(), b"").len()];
    let block = block(path.as_str(), &filler);
    let sent = [&[0; PREFACE][..], &head(HEADERS, 5, block.len()), &block].concat();
    let arrived = carried(&paths, &sent, sent.len(), 1 << 20).await;
    let restored = [&[0x83, 0x86, 0xbe, 0x04, 127, 128 | (373 % 128) as u8, 2], &name[..], &filler].concat();
    let (first, rest) = restored.split_at(FRAME_SIZE);
    let expected =
        [&[0; PREFACE][..], &head(HEADERS, 1, first.len()), first, &head(CONTINUATION, 4, rest.len()), rest].concat();
    assert_eq!(arrived, expected);
}

#[tokio::test]
async fn name_of_a_call_that_was_never_sent_is_forgotten() {
    let paths = Arc::default();
    drop(path(&Bytes::from_static(b"x"), &paths));
    assert!(paths.lock().1.is_empty() && paths.count.load(Ordering::Relaxed) == 0);
}

#[tokio::test]
async fn preface_goes_out_with_the_first_frame() {
    let (near, mut far) = tokio::io::duplex(1 << 20);
    let mut outgoing = RawPathStream::new(near, Arc::default());
    outgoing.write_all(&[b'P'; PREFACE]).await.unwrap();
    assert_eq!(outgoing.unsent.len(), PREFACE);
    let settings = head(4, 0, 0);
    outgoing.write_all(&settings).await.unwrap();
    assert!(outgoing.unsent.is_empty());
    let mut arrived = vec![0; PREFACE + HEAD];
    far.read_exact(&mut arrived).await.unwrap();
    assert_eq!(arrived, [&[b'P'; PREFACE][..], &settings].concat());
}
