//! The level of one line of a plugin's standard error, found without parsing it. No I/O.
//!
//! Most lines are never seen: their level is below what the host's logger wants. So the level is looked up here at the
//! price of a substring search, and only lines that somebody wants are parsed, later and elsewhere.

use memchr::memmem;

use super::output::announces_panic;

/// hclog's levels, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    Info,
    /// Something is odd.
    Warn,
    /// Something failed.
    Error,
}

/// Tells levels line by line. It has a memory: after a Go panic the lines of the stack trace are errors too.
#[derive(Debug, Default)]
pub struct Classifier {
    panicked: bool,
}

impl Classifier {
    /// The level of the next line.
    pub fn level(&mut self, line: &[u8]) -> Level {
        if line.first() == Some(&b'{') {
            // A line without a readable level is debug, as in go-plugin.
            return json_level(line).unwrap_or(Level::Debug);
        }
        if let Some(level) = prefix_level(line) {
            return level;
        }
        self.panicked |= announces_panic(line);
        if self.panicked { Level::Error } else { Level::Debug }
    }
}

/// Inside a JSON string every quote is escaped, so this text can only be a key.
fn json_level(line: &[u8]) -> Option<Level> {
    const KEY: &[u8] = b"\"@level\":";
    let value = line[memmem::find(line, KEY)? + KEY.len()..].trim_ascii_start().strip_prefix(b"\"")?;
    let word = &value[..memchr::memchr(b'"', value)?];
    level_of_word(word.trim_ascii())
}

/// `[LEVEL]` in the first column; a leading blank is no match, as in go-plugin.
fn prefix_level(line: &[u8]) -> Option<Level> {
    const LONGEST: usize = "[TRACE]".len();
    let head = line.strip_prefix(b"[")?;
    let end = head.iter().take(LONGEST).position(|byte| *byte == b']')?;
    let word = &head[..end];
    if word.iter().all(u8::is_ascii_uppercase) { level_of_word(word) } else { None }
}

fn level_of_word(word: &[u8]) -> Option<Level> {
    match word.to_ascii_lowercase().as_slice() {
        b"trace" => Some(Level::Trace),
        b"debug" => Some(Level::Debug),
        b"info" => Some(Level::Info),
        b"warn" => Some(Level::Warn),
        b"error" => Some(Level::Error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_has_its_level() {
        for (line, level) in [
            (r#"{"@level":"trace","@message":"m"}"#, Level::Trace),
            (r#"{"@message":"m","@level": " WARN "}"#, Level::Warn),
            (r#"{"@message":"\"@level\":\"error\"","@level":"info"}"#, Level::Info),
            (r#"{"@level":5}"#, Level::Debug),
            (r#"{"@level":"all"}"#, Level::Debug),
            (r#"{"@level":"#, Level::Debug),
            ("{}", Level::Debug),
            ("[ERROR] text", Level::Error),
            (" [ERROR] text", Level::Debug),
            ("[error] text", Level::Debug),
            ("[WARNING] text", Level::Debug),
            ("text", Level::Debug),
            ("", Level::Debug),
        ] {
            assert_eq!(Classifier::default().level(line.as_bytes()), level, "{line}");
        }
    }

    #[test]
    fn stack_trace_of_a_panic_is_an_error_to_the_end() {
        let mut classifier = Classifier::default();
        let lines =
            ["start", "panic: boom", "", "goroutine 1 [running]:", "[INFO] still prefixed", r#"{"@level":"info"}"#];
        let levels: Vec<_> = lines.iter().map(|line| classifier.level(line.as_bytes())).collect();
        let expected = [Level::Debug, Level::Error, Level::Error, Level::Error, Level::Info, Level::Info];
        assert_eq!(levels, expected);
    }
}
