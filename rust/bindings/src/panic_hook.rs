//! Writes one line about each panic to standard error, and keeps the text for the error that follows.
//!
//! The hook of std prints where the library was built. This hook replaces it in the std inside this library: panics of
//! other code do not come here.

use std::cell::RefCell;
use std::io::Write;
use std::panic::PanicHookInfo;

thread_local! {
    /// Text and place of this thread's latest panic.
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Text and place of this thread's latest panic, once.
pub(crate) fn take_latest() -> Option<String> {
    // The thread may be ending.
    LATEST.try_with(|latest| latest.borrow_mut().take()).ok().flatten()
}

/// The hook.
pub(crate) fn report(panic: &PanicHookInfo<'_>) {
    let place =
        panic.location().map_or_else(String::new, |place| format!(" ({}:{})", inside(place.file()), place.line()));
    let text = format!("{}{place}", text_of(panic));
    // Standard error may be closed: then the exception alone tells.
    let _ = writeln!(std::io::stderr(), "a bug in ferrule's core: {text}; please report this");
    let _ = LATEST.try_with(|latest| *latest.borrow_mut() = Some(text));
}

fn text_of<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    let payload = panic.payload();
    let formatted = payload.downcast_ref::<String>().map(String::as_str);
    formatted.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("panic")
}

/// A source file's path inside its crate, without that of the machine it was built on.
fn inside(file: &str) -> &str {
    let downloaded = file.split_once("/registry/src/").and_then(|(_, rest)| rest.split_once('/'));
    downloaded.map_or(file, |(_, path)| path)
}
