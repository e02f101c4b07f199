//! Answers that no daemon gives in good faith, and some that only look so.

use core::time::Duration;

use super::*;
use crate::{
    ContainerAttach, ContainerLogs, Instant, Misuse, PeerError, RequestId,
    driver::{Output, Protocol},
    framing::{FrameError, StreamKind},
    model,
};

const NOW: Instant = Instant(Duration::from_secs(1000));
const FIRST: RequestId = RequestId(0);

/// A connection and everything that was seen of it.
struct Asker {
    connection: Connection,
    sent: Vec<u8>,
    events: Vec<Event>,
    is_shut: bool,
    is_closed: bool,
    deadline: Option<Instant>,
}

impl Asker {
    fn new(limits: Limits) -> Self {
        Self {
            connection: Connection::new(limits),
            sent: vec![],
            events: vec![],
            is_shut: false,
            is_closed: false,
            deadline: None,
        }
    }

    fn asking(call: &Call, options: &Options) -> Self {
        let mut asker = Self::new(Limits::default());
        asker.ask(call, options);
        asker
    }

    fn ask(&mut self, call: &Call, options: &Options) -> &mut Self {
        self.connection.ask(call, options).expect("a call that can be made");
        self.drive()
    }

    /// Offers all bytes; what is not taken is returned.
    fn receive<'b>(&mut self, mut bytes: &'b [u8], cut: usize) -> &'b [u8] {
        while !bytes.is_empty() {
            let taken = self.connection.handle_input(NOW, &bytes[..cut.min(bytes.len())]);
            bytes = &bytes[taken..];
            self.drive();
            if taken == 0 {
                break;
            }
        }
        bytes
    }

    fn eof(&mut self) -> &mut Self {
        self.connection.handle_eof(NOW);
        self.drive()
    }

    fn drive(&mut self) -> &mut Self {
        let mut out = [0; 100];
        loop {
            match self.connection.poll_output(NOW, &mut out) {
                Output::Event(event) => self.events.push(event),
                Output::Transmit(len) => self.sent.extend_from_slice(&out[..len]),
                Output::Shutdown => self.is_shut = true,
                Output::Splice { .. } => panic!("a client has no pipes"),
                Output::Close => {
                    self.is_closed = true;
                    return self;
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return self;
                }
            }
        }
    }
}

fn inspect() -> Call {
    Call::ContainerInspect {
        container: "c".into(),
        size: false,
    }
}

fn attach() -> Call {
    Call::ContainerAttach(ContainerAttach {
        container: "c".into(),
        stream: true,
        stdin: true,
        stdout: true,
        ..ContainerAttach::default()
    })
}

fn logs() -> Call {
    Call::ContainerLogs(ContainerLogs {
        container: "c".into(),
        stdout: true,
        ..ContainerLogs::default()
    })
}

