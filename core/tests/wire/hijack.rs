//! Attach and the start of an exec: leaving HTTP, half-close in both directions, and the detach keys.

use std::time::Duration;

use gantry_core::{Event, Item, Limits, Reply, driver::Protocol, framing::StreamKind};

use super::scenario::{FIRST, PING, PIPE, Scenario, UPGRADE, attach, exec_start, obliging, passive};

#[test]
fn the_two_heads() {
    let old = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
    let new = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
               Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let table: &[(&str, &str, &str)] = &[
        ("plain", "", old),
        ("length 0", "Content-Length: 0\r\nContent-Type: text/plain\r\n", old),
        (
            "stream type",
            "Content-Type: application/vnd.docker.raw-stream\r\n",
            old,
        ),
        ("upgrade", UPGRADE, new),
        (
            "upgrade in odd case",
            "connection: keep-alive, UPGRADE\r\nupgrade: TCP\r\n",
            new,
        ),
        ("only Upgrade", "Upgrade: tcp\r\n", old),
        ("only Connection", "Connection: Upgrade\r\n", old),
        ("another protocol", "Connection: Upgrade\r\nUpgrade: websocket\r\n", old),
    ];
    for (name, headers, expected) in table {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(attach("c", headers));
        assert_eq!(scenario.take_text(), *expected, "{name}");
        assert_eq!(
            scenario.send(FIRST, "out").take_text(),
            "\u{1}\0\0\0\0\0\0\u{3}out",
            "{name}: no chunks"
        );
    }
}

#[test]
fn what_is_in_a_pipe_keeps_its_place_and_its_room() {
    let spliced = |len| Item::Spliced {
        kind: StreamKind::Stdout,
        source: PIPE,
        len,
    };
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", UPGRADE)).take_text();
    scenario.send(FIRST, "a");
    scenario.connection.send(FIRST, spliced(3)).unwrap();
    scenario.send(FIRST, "b");
    assert_eq!(
        scenario.take_text(),
        "\u{1}\0\0\0\0\0\0\u{1}a\u{1}\0\0\0\0\0\0\u{3}~~~\u{1}\0\0\0\0\0\0\u{1}b"
    );
    // It holds no memory, and yet a client that does not read gets no more of it promised.
    scenario.write_bytes = 0;
    assert!(scenario.connection.has_room(FIRST));
    let len = Limits::default().output_high_water;
    scenario.connection.send(FIRST, spliced(len)).unwrap();
    assert!(!scenario.connection.has_room(FIRST));
    scenario.drive();
    assert_eq!(scenario.connection.output_queued(), len + 8);
    scenario.write_bytes = 100;
    scenario.finish(FIRST);
    assert!(scenario.is_shut && scenario.sent.len() == len + 8);
}

#[test]
fn early_bytes_are_input_and_never_a_request() {
    let mut scenario = Scenario::new(passive);
    scenario.receive(attach("c", UPGRADE) + PING);
    assert!(scenario.input().is_empty(), "not before the reply");
    scenario.respond(FIRST, Reply::Attached { tty: false }).receive(PING);
    assert_eq!(scenario.input(), PING.repeat(2).as_bytes());
    assert_eq!(scenario.calls().len(), 1);
}

#[test]
fn a_body_of_the_request_is_input() {
    let mut scenario = Scenario::new(obliging);
    scenario
        .receive(attach("c", "Content-Length: 5\r\n") + "hello, world")
        .eof();
    assert_eq!(scenario.input(), b"hello, world");
}

#[test]
fn output_goes_on_after_the_client_closed_its_half() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", UPGRADE)).receive("last").eof();
    assert_eq!(scenario.events.last(), Some(&Event::InputEnd { id: FIRST }));
    assert!(!scenario.is_shut && !scenario.is_closed);
    scenario.send(FIRST, "still here").finish(FIRST);
    assert!(scenario.text().ends_with("still here"));
    assert!(scenario.is_shut && scenario.is_closed);
    assert_eq!(scenario.count(|event| matches!(event, Event::InputEnd { .. })), 1);
}

#[test]
fn after_the_last_output_input_is_discarded_until_fin() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", UPGRADE)).send(FIRST, "bye").finish(FIRST);
    assert!(scenario.is_shut && !scenario.is_closed);
    scenario.receive(vec![b'x'; 1_000_000]).receive(PING);
    assert!(scenario.untaken.is_empty() && scenario.input().is_empty());
    scenario.eof();
    assert!(scenario.is_closed);
    assert_eq!(scenario.count(|event| !matches!(event, Event::Call { .. })), 0);
}

#[test]
fn lingering_has_an_end() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", "")).finish(FIRST);
    let linger = Limits::default().linger_timeout;
    assert_eq!(scenario.deadline, Some(scenario.now + linger));
    scenario.pass(linger - Duration::from_millis(1)).receive("more");
    assert!(!scenario.is_closed);
    scenario.pass(Duration::from_millis(1));
    assert!(scenario.is_closed);
}

#[test]
fn fin_comes_after_all_output() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("tty", ""));
    scenario.write_bytes = 0;
    scenario.send(FIRST, "one").send(FIRST, "two").finish(FIRST);
    assert!(!scenario.is_shut && scenario.connection.output_queued() > 0);
    scenario.write_bytes = 2;
    scenario.drive();
    assert!(scenario.is_shut && scenario.text().ends_with("\r\n\r\nonetwo"));
}

