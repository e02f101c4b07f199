//! Stream items, byte for byte: output, events, stats, progress, tars, WebSocket messages.

use alloc::{collections::VecDeque, format, string::String, vec, vec::Vec};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{super::*, ID, answer, begin, bytes, content_type, daemon, replies::exchange, text};
use crate::{driver::SourceId, framing::FrameHeader, limits, model};

#[test]
fn stats_are_lines_or_one_answer() {
    for version in ["1.17", "1.24"] {
        let mut exchange = begin("GET", &format!("/v{version}/containers/x/stats"), None).expect(version);
        let call = exchange.call(b"").expect(version);
        let response = exchange.respond(Reply::StatsStream);
        assert_eq!(response.body, ResponseBody::Stream, "{version}");
        assert_eq!(content_type(&response), Some("application/json"), "{version}");
        let mut out = VecDeque::new();
        for item in daemon::items(&call).into_iter().chain(daemon::items(&call)) {
            exchange.item(item, &mut out);
        }
        assert_eq!(out.len(), 2, "{version}: one piece for each reading");
        let text = String::from_utf8(bytes(&out)).expect("text");
        assert!(text.ends_with("}\n") && text.lines().count() == 2, "{version}: {text}");
    }
    let (response, body) = exchange("GET", "/v1.24/containers/x/stats?stream=0");
    assert!(matches!(response.body, ResponseBody::Full(_)) && body.lines().count() == 1);
}