#[test]
fn hostile_answers() {
    let inspect = inspect();
    let attach = attach();
    let logs = logs();
    let stat = Call::ContainerArchiveStat {
        container: "c".into(),
        path: "/".into(),
    };
    use AnswerError as E;
    let events = Call::Events(crate::EventsQuery::default());
    let ok = "HTTP/1.1 200 OK\r\n";
    let bad = E::Framing;
    let large = format!("{ok}X: {}\r\n\r\n", "v".repeat(70_000));
    let many = format!("{ok}{}\r\n", "X: y\r\n".repeat(300));
    let endless = "HTTP/1.1 100 Continue\r\n\r\n".repeat(17);
    let deep = format!("{ok}Content-Length: 200\r\n\r\n{}", "[".repeat(200));
    let long_line = format!("HTTP/1.1 200 {}", "y".repeat(17_000));
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let table: Vec<(&str, &Call, String, E)> = vec![
        ("nothing", &Call::Ping, String::new(), E::NoAnswer),
        ("a part of a head", &Call::Ping, ok.into(), E::CutOff),
        (
            "no path where there should be one",
            &stat,
            format!("{ok}\r\n"),
            E::BadShape("X-Docker-Container-Path-Stat: missing".into()),
        ),
        (
            "a path that is no base64",
            &stat,
            format!("{ok}X-Docker-Container-Path-Stat: !\r\n\r\n"),
            E::BadShape("X-Docker-Container-Path-Stat: no base64".into()),
        ),
        ("TLS", &Call::Ping, "\u{15}\u{3}\u{1}\0\u{2}\u{2}P".into(), E::NotHttp),
        ("SSH", &Call::Ping, "SSH-2.0-x\r\n".into(), E::NotHttp),
        ("an empty line first", &Call::Ping, format!("\r\n{ok}\r\n"), E::NotHttp),
        (
            "HTTP/2",
            &Call::Ping,
            "HTTP/2.0 200 OK\r\n\r\n".into(),
            bad(PeerError::BadVersion),
        ),
        (
            "a bare CR",
            &Call::Ping,
            "HTTP/1.1 200 OK\rX: y\r\n\r\n".into(),
            bad(PeerError::BareCarriageReturn),
        ),
        ("a NUL", &Call::Ping, format!("{ok}X: \0\r\n\r\n"), E::ControlByte(0)),
        ("a large header", &Call::Ping, large, E::HeadTooLarge),
        ("many headers", &Call::Ping, many, E::HeadTooLarge),
        ("a long status line", &Call::Ping, long_line, E::HeadTooLarge),
        (
            "two framings",
            &Call::Ping,
            format!("{ok}Content-Length: 2\r\n{chunked}"),
            bad(PeerError::LengthAndEncoding),
        ),
        (
            "two lengths",
            &Call::Ping,
            format!("{ok}Content-Length: 2\r\nContent-Length: 2\r\n\r\nOK"),
            bad(PeerError::SeveralContentLengths),
        ),
        (
            "a broken chunk",
            &Call::Ping,
            format!("{ok}{chunked}x\r\n"),
            bad(PeerError::BadChunk),
        ),
        (
            "a chunk longer than it says",
            &Call::Ping,
            format!("{ok}{chunked}1\r\nOK\r\n0\r\n\r\n"),
            bad(PeerError::BadChunk),
        ),
        (
            "a body cut off",
            &Call::Ping,
            format!("{ok}Content-Length: 3\r\n\r\nOK"),
            E::CutOff,
        ),
        (
            "chunks cut off",
            &Call::Ping,
            format!("{ok}{chunked}2\r\nOK\r\n"),
            E::CutOff,
        ),
        (
            "no content with content",
            &Call::Ping,
            "HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\nx".into(),
            E::BodyForbidden { status: 204 },
        ),
        ("interim for ever", &Call::Ping, endless, E::TooManyInterim),
        (
            "interim and no end",
            &Call::Ping,
            "HTTP/1.1 100 Continue\r\n\r\n".into(),
            E::CutOff,
        ),
        (
            "an upgrade nobody asked for",
            &Call::Ping,
            "HTTP/1.1 101 UPGRADED\r\n\r\n".into(),
            E::UnaskedUpgrade,
        ),
        (
            "an upgrade of an attach that did not ask",
            &attach,
            "HTTP/1.1 101 UPGRADED\r\n\r\n".into(),
            E::UnaskedUpgrade,
        ),
        (
            "a hijack with a length",
            &attach,
            format!("{ok}Content-Length: 5\r\n\r\nhello"),
            E::FramedHijack,
        ),
        (
            "a hijack in chunks",
            &attach,
            format!("{ok}{chunked}0\r\n\r\n"),
            E::FramedHijack,
        ),
        (
            "output without frames",
            &attach,
            format!("{ok}\r\nhello, world"),
            E::BadFrame(FrameError::UnknownStream(b'h')),
        ),
        (
            "output that ends in a frame",
            &logs,
            format!("{ok}{chunked}9\r\n\u{1}\0\0\0\0\0\0\u{2}x\r\n0\r\n\r\n"),
            E::CutOff,
        ),
        (
            "no JSON",
            &inspect,
            format!("{ok}Content-Length: 2\r\n\r\nno"),
            E::BadJson("invalid JSON: expected ident at line 1 column 2".into()),
        ),
        (
            "nothing where JSON belongs",
            &inspect,
            format!("{ok}Content-Length: 0\r\n\r\n"),
            E::BadJson("EOF".into()),
        ),
        (
            "no content where JSON belongs",
            &inspect,
            "HTTP/1.1 204 x\r\n\r\n".into(),
            E::BadJson("EOF".into()),
        ),
        (
            "JSON cut off",
            &inspect,
            format!("{ok}Content-Length: 5\r\n\r\n{{\"a\":"),
            E::BadJson("unexpected EOF".into()),
        ),
        (
            "deep JSON",
            &inspect,
            deep,
            E::BadJson("invalid JSON: nested deeper than 64".into()),
        ),
        (
            "another shape",
            &inspect,
            format!("{ok}Content-Length: 11\r\n\r\n{{\"Args\":{{}}}}"),
            E::BadShape("Args: invalid type: map, expected a sequence".into()),
        ),
        (
            "an event cut off",
            &events,
            format!("{ok}{chunked}6\r\n{{\"id\":\r\n0\r\n\r\n"),
            E::CutOff,
        ),
        (
            "no event",
            &events,
            format!("{ok}{chunked}1\r\n[\r\n0\r\n\r\n"),
            E::BadJson("a stream of JSON objects holds '['".into()),
        ),
    ];
    for (name, call, wire, error) in table {
        for cut in [usize::MAX, 1] {
            let mut asker = Asker::asking(call, &Options::default());
            assert_eq!(asker.receive(wire.as_bytes(), cut), b"", "{name}");
            asker.eof();
            let failed = Event::Failed {
                id: FIRST,
                error: error.clone(),
            };
            let told: Vec<_> = asker
                .events
                .iter()
                .filter(|event| !matches!(event, Event::Reply { .. } | Event::Item { .. }))
                .collect();
            assert_eq!(told, [&failed, &Event::Closed], "{name}");
            assert!(asker.is_closed, "{name}");
            assert_eq!(
                asker.connection.ask(&Call::Ping, &Options::default()),
                Err(AskError::Closed)
            );
        }
    }
}

