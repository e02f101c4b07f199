//! Clients that were written for Docker, unmodified, old and new: the docker command line, and docker-py of 2013, 2016 and
//! today. What they do is in `conformance/clients`; here they get a daemon each. A client that is not there is passed over
//! with the reason.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Once,
};

use crate::harness::{Daemon, is_root, skip};

/// A static busybox, of which the clients make their image.
fn busybox() -> Option<PathBuf> {
    let found = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file());
    if found.is_none() {
        skip("no busybox (Debian: busybox-static)");
    }
    found
}

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/clients")
}

/// Runs a client against the daemon; its last line counts what passed and failed.
fn judge(daemon: &Daemon, mut command: Command) {
    let output = command
        .env("DOCKER_HOST", format!("unix://{}", daemon.socket().display()))
        .output()
        .expect("it starts");
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(SKIPPED) {
        skip(text.lines().last().unwrap_or_default());
        return;
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let failed: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("not ok") || line.starts_with("FAILED"))
        .collect();
    assert!(output.status.success() && failed.is_empty(), "{failed:#?}\n{errors}");
    println!("{}", text.lines().last().unwrap_or_default());
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

fn docker_cli(api: Option<&str>) {
    let (true, Some(busybox)) = (is_root(), busybox()) else {
        return;
    };
    let mut command = Command::new("bash");
    command.arg(clients().join("docker_cli.sh")).arg(busybox).args(api);
    judge(&Daemon::start(), command);
}

#[test]
fn docker_cli_negotiates() {
    docker_cli(None);
}

#[test]
fn docker_cli_by_v1_22() {
    docker_cli(Some("1.22"));
}

#[test]
fn docker_cli_by_v1_12() {
    docker_cli(Some("1.12"));
}

fn docker_py(generation: &str, api: &str) {
    static SET_UP: Once = Once::new();
    let (true, Some(busybox)) = (is_root(), busybox()) else {
        return;
    };
    let environments = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    SET_UP.call_once(|| {
        let made = Command::new("bash")
            .arg(clients().join("setup.sh"))
            .arg(&environments)
            .output()
            .expect("bash");
        println!("{}", String::from_utf8_lossy(&made.stderr));
    });
    let python = environments.join(format!("docker-py-{generation}")).join("python");
    if !python.exists() {
        skip(&format!("docker-py {generation} could not be installed"));
        return;
    }
    let mut command = Command::new(python);
    command.arg(clients().join("docker_py.py")).arg(busybox).arg(api);
    judge(&Daemon::start(), command);
}

#[test]
fn docker_py_of_today() {
    docker_py("7", "1.24");
}

#[test]
fn docker_py_of_2016() {
    docker_py("1.10", "1.22");
}

#[test]
fn docker_py_of_2013() {
    docker_py("0.2", "1.6");
}

/// Every case of `conformance/cases` at every version it holds for.
#[test]
fn the_outside_judge() {
    let (true, Some(busybox)) = (is_root(), busybox()) else {
        return;
    };
    let daemon = Daemon::start();
    let judge_program = Path::new(env!("CARGO_BIN_EXE_gantryd")).with_file_name("gantry-conformance");
    if !judge_program.exists() {
        skip("gantry-conformance is not built (cargo test --workspace builds it)");
        return;
    }
    let mut command = Command::new(judge_program);
    command
        .arg("judge")
        .arg("--quiet")
        .arg("--socket")
        .arg(daemon.socket())
        .arg("--busybox")
        .arg(busybox);
    command
        .arg("--cases")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../conformance/cases"));
    judge(&daemon, command);
}

/// The exit status by which a client says that it cannot run here.
const SKIPPED: i32 = 77;
