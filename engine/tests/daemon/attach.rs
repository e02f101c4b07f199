//! Attached streams: framed and raw, input and its end, terminals, clients that stall or vanish.

use gantry_conformance::client::{Connection, Request};
use serde_json::json;

use crate::harness::{Daemon, is_root, split, status};

const INTERACTIVE: &str = "/v1.24/containers/ID/attach?stream=1&stdin=1&stdout=1&stderr=1";

/// Twice a hundred in all.
const MEGABYTES: usize = 100;

fn interactive() -> serde_json::Value {
    json!({"OpenStdin": true, "StdinOnce": true, "AttachStdin": true})
}

fn attach(daemon: &Daemon, id: &str, upgrade: bool) -> Connection {
    let mut connection = daemon.connect();
    let request = Request::new("POST", INTERACTIVE.replace("ID", id));
    let request = if upgrade { request.upgrade() } else { request };
    let head = connection.begin(&request).expect("a head");
    assert_eq!(head.status, if upgrade { 101 } else { 200 });
    connection
}

#[test]
fn a_hundred_megabytes_come_back_as_they_were() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    // Every byte value, in no simple order, so that anything that treats output as text would show.
    let block: Vec<u8> = (0..1_000_003_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    for upgrade in [true, false] {
        let id = daemon.create(&["cat"], interactive());
        let mut connection = attach(&daemon, &id, upgrade);
        daemon.start_container(&id);
        let mut sender = connection.sender().expect("a second handle");
        let sent = block.clone();
        let sending = std::thread::spawn(move || {
            (0..MEGABYTES).for_each(|_| sender.send(&sent).expect("the input is taken"));
            sender.half_close().expect("the end of input");
        });
        let mut stream = Vec::new();
        while let Some(piece) = connection.read_piece().expect("the stream to its end") {
            stream.extend_from_slice(piece);
        }
        sending.join().expect("the sender");
        let (mut echoed, mut rest) = (Vec::new(), stream.as_slice());
        while let Some((&[1, 0, 0, 0, l0, l1, l2, l3], after)) = rest.split_first_chunk::<8>() {
            let (piece, after) = after.split_at(u32::from_be_bytes([l0, l1, l2, l3]) as usize);
            echoed.extend_from_slice(piece);
            rest = after;
        }
        assert!(rest.is_empty());
        assert_eq!(echoed.len(), MEGABYTES * block.len());
        assert!(
            echoed.chunks(block.len()).all(|piece| piece == block),
            "what came back is not what was sent"
        );
        assert_eq!(daemon.wait(&id), 0);
    }
}

#[test]
fn input_sent_with_the_request_and_before_the_start_is_not_lost() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["cat"], interactive());
    let mut connection = daemon.connect();
    let mut bytes = Request::new("POST", INTERACTIVE.replace("ID", &id)).encode();
    bytes.extend_from_slice(b"early\n");
    connection.send(&bytes).expect("the request");
    connection.half_close().expect("the end of input");
    assert_eq!(connection.read_head("POST").expect("a head").status, 200);
    daemon.start_container(&id);
    let stream = connection.read_rest().expect("the stream to its end");
    assert_eq!(split(&stream), ("early\n".to_owned(), String::new()));
}

#[test]
fn old_versions_merge_the_streams_unframed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    for (version, raw) in [("v1.0", true), ("v1.5", true), ("v1.6", false), ("v1.24", false)] {
        let id = daemon.create(&["both", "out", "err"], json!({}));
        let mut connection = daemon.connect();
        let target = format!("/{version}/containers/{id}/attach?stream=1&stdout=1&stderr=1");
        assert_eq!(
            connection.begin(&Request::new("POST", target)).expect("a head").status,
            200
        );
        daemon.start_container(&id);
        let stream = connection.read_rest().expect("the stream to its end");
        if raw {
            let mut lines: Vec<_> = stream.split(|&b| b == b'\n').collect();
            lines.sort_unstable();
            assert_eq!(lines, [&b""[..], b"err", b"out"], "{version}");
        } else {
            assert_eq!(split(&stream), ("out\n".to_owned(), "err\n".to_owned()), "{version}");
        }
    }
}

