//! Splits the bytes of a pipe into lines, and keeps the last ones for error messages. No I/O.

use std::collections::VecDeque;

/// Bytes of a line. The rest of a longer one is counted and dropped, which bounds the memory of a line.
const MAX_LINE_BYTES: usize = 1024 * 1024;
/// Last lines that an error message may show.
const TAIL_LINES: usize = 40;
/// Bytes of a line that an error message may show.
const TAIL_LINE_BYTES: usize = 500;

/// Cuts output into lines, without line ends; the bytes may arrive in any pieces.
#[derive(Debug, Default)]
struct LineSplitter {
    partial: Vec<u8>,
    dropped: usize,
}

impl LineSplitter {
    /// Takes what was read and passes on each complete line.
    fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Vec<u8>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            self.extend(&bytes[..end]);
            bytes = &bytes[end + 1..];
            line(self.complete());
        }
        self.extend(bytes);
    }

    /// Ends the output: the bytes that are left are a line too.
    fn finish(&mut self, mut line: impl FnMut(Vec<u8>)) {
        if !self.partial.is_empty() {
            line(self.complete());
        }
    }

    /// The bytes of the line that is not complete.
    fn unfinished(&self) -> &[u8] {
        &self.partial
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(MAX_LINE_BYTES - self.partial.len());
        self.partial.extend_from_slice(&bytes[..room]);
        self.dropped += bytes.len() - room;
    }

    fn complete(&mut self) -> Vec<u8> {
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            line.extend_from_slice(format!(" [{dropped} more bytes]").as_bytes());
        }
        line
    }
}

/// Whether the Go runtime begins its report of a panic with this line.
pub(crate) fn announces_panic(line: &[u8]) -> bool {
    line.starts_with(b"panic: ") || line.starts_with(b"fatal error: ")
}

/// The last lines of an output, and the last line that announced a Go panic, however long its stack trace.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    lines: VecDeque<Vec<u8>>,
    /// The line and how many lines came after it.
    panic: Option<(Vec<u8>, usize)>,
}

impl Tail {
    pub(crate) fn push(&mut self, line: &[u8]) {
        // The oldest line's buffer is used again: a flood allocates nothing here.
        let full = self.lines.len() == TAIL_LINES;
        let mut slot = if full { self.lines.pop_front().unwrap_or_default() } else { Vec::new() };
        slot.clear();
        slot.extend_from_slice(&line[..line.len().min(TAIL_LINE_BYTES)]);
        if announces_panic(&slot) {
            self.panic = Some((slot.clone(), 0));
        } else if let Some((_, since)) = &mut self.panic {
            *since += 1;
        }
        self.lines.push_back(slot);
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let pushed_out = self.panic.as_ref().filter(|(_, since)| *since >= TAIL_LINES).map(|(line, _)| line);
        let lines = pushed_out.into_iter().chain(self.lines.iter().skip(usize::from(pushed_out.is_some())));
        lines.map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    }

    /// The lines that say most about an exit: from the panic on, else the last ones; at most `count`.
    pub(crate) fn most_relevant(&self, count: usize) -> Vec<String> {
        let lines = self.lines();
        let begin = lines.iter().rposition(|line| announces_panic(line.as_bytes()));
        let begin = begin.unwrap_or(lines.len().saturating_sub(count));
        lines.into_iter().skip(begin).take(count).collect()
    }
}

/// Standard error: its lines, the last lines, and the line that is not complete, a prompt for example.
#[derive(Debug, Default)]
pub(crate) struct ErrorOutput {
    splitter: LineSplitter,
    tail: Tail,
}

