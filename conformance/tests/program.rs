//! The program as a shell sees it: exit codes, and which of its outputs says what. Truth: its own `--help`; the codes are those
//! of the usual command-line tools (2 for a wrong line, 1 for a failure).
//!
//! Because of this file, `cargo test --workspace` builds the program, which the daemon's tests run as their judge.

use std::process::{Command, Output};

fn run(line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gantry-conformance"))
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .args(line)
        .output()
        .expect("the program starts")
}

#[test]
fn what_a_shell_sees() {
    let nowhere = "/nonexistent/d.sock";
    // (line, exit code, what standard output holds, what standard error holds)
    let table: [(&[&str], i32, &str, &str); 6] = [
        (&["--help"], 0, "judge", ""),
        (&["bench", "--help"], 0, "--ratio", ""),
        (&[], 2, "", "Usage: gantry-conformance"),
        (&["nonsense"], 2, "", "nonsense"),
        (&["judge", "--socket", nowhere], 1, "", nowhere),
        (&["bench", "--socket", "a=/nonexistent/d.sock"], 1, "", nowhere),
    ];
    for (line, code, out, err) in table {
        let output = run(line);
        let [stdout, stderr] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        assert_eq!(output.status.code(), Some(code), "{line:?}: {stdout}{stderr}");
        assert!(
            stdout.contains(out) && stderr.contains(err),
            "{line:?}: {stdout}{stderr}"
        );
    }
}