/// What an exec is attached to, and the detach keys that are looked for.
#[test]
fn execs_are_framed_or_raw() {
    const FRAMES: &[u8] = b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err";
    let rows: &[(&str, bool, Option<&str>, &[u8], Option<&[u8]>)] = &[
        ("1.15", false, None, FRAMES, None),
        ("1.24", false, Some(""), FRAMES, None),
        ("1.15", true, Some(""), b"outerr", Some(&[16, 17])),
        ("1.24", true, None, b"outerr", None),
        ("1.24", true, Some("ctrl-a,b"), b"outerr", Some(&[1, b'b'])),
        ("1.24", true, Some("no keys"), b"outerr", None),
    ];
    for (version, tty, keys, expected, looked_for) in rows {
        let target = format!("/v{version}/exec/x/start");
        let mut exchange = begin("POST", &target, Some("application/json")).expect(version);
        exchange.call(b"{}").expect(version);
        assert_eq!(exchange.detach_keys(), None, "{target}: not before the reply");
        let response = exchange.respond(Reply::ExecAttached {
            tty: *tty,
            detach_keys: keys.map(Into::into),
        });
        assert_eq!(response.body, ResponseBody::Hijack, "{target}");
        assert_eq!(content_type(&response), Some("application/vnd.docker.raw-stream"));
        let mut out = VecDeque::new();
        for (kind, text) in [(StreamKind::Stdout, "out"), (StreamKind::Stderr, "err")] {
            exchange.item(Item::Output(kind, Bytes::from(text)), &mut out);
        }
        assert_eq!(bytes(&out), *expected, "{target}");
        assert_eq!(exchange.detach_keys(), *looked_for, "{target} {keys:?}");
    }
    let mut exchange = begin("POST", "/v1.24/exec/x/start", Some("application/json")).expect("exec");
    let call = exchange.call(br#"{"Detach":true}"#).expect("exec");
    assert!(!call.hijacks());
    assert_eq!(exchange.respond(Reply::Done), Response::new(200, ResponseBody::None));
}

#[test]
fn output_is_framed_or_raw() {
    let rows = [
        ("1.5", false, "POST", "attach", &b"outerr"[..]),
        (
            "1.6",
            false,
            "POST",
            "attach",
            b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err",
        ),
        ("1.16", true, "POST", "attach", b"outerr"),
        ("1.17", true, "POST", "attach", b"outerr"),
        (
            "1.24",
            false,
            "POST",
            "attach",
            b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err",
        ),
        (
            "1.24",
            false,
            "GET",
            "logs",
            b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err",
        ),
        ("1.11", true, "GET", "logs", b"outerr"),
    ];
    for (version, tty, method, what, expected) in rows {
        let target = format!("/v{version}/containers/x/{what}?stdout=1&stdin=1");
        let mut exchange = begin(method, &target, None).expect(what);
        exchange.call(b"").expect(what);
        let response = exchange.respond(if what == "logs" {
            Reply::Logs { tty }
        } else {
            Reply::Attached { tty }
        });
        assert_eq!(response.status, 200, "{target}");
        assert_eq!(
            content_type(&response),
            Some("application/vnd.docker.raw-stream"),
            "{target}"
        );
        let mut out = VecDeque::new();
        for (kind, text) in [
            (StreamKind::Stdout, "out"),
            (StreamKind::Stderr, ""),
            (StreamKind::Stderr, "err"),
        ] {
            exchange.item(Item::Output(kind, Bytes::from(text)), &mut out);
        }
        assert_eq!(bytes(&out), expected, "{target}");
        assert!(
            out.iter().all(|part| part.len() > 0),
            "an empty piece would end a chunked body"
        );
        let keys = exchange.detach_keys().is_some();
        assert_eq!(keys, tty && what == "attach", "{target}");
    }
}

#[test]
fn detach_keys_are_told() {
    let rows: &[(&str, &str, Option<&[u8]>)] = &[
        ("default", "/v1.24/containers/x/attach?stdin=1", Some(&[16, 17])),
        (
            "asked for",
            "/v1.22/containers/x/attach?stdin=1&detachKeys=ctrl-a,a",
            Some(&[1, b'a']),
        ),
        (
            "not yet",
            "/v1.21/containers/x/attach?stdin=1&detachKeys=ctrl-a,a",
            Some(&[16, 17]),
        ),
        ("no input", "/v1.24/containers/x/attach?stdout=1", None),
    ];
    for (name, target, expected) in rows {
        let mut exchange = begin("POST", target, None).expect(name);
        exchange.call(b"").expect(name);
        assert_eq!(exchange.detach_keys(), None, "{name}: not before the reply");
        exchange.respond(Reply::Attached { tty: true });
        assert_eq!(exchange.detach_keys(), *expected, "{name}");
    }
}

#[test]
fn events_by_version() {
    let id = ID;
    let image = "b750fe79269d2ec9a3c593ef05b4332b1d1a02a62b4accb2c21d589ff2f5f2dc";
    // Type, Action and Actor are told at every version; the rest came one by one.
    let created = format!(
        r#"{{"Action":"create","Actor":{{"Attributes":{{"image":"base:latest","name":"web"}},"ID":"{id}"}},"Type":"container","from":"base:latest","id":"{id}","status":"create","time":1374067924}}"#
    );
    let untagged = format!(
        r#"{{"Action":"untag","Actor":{{"Attributes":{{"name":"sha256:{image}"}},"ID":"{image}"}},"Type":"image","id":"{image}","status":"untag","time":1374067925}}"#
    );
    let old = created.replace(r#""from":"base:latest","#, "");
    assert_eq!(exchange("GET", "/v1.3/events").1, format!("{old}{untagged}"));
    assert_eq!(exchange("GET", "/v1.4/events").1, format!("{created}{untagged}"));
    assert_eq!(exchange("GET", "/v1.18/events").1, format!("{created}{untagged}"));
    assert_eq!(exchange("GET", "/v1.19/events").1, format!("{created}\n{untagged}\n"));
    let newest = exchange("GET", "/v1.24/events").1;
    assert_eq!(newest.lines().count(), 3);
    let first = format!(
        r#"{{"status":"create","id":"{id}","from":"base:latest","Type":"container","Action":"create","Actor":{{"ID":"{id}","Attributes":{{"image":"base:latest","name":"web"}}}},"time":1374067924,"timeNano":1374067924000000001}}"#
    );
    assert_eq!(newest.lines().next(), Some(&*first));
    let v21 = exchange("GET", "/v1.21/events").1;
    assert!(
        v21.contains(r#""timeNano":1374067924000000001"#) && v21.contains("Actor"),
        "{v21}"
    );
}

#[test]
fn spliced_output_gets_the_same_headers_and_no_bytes() {
    let source = |len| Part::Source {
        source: SourceId(4),
        len,
    };
    let header = |len: usize| {
        let payload_len = u32::try_from(len).expect("a frame");
        let header = FrameHeader {
            stream: StreamKind::Stderr,
            payload_len,
        };
        Part::Bytes(Bytes::copy_from_slice(&header.encode()))
    };
    const FRAME: usize = limits::FRAME_BYTES_MAX;
    let rows = [
        ("1.24", false, 3, vec![header(3), source(3)]),
        (
            "1.24",
            false,
            FRAME + 1,
            vec![header(FRAME), source(FRAME), header(1), source(1)],
        ),
        ("1.24", false, 0, vec![]),
        ("1.24", true, 3, vec![source(3)]),
        ("1.5", false, 3, vec![source(3)]),
    ];
    for (version, tty, len, expected) in rows {
        let mut exchange = begin("POST", &format!("/v{version}/containers/x/attach?stderr=1"), None).expect(version);
        exchange.call(b"").expect(version);
        exchange.respond(Reply::Attached { tty });
        let mut out = VecDeque::new();
        let item = Item::Spliced {
            kind: StreamKind::Stderr,
            source: SourceId(4),
            len,
        };
        exchange.item(item, &mut out);
        assert_eq!(Vec::from(out), expected, "{version} {tty} {len}");
    }
}

#[test]
fn tars_are_bytes_as_they_are() {
    let rows = [
        ("POST", "/v1.4/containers/x/copy", "application/octet-stream"),
        ("POST", "/v1.14/containers/x/copy", "application/octet-stream"),
        ("POST", "/v1.15/containers/x/copy", "application/x-tar"),
        ("POST", "/v1.23/containers/x/copy", "application/x-tar"),
        ("GET", "/v1.24/containers/x/archive?path=/", "application/x-tar"),
        ("GET", "/v1.0/containers/x/export", "application/octet-stream"),
        ("GET", "/v1.24/containers/x/export", "application/octet-stream"),
        ("GET", "/v1.7/images/x/get", "application/x-tar"),
        ("GET", "/v1.24/images/get?names=x", "application/x-tar"),
    ];
    let resource = br#"{"Resource":"/a"}"#;
    for (method, target, expected) in rows {
        let mut exchange = begin(method, target, Some("application/json")).expect(target);
        let call = exchange.call(resource).expect(target);
        let (response, bytes) = answer(&mut exchange, &call);
        assert_eq!(
            (response.status, &response.body),
            (200, &ResponseBody::Stream),
            "{target}"
        );
        assert_eq!(content_type(&response), Some(expected), "{target}");
        assert_eq!(bytes, b"headerdata", "{target}");
        let mut out = VecDeque::new();
        let source = SourceId(4);
        for item in [
            Item::Data(Bytes::new()),
            Item::Spliced {
                kind: StreamKind::Stdout,
                source,
                len: 0,
            },
            Item::Output(StreamKind::Stdout, Bytes::from_static(b"x")),
            Item::Spliced {
                kind: StreamKind::Stdout,
                source,
                len: 7,
            },
        ] {
            exchange.item(item, &mut out);
        }
        assert_eq!(Vec::from(out), [Part::Source { source, len: 7 }], "{target}");
    }
}

fn progress(version: &str, route: &str, messages: &[Value]) -> (Response, Vec<String>) {
    let mut exchange = begin("POST", &format!("/v{version}{route}"), None).expect(route);
    exchange.call(b"").expect(route);
    let response = exchange.respond(Reply::ProgressStream);
    let mut out = VecDeque::new();
    for message in messages {
        let message = serde_json::from_value(message.clone()).expect("progress");
        exchange.item(Item::Progress(message), &mut out);
    }
    let pieces = out
        .iter()
        .map(|part| String::from_utf8(bytes(&[part.clone()].into())).expect("text"))
        .collect();
    (exchange.finish().unwrap_or(response), pieces)
}

#[test]
fn progress_by_version() {
    let status = json!({"status": format!("sha256:{ID}")});
    let error = json!({"error": "no space"});
    let step =
        json!({"status": "Pulling", "id": "ab", "progress": "1 B/2 B", "progressDetail": {"current": 1, "total": 2}});
    let import = "/images/create?fromSrc=-";
    let (response, pieces) = progress("1.0", import, &[status.clone(), step.clone(), error.clone()]);
    assert_eq!(response.body, ResponseBody::StreamUntilClose);
    assert_eq!(content_type(&response), Some("application/vnd.docker.raw-stream"));
    assert_eq!(
        pieces,
        [
            format!("{ID}\r\n"),
            "ab Pulling 1 B/2 B\r".into(),
            "Error: no space\r\n".into()
        ]
    );
    let (response, pieces) = progress("1.7", import, &[status.clone(), step.clone(), error]);
    assert_eq!(response.body, ResponseBody::Stream);
    assert_eq!(content_type(&response), Some("application/json"));
    assert_eq!(
        pieces,
        [
            format!("{{\"status\":\"{ID}\"}}\r\n"),
            "{\"id\":\"ab\",\"progress\":\"1 B/2 B\",\"status\":\"Pulling\"}\r\n".into(),
            "{\"error\":\"no space\",\"errorDetail\":{\"message\":\"no space\"}}\r\n".into(),
        ]
    );
    let (_, pieces) = progress("1.24", import, &[status, step]);
    assert_eq!(pieces, [
        format!("{{\"status\":\"sha256:{ID}\"}}\r\n"),
        "{\"id\":\"ab\",\"progress\":\"1 B/2 B\",\"progressDetail\":{\"current\":1,\"total\":2},\"status\":\"Pulling\"}\r\n"
            .into(),
    ]);
}

#[test]
fn load_was_silent() {
    let loaded = json!({"stream": "Loaded image: a:b\n"});
    let error = json!({"error": "unexpected EOF"});
    let (response, pieces) = progress("1.22", "/images/load", core::slice::from_ref(&loaded));
    assert_eq!(
        (response.status, response.body, pieces.len()),
        (200, ResponseBody::None, 0)
    );
    let (response, pieces) = progress("1.22", "/images/load", &[loaded.clone(), error.clone()]);
    assert_eq!(
        (response.status, &*text(&response), pieces.len()),
        (500, "unexpected EOF", 0)
    );
    let (response, pieces) = progress("1.23", "/images/load", &[loaded, error]);
    assert_eq!(
        (response.status, response.body, pieces.len()),
        (200, ResponseBody::Stream, 2)
    );
}

#[test]
fn items_of_another_stream_have_no_form() {
    let mut exchange = begin("GET", "/v1.24/events", None).expect("events");
    exchange.call(b"").expect("events");
    let mut out = VecDeque::new();
    exchange.item(Item::Output(StreamKind::Stdout, Bytes::from_static(b"x")), &mut out);
    exchange.respond(Reply::EventStream);
    exchange.item(Item::Output(StreamKind::Stdout, Bytes::from_static(b"x")), &mut out);
    exchange.item(Item::Progress(model::Progress::default()), &mut out);
    assert!(out.is_empty());
    assert_eq!(exchange.finish(), None);
}

/// The messages that items become: opcode and payload, with `~` for what is in a pipe.
fn messages(items: Vec<Item>) -> Vec<(u8, String)> {
    let mut exchange = begin("GET", "/v1.24/containers/x/attach/ws?stream=1", None).expect("attach");
    let response = exchange.respond(Reply::Attached { tty: false });
    assert_eq!((response.status, response.body), (101, ResponseBody::WebSocket));
    let mut out = VecDeque::new();
    for item in items {
        exchange.item(item, &mut out);
    }
    exchange.close(Some(1000), &mut out);
    let mut wire = Vec::new();
    for part in out {
        match part {
            Part::Bytes(bytes) => wire.extend_from_slice(&bytes),
            Part::Source { len, .. } => wire.resize(wire.len() + len, b'~'),
        }
    }
    let (mut messages, mut rest) = (Vec::new(), &wire[..]);
    while let [first, len, after @ ..] = rest {
        assert_eq!((first & 0xf0, len & 0x80), (0x80, 0), "whole, and not masked");
        let (payload, after) = after.split_at(usize::from(*len));
        messages.push((first & 0x0f, format!("{}", payload.escape_ascii())));
        rest = after;
    }
    messages
}

#[test]
fn a_websocket_carries_text_where_it_is_text() {
    use StreamKind::{Stderr, Stdout};
    let output = |kind, bytes: &'static [u8]| Item::Output(kind, Bytes::from_static(bytes));
    let spliced = |len| Item::Spliced {
        kind: Stdout,
        source: SourceId(1),
        len,
    };
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    type Row = (&'static str, Vec<Item>, &'static [(u8, &'static str)]);
    let rows: Vec<Row> = vec![
        ("nothing", vec![output(Stdout, b"")], &[]),
        (
            "text",
            vec![output(Stdout, b"out"), output(Stderr, b"err")],
            &[(TEXT, "out"), (TEXT, "err")],
        ),
        ("no text", vec![output(Stdout, b"a\xffb")], &[(BINARY, "a\\xffb")]),
        (
            "a character in two pieces",
            vec![output(Stdout, b"a\xc3"), output(Stdout, b"\xa4b")],
            &[(TEXT, "a"), (TEXT, "\\xc3\\xa4b")],
        ),
        (
            "a character in four pieces",
            vec![
                output(Stdout, b"\xf0"),
                output(Stdout, b"\x9f"),
                output(Stdout, b"\x98"),
                output(Stdout, b"\x80"),
            ],
            &[(TEXT, "\\xf0\\x9f\\x98\\x80")],
        ),
        (
            "the other stream between",
            vec![output(Stdout, b"\xc3"), output(Stderr, b"e"), output(Stdout, b"\xa4")],
            &[(TEXT, "e"), (TEXT, "\\xc3\\xa4")],
        ),
        (
            "half a character that is none",
            vec![output(Stdout, b"a\xc3"), output(Stdout, b"b")],
            &[(TEXT, "a"), (BINARY, "\\xc3b")],
        ),
        (
            "half a character at the end",
            vec![output(Stderr, b"a\xe2\x82")],
            &[(TEXT, "a"), (BINARY, "\\xe2\\x82")],
        ),
        (
            "unseen",
            vec![output(Stdout, b"\xc3"), spliced(3), output(Stdout, b"c")],
            &[(BINARY, "\\xc3~~~"), (TEXT, "c")],
        ),
    ];
    for (name, items, expected) in rows {
        let mut found = messages(items);
        assert_eq!(found.pop(), Some((8, "\\x03\\xe8".into())), "{name}: the close frame");
        let found: Vec<_> = found.iter().map(|(opcode, text)| (*opcode, &**text)).collect();
        assert_eq!(found, expected, "{name}");
    }
}
