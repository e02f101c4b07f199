//! Attach by WebSocket: the handshake, frames in both directions, and the ways it ends.

use gantry_core::{
    Connection, ContainerAttach, Event, Item, Limits, Reply,
    driver::Protocol,
    framing::StreamKind,
    websocket::{Opcode, frame_header},
};

use super::scenario::{FIRST, PING, PIPE, Scenario, obliging, passive, websocket};

const HEAD: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A frame of a client. The first byte is FIN and the opcode.
pub(crate) fn frame(first: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let mut frame = Vec::from(frame_header(Opcode::Binary, payload.len()));
    (frame[0], frame[1]) = (first, frame[1] | 0x80);
    let mask = [1, 2, 3, 4];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// A client that is attached to `container`.
fn attached(container: &str) -> Scenario {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(websocket(container, ""));
    assert_eq!(scenario.take_text(), HEAD);
    scenario
}

/// The end as the daemon was told it.
fn last(scenario: &Scenario) -> &Event {
    scenario.events.last().unwrap()
}

#[test]
fn output_is_messages_and_input_is_their_payload() {
    let mut scenario = attached("c");
    let asked = ContainerAttach {
        container: "c".into(),
        stream: true,
        stdin: true,
        stdout: true,
        stderr: true,
        ..ContainerAttach::default()
    };
    assert_eq!(scenario.calls(), [&gantry_core::Call::ContainerAttach(asked)]);
    scenario.receive([frame(0x81, "ls"), frame(0x02, "\n"), frame(0x80, "")].concat());
    assert_eq!(scenario.input(), b"ls\n");
    scenario.send(FIRST, "out").finish(FIRST);
    assert_eq!(scenario.sent, b"\x81\x03out\x88\x02\x03\xe8");
    assert!(scenario.is_shut && !scenario.is_closed);
    scenario.receive(frame(0x88, [3, 0xe8])).eof();
    assert!(scenario.is_closed && matches!(last(&scenario), Event::Input { .. }));
}

#[test]
fn what_is_in_a_pipe_is_a_message_as_well() {
    let mut scenario = attached("c");
    let spliced = |len| Item::Spliced {
        kind: StreamKind::Stdout,
        source: PIPE,
        len,
    };
    scenario.connection.send(FIRST, spliced(3)).unwrap();
    scenario.connection.send(FIRST, spliced(300)).unwrap();
    scenario.drive();
    assert_eq!(scenario.sent[..5], *b"\x82\x03~~~");
    assert_eq!(scenario.sent[5..9], *b"\x82\x7e\x01\x2c");
    assert_eq!(scenario.sent.len(), 9 + 300);
    assert!(!scenario.connection.splices(), "the daemon is asked to show it");
    assert!(Scenario::new(obliging).connection.splices());
}

#[test]
fn pings_are_answered_between_messages() {
    let mut scenario = attached("c");
    scenario
        .send(FIRST, "a")
        .receive([frame(0x01, "x"), frame(0x89, "now?"), frame(0x8a, "late")].concat());
    scenario.send(FIRST, "b");
    assert_eq!(scenario.sent, b"\x81\x01a\x8a\x04now?\x81\x01b");
}

#[test]
fn pings_of_a_client_that_does_not_read_cost_one_answer() {
    let mut scenario = attached("c");
    scenario.write_bytes = 0;
    let full = Limits::default().output_high_water;
    scenario
        .connection
        .send(FIRST, Item::Output(StreamKind::Stdout, "x".repeat(full).into()))
        .unwrap();
    for n in 0..1000 {
        scenario.receive(frame(0x89, format!("{n}")));
    }
    assert!(scenario.connection.output_queued() < full + 16);
    scenario.write_bytes = 4096;
    scenario.drive();
    assert!(scenario.sent.ends_with(b"\x8a\x03999"), "the last one is answered");
}

#[test]
fn a_close_ends_input_and_request() {
    let rows: [(&str, Vec<u8>, &[u8]); 4] = [
        ("normal", frame(0x88, [3, 0xe8]), b"\x88\x02\x03\xe8"),
        ("going away", frame(0x88, b"\x03\xe9bye"), b"\x88\x02\x03\xe9"),
        ("without a code", frame(0x88, ""), b"\x88\0"),
        (
            "within a message",
            [frame(0x01, ""), frame(0x88, "")].concat(),
            b"\x88\0",
        ),
    ];
    for (name, end, answer) in rows {
        let mut scenario = attached("c");
        scenario.receive([frame(0x82, "last"), end, frame(0x82, "nobody's")].concat());
        assert_eq!(scenario.input(), b"last", "{name}");
        let told = &scenario.events[scenario.events.len() - 2..];
        assert_eq!(
            told,
            [Event::InputEnd { id: FIRST }, Event::Aborted { id: FIRST }],
            "{name}"
        );
        assert_eq!(scenario.sent, answer, "{name}");
        assert!(scenario.is_shut && !scenario.is_closed, "{name}");
        // What the daemon does meanwhile is harmless.
        scenario.send(FIRST, "too late").finish(FIRST).eof();
        assert_eq!((&*scenario.sent, scenario.is_closed), (answer, true), "{name}");
    }
}

/// The rules themselves are a table beside the decoder.
#[test]
fn a_broken_rule_closes_with_its_code() {
    let rows: [(&str, Vec<u8>, u16); 6] = [
        ("not masked", b"\x82\x01a".to_vec(), 1002),
        ("reserved bit", frame(0xc2, "a"), 1002),
        ("unknown opcode", frame(0x83, "a"), 1002),
        ("long ping", frame(0x89, [0; 126]), 1002),
        ("length of 2^63", b"\x82\xff\x80\0\0\0\0\0\0\0".to_vec(), 1002),
        ("no text", frame(0x81, [0xff]), 1007),
    ];
    for (name, broken, code) in rows {
        let mut scenario = attached("c");
        scenario.receive([frame(0x82, "ok"), broken, frame(0x82, "no more")].concat());
        assert_eq!(scenario.input(), b"ok", "{name}");
        assert_eq!(last(&scenario), &Event::Aborted { id: FIRST }, "{name}");
        assert_eq!(
            scenario.count(|event| matches!(event, Event::InputEnd { .. })),
            0,
            "{name}"
        );
        assert_eq!(scenario.sent, [&[0x88, 2][..], &code.to_be_bytes()].concat(), "{name}");
        assert!(scenario.is_shut, "{name}");
    }
}

#[test]
fn a_fin_ends_input_only() {
    let mut scenario = attached("c");
    scenario.receive(&frame(0x82, "half a frame")[..9]).eof();
    assert_eq!(scenario.input(), b"hal");
    assert_eq!(last(&scenario), &Event::InputEnd { id: FIRST });
    scenario.send(FIRST, "still here").finish(FIRST);
    assert_eq!(scenario.sent, b"\x81\x0astill here\x88\x02\x03\xe8");
    assert!(scenario.is_shut && scenario.is_closed);
}

#[test]
fn detach_keys_close_it() {
    let mut scenario = attached("tty");
    scenario.receive(
        [
            frame(0x81, "ls\n\x10"),
            frame(0x89, "?"),
            frame(0x81, "\x11rm"),
            frame(0x89, "!"),
        ]
        .concat(),
    );
    assert_eq!(scenario.input(), b"ls\n");
    assert_eq!(last(&scenario), &Event::Detached { id: FIRST });
    assert_eq!(scenario.sent, b"\x8a\x01?\x88\x02\x03\xe8");
    assert!(scenario.is_shut);
}

#[test]
fn paused_input_is_bounded() {
    let mut scenario = attached("c");
    scenario.connection.pause_input(FIRST, true);
    let long = frame(0x82, vec![b'x'; 200_000]);
    scenario.receive(&long);
    assert_eq!(long.len() - scenario.untaken.len(), Limits::default().input_bytes_max);
    assert!(scenario.input().is_empty());
    scenario.connection.pause_input(FIRST, false);
    scenario.drive();
    assert_eq!(scenario.input().len(), 200_000);
}

#[test]
fn a_promised_length_costs_no_memory() {
    let mut scenario = attached("c");
    scenario.receive(b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0some");
    assert_eq!(scenario.input(), b"some");
    assert!(!scenario.is_shut);
}

#[test]
fn what_is_no_handshake_is_refused_and_closes() {
    let good = websocket("c", "");
    let rows = [
        (
            "no upgrade",
            good.replace("Upgrade: websocket\r\n", ""),
            "not websocket protocol",
            400,
        ),
        (
            "HTTP/1.0",
            good.replace("HTTP/1.1", "HTTP/1.0"),
            "not websocket protocol",
            400,
        ),
        (
            "short key",
            good.replace("dGhl", ""),
            "mismatch challenge/response",
            400,
        ),
        (
            "version 8",
            good.replace("Version: 13", "Version: 8"),
            "missing or bad WebSocket Version",
            400,
        ),
        (
            "bad keys",
            good.replace("stdin=1", "stdin=1&detachKeys=nope"),
            "Invalid detach keys (nope) provided",
            400,
        ),
        (
            "no such container",
            websocket("none", ""),
            "No such container: none",
            404,
        ),
    ];
    for (name, request, text, status) in rows {
        let mut scenario = Scenario::new(obliging);
        // What follows may be frames, so it is no request.
        scenario.receive(request + PING);
        assert_eq!(scenario.statuses(), [status], "{name}");
        assert!(scenario.text().contains(text), "{name}: {}", scenario.text());
        let version = scenario.text().contains("\r\nSec-WebSocket-Version: 13\r\n");
        assert_eq!(version, name == "version 8", "{name}");
        assert!(scenario.is_shut, "{name}");
    }
}

#[test]
fn pages_of_others_get_no_websocket() {
    let open: fn(Connection) -> Connection = |connection| connection;
    let checked: fn(Connection) -> Connection = |connection| connection.check_origin(true);
    let allowed: fn(Connection) -> Connection = |connection| {
        connection
            .check_origin(true)
            .allow_origin(Some("http://ours.example".into()))
    };
    let any: fn(Connection) -> Connection = |connection| connection.check_origin(true).allow_origin(Some("*".into()));
    // Who is let in: without a check, with one, with an allowed origin, with any.
    let rows = [
        ("", [true, true, true, true]),
        ("Origin: http://docker\r\n", [true, true, true, true]),
        ("Origin: http://ours.example\r\n", [true, false, true, true]),
        ("Origin: http://evil.example\r\n", [true, false, false, true]),
        ("Origin: null\r\n", [true, false, false, true]),
    ];
    for (origin, expected) in rows {
        for (prepare, is_let_in) in [open, checked, allowed, any].into_iter().zip(expected) {
            let mut scenario = Scenario::prepared(obliging, prepare);
            scenario.receive(websocket("c", origin));
            let status = if is_let_in { 101 } else { 403 };
            assert_eq!(scenario.statuses(), [status], "{origin}");
            assert_eq!(scenario.calls().len(), usize::from(is_let_in), "{origin}");
            assert_eq!(scenario.is_shut, !is_let_in, "{origin}");
        }
    }
}

#[test]
fn frames_before_the_answer_wait_for_it() {
    let mut scenario = Scenario::new(passive);
    scenario.receive([websocket("c", "").into_bytes(), frame(0x82, "early")].concat());
    assert!(scenario.input().is_empty());
    scenario.respond(FIRST, Reply::Attached { tty: false });
    assert_eq!(scenario.input(), b"early");
}
