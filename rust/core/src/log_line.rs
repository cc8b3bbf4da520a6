//! The level of one line of a plugin's standard error, found without parsing the line. No I/O.
//!
//! Most lines are never shown, because their level is below the logger's. So the level is found here in one pass
//! that allocates nothing, and only the lines that are shown are parsed, elsewhere.

use std::borrow::Cow;

use memchr::memmem;

use crate::output_lines::announces_panic;

/// hclog's levels, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Every step.
    Trace,
    /// For developers.
    Debug,
    /// For operators.
    Info,
    /// For possible faults.
    Warn,
    /// For failures.
    Error,
}

/// Finds the level of each line in turn. After a Go panic the lines of its stack trace are errors too.
#[derive(Debug, Default)]
pub struct Classifier {
    panicked: bool,
}

impl Classifier {
    /// The level of the next line.
    pub fn level(&mut self, line: &[u8]) -> Level {
        if line.trim_ascii_start().first() == Some(&b'{') {
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

/// The level in the outermost object; the last one if there are several, as JSON readers have it. Of invalid JSON, the
/// level in its readable part, if any.
fn json_level(line: &[u8]) -> Option<Level> {
    const KEY: &[u8] = b"@level";
    // Without the key, and without an escape that may spell it, there is no level: so are most lines of other programs.
    if memmem::find(line, KEY).is_none() && memmem::find(line, b"\\u").is_none() {
        return None;
    }
    let (mut rest, mut depth, mut level) = (line, 0_usize, None);
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.checked_sub(1)?,
            b'"' => {
                let (text, after) = json_string(rest)?;
                rest = after;
                // Only a key is followed by a colon.
                let value = after.trim_ascii_start().strip_prefix(b":").filter(|_| depth == 1);
                if let Some(value) = value.filter(|_| unescaped(text).as_ref() == KEY) {
                    let word = value.trim_ascii_start().strip_prefix(b"\"").and_then(json_string);
                    level = word.and_then(|(word, _)| level_of_word(unescaped(word).trim_ascii()));
                }
            }
            _ => (),
        }
    }
    level
}

/// A JSON string up to its closing quote, escapes included, and the text behind it.
fn json_string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', text.get(end..)?)?;
        if text[end] == b'"' {
            return Some((&text[..end], &text[end + 1..]));
        }
        end += 2;
    }
}

/// The text of a JSON string; the string itself if its escapes are invalid.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice::<String>(&quoted).map_or(Cow::Borrowed(text), |text| Cow::Owned(text.into_bytes()))
}

/// The level of `[LEVEL]` in the first column; as in go-plugin, not after a blank.
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
            (r#"{"child":{"@level":"error"},"@level":"info"}"#, Level::Info),
            (r#"{"child":{"@level":"error"},"list":[{"@level":"warn"}]}"#, Level::Debug),
            (r#"{"@level" : "error"}"#, Level::Error),
            ("  \t{ \"@message\": \"m\", \"@level\":\r \"warn\" }", Level::Warn),
            (r#"{"\u0040level":"\u0065rror"}"#, Level::Error),
            (r#"{"@level":"error","@level":"info"}"#, Level::Info),
            (r#"{"@level":"error","@level":7}"#, Level::Debug),
            (r#"{"@message":"@level","other":"error"}"#, Level::Debug),
            (r#"{"@message":"} \\","@level":"warn"}"#, Level::Warn),
            (r#"{"\"@level":"error","@level\\":"error"}"#, Level::Debug),
            (r#"{"@level":"error"#, Level::Debug),
            (r#"{}}{"@level":"error"}"#, Level::Debug),
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
