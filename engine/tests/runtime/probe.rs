//! This program inside a container: it tries the system calls it is told to, without arguments, and prints what came back.
//!
//! The one place of the tests with `unsafe`: there is no other way to make a call by its number.

use std::process::ExitCode;

/// The first argument that turns the harness into the probe; the others are numbers.
pub(crate) const ARGUMENT: &str = "--probe-system-calls";

/// Prints a line `number errno` for each call, errno 0 if it succeeded.
pub(crate) fn run() -> ExitCode {
    for argument in std::env::args().skip(2) {
        let number: i64 = argument.parse().unwrap();
        // SAFETY: every argument is 0, so nothing in this process is read or written; the caller chooses calls that do no
        // harm even if they succeed.
        let result = unsafe { libc::syscall(number, 0, 0, 0, 0, 0, 0) };
        let errno = if result == -1 {
            std::io::Error::last_os_error().raw_os_error().unwrap()
        } else {
            0
        };
        println!("{number} {errno}");
    }
    ExitCode::SUCCESS
}
