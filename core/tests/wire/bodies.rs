//! Request bodies: gathered, streamed, unwanted, waited for; and the bodies of answers.

use gantry_core::{Call, Event, Item, Limits, Reply, driver::Protocol, model::Progress};

use super::scenario::{CREATE_HEAD, FIRST, LOAD_HEAD, LOGS, PING, Scenario, obliging, passive};

const IMAGE: &str = r#"{"Image":"busybox"}"#;

#[test]
fn json_is_gathered_and_decoded() {
    let chunked =
        "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n12;x=y\r\n\"Image\":\"busybox\"}\r\n0\r\nTrailer: z\r\n\r\n";
    for rest in [&format!("Content-Length: {}\r\n\r\n{IMAGE}", IMAGE.len()), chunked] {
        let mut scenario = Scenario::new(obliging);
        scenario.receive(format!("{CREATE_HEAD}{rest}{PING}"));
        let [Call::ContainerCreate(create), Call::Ping] = scenario.calls()[..] else {
            panic!("{:?}", scenario.calls())
        };
        assert_eq!(create.config.image, "busybox");
        assert_eq!(scenario.statuses(), [201, 200]);
    }
}

#[test]
fn json_that_is_none_is_answered_without_a_call() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(format!("{CREATE_HEAD}Content-Length: 2\r\n\r\n{{x{PING}"));
    assert_eq!(scenario.calls(), [&Call::Ping]);
    assert!(
        matches!(scenario.statuses()[..], [400..=599, 200]),
        "{}",
        scenario.text()
    );
}

#[test]
fn a_body_is_streamed_after_the_call() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(format!("{LOAD_HEAD}Content-Length: 10\r\n\r\n01234"));
    assert_eq!((scenario.calls().len(), scenario.input()), (1, b"01234".to_vec()));
    assert!(scenario.sent.is_empty());
    scenario.receive(format!("56789{PING}"));
    assert_eq!(scenario.input(), b"0123456789");
    assert_eq!(scenario.count(|event| matches!(event, Event::BodyEnd { .. })), 1);
    assert_eq!(scenario.statuses(), [200, 200]);
}

#[test]
fn no_body_is_an_empty_one() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(format!("{LOAD_HEAD}\r\n"));
    let [Event::Call { .. }, Event::BodyEnd { id: FIRST }] = scenario.events[..] else {
        panic!("{:?}", scenario.events)
    };
}

#[test]
fn a_paused_body_fills_a_bounded_buffer_and_no_more() {
    let mut scenario = Scenario::new(|connection, event| {
        if let Event::Call { id, .. } = event {
            connection.pause_input(*id, true);
        }
    });
    scenario.receive(format!("{LOAD_HEAD}Content-Length: 1000000\r\n\r\n"));
    scenario.receive(vec![b'x'; 1_000_000]);
    let held = 1_000_000 - scenario.untaken.len();
    assert_eq!(held, Limits::default().early_bytes_max);
    assert!(!scenario.connection.wants_input() && scenario.input().is_empty());
    scenario.connection.pause_input(FIRST, false);
    scenario.drive();
    assert_eq!((scenario.input().len(), scenario.untaken.len()), (1_000_000, 0));
}

#[test]
fn continue_is_sent_when_the_body_is_wanted() {
    let interim = "HTTP/1.1 100 Continue\r\n\r\n";
    let expect = "Expect: 100-Continue\r\nContent-Length: 19\r\n\r\n";
    let mut gathered = Scenario::new(obliging);
    gathered.receive(format!("{CREATE_HEAD}{expect}"));
    assert_eq!(gathered.take_text(), interim);
    gathered.receive(IMAGE);
    assert_eq!(gathered.statuses(), [201]);

    let mut streamed = Scenario::new(passive);
    streamed.receive(format!("{LOAD_HEAD}{expect}"));
    assert_eq!(streamed.take_text(), interim);

    let mut paused = Scenario::new(|connection, event| {
        if let Event::Call { id, .. } = event {
            connection.pause_input(*id, true);
        }
    });
    paused.receive(format!("{LOAD_HEAD}{expect}"));
    assert_eq!(paused.take_text(), "");
    paused.connection.pause_input(FIRST, false);
    assert_eq!(paused.drive().take_text(), interim);

    // Whether the body comes after all is not known, so the connection cannot go on.
    let mut refused = Scenario::new(|connection, event| {
        if let Event::Call { id, .. } = event {
            connection.respond(*id, super::scenario::missing()).unwrap();
        }
    });
    refused.receive(format!("{LOAD_HEAD}{expect}{PING}"));
    assert_eq!((refused.statuses(), refused.is_shut), (vec![404], true));

    let mut unknown = Scenario::new(obliging);
    unknown.receive(format!("POST /v1.24/nowhere HTTP/1.1\r\n{expect}"));
    assert_eq!((unknown.statuses(), unknown.is_shut), (vec![404], true));
}

