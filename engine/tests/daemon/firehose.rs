//! A container that writes as fast as it can starves nobody, whether its client reads everything or nothing.
//!
//! Measured in work and not in time: bytes that the firehose moves between a request and its answer. One thread writes the
//! request and then takes turns between the answer and the firehose, so that only what the daemon itself put between the
//! two counts, and not when the scheduler let us look.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
};

use gantry_conformance::frames::Splitter;
use gantry_core::driver::limits::TURN_BYTES;
use serde_json::{Value, json};

use crate::{
    harness::{Daemon, is_root},
    load::{PING, connect, memory_bytes},
};

/// The turn in which a request comes, and the next one, in which it is answered: what the loop promises
/// (`transport-mio/tests/suite/turns.rs`).
const BYTES_BETWEEN_MAX: usize = 2 * TURN_BYTES;

/// The same where the answer is that of another process, which the machine may let wait for a while.
const BYTES_BETWEEN_PROCESSES_MAX: usize = 8 * BYTES_BETWEEN_MAX;

/// What a client that never reads may cost the daemon; far below what its container would write meanwhile.
const STALLED_BYTES_MAX: usize = 4 * 1024 * 1024;

const ROUNDS: usize = 50;

const LIST: &[u8] = b"GET /v1.24/containers/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";

#[test]
fn others_make_progress_beside_a_firehose_that_is_read_and_one_that_is_not() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let unlogged = json!({"HostConfig": {"LogConfig": {"Type": "none", "Config": {}}}});
    let mut talker = Hose::open(&daemon, &["cat"], json!({"OpenStdin": true, "AttachStdin": true})).stream;
    let before = memory_bytes(daemon.pid());
    let stalled = Hose::open(&daemon, &["zeros"], unlogged.clone());
    let mut hose = Hose::open(&daemon, &["zeros"], unlogged);
    hose.read(4 * TURN_BYTES);
    let mut pinger = connect(&daemon);
    talker.set_nonblocking(true).expect("a flag");
    pinger.set_nonblocking(true).expect("a flag");
    for round in 0..ROUNDS {
        let between = |what: &str, bytes: usize, bytes_max: usize| {
            assert!(
                bytes <= bytes_max,
                "round {round}: the firehose moved {bytes} bytes before {what}"
            );
        };
        let bytes = hose.read_until_answered(&mut pinger, PING, |answer| answer.ends_with(b"\r\n\r\nOK"));
        between("a ping was answered", bytes, BYTES_BETWEEN_MAX);
        // A connection of its own, which the daemon accepts first and closes behind the answer.
        let mut lister = connect(&daemon);
        lister.set_nonblocking(true).expect("a flag");
        let bytes = hose.read_until_answered(&mut lister, LIST, |answer| answer.ends_with(END));
        between("the containers were listed", bytes, BYTES_BETWEEN_MAX);
        let line = format!("line {round}\n");
        let bytes = hose.read_until_answered(&mut talker, line.as_bytes(), |answer| answer.ends_with(line.as_bytes()));
        between("a line came back", bytes, BYTES_BETWEEN_PROCESSES_MAX);
        hose.read(TURN_BYTES / 4);
    }
    let growth = memory_bytes(daemon.pid()).saturating_sub(before);
    assert!(growth <= STALLED_BYTES_MAX, "{growth} bytes more than before");
    // Who has not read until now has missed nothing: every frame is whole.
    let mut stalled = stalled;
    stalled.read(4 * TURN_BYTES);
}

/// Stands for the end of a connection behind what came.
const END: &[u8] = b"<end>";

/// The client of an attached container.
struct Hose {
    stream: UnixStream,
    splitter: Splitter,
    buffer: Vec<u8>,
}

impl Hose {
    /// Creates, attaches and starts.
    fn open(daemon: &Daemon, command: &[&str], more: Value) -> Self {
        let id = daemon.create(command, more);
        let mut stream = connect(daemon);
        let head = format!(
            "POST /v1.24/containers/{id}/attach?stream=1&stdin=1&stdout=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\
             Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("the request");
        let (mut answer, mut byte) = (Vec::new(), [0]);
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).expect("a head");
            answer.extend(byte);
        }
        assert!(
            answer.starts_with(b"HTTP/1.1 101 "),
            "{}",
            String::from_utf8_lossy(&answer)
        );
        daemon.start_container(&id);
        Self {
            stream,
            splitter: Splitter::default(),
            buffer: vec![0; 64 * 1024],
        }
    }

    /// Reads once; how many bytes came. They are zeros in frames of standard output.
    fn read_once(&mut self) -> usize {
        let len = self.stream.read(&mut self.buffer).expect("the firehose runs on");
        assert_ne!(len, 0, "the firehose ended");
        let fed = self.splitter.feed(&self.buffer[..len], |stream, payload| {
            assert_eq!((stream, payload.iter().find(|byte| **byte != 0)), (1, None));
        });
        fed.expect("whole frames");
        len
    }

    fn read(&mut self, bytes: usize) {
        let mut read = 0;
        while read < bytes {
            read += self.read_once();
        }
    }

    /// Sends a request to a connection that does not block, and reads on until its answer is whole; the bytes that
    /// came from here before.
    fn read_until_answered(
        &mut self,
        other: &mut UnixStream,
        request: &[u8],
        is_whole: impl Fn(&[u8]) -> bool,
    ) -> usize {
        other.write_all(request).expect("the request");
        let (mut answer, mut between) = (Vec::new(), 0);
        while !is_whole(&answer) {
            let mut piece = [0; 4096];
            match other.read(&mut piece) {
                Ok(0) => {
                    answer.extend_from_slice(END);
                    assert!(is_whole(&answer), "{}", String::from_utf8_lossy(&answer));
                }
                Ok(len) => answer.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => between += self.read_once(),
                Err(error) => panic!("{error}"),
            }
            assert!(
                between <= 2 * BYTES_BETWEEN_PROCESSES_MAX,
                "no answer, and {between} bytes went by"
            );
        }
        between
    }
}
