//! Clients that are slow on purpose: each is dropped at its time limit or bounded in what it costs, and others are served
//! meanwhile. That every single limit of `gantry_core::Limits` holds to the millisecond is shown in invented time by
//! `core/tests/wire/times.rs`; here many meet a whole daemon.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    thread,
    time::{Duration, Instant},
};

use gantry_core::Limits;
use serde_json::json;

use crate::{
    harness::{Daemon, PATIENCE, is_root, json_of, status},
    load::{all_descriptors, connect, memory_bytes, ping},
};

const KIB: usize = 1024;

/// What comes of a head that is sent byte by byte and has no end.
const HEAD: &[u8] =
    b"GET /v1.24/_ping HTTP/1.1\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";

#[test]
fn slow_clients_are_dropped_or_bounded_and_others_served() {
    if !is_root() {
        return;
    }
    all_descriptors();
    let daemon = Daemon::start();
    let mut other = connect(&daemon);
    ping(&mut other);
    let limits = Limits::default();
    // (name, how many, bytes that each may cost, what it sends at first)
    type Row<'a> = (&'a str, usize, usize, &'a dyn Fn(&mut UnixStream));
    let rows: [Row<'_>; 5] = [
        ("says nothing", 300, 16 * KIB, &|_| ()),
        ("sends a head byte by byte", 300, 32 * KIB, &|client| {
            client.write_all(&HEAD[..1]).expect("a byte");
        }),
        // What is announced is not what is reserved.
        ("stops in a JSON body", 300, 32 * KIB, &|client| {
            let head = b"POST /v1.24/containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\n\
                Content-Length: 4000000\r\n\r\n{\"Image\":";
            client.write_all(head).expect("a head");
        }),
        // Each may hold a thread, of those that only uploads use.
        ("stops in an upload", 100, 64 * KIB, &|client| {
            let head =
                b"POST /v1.24/images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 4000000000\r\n\r\nnot yet an archive";
            client.write_all(head).expect("a head");
        }),
        // Answers up to the mark, requests up to theirs, and the room that allocations keep beyond what is in them.
        ("reads no answer", 20, 4 * limits.output_high_water, &ask_and_never_read),
    ];
    let mut clients = Vec::new();
    let since = Instant::now();
    for (name, count, bytes_each_max, begin) in rows {
        let before = memory_bytes(daemon.pid());
        let of_row: Vec<_> = (0..count)
            .map(|_| {
                let mut client = connect(&daemon);
                begin(&mut client);
                client
            })
            .collect();
        // A new connection is accepted behind them all.
        ping(&mut connect(&daemon));
        let each = memory_bytes(daemon.pid()).saturating_sub(before) / count;
        assert!(each <= bytes_each_max, "{name}: {each} bytes for each");
        clients.push(of_row);
    }
    assert_eq!(daemon.run(&["true"], json!({})).0, 0, "containers run meanwhile");
    let told = json_of(&daemon.get("/v1.24/info"))["NFd"].as_u64().expect("a number") as usize;
    let connections: usize = clients.iter().map(Vec::len).sum();
    assert!(
        (connections..connections + 200).contains(&told),
        "{told} descriptors for {connections} connections"
    );

    let limit = limits.head_timeout;
    let [silent, dripping, stopped, uploading, unread] = &mut clients[..] else {
        panic!("a row each");
    };
    let mut ended = vec![None; dripping.len()];
    for byte in HEAD.iter().skip(1).cycle() {
        for (client, ended) in dripping.iter_mut().zip(&mut ended) {
            if ended.is_none() {
                // It may be closed since we looked.
                let _ = client.write_all(&[*byte]);
                *ended = said(client).map(|text| (text, since.elapsed()));
            }
        }
        ping(&mut other);
        assert_eq!(status(&daemon.get("/v1.24/containers/json")), 200);
        if ended.iter().all(Option::is_some) {
            break;
        }
        assert!(since.elapsed() < limit + PATIENCE, "{ended:?}");
        thread::sleep(Duration::from_millis(500));
    }
    for (text, after) in ended.iter().flatten() {
        assert!(text.starts_with("HTTP/1.1 408 "), "{text:?}");
        assert!(*after >= limit, "dropped after {after:?} already");
    }
    // The others have longer limits, and are still there.
    for client in silent.iter_mut().chain(stopped).chain(uploading) {
        assert_eq!(said(client), None);
    }
    drop(unread.drain(..));
    assert_eq!(daemon.run(&["true"], json!({})).0, 0, "and after it");
}

/// Sends requests until the daemon takes no more of them.
fn ask_and_never_read(client: &mut UnixStream) {
    const ASK: &[u8] = b"GET /v1.24/info HTTP/1.1\r\nHost: d\r\n\r\n";
    client
        .set_write_timeout(Some(Duration::from_millis(50)))
        .expect("a time limit");
    let mut sent = 0;
    let many = ASK.repeat(100);
    while let Ok(len @ 1..) = client.write(&many) {
        sent += len;
        assert!(sent < 8 * KIB * KIB, "everything is taken from who reads nothing");
    }
}

/// What has come, if the daemon has closed its side after it.
fn said(client: &mut UnixStream) -> Option<String> {
    client.set_nonblocking(true).expect("a flag");
    let mut text = Vec::new();
    let end = client.read_to_end(&mut text);
    client.set_nonblocking(false).expect("a flag");
    match end {
        Ok(_) => Some(String::from_utf8_lossy(&text).into_owned()),
        Err(error) if error.kind() == ErrorKind::WouldBlock && text.is_empty() => None,
        Err(error) => panic!("{error} after {text:?}"),
    }
}
