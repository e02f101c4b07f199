//! Real containers, started by the runtime from this process: needs root and a static `/bin/busybox`.
//!
//! The harness is our own, because `prepare` demands a process with one thread: every case runs in the main thread, one
//! after the other. Arguments are parts of the names to run.

mod confinement;
mod failure;
mod fixture;
mod hostile;
mod limits;
mod probe;
mod start;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

type Case = (&'static str, fn());

fn main() -> ExitCode {
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.first().is_some_and(|name| name == probe::ARGUMENT) {
        return probe::run();
    }
    if names.iter().any(|name| name == "--list") {
        return ExitCode::SUCCESS;
    }
    names.retain(|name| !name.starts_with('-'));
    if let Some(reason) = fixture::missing() {
        println!("skipped: {reason}");
        return ExitCode::SUCCESS;
    }
    let all = [
        start::CASES,
        confinement::CASES,
        limits::CASES,
        hostile::CASES,
        failure::CASES,
    ]
    .concat();
    let chosen = all
        .into_iter()
        .filter(|(name, _)| names.is_empty() || names.iter().any(|part| name.contains(part)));
    let (mut run, mut failed) = (0, 0);
    for (name, case) in chosen {
        let before = fixture::Host::look();
        let panicked = catch_unwind(AssertUnwindSafe(case)).is_err();
        let changed = before.changes();
        if let Some(changed) = &changed {
            println!("left behind: {changed}");
        }
        let bad = panicked || changed.is_some();
        println!("test {name} ... {}", if bad { "FAILED" } else { "ok" });
        run += 1;
        failed += u32::from(bad);
    }
    fixture::tidy();
    println!("{run} run, {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