/// Reads until the text ends with `end`.
fn read_until(connection: &mut Connection, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let piece = connection
            .read_piece()
            .expect("more")
            .unwrap_or_else(|| panic!("ended after {text:?}"));
        text += std::str::from_utf8(piece).expect("text");
    }
    text
}

#[test]
fn a_terminal_is_raw_resizes_and_detaches() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["talk"], json!({"Tty": true, "OpenStdin": true}));
    let mut connection = attach(&daemon, &id, true);
    daemon.start_container(&id);
    read_until(&mut connection, "> ");
    let resized = daemon.post(&format!("/v1.24/containers/{id}/resize?h=33&w=111"));
    assert_eq!(status(&resized), 200);
    connection.send(b"size\n").expect("input");
    let said = read_until(&mut connection, "33x111\r\n");
    assert!(said.contains("size\r\n"), "the terminal echoes: {said:?}");
    connection.send(b"\x10\x11").expect("the detach keys");
    connection.read_rest().expect("the stream ends");
    assert_eq!(daemon.inspect(&id)["State"]["Running"], true);
    let mut connection = attach(&daemon, &id, false);
    connection.send(b"exit\n").expect("input");
    connection.read_rest().expect("the stream ends");
    assert_eq!(daemon.wait(&id), 7);
}

#[test]
fn logs_are_whole_tailed_timed_and_followed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["lines", "5000"], json!({}));
    let mut follower = daemon.connect();
    let followed = Request::new("GET", format!("/v1.24/containers/{id}/logs?stdout=1&follow=1"));
    daemon.start_container(&id);
    assert_eq!(follower.begin(&followed).expect("a head").status, 200);
    let wanted: String = (0..5000).map(|n| format!("line {n}\n")).collect();
    let stream = follower.read_rest().expect("the stream to its end");
    assert_eq!(split(&stream).0, wanted);
    assert_eq!(daemon.logs(&id).0, wanted);
    let tail = daemon.get(&format!("/v1.24/containers/{id}/logs?stdout=1&tail=2"));
    assert_eq!(split(&tail.body).0, "line 4998\nline 4999\n");
    let timed = daemon.get(&format!("/v1.24/containers/{id}/logs?stdout=1&tail=1&timestamps=1"));
    let timed = split(&timed.body).0;
    let (time, line) = timed.split_once(' ').expect("a time and a line");
    assert_eq!(
        (time.len(), line),
        ("2014-05-13T16:53:20.500000000Z".len(), "line 4999\n")
    );
    let since = daemon.get(&format!("/v1.24/containers/{id}/logs?stdout=1&since=4000000000"));
    assert_eq!(split(&since.body).0, "");
}

#[test]
fn a_stalled_client_and_vanished_ones_harm_nobody_else() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["flood"], json!({}));
    daemon.start_container(&id);
    // This one never reads.
    let mut stalled = daemon.connect();
    let target = format!("/v1.24/containers/{id}/logs?stdout=1&follow=1");
    stalled
        .send(&Request::new("GET", target).encode())
        .expect("the request");
    for verb in ["attach?stream=1&stdout=1", "wait", "logs?follow=1&stdout=1"] {
        for _ in 0..20 {
            let mut connection = daemon.connect();
            let method = if verb.starts_with("logs") { "GET" } else { "POST" };
            connection
                .send(&Request::new(method, format!("/v1.24/containers/{id}/{verb}")).encode())
                .expect("the request");
            if verb != "wait" {
                connection.read_head(method).expect("a head");
            }
        }
    }
    let descriptors =
        |daemon: &Daemon| std::fs::read_dir(format!("/proc/{}/fd", daemon.pid())).map_or(0, Iterator::count);
    daemon.eventually("vanished clients are forgotten", |daemon| descriptors(daemon) < 60);
    assert_eq!(daemon.inspect(&id)["State"]["Running"], true);
    assert_eq!(status(&daemon.post(&format!("/v1.24/containers/{id}/kill"))), 204);
    drop(stalled);
}
