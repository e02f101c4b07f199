//! One connection under a list of operations of peer, daemon and clock, in any order. Each operation is one byte, those
//! that need more take it from what follows.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use gantry_core::{Connection, Event, Instant, Item, Limits, Reply, RequestId, driver::{Output, Protocol}, framing::StreamKind, model::Progress};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        early_bytes_max: 64,
        input_bytes_max: 64,
        output_high_water: 256,
        ..Limits::default()
    };
    let mut now = Instant(Duration::ZERO);
    let mut connection = Connection::new(limits, now);
    let (mut rest, mut calls, mut over) = (bytes, 0u64, 0u64);
    let (mut is_shut, mut is_closed, mut eof) = (false, false, false);
    while let Some((&op, after)) = rest.split_first() {
        rest = after;
        let last = RequestId(calls.saturating_sub(1));
        match op {
            // Bytes up to the next length, most operations of most inputs.
            0x20.. if !eof && !is_closed => {
                let len = rest.len().min(usize::from(op));
                let taken = connection.handle_input(now, &rest[..len]);
                assert!(taken <= len);
                assert!(taken > 0 || len == 0 || !connection.wants_input());
                rest = &rest[len..];
            }
            1 => {
                eof = true;
                connection.handle_eof(now);
            }
            2 => connection.handle_reset(now),
            3 => {
                now = now + Duration::from_secs(31);
                connection.handle_timeout(now);
            }
            4 => drop(connection.respond(last, Reply::Pong)),
            5 => drop(connection.respond(last, Reply::Attached { tty: true })),
            6 => drop(connection.respond(last, Reply::Logs { tty: false })),
            7 => drop(connection.respond(last, Reply::ProgressStream)),
            8 => drop(connection.respond(last, Reply::NotModified)),
            9 => drop(connection.send(
                last,
                Item::Output(StreamKind::Stderr, Bytes::from_static(b"some output")),
            )),
            10 => drop(connection.send(last, Item::Progress(Progress::default()))),
            11 => drop(connection.finish(last)),
            12 => connection.abort(last),
            13 => connection.pause_input(last, true),
            14 => connection.pause_input(last, false),
            15 => drop(connection.finish(RequestId(calls))),
            _ => {}
        }
        let mut out = [0; 48];
        let room = if op & 1 == 0 { 48 } else { 0 };
        for turn in 0.. {
            assert!(turn < 100_000, "it never comes to rest");
            match connection.poll_output(now, &mut out[..room]) {
                Output::Event(event) => {
                    assert!(!is_closed);
                    match event {
                        Event::Call { id, .. } => {
                            assert_eq!(id.0, calls);
                            calls += 1;
                        }
                        Event::Detached { id } | Event::Aborted { id } => {
                            assert!(id.0 + 1 == calls && over < calls, "told once, and about the last call");
                            over = calls;
                        }
                        Event::Body { id, bytes } | Event::Input { id, bytes } => {
                            assert!(id.0 + 1 == calls && over < calls && !bytes.is_empty());
                        }
                        Event::BodyEnd { id } | Event::ContextPart { id, .. } | Event::InputEnd { id } => assert!(id.0 + 1 == calls && over < calls),
                    }
                }
                Output::Transmit(len) => assert!(len > 0 && len <= room && !is_shut && !is_closed),
                Output::Splice { .. } => unreachable!("nothing was put into a pipe"),
                Output::Shutdown => {
                    assert!(!is_shut && !is_closed);
                    is_shut = true;
                }
                Output::Close => {
                    is_closed = true;
                    break;
                }
                Output::Wait(_) => {
                    assert!(!is_closed);
                    break;
                }
            }
        }
    }
});
