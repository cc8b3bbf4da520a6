#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn stray_lines_are_skipped_and_remembered() {
    let mut finder = LineFinder::default();
    assert_eq!(finder.feed(b"banner\r\n\n| a | b | c |\nWARN \xff\n1|6|un").unwrap(), None);
    assert_eq!(finder.feed(b"ix|/s|grpc|\nmore").unwrap().unwrap(), b"1|6|unix|/s|grpc|");
    assert_eq!(
        finder.stray_lines().collect::<Vec<_>>(),
        ["\"banner\"", "\"\"", "\"| a | b | c |\"", "\"WARN \u{fffd}\""]
    );
}

#[test]
fn broken_handshake_is_not_taken_for_a_stray_line() {
    for line in [
        &b"2|5|tcp|z\n"[..],
        b"1|5|unix\n",
        b"1|5|un\n",
        b"1|5|udp|/s|grpc\n",
        b"5|0|unix|/s\n",
        b"x|6|unix|/s|grpc\n",
        b"1|\xff|unix|/s\n",
    ] {
        assert!(LineFinder::default().feed(line).unwrap().is_some(), "{line:?}");
    }
}

#[test]
fn bounds_hold_however_the_bytes_arrive() {
    let lines = "noise\n".repeat(MAX_STRAY_LINES + 1);
    assert_eq!(LineFinder::default().feed(lines.as_bytes()).unwrap_err().kind(), ErrorKind::HandshakeTooNoisy);
    let long = vec![b'x'; 10_000_000];
    assert_eq!(LineFinder::default().feed(&long).unwrap_err().kind(), ErrorKind::HandshakeTooLong);
    let mut finder = LineFinder::default();
    let error = long.chunks(1000).find_map(|chunk| finder.feed(chunk).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::HandshakeTooLong);
    assert!(error.message().contains("xxx") && error.message().len() < 600, "{error}");
    assert!(finder.partial.capacity() <= 2 * MAX_HANDSHAKE_BYTES);
}

#[test]
fn last_line_needs_no_newline() {
    let mut finder = LineFinder::default();
    assert_eq!(finder.feed(b"1|6|unix|/s|grpc").unwrap(), None);
    assert_eq!(finder.finish().unwrap(), b"1|6|unix|/s|grpc");
    let mut finder = LineFinder::default();
    finder.feed(b"usage: tool").unwrap();
    assert_eq!(finder.finish(), None);
    assert_eq!(finder.seen(), "its standard output began with \"usage: tool\"");
}

#[test]
fn text_without_a_line_end_in_front_of_the_handshake_is_stray() {
    const LINE: &[u8] = b"1|6|unix|/s|grpc|";
    for (before, shown) in [
        (&b"Loading... "[..], "Loading... "),
        (b"\xef\xbb\xbf", "\u{feff}"),
        (b"\x1b[32m", "\x1b[32m"),
        (b"10%\r100%\r", "10%\r100%"),
        (b"|\x08/\x08-\x08", "|\u{8}/\u{8}-\u{8}"),
        (b"step 3", "step 3"),
        (b"a|b|", "a|b|"),
        (b"{\"@message\":\"x\"}", "{\"@message\":\"x\"}"),
    ] {
        let mut finder = LineFinder::default();
        assert_eq!(
            finder.feed(&[before, LINE, b"\x1b[1;32m\x1b[m\r\n"].concat()).unwrap().unwrap(),
            LINE,
            "{before:?}"
        );
        assert_eq!(finder.stray_lines().collect::<Vec<_>>(), [format!("{shown:?}")]);
    }
}

#[test]
fn log_lines_with_bars_are_stray() {
    for line in [
        "1700000000|INFO|main|starting up",
        "1700000000|42|main|starting up",
        "2026-01-01T00:00:00Z|INFO|tcp|listening on :80",
        "1|INFO|main|starting up",
        "INFO|1|worker|unix|x",
        "1|4|done",
        "1|done",
        "2|4",
        "4|unix",
        "3|4|copying|files",
        "||unix||",
    ] {
        let mut finder = LineFinder::default();
        assert_eq!(finder.feed(format!("{line}\n").as_bytes()).unwrap(), None, "{line}");
        assert_eq!(finder.stray_lines().collect::<Vec<_>>(), [format!("{line:?}")]);
    }
}

#[test]
fn first_and_latest_text_are_what_was_seen() {
    let mut finder = LineFinder::default();
    assert_eq!(finder.seen(), "it printed nothing on its standard output");
    finder.feed(b"welcome\nto\nPassword: ").unwrap();
    assert_eq!(
        finder.seen(),
        "its standard output began with \"welcome\", its latest line is \"Password: \", without a line break"
    );
}

proptest! {
    #[test]
    fn cutting_the_output_differently_changes_nothing(cut in 1_usize..40) {
        let output = b"one\ntwo|three\n1|6|unix|/s|grpc|\nrest";
        let mut finder = LineFinder::default();
        let line = output.chunks(cut).find_map(|chunk| finder.feed(chunk).unwrap());
        prop_assert_eq!(line.unwrap(), b"1|6|unix|/s|grpc|".to_vec());
        prop_assert_eq!(finder.stray_lines().count(), 2);
    }

    #[test]
    fn no_bytes_make_the_finder_panic(bytes in prop::collection::vec(prop::sample::select(b"1|unixtcp\x1b[m\n\r \xff".to_vec()), 0..80)) {
        let mut finder = LineFinder::default();
        let _ = finder.feed(&bytes);
        let _ = (finder.seen(), finder.finish(), finder.seen());
    }
}