#[test]
fn a_small_rest_of_body_is_skipped_and_a_large_one_ends_the_connection() {
    let refuse = |connection: &mut gantry_core::Connection, event: &Event| match event {
        Event::Call { call: Call::Ping, id } => connection.respond(*id, Reply::Pong).unwrap(),
        Event::Call { id, .. } => connection.respond(*id, super::scenario::missing()).unwrap(),
        other => panic!("{other:?}"),
    };
    // name, framing, body, whether the next request runs
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let table: &[(&str, &str, String, bool)] = &[
        ("small", "Content-Length: 262144", "x".repeat(262_144), true),
        ("large", "Content-Length: 262145", "x".repeat(262_145), false),
        (
            "small chunks",
            "Transfer-Encoding: chunked",
            chunk.repeat(4) + "0\r\n\r\n",
            true,
        ),
        (
            "large chunks",
            "Transfer-Encoding: chunked",
            chunk.repeat(5) + "0\r\n\r\n",
            false,
        ),
        (
            "broken chunks",
            "Transfer-Encoding: chunked",
            "2\r\nabc\r\n0\r\n\r\n".into(),
            false,
        ),
    ];
    for (name, framing, body, persists) in table {
        let mut scenario = Scenario::new(refuse);
        scenario.receive(format!("{LOAD_HEAD}{framing}\r\n\r\n{body}{PING}"));
        let expected = if *persists { vec![404, 200] } else { vec![404] };
        assert_eq!((scenario.statuses(), scenario.is_shut), (expected, !persists), "{name}");
    }
}

#[test]
fn a_body_that_breaks_off_is_told() {
    let table: &[(&str, &str, &str)] = &[
        ("length", "Content-Length: 10\r\n\r\n01234", ""),
        ("chunked", "Transfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n", ""),
    ];
    for (name, rest, sent) in table {
        let mut scenario = Scenario::new(passive);
        scenario.receive(format!("{LOAD_HEAD}{rest}")).eof();
        assert_eq!(scenario.events.last(), Some(&Event::Aborted { id: FIRST }), "{name}");
        assert_eq!((scenario.text().as_str(), scenario.is_closed), (*sent, true), "{name}");
        assert_eq!(
            scenario.connection.respond(FIRST, Reply::Pong),
            Ok(()),
            "it is over: {name}"
        );
    }
    let mut gathered = Scenario::new(passive);
    gathered
        .receive(format!("{CREATE_HEAD}Content-Length: 10\r\n\r\n{{"))
        .eof();
    assert!(gathered.events.is_empty() && gathered.is_closed);
}

#[test]
fn broken_chunks_of_a_streamed_body_are_told_and_answered() {
    let mut scenario = Scenario::new(passive);
    scenario.receive(format!("{LOAD_HEAD}Transfer-Encoding: chunked\r\n\r\n2\r\nabc"));
    assert_eq!(scenario.events.last(), Some(&Event::Aborted { id: FIRST }));
    assert_eq!((scenario.statuses(), scenario.is_shut), (vec![400], true));
}

#[test]
fn each_item_is_one_chunk() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive(LOGS);
    let head = scenario.take_text();
    assert!(
        head.contains("\r\nTransfer-Encoding: chunked\r\n") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(
        scenario.send(FIRST, "hello").take_text(),
        "d\r\n\u{1}\0\0\0\0\0\0\u{5}hello\r\n"
    );
    assert_eq!(
        scenario.send(FIRST, "").take_text(),
        "",
        "an empty chunk would be the last one"
    );
    assert_eq!(scenario.finish(FIRST).take_text(), "0\r\n\r\n");
    scenario.receive(PING);
    assert_eq!(scenario.statuses(), [200]);
}