/// The connection lives on, and the next answer is the next one.
#[test]
fn odd_answers() {
    let attach = attach();
    let pong = |id| Event::Reply { id, reply: Reply::Pong };
    let refused = |status, message: &str, is_json| Event::Refused {
        id: FIRST,
        error: DaemonError {
            status,
            message: message.into(),
            is_json,
        },
    };
    let wait = Call::ContainerWait { container: "c".into() };
    let exited = |status_code| Event::Reply {
        id: FIRST,
        reply: Reply::ContainerExited { status_code },
    };
    let start = Call::ContainerStart {
        container: "c".into(),
        host_config: None,
    };
    let replied = |reply| Event::Reply { id: FIRST, reply };
    let rows: Vec<(&str, &Call, &str, Event)> = vec![
        (
            "interim first",
            &Call::Ping,
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
            pong(FIRST),
        ),
        (
            "lines end in LF",
            &Call::Ping,
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nOK",
            pong(FIRST),
        ),
        (
            "HTTP/1.0 that persists",
            &Call::Ping,
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: Keep-Alive\r\n\r\nOK",
            pong(FIRST),
        ),
        (
            "another body",
            &Call::Ping,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nyes\r\n0\r\nT: v\r\n\r\n",
            pong(FIRST),
        ),
        (
            "blanks around JSON",
            &wait,
            "HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n \n{\"StatusCode\":3} \r\n",
            exited(3),
        ),
        (
            "a key that is not there",
            &wait,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
            exited(0),
        ),
        (
            "keys that nobody knows",
            &wait,
            "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n{\"StatusCode\":3,\"Error\":[[{}]] }",
            exited(3),
        ),
        (
            "done, in other words",
            &start,
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            replied(Reply::Done),
        ),
        (
            "nothing to do",
            &start,
            "HTTP/1.1 304 Not Modified\r\n\r\n",
            replied(Reply::NotModified),
        ),
        (
            "an error in JSON",
            &wait,
            "HTTP/1.1 404 x\r\nContent-Length: 16\r\n\r\n{\"message\":\"no\"}",
            refused(404, "no", true),
        ),
        (
            "an error in JSON without message",
            &wait,
            "HTTP/1.1 500 x\r\nContent-Length: 2\r\n\r\n{}",
            refused(500, "{}", false),
        ),
        (
            "an error in words",
            &wait,
            "HTTP/1.1 404 x\r\nContent-Length: 4\r\n\r\nno\r\n",
            refused(404, "no", false),
        ),
        (
            "an error in silence",
            &wait,
            "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n",
            refused(500, "", false),
        ),
        (
            "an error instead of a stream",
            &attach,
            "HTTP/1.1 404 x\r\nContent-Length: 2\r\n\r\nno",
            refused(404, "no", false),
        ),
        (
            "a redirect",
            &wait,
            "HTTP/1.1 301 x\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n",
            refused(301, "", false),
        ),
        (
            "a status nobody knows",
            &wait,
            "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
            refused(999, "", false),
        ),
    ];
    for (name, call, wire, event) in rows {
        for cut in [usize::MAX, 1, 7] {
            let mut asker = Asker::asking(call, &Options::default());
            asker.receive(wire.as_bytes(), cut);
            asker.ask(&Call::Ping, &Options::default());
            asker.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK", cut);
            let second = RequestId(1);
            assert_eq!(asker.events, [event_of(&event), pong(second)], "{name}");
        }
    }
}