#[test]
fn paused_input_is_bounded_and_its_end_comes_last() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", UPGRADE));
    scenario.connection.pause_input(FIRST, true);
    scenario.receive(vec![b'x'; 100_000]);
    assert_eq!(100_000 - scenario.untaken.len(), Limits::default().input_bytes_max);
    scenario.connection.pause_input(FIRST, false);
    scenario.drive();
    scenario.connection.pause_input(FIRST, true);
    scenario.receive("end").eof();
    assert_eq!(scenario.input().len(), 100_000);
    scenario.connection.pause_input(FIRST, false);
    scenario.drive();
    assert_eq!(scenario.input().len(), 100_003);
    assert_eq!(scenario.events.last(), Some(&Event::InputEnd { id: FIRST }));
}

#[test]
fn detach_keys_end_the_stream_of_a_terminal() {
    let mut scenario = Scenario::new(obliging);
    scenario
        .receive(attach("tty", UPGRADE))
        .receive("ls\n\x10")
        .receive("\x10")
        .receive("\x11rm\n");
    assert_eq!(scenario.input(), b"ls\n\x10");
    assert_eq!(scenario.events.last(), Some(&Event::Detached { id: FIRST }));
    assert!(scenario.is_shut && !scenario.is_closed);
    scenario.receive("rm\n").eof();
    assert!(scenario.is_closed);
    assert_eq!(
        scenario.events.last(),
        Some(&Event::Detached { id: FIRST }),
        "and no end of input"
    );
}

#[test]
fn a_part_of_the_keys_is_input_when_the_client_closes() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("tty", UPGRADE)).receive("\x10");
    assert!(scenario.input().is_empty());
    scenario.eof();
    assert_eq!(scenario.input(), b"\x10");
    assert_eq!(scenario.events.last(), Some(&Event::InputEnd { id: FIRST }));
}

#[test]
fn without_terminal_or_input_keys_mean_nothing() {
    let without_stdin = attach("tty", UPGRADE).replace("stdin=1", "stdin=0");
    for (name, request) in [("no terminal", attach("c", UPGRADE)), ("no input", without_stdin)] {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(request + "\x10\x11");
        assert_eq!(scenario.input(), b"\x10\x11", "{name}");
    }
}

#[test]
fn keys_of_the_request_replace_the_usual_ones() {
    let request = attach("tty", UPGRADE).replace("stdin=1", "stdin=1&detachKeys=a,ctrl-b");
    let mut scenario = Scenario::new(obliging);
    scenario.receive(request + "\x10\x11aa\x02");
    assert_eq!(scenario.input(), b"\x10\x11a");
    assert_eq!(scenario.events.last(), Some(&Event::Detached { id: FIRST }));
}

#[test]
fn a_reset_tells_the_daemon() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(attach("c", UPGRADE)).reset();
    assert_eq!(scenario.events.last(), Some(&Event::Aborted { id: FIRST }));
    assert!(scenario.is_closed);
}

#[test]
fn an_exec_leaves_http_with_its_body_behind_it() {
    let old = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";
    let new = "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\
               Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n";
    let table = [
        ("plain", exec_start("e", "", "{}"), old),
        ("upgrade", exec_start("e", UPGRADE, r#"{"Detach":false}"#), new),
        (
            "upgrade of old",
            exec_start("e", UPGRADE, "{}").replace("/v1.24", "/v1.15"),
            new,
        ),
    ];
    for (name, request, head) in table {
        let mut scenario = Scenario::new(obliging);
        // What comes with the request is input, however much it looks like another one.
        scenario.receive(request + PING).receive("more");
        assert_eq!(scenario.take_text(), head, "{name}");
        assert_eq!(scenario.input(), [PING, "more"].concat().as_bytes(), "{name}");
        assert_eq!(scenario.calls().len(), 1, "{name}");
        scenario.eof().send(FIRST, "out").finish(FIRST);
        assert_eq!(scenario.take_text(), "\u{1}\0\0\0\0\0\0\u{3}out", "{name}");
        assert!(scenario.is_closed, "{name}");
    }
}

#[test]
fn a_detached_exec_stays_in_http() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(exec_start("e", "", r#"{"Detach":true,"Tty":true}"#) + PING);
    let text = scenario.take_text();
    assert!(text.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\nOK"), "{text}");
    assert_eq!(scenario.calls().len(), 2);
    assert!(!scenario.is_shut);
}

#[test]
fn what_follows_a_refused_hijack_is_no_request() {
    let bad_keys = attach("c", "").replace("stdin=1", "stdin=1&detachKeys=what");
    let table = [
        ("no such exec", exec_start("none", "", "{}"), 404),
        ("no such exec, upgrade", exec_start("none", UPGRADE, "{}"), 404),
        ("broken body", exec_start("e", "", "{"), 400),
        ("no body", exec_start("e", "", ""), 400),
        (
            "no type",
            exec_start("e", "", "{}").replace("application/json", "x"),
            400,
        ),
        ("attach with bad keys", bad_keys, 400),
    ];
    for (name, request, status) in table {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(request + PING);
        assert_eq!(scenario.statuses(), [status], "{name}");
        assert!(scenario.text().contains("Connection: close\r\n"), "{name}");
        assert!(scenario.is_shut, "{name}");
    }
}

#[test]
fn detach_keys_of_an_exec_are_its_own() {
    let mut scenario = Scenario::new(obliging);
    scenario
        .receive(exec_start("e", UPGRADE, r#"{"Tty":true}"#))
        .receive("\x10\x11ls\x01")
        .receive("b");
    assert_eq!(scenario.input(), b"\x10\x11ls");
    assert_eq!(scenario.events.last(), Some(&Event::Detached { id: FIRST }));
    let mut scenario = Scenario::new(obliging);
    scenario.receive(exec_start("e", UPGRADE, "{}") + "\x01b");
    assert_eq!(scenario.input(), b"\x01b", "no terminal");
}
