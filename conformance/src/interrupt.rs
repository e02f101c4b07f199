//! Ctrl-c and SIGTERM: a run that is told to stop still takes away what it made.
//!
//! A thread waits for the signals, so that no code runs inside a signal handler; everything that waits looks at
//! [`requested`] several times a second.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SigSet, Signal};

static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Turns the first SIGINT or SIGTERM into [`requested`]; the second one ends the process at once with status 130.
///
/// Call it before any thread is started: threads inherit the blocked signals.
///
/// # Errors
/// When the signals cannot be blocked or the thread cannot start.
pub fn watch() -> std::io::Result<()> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    signals.thread_block()?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        while signals.wait().is_ok() {
            if REQUESTED.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
            eprintln!("interrupted: cleaning up, once more to stop at once");
        }
    })?;
    Ok(())
}

/// Whether the run was told to stop.
pub fn requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}