impl ErrorOutput {
    /// Takes what was read and passes on each complete line.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(Vec<u8>)) {
        let Self { splitter, tail } = self;
        splitter.feed(bytes, |text| {
            tail.push(&text);
            line(text);
        });
    }

    /// Ends the output: the bytes that are left are a line too.
    pub(crate) fn finish(&mut self, mut line: impl FnMut(Vec<u8>)) {
        let Self { splitter, tail } = self;
        splitter.finish(|text| {
            tail.push(&text);
            line(text);
        });
    }

    /// The last lines, oldest first.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = self.tail.lines();
        // Of a progress bar, the text behind the last carriage return: that is the one on the screen.
        let unfinished = self.splitter.unfinished().trim_ascii_end();
        let begin = memchr::memrchr(b'\r', unfinished).map_or(0, |at| at + 1);
        let shown = &unfinished[begin..unfinished.len().min(begin + TAIL_LINE_BYTES)];
        if !shown.is_empty() {
            lines.push(String::from_utf8_lossy(shown).into_owned());
        }
        lines
    }

    /// The lines that say most about an exit, at most `count`.
    pub(crate) fn most_relevant(&self, count: usize) -> Vec<String> {
        self.tail.most_relevant(count)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let (mut splitter, mut lines) = (LineSplitter::default(), Vec::new());
        let mut keep = |line: Vec<u8>| lines.push(String::from_utf8_lossy(&line).into_owned());
        for chunk in chunks {
            splitter.feed(chunk, &mut keep);
        }
        splitter.finish(&mut keep);
        lines
    }

    #[test]
    fn line_ends_are_removed_and_the_last_line_needs_none() {
        assert_eq!(split(&[b"a\r\nb\n\nc"]), ["a", "b", "", "c"]);
        assert!(split(&[b""]).is_empty());
    }

    #[test]
    fn over_long_line_is_cut_and_says_so() {
        let lines = split(&[&vec![b'x'; MAX_LINE_BYTES], b"yyy", b"yy\nnext\n"]);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].ends_with("x [5 more bytes]"));
        assert_eq!(lines[1], "next");
    }

    #[test]
    fn tail_keeps_the_last_lines_shortened() {
        let mut tail = Tail::default();
        for number in 0..100 {
            tail.push(format!("{number}").as_bytes());
        }
        tail.push(&vec![b'z'; 100_000]);
        let lines = tail.lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[TAIL_LINES - 1].len()), (TAIL_LINES, "61", TAIL_LINE_BYTES));
    }

    #[test]
    fn panic_stays_in_the_tail_and_is_its_essence() {
        let mut tail = Tail::default();
        for line in ["before", "panic: boom", "goroutine 1:"] {
            tail.push(line.as_bytes());
        }
        assert_eq!(tail.most_relevant(2), ["panic: boom", "goroutine 1:"]);
        for _ in 0..100 {
            tail.push(b"frame");
        }
        assert_eq!((tail.lines().len(), tail.lines()[0].as_str()), (TAIL_LINES, "panic: boom"));
        assert_eq!(tail.most_relevant(2), ["panic: boom", "frame"]);
    }

    #[test]
    fn unfinished_line_is_shown_until_it_has_an_end() {
        let (mut output, mut lines) = (ErrorOutput::default(), Vec::new());
        output.feed(b"begun\nPassword: ", |line| lines.push(line));
        assert_eq!(output.lines(), ["begun", "Password:"]);
        output.feed(b"10%\r20%\r", |line| lines.push(line));
        assert_eq!(output.lines(), ["begun", "20%"]);
        output.finish(|line| lines.push(line));
        assert_eq!(output.lines(), ["begun", "Password: 10%\r20%"]);
        assert_eq!(lines, [&b"begun"[..], b"Password: 10%\r20%"]);
        output.feed(&[b' '; 10], |line| lines.push(line));
        assert_eq!(output.lines().len(), 2);
        output.feed(&vec![b'x'; 100_000], |line| lines.push(line));
        assert_eq!(output.lines()[2].len(), TAIL_LINE_BYTES);
    }

    proptest! {
        #[test]
        fn cutting_the_input_differently_changes_nothing(
            text in prop::collection::vec(prop::sample::select(b"ab\n\r".to_vec()), 0..200),
            chunk in 1_usize..20,
        ) {
            let pieces: Vec<&[u8]> = text.chunks(chunk).collect();
            prop_assert_eq!(split(&pieces), split(&[&text]));
        }
    }
}