#[test]
fn streams_without_chunks_end_with_the_connection() {
    let http10 = LOGS.replace("HTTP/1.1", "HTTP/1.0").replace("/c/", "/tty/");
    let import = "POST /v1.0/images/create?fromSrc=- HTTP/1.1\r\nHost: docker\r\n\r\n";
    for (name, request) in [("HTTP/1.0", http10.as_str()), ("API v1.0", import)] {
        let mut scenario = Scenario::new(passive);
        scenario.receive(request);
        let reply = if name == "HTTP/1.0" {
            Reply::Logs { tty: true }
        } else {
            Reply::ProgressStream
        };
        let head = scenario.respond(FIRST, reply).take_text();
        assert!(
            !head.contains("chunked") && !head.contains("Content-Length"),
            "{name}: {head}"
        );
        let item = match name {
            "HTTP/1.0" => Item::Output(gantry_core::framing::StreamKind::Stdout, "some text".into()),
            _ => Item::Progress(Progress {
                status: Some("some text".into()),
                ..Progress::default()
            }),
        };
        scenario.connection.send(FIRST, item).unwrap();
        assert!(scenario.drive().take_text().contains("some text"), "{name}");
        scenario.finish(FIRST);
        assert_eq!((scenario.take_text().as_str(), scenario.is_shut), ("", true), "{name}");
    }
}

#[test]
fn a_silent_load_is_answered_at_its_end() {
    for (error, status) in [(None, 200), (Some("no space left".to_owned()), 500)] {
        let mut scenario = Scenario::new(passive);
        scenario.receive("POST /v1.12/images/load HTTP/1.1\r\nContent-Length: 3\r\n\r\ntar");
        scenario.respond(FIRST, Reply::ProgressStream);
        scenario
            .connection
            .send(
                FIRST,
                Item::Progress(Progress {
                    error,
                    ..Progress::default()
                }),
            )
            .unwrap();
        assert_eq!(scenario.drive().take_text(), "");
        scenario.finish(FIRST);
        assert_eq!((scenario.statuses(), scenario.input()), (vec![status], b"tar".to_vec()));
        assert!(!scenario.is_shut);
    }
}

#[test]
fn head_and_no_content_have_no_body() {
    let mut scenario = Scenario::new(obliging);
    scenario.receive("HEAD /v1.24/nowhere HTTP/1.1\r\n\r\n");
    let text = scenario.take_text();
    assert!(
        text.starts_with("HTTP/1.1 404 ") && text.contains("Content-Length: ") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
    scenario.receive(super::scenario::KILL);
    let text = scenario.take_text();
    assert!(
        text.starts_with("HTTP/1.1 204 ") && !text.contains("Content-Length") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
    scenario.receive(PING);
    assert_eq!(scenario.statuses(), [200]);
}

#[test]
fn a_head_answer_without_body_tells_no_length() {
    let mut scenario = Scenario::new(passive);
    scenario.receive("HEAD /v1.24/containers/c/archive?path=/ HTTP/1.1\r\n\r\n");
    let text = scenario
        .respond(FIRST, Reply::ContainerPath(Box::default()))
        .take_text();
    assert!(
        text.starts_with("HTTP/1.1 200 ") && !text.contains("Content-Length") && text.ends_with("\r\n\r\n"),
        "{text}"
    );
    assert!(!scenario.is_shut, "the connection persists");
}

#[test]
fn a_tar_that_breaks_off_has_no_last_chunk() {
    let mut scenario = Scenario::new(passive);
    scenario.receive("GET /v1.24/containers/c/export HTTP/1.1\r\n\r\n");
    let head = scenario.respond(FIRST, Reply::Tar).take_text();
    assert!(head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    scenario
        .connection
        .send(FIRST, Item::Data("half a file".into()))
        .unwrap();
    let (kind, source) = (gantry_core::framing::StreamKind::Stdout, super::scenario::PIPE);
    scenario
        .connection
        .send(FIRST, Item::Spliced { kind, source, len: 3 })
        .unwrap();
    assert_eq!(scenario.drive().take_text(), "b\r\nhalf a file\r\n3\r\n~~~\r\n");
    scenario.connection.abort(FIRST);
    assert_eq!((scenario.drive().take_text().as_str(), scenario.is_shut), ("", false));
    assert!(scenario.is_closed);
}
