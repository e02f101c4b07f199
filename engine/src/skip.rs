//! Saying that a test was passed over, so that it is seen: the test runner swallows what passing tests print.

use std::io::Write;

/// Writes the reason to standard error, past the test runner.
pub(crate) fn say(reason: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    // Nobody has to read it.
    let _ = writeln!(std::io::stderr(), "skipped: {reason} ({name})");
}