/// A copy, as events cannot be cloned.
fn event_of(event: &Event) -> Event {
    match event {
        Event::Reply { id, reply } => Event::Reply {
            id: *id,
            reply: reply.clone(),
        },
        Event::Refused { id, error } => Event::Refused {
            id: *id,
            error: error.clone(),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers_that_end_the_connection() {
    let rows = [
        ("until close", "HTTP/1.1 200 OK\r\n\r\nOK"),
        (
            "close",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK",
        ),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nOK"),
        (
            "more than was asked for",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOKHTTP/1.1 200 OK\r\n\r\n",
        ),
    ];
    for (name, wire) in rows {
        for cut in [usize::MAX, 1] {
            let mut asker = Asker::asking(&Call::Ping, &Options::default());
            asker.receive(wire.as_bytes(), cut);
            asker.eof();
            let pong = Event::Reply {
                id: FIRST,
                reply: Reply::Pong,
            };
            assert_eq!(asker.events, [pong, Event::Closed], "{name}");
            assert!(asker.is_closed, "{name}");
        }
    }
}

#[test]
fn an_idle_connection_that_the_server_closes_is_closed() {
    let mut asker = Asker::new(Limits::default());
    assert!(asker.drive().connection.is_idle());
    assert_eq!(asker.eof().events, [Event::Closed]);
    assert!(asker.is_closed && !asker.connection.is_idle());
}

#[test]
fn memory_is_bounded() {
    let limits = Limits {
        answer_bytes_max: 100,
        item_bytes_max: 50,
        input_bytes_max: 1000,
        ..Limits::default()
    };
    let too_large = Event::Failed {
        id: FIRST,
        error: AnswerError::TooLarge,
    };
    let endless = |call: &Call, head: &str, filler: &str| {
        let mut asker = Asker::new(limits);
        asker.ask(call, &Options::default());
        asker.receive(format!("{head}{}", filler.repeat(1000)).as_bytes(), usize::MAX);
        asker
            .events
            .retain(|event| !matches!(event, Event::Reply { .. } | Event::Item { .. }));
        asker.events
    };
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let events = Call::Events(crate::EventsQuery::default());
    assert_eq!(
        endless(&inspect(), head, "{}"),
        [event_failed(&too_large), Event::Closed]
    );
    assert_eq!(
        endless(&Call::Ping, head, "OK"),
        [event_failed(&too_large), Event::Closed]
    );
    assert_eq!(
        endless(&inspect(), "HTTP/1.1 404 x\r\n\r\n", "no"),
        [event_failed(&too_large), Event::Closed]
    );
    assert_eq!(
        endless(&events, head, "{\"x\":"),
        [event_failed(&too_large), Event::Closed]
    );

    let mut asker = Asker::new(limits);
    asker.ask(
        &logs(),
        &Options {
            tty: true,
            ..Options::default()
        },
    );
    asker.receive(head.as_bytes(), usize::MAX);
    asker.connection.pause(FIRST, true);
    let wire = [b'x'; 5000];
    assert_eq!(
        asker.receive(&wire, usize::MAX).len(),
        4000,
        "what is not wanted is not read"
    );
    assert!(!asker.connection.wants_input());
    asker.connection.pause(FIRST, false);
    asker.drive();
    assert!(asker.connection.wants_input());
}

fn event_failed(event: &Event) -> Event {
    match event {
        Event::Failed { id, error } => Event::Failed {
            id: *id,
            error: error.clone(),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_head_that_does_not_end_is_not_waited_for() {
    let mut asker = Asker::asking(&Call::Ping, &Options::default());
    assert_eq!(asker.deadline, None, "a daemon may take its time");
    asker.receive(b"HTTP/1.1 2", usize::MAX);
    let deadline = asker.deadline.expect("a deadline once the head has begun");
    assert_eq!(deadline, NOW + Limits::default().head_timeout);
    asker.connection.handle_timeout(deadline);
    let error = AnswerError::TooSlow;
    assert_eq!(
        asker.drive().events,
        [Event::Failed { id: FIRST, error }, Event::Closed]
    );
}

#[test]
fn bodies_are_sent() {
    let load = Call::ImageLoad { quiet: false };
    let mut asker = Asker::asking(&load, &Options::default());
    asker
        .connection
        .send(FIRST, Bytes::from_static(b"hello"))
        .expect("a body");
    asker.connection.send(FIRST, Bytes::new()).expect("nothing");
    asker.connection.send(FIRST, Bytes::from_static(b"!")).expect("a body");
    asker.connection.finish(FIRST).expect("the end");
    let sent = String::from_utf8(asker.drive().sent.clone()).expect("text");
    assert!(sent.ends_with("\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "{sent}");

    let known = Options {
        body_len: Some(5),
        ..Options::default()
    };
    let mut asker = Asker::asking(&load, &known);
    let connection = &mut asker.connection;
    assert_eq!(
        connection.send(FIRST, Bytes::from_static(b"hello!")),
        Err(Misuse::BodyLength(FIRST))
    );
    assert_eq!(connection.send(FIRST, Bytes::from_static(b"hell")), Ok(()));
    assert_eq!(connection.finish(FIRST), Err(Misuse::BodyLength(FIRST)));
    assert_eq!(connection.send(FIRST, Bytes::from_static(b"o")), Ok(()));
    assert_eq!(connection.finish(FIRST), Ok(()));
    assert_eq!(connection.finish(FIRST), Err(Misuse::NoStream(FIRST)));
    assert!(asker.drive().sent.ends_with(b"\r\n\r\nhello"));
}

#[test]
fn an_early_answer_ends_a_body() {
    let mut asker = Asker::asking(&Call::ImageLoad { quiet: false }, &Options::default());
    asker.receive(b"HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\nfull", usize::MAX);
    let error = DaemonError {
        status: 500,
        message: "full".into(),
        is_json: false,
    };
    assert_eq!(asker.events, [Event::Refused { id: FIRST, error }, Event::Closed]);
    assert!(asker.is_closed);
    assert_eq!(
        asker.connection.send(FIRST, Bytes::from_static(b"x")),
        Ok(()),
        "harmless"
    );
    assert!(!asker.connection.has_room(FIRST));
}

#[test]
fn commands_out_of_turn() {
    let mut asker = Asker::asking(&Call::Ping, &Options::default());
    let connection = &mut asker.connection;
    let bytes = || Bytes::from_static(b"x");
    assert_eq!(connection.ask(&Call::Ping, &Options::default()), Err(AskError::Busy));
    assert_eq!(connection.send(FIRST, bytes()), Err(Misuse::NoStream(FIRST)));
    assert_eq!(connection.finish(FIRST), Err(Misuse::NoStream(FIRST)));
    let second = RequestId(1);
    assert_eq!(connection.send(second, bytes()), Err(Misuse::UnknownRequest(second)));
    connection.abort(second);
    assert_eq!(asker.drive().events, []);
    asker.connection.abort(FIRST);
    assert_eq!(asker.drive().events, [Event::Closed]);
    assert!(asker.is_closed);
}

#[test]
fn the_end_is_told_to_a_paused_asker() {
    let mut asker = Asker::asking(&logs(), &Options::default());
    asker.connection.pause(FIRST, true);
    asker.receive(b"SSH-2.0-x", usize::MAX);
    let error = AnswerError::NotHttp;
    assert_eq!(asker.events, [Event::Failed { id: FIRST, error }, Event::Closed]);
    assert!(asker.is_closed);
}

#[test]
fn a_reset_fails_what_is_under_way() {
    let mut asker = Asker::asking(&Call::Ping, &Options::default());
    asker.connection.handle_reset(NOW);
    let error = AnswerError::Reset;
    assert_eq!(
        asker.drive().events,
        [Event::Failed { id: FIRST, error }, Event::Closed]
    );
    assert!(asker.is_closed);
}

#[test]
fn the_hijack() {
    for (upgrade, head) in [
        (
            true,
            "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
        ),
        (true, "HTTP/1.1 200 OK\r\n\r\n"),
        (
            false,
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
        ),
    ] {
        let options = Options {
            upgrade,
            ..Options::default()
        };
        let mut asker = Asker::asking(&attach(), &options);
        assert_eq!(
            asker.connection.send(FIRST, Bytes::from_static(b"x")),
            Err(Misuse::NoStream(FIRST)),
            "too early"
        );
        asker.receive(head.as_bytes(), 5);
        asker.receive(b"\x01\0\0\0\0\0\0\x02hi", usize::MAX);
        asker.sent.clear();
        asker
            .connection
            .send(FIRST, Bytes::from_static(b"ls\n"))
            .expect("input");
        asker.connection.finish(FIRST).expect("the end of the input");
        asker.drive();
        assert!(asker.is_shut && !asker.is_closed && asker.sent == b"ls\n");
        asker.receive(b"\x02\0\0\0\0\0\0\x01!", usize::MAX);
        asker.eof();
        let id = FIRST;
        let item = |kind, bytes: &'static str| Event::Item {
            id,
            item: Item::Output(kind, Bytes::from_static(bytes.as_bytes())),
        };
        let expected = [
            Event::Reply {
                id,
                reply: Reply::Attached { tty: false },
            },
            item(StreamKind::Stdout, "hi"),
            item(StreamKind::Stderr, "!"),
            Event::StreamEnd { id },
            Event::Closed,
        ];
        assert_eq!(asker.events, expected);
    }
}

#[test]
fn a_paused_stream_tells_nothing() {
    let mut asker = Asker::asking(&Call::Events(crate::EventsQuery::default()), &Options::default());
    asker.receive(b"HTTP/1.1 200 OK\r\n\r\n", usize::MAX);
    asker.connection.pause(FIRST, true);
    asker.receive(b"{\"status\":\"start\"}{\"status\":\"die\"}", usize::MAX);
    asker.eof();
    assert_eq!(asker.events.len(), 1, "{:?}", asker.events);
    asker.connection.pause(FIRST, false);
    // Between two that were found together as well.
    let mut out = [0; 10];
    let event = asker.connection.poll_output(NOW, &mut out);
    assert!(
        matches!(
            event,
            Output::Event(Event::Item {
                item: Item::Event(_),
                ..
            })
        ),
        "{event:?}"
    );
    asker.connection.pause(FIRST, true);
    assert_eq!(asker.drive().events.len(), 1);
    asker.connection.pause(FIRST, false);
    let actions = |events: &[Event]| -> Vec<String> {
        let action = |event: &Event| match event {
            Event::Item {
                item: Item::Event(event),
                ..
            } => model::Event::clone(event).status,
            Event::StreamEnd { .. } => "end".into(),
            Event::Closed => "closed".into(),
            _ => "reply".into(),
        };
        events.iter().map(action).collect()
    };
    assert_eq!(actions(&asker.drive().events), ["reply", "die", "end", "closed"]);
}

proptest! {
    #[test]
    fn arbitrary_answers_never_panic(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            "(HTTP/1\\.[01] (101|200|204|304|500) .?\r\n((Content-Length: [0-9]{1,2}|Transfer-Encoding: chunked|Connection: close)\r\n){0,2}\r\n([0-9]\r\n)?[\\[\\]{}\":,a-z0-9\r\n\0\x01\x02]{0,40}){1,3}"
                .prop_map(String::into_bytes),
        ],
        cut in 1usize..60,
        which in 0usize..6,
    ) {
        let import = Call::ImageImport(crate::ImageImport { source: "x".into(), ..crate::ImageImport::default() });
        let calls = [Call::Ping, inspect(), attach(), logs(), import, Call::Events(crate::EventsQuery::default())];
        let call = &calls[which];
        let run = |cut| {
            let mut asker = Asker::asking(call, &Options::default());
            let rest = asker.receive(&bytes, cut).len();
            asker.eof();
            let (mut told, mut output) = (vec![], vec![]);
            for event in asker.events {
                match event {
                    // Output comes in the pieces it arrived in.
                    Event::Item { item: Item::Output(kind, bytes), .. } => output.push((kind, bytes.to_vec())),
                    other => told.push(format!("{other:?}")),
                }
            }
            let output: Vec<_> = output.into_iter().flat_map(|(kind, bytes)| bytes.into_iter().map(move |b| (kind, b))).collect();
            (told, output, rest, asker.is_closed)
        };
        prop_assert_eq!(run(cut), run(usize::MAX));
    }
}
