//! What plugins print: the handshake line, among others, and the lines of their logs.

use std::iter;

use serde_json::Value;

use super::LONGEST_MESSAGE;
use crate::address::Address;
use crate::cuts::cuts;
use crate::handshake::{Expectations, Handshake, line, socket_named};
use crate::line_finder::{LineFinder, MAX_HANDSHAKE_BYTES, MAX_STRAY_LINES};
use crate::log_line::{Classifier, Level};
use crate::output_lines::ErrorOutput;
use crate::settings::Transports;

/// What an error tells of 40 lines, of an unfinished one, and of each line.
const TAIL_LINES: usize = 41;
const TAIL_LINE_BYTES: usize = 500;

/// A line is understood or refused; what is understood can be printed; the finder finds what is understood.
pub(super) fn handshake(bytes: &[u8]) {
    for multiplex in [false, true] {
        let transports = Transports { unix: true, tcp: true };
        let expected = Expectations { protocol_versions: vec![5, 6], transports, multiplex };
        match Handshake::parse(bytes, &expected) {
            Err(error) => assert!(error.message().len() < LONGEST_MESSAGE, "{error}"),
            Ok(handshake) => {
                check_printed(&handshake, &expected);
                check_socket(bytes, &handshake.address);
                check_found(bytes, &handshake, &expected);
            }
        }
    }
    let _ = socket_named(bytes);
}

fn check_printed(handshake: &Handshake, expected: &Expectations) {
    let Handshake { protocol_version, address, certificate, multiplex } = handshake;
    let printed = line(*protocol_version, address, certificate.as_ref(), *multiplex);
    assert_eq!(Handshake::parse(printed.as_bytes(), expected).ok().as_ref(), Some(handshake), "{printed}");
}

fn check_socket(bytes: &[u8], address: &Address) {
    if let Address::Unix(path) = address
        && path.is_absolute()
    {
        assert_eq!(socket_named(bytes).as_ref(), Some(path));
    }
}

fn check_found(bytes: &[u8], handshake: &Handshake, expected: &Expectations) {
    if bytes.contains(&b'\n') || bytes.len() >= MAX_HANDSHAKE_BYTES {
        return;
    }
    let found = LineFinder::default().feed(&[bytes, b"\n"].concat()).ok().flatten();
    let understood = found.as_deref().and_then(|line| Handshake::parse(line, expected).ok());
    assert_eq!(understood.as_ref(), Some(handshake), "{found:?}");
}

/// What a finder makes of an output: the line, or the error, and what it tells of it.
type Found = (Result<Option<Vec<u8>>, String>, Option<Vec<u8>>, String, Vec<String>);

fn found(pieces: &[&[u8]]) -> Found {
    let mut finder = LineFinder::default();
    let fed = pieces.iter().find_map(|piece| finder.feed(piece).transpose()).transpose();
    let fed = fed.map_err(|error| error.message().to_owned());
    let last = if matches!(fed, Ok(None)) { finder.finish() } else { None };
    (fed, last, finder.seen(), finder.stray_lines().map(str::to_owned).collect())
}

/// The line is the same however its output arrives, and the bounds hold. Twice the output is seen too, to reach them.
pub(super) fn line_finder(bytes: &[u8]) {
    for output in [bytes.to_vec(), bytes.repeat(1 + MAX_HANDSHAKE_BYTES / 2 / bytes.len().max(1))] {
        let whole = found(&[&output]);
        for pieces in cuts(&output) {
            assert_eq!(found(&pieces), whole);
        }
        let (fed, last, seen, stray) = whole;
        let line = fed.as_ref().ok().cloned().flatten().or(last);
        assert!(line.is_none_or(|line| !line.contains(&b'\n') && line.len() <= MAX_HANDSHAKE_BYTES));
        assert!(seen.len() < LONGEST_MESSAGE && stray.len() <= MAX_STRAY_LINES + 1);
        assert!(fed.err().is_none_or(|error| error.len() < LONGEST_MESSAGE));
    }
}

/// Lines of standard error are those between its line ends, however it arrives.
pub(super) fn error_output(bytes: &[u8]) {
    let mut expected: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    expected.pop_if(|last| last.is_empty());
    let expected: Vec<_> = expected.into_iter().map(|line| line.strip_suffix(b"\r").unwrap_or(line)).collect();
    for pieces in cuts(bytes).into_iter().chain(iter::once(vec![bytes])) {
        let (mut output, mut lines) = (ErrorOutput::default(), Vec::new());
        for piece in pieces {
            output.feed(piece, |line| lines.push(line));
            let _ = output.lines();
        }
        output.finish(|line| lines.push(line));
        assert_eq!(lines, expected);
        let told = output.lines();
        // A byte that is no text is shown by a character of three.
        assert!(told.len() <= TAIL_LINES && told.iter().all(|line| line.len() <= 3 * TAIL_LINE_BYTES));
        assert!(output.most_relevant(5).len() <= 5);
    }
}

/// The level of a JSON object is the one that a parser of JSON finds.
pub(super) fn log_line(bytes: &[u8]) {
    let mut classifier = Classifier::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        let level = classifier.level(line);
        if let Ok(Value::Object(fields)) = serde_json::from_slice(line) {
            assert_eq!(level, fields.get("@level").map_or(Level::Debug, level_of), "{line:?}");
        }
    }
}

fn level_of(value: &Value) -> Level {
    match value.as_str().map(|word| word.trim_ascii().to_ascii_lowercase()).as_deref() {
        Some("trace") => Level::Trace,
        Some("info") => Level::Info,
        Some("warn") => Level::Warn,
        Some("error") => Level::Error,
        _ => Level::Debug,
    }
}
