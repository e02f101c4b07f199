//! Many connections at once: all are served, and each costs little.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::harness::{Daemon, PATIENCE, is_root, skip};

const IDLE: usize = 10_000;
const ACTIVE: usize = 1_000;

/// What a connection that has served a request may cost, with everything that is kept for it.
const BYTES_EACH_MAX: usize = 32 * 1024;

pub(crate) const PING: &[u8] = b"GET /v1.24/_ping HTTP/1.1\r\nHost: d\r\n\r\n";

#[test]
fn ten_thousand_idle_and_a_thousand_active_connections() {
    if !is_root() {
        return;
    }
    // Ours, and the daemon's with what it keeps back.
    if all_descriptors() < (IDLE + ACTIVE + 5_000) as u64 {
        return skip("needs a limit of 16,000 descriptors");
    }
    let daemon = Daemon::start();
    let before = memory_bytes(daemon.pid());
    let mut idle: Vec<_> = (0..IDLE).map(|_| connect(&daemon)).collect();
    for connection in &mut idle {
        ping(connection);
    }
    let each = memory_bytes(daemon.pid()).saturating_sub(before) / IDLE;
    assert!(each <= BYTES_EACH_MAX, "{each} bytes for each connection");
    let mut active: Vec<_> = (0..ACTIVE).map(|_| connect(&daemon)).collect();
    for _ in 0..10 {
        // All at once: the last request is sent before the first answer is read.
        for connection in &mut active {
            connection.write_all(PING).expect("the request");
        }
        for connection in &mut active {
            answer(connection);
        }
    }
    // The idle ones are still there.
    for connection in &mut idle {
        ping(connection);
    }
}

/// Raises our limit as far as we may; how far that is.
pub(crate) fn all_descriptors() -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("as many as are allowed");
    hard
}

pub(crate) fn connect(daemon: &Daemon) -> UnixStream {
    let connection = UnixStream::connect(daemon.socket()).expect("a connection");
    connection.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    connection
}

pub(crate) fn ping(connection: &mut UnixStream) {
    connection.write_all(PING).expect("the request");
    answer(connection);
}

fn answer(connection: &mut UnixStream) {
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nOK") {
        let mut piece = [0; 1024];
        let len = connection.read(&mut piece).expect("the answer");
        assert_ne!(len, 0, "the daemon closed: {}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&piece[..len]);
    }
}

/// Resident memory of a process (proc_pid_status(5), VmRSS).
pub(crate) fn memory_bytes(pid: i32) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<usize>().ok());
    kib.expect("a size") * 1024
}
