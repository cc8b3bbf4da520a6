//! Finds the handshake line in the bytes of standard output, among what else plugins and their wrappers print. No I/O.

use std::collections::VecDeque;

use memchr::memmem;

use crate::error::{Error, ErrorKind, excerpt};
use crate::handshake::{CORE_VERSION, parse_integer};

/// Lines that may come before the handshake line. Go's host allows none; banners are a common mishap.
pub const MAX_STRAY_LINES: usize = 64;
/// Bytes up to and including the handshake line.
pub const MAX_HANDSHAKE_BYTES: usize = 64 * 1024;

/// Finds the handshake line, skipping stray text up to a bound: lines, and what stands in front of it without a line end.
///
/// A line with the marks that `is_meant` looks for is taken for a handshake, perhaps a broken one. Any other line is
/// stray: kept for the log, and for the error if no handshake follows.
#[derive(Debug, Default)]
pub struct LineFinder {
    partial: Vec<u8>,
    taken: usize,
    stray: VecDeque<String>,
}

impl LineFinder {
    /// Takes bytes; returns the handshake line once it is complete. Bytes after it are dropped.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.take(&bytes[..end])?;
            bytes = &bytes[end + 1..];
            if let Some(line) = self.complete() {
                return Ok(Some(line));
            }
            self.check_lines()?;
        }
        self.take(bytes)?;
        Ok(None)
    }

    /// Ends the output; returns a handshake line without a line end, which may have been cut off.
    pub fn finish(&mut self) -> Option<Vec<u8>> {
        if self.partial.is_empty() { None } else { self.complete() }
    }

    /// The texts skipped so far, oldest first, each shortened to what an error message may repeat.
    pub fn stray_lines(&self) -> impl Iterator<Item = &str> {
        self.stray.iter().map(String::as_str)
    }

    /// The output seen instead of a handshake line, for an error message.
    #[must_use]
    pub fn seen(&self) -> String {
        let unfinished =
            (!self.partial.is_empty()).then(|| format!("{}, without a line break", shorten(&self.partial)));
        let mut texts = self.stray.iter().chain(&unfinished);
        match (texts.next(), texts.next_back()) {
            (Some(first), Some(last)) => format!("its standard output began with {first}, its latest line is {last}"),
            (Some(only), None) => format!("its standard output began with {only}"),
            (None, _) => "it printed nothing on its standard output".to_owned(),
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let room = MAX_HANDSHAKE_BYTES - self.taken.min(MAX_HANDSHAKE_BYTES);
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
        self.taken += bytes.len();
        if self.taken <= MAX_HANDSHAKE_BYTES {
            return Ok(());
        }
        let (kind, what) = if self.stray.is_empty() {
            (ErrorKind::HandshakeTooLong, "a first line")
        } else {
            (ErrorKind::HandshakeTooNoisy, "output")
        };
        let message = format!(
            "the plugin printed {what} of more than {MAX_HANDSHAKE_BYTES} bytes and no handshake; {}",
            self.seen()
        );
        Err(Error::new(kind, message))
    }

    /// Judges the line that was taken.
    fn complete(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.partial);
        let (stray, handshake) = split(&line);
        if handshake.is_none() || !stray.is_empty() {
            self.stray.push_back(shorten(stray));
        }
        handshake.map(<[u8]>::to_vec)
    }

    fn check_lines(&self) -> Result<(), Error> {
        if self.stray.len() <= MAX_STRAY_LINES {
            return Ok(());
        }
        let message = format!("the plugin printed {} lines and no handshake; {}", self.stray.len(), self.seen());
        Err(Error::new(ErrorKind::HandshakeTooNoisy, message))
    }
}

fn shorten(line: &[u8]) -> String {
    excerpt(line.strip_suffix(b"\r").unwrap_or(line))
}

/// Stray text, and the handshake behind it. The text has no line end of its own: a prompt, a spinner, a byte order mark.
fn split(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    let text = without_colours_behind(line);
    if let Some(begin) = begin_inside(text) {
        return (&text[..begin], Some(&text[begin..]));
    }
    if is_meant(text) { (b"", Some(text)) } else { (line, None) }
}

/// The line without the escape sequences (`ESC [ ... m`) at its end, by which wrappers end their colours.
fn without_colours_behind(line: &[u8]) -> &[u8] {
    let text = line.trim_ascii();
    let parameters = text.strip_suffix(b"m").and_then(|text| Some((text, memmem::rfind(text, b"\x1b[")?)));
    match parameters {
        Some((text, escape)) if text[escape + 2..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b';')) => {
            without_colours_behind(&text[..escape])
        }
        _ => text,
    }
}

/// Where `NUMBER|NUMBER|NETWORK|` begins in a line that begins with something else.
fn begin_inside(line: &[u8]) -> Option<usize> {
    let first = line.split(|byte| *byte == b'|').next()?;
    if is_integer(first) {
        return None;
    }
    let bars = NETWORKS.iter().flat_map(|network| {
        let name = [b"|", *network, b"|"].concat();
        memmem::find_iter(line, &name).collect::<Vec<_>>()
    });
    bars.filter_map(|bar| begin_before(line, bar)).min()
}

fn begin_before(line: &[u8], bar: usize) -> Option<usize> {
    let version = digits_before(line, bar);
    let bar_before = version.checked_sub(1).filter(|at| version < bar && line[*at] == b'|')?;
    let core = digits_before(line, bar_before);
    if core == bar_before {
        return None;
    }
    // Digits of the text in front, "step 3" for example, run into those of the only core version there is.
    Some(if line[bar_before - 1] == b'1' { bar_before - 1 } else { core })
}

fn digits_before(line: &[u8], end: usize) -> usize {
    end - line[..end].iter().rev().take_while(|byte| byte.is_ascii_digit()).count()
}

const NETWORKS: [&[u8]; 2] = [b"unix", b"tcp"];

/// Whether a line is meant to be a handshake. A broken one is better refused at once, by its fault, than waited for.
///
/// Some loggers write lines with bars too, `1700000000|INFO|main|ready`. So a line needs two of the four marks of a
/// handshake: core version, a number as application version, network, protocol. A line that was cut off needs both of
/// its numbers, and behind them only what could become a network.
fn is_meant(line: &[u8]) -> bool {
    let fields: Vec<&[u8]> = line.splitn(6, |byte| *byte == b'|').collect();
    let is_core = |field: &[u8]| integer(field) == Some(CORE_VERSION);
    match fields.as_slice() {
        [core, app] => is_core(core) && is_integer(app),
        [core, app, network] => {
            is_core(core) && is_integer(app) && NETWORKS.iter().any(|known| known.starts_with(network))
        }
        [core, app, network, _, rest @ ..] => {
            let protocol = rest.first().is_some_and(|protocol| matches!(*protocol, b"grpc" | b"netrpc"));
            let marks = [is_core(core), is_integer(app), NETWORKS.contains(network), protocol];
            marks.into_iter().filter(|mark| *mark).count() >= 2
        }
        _ => false,
    }
}

fn is_integer(field: &[u8]) -> bool {
    integer(field).is_some()
}

fn integer(field: &[u8]) -> Option<i64> {
    std::str::from_utf8(field).ok().and_then(parse_integer)
}

#[cfg(test)]
#[path = "line_finder_tests.rs"]
mod tests;
