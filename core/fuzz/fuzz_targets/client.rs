//! The client's end of a connection under a list of operations of server, asker and clock, in any order. Each operation is one
//! byte, those that need more take it from what follows.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use gantry_core::{
    Call, ContainerAttach, ContainerLogs, EventsQuery, ImageImport, Instant, Limits, RequestId,
    client::{ApiVersion, Connection, Event, Options},
    driver::{Output, Protocol},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        answer_bytes_max: 256,
        item_bytes_max: 64,
        input_bytes_max: 64,
        output_high_water: 256,
        ..Limits::default()
    };
    let versions: Vec<ApiVersion> = ApiVersion::all().collect();
    let attach = ContainerAttach {
        container: "c".into(),
        ..ContainerAttach::default()
    };
    let logs = ContainerLogs {
        container: "c".into(),
        stdout: true,
        ..ContainerLogs::default()
    };
    let import = ImageImport {
        source: "-".into(),
        ..ImageImport::default()
    };
    let calls = [
        Call::Ping,
        Call::Info,
        Call::ContainerAttach(attach),
        Call::ContainerLogs(logs),
        Call::Events(EventsQuery::default()),
        Call::ImageImport(import),
    ];
    let mut now = Instant(Duration::ZERO);
    let mut connection = Connection::new(limits);
    let (mut rest, mut asked, mut over) = (bytes, 0u64, 0u64);
    let (mut is_shut, mut is_closed, mut closed_told, mut eof) = (false, false, false, false);
    while let Some((&op, after)) = rest.split_first() {
        rest = after;
        let last = RequestId(asked.saturating_sub(1));
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
            4..=9 => {
                let which = rest.first().copied().unwrap_or_default();
                let options = Options {
                    version: versions[usize::from(which) % versions.len()],
                    upgrade: which & 0x80 != 0,
                    tty: which & 0x40 != 0,
                    ..Options::default()
                };
                let idle = connection.is_idle();
                if let Ok(id) = connection.ask(&calls[usize::from(op - 4)], &options) {
                    assert!(idle && id.0 == asked);
                    asked += 1;
                }
            }
            10 => drop(connection.send(last, Bytes::from_static(b"input"))),
            11 => drop(connection.finish(last)),
            12 => connection.abort(last),
            13 => connection.pause(last, true),
            14 => connection.pause(last, false),
            15 => drop(connection.finish(RequestId(asked))),
            16 => connection.close(),
            _ => {}
        }
        let mut out = [0; 48];
        let room = if op & 1 == 0 { 48 } else { 0 };
        for turn in 0.. {
            assert!(turn < 100_000, "it never comes to rest");
            match connection.poll_output(now, &mut out[..room]) {
                Output::Event(event) => {
                    assert!(!is_closed && !closed_told, "{event:?} after the end");
                    let is_last = match &event {
                        Event::Reply { reply, .. } => !reply.opens_stream(),
                        Event::Item { .. } => false,
                        Event::Refused { .. } | Event::StreamEnd { .. } | Event::Failed { .. } => true,
                        Event::Closed => {
                            closed_told = true;
                            continue;
                        }
                    };
                    assert!(over < asked, "{event:?} about nothing");
                    if is_last {
                        over = asked;
                    }
                }
                Output::Transmit(len) => assert!(len > 0 && len <= room && !is_shut && !is_closed),
                Output::Splice { .. } => unreachable!("a client has no pipes"),
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
