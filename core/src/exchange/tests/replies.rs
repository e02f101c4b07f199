//! Replies and stream items, byte for byte where it matters.

use alloc::{
    boxed::Box,
    collections::VecDeque,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use bytes::Bytes;
use serde_json::{Value, json};

use super::{super::*, ID, PLAIN, answer, begin, bytes, content_type, daemon, text};
use crate::{driver::SourceId, framing::FrameHeader, limits, model};

/// Status and body of the answer to a request without body.
fn exchange(method: &str, target: &str) -> (Response, String) {
    let mut exchange = begin(method, target, None).expect(target);
    let call = exchange.call(b"").expect(target);
    let (response, bytes) = answer(&mut exchange, &call);
    (response, String::from_utf8_lossy(&bytes).into_owned())
}

#[test]
fn statuses() {
    let rows = [
        ("POST", "/v1.2/containers/x/start", 200),
        ("POST", "/v1.3/containers/x/start", 204),
        ("POST", "/v1.24/containers/x/start", 204),
        ("POST", "/v1.0/containers/x/stop", 204),
        ("POST", "/v1.0/images/x/tag", 200),
        ("POST", "/v1.1/images/x/tag", 201),
        ("POST", "/v1.24/images/x/tag", 201),
        ("DELETE", "/v1.1/images/x", 204),
        ("DELETE", "/v1.2/images/x", 200),
        ("DELETE", "/v1.24/containers/x", 204),
        ("POST", "/v1.24/containers/x/resize?h=1&w=1", 200),
        ("POST", "/v1.24/containers/x/wait", 200),
        ("GET", "/v1.1/auth", 200),
        ("POST", "/v1.11/images/x/insert", 200),
        ("POST", "/v1.24/images/x/push", 200),
        ("GET", "/v1.24/images/search", 200),
        ("POST", "/v1.12/containers/x/pause", 204),
        ("POST", "/v1.24/containers/x/unpause", 204),
        ("POST", "/v1.0/containers/x/restart", 204),
        ("POST", "/v1.24/containers/x/rename?name=y", 204),
        ("GET", "/v1.24/containers/x/stats", 200),
        ("POST", "/v1.22/exec/x/resize?h=1&w=1", 201),
        ("POST", "/v1.23/exec/x/resize?h=1&w=1", 200),
        ("GET", "/v1.24/exec/x/json", 200),
        ("DELETE", "/v1.22/networks/x", 200),
        ("DELETE", "/v1.23/networks/x", 204),
        ("DELETE", "/v1.21/volumes/x", 204),
        ("DELETE", "/v1.24/volumes/x", 204),
        ("GET", "/v1.24/volumes/x", 200),
        ("PUT", "/v1.20/containers/x/archive?path=/", 200),
        ("PUT", "/v1.24/containers/x/archive?path=/", 200),
        ("HEAD", "/v1.24/containers/x/archive?path=/", 200),
    ];
    for (method, target, status) in rows {
        assert_eq!(exchange(method, target).0.status, status, "{method} {target}");
    }
    for version in ["1.0", "1.24"] {
        let mut exchange = begin("POST", &format!("/v{version}/containers/x/start"), None).expect(version);
        assert_eq!(
            exchange.respond(Reply::NotModified),
            Response::new(304, ResponseBody::None)
        );
    }
}

#[test]
fn shapes_of_old() {
    let json = |target: &str| -> Value { serde_json::from_str(&exchange("GET", target).1).expect(target) };
    let id = "b750fe79269d2ec9a3c593ef05b4332b1d1a02a62b4accb2c21d589ff2f5f2dc";
    let rows = [
        (
            "ports were text",
            "/v1.4/containers/json",
            "/0/Ports",
            json!("49153->80, 5353->53/udp"),
        ),
        ("names always", "/v1.0/containers/json", "/0/Names/0", json!("/web")),
        (
            "one entry per tag",
            "/v1.6/images/json",
            "/1/Repository",
            json!("host:5000/base"),
        ),
        ("one entry per tag", "/v1.6/images/json", "/1/Tag", json!("v1")),
        (
            "one entry per image",
            "/v1.7/images/json",
            "/0/RepoTags/1",
            json!("host:5000/base:v1"),
        ),
        ("bare ids", "/v1.22/images/json", "/0/Id", json!(id)),
        (
            "ids with algorithm",
            "/v1.23/images/json",
            "/0/Id",
            json!(format!("sha256:{id}")),
        ),
        (
            "digests stay",
            "/v1.22/images/json",
            "/0/RepoDigests/0",
            json!("base@sha256:cbbf2f9a99b47fc460d422812b6a5adff7dfee951d8fa2e4a98caa0382cfbdbf"),
        ),
        ("bare id of the image", "/v1.12/containers/x/json", "/Image", json!(id)),
        (
            "lower case",
            "/v1.11/images/x/json",
            "/container_config/Image",
            json!(id),
        ),
        ("both spellings", "/v1.11/containers/x/json", "/ID", json!(ID)),
        ("both spellings", "/v1.11/containers/x/json", "/Id", json!(ID)),
        (
            "both spellings",
            "/v1.16/containers/x/json",
            "/NetworkSettings/IpAddress",
            json!("172.17.0.2"),
        ),
        (
            "both spellings",
            "/v1.16/containers/x/json",
            "/NetworkSettings/IPAddress",
            json!("172.17.0.2"),
        ),
        (
            "port mapping",
            "/v1.5/containers/x/json",
            "/NetworkSettings/PortMapping",
            json!({"Tcp": {"80": "49153"}, "Udp": {}}),
        ),
        (
            "port mapping",
            "/v1.6/containers/x/json",
            "/NetworkSettings/PortMapping",
            Value::Null,
        ),
        (
            "limits in Config",
            "/v1.19/containers/x/json",
            "/Config/Memory",
            json!(33_554_432),
        ),
        (
            "limits in HostConfig",
            "/v1.19/containers/x/json",
            "/HostConfig/Memory",
            json!(33_554_432),
        ),
        (
            "volumes",
            "/v1.19/containers/x/json",
            "/Volumes",
            json!({"/data": "/data"}),
        ),
        (
            "volumes",
            "/v1.19/containers/x/json",
            "/VolumesRW",
            json!({"/data": false}),
        ),
        ("numbers", "/v1.18/info", "/MemoryLimit", json!(1)),
        ("booleans", "/v1.17/info", "/MemoryLimit", json!(true)),
        ("booleans", "/v1.19/info", "/MemoryLimit", json!(true)),
        (
            "a list",
            "/v1.17/info",
            "/IndexServerAddress",
            json!(["https://index.docker.io/v1/"]),
        ),
        ("listeners", "/v1.3/info", "/EventsListeners", json!("2")),
        ("version in info", "/v1.0/info", "/Version", json!("0.1.0")),
        (
            "processes were objects",
            "/v1.3/containers/x/top",
            "/0",
            json!({"PID": "13642", "Tty": "pts/0", "Time": "00:00:00", "Cmd": "bash"}),
        ),
        (
            "names without arguments",
            "/v1.3/containers/x/top",
            "/1/Cmd",
            json!("sleep"),
        ),
        (
            "processes are rows",
            "/v1.4/containers/x/top",
            "/Processes/1/7",
            json!("sleep 10"),
        ),
        ("kinds of changes", "/v1.0/containers/x/changes", "/2/Kind", json!(2)),
        (
            "one network",
            "/v1.20/containers/x/stats?stream=0",
            "/network/rx_bytes",
            json!(9979),
        ),
        (
            "networks",
            "/v1.21/containers/x/stats?stream=0",
            "/networks/eth5/rx_bytes",
            json!(4641),
        ),
        ("container of an exec", "/v1.21/exec/x/json", "/Container/ID", json!(ID)),
        (
            "container of an exec",
            "/v1.19/exec/x/json",
            "/Container/Volumes",
            json!({"/data": "/data"}),
        ),
        (
            "container of an exec",
            "/v1.17/exec/x/json",
            "/Container/Config/Memory",
            json!(33_554_432),
        ),
        ("container of an exec", "/v1.22/exec/x/json", "/ContainerID", json!(ID)),
        ("slash at the end", "/v1.24/networks/", "/1/Name", json!("none")),
        ("no options", "/v1.24/networks", "/1/IPAM/Options", Value::Null),
        ("no labels", "/v1.24/volumes", "/Volumes/1/Labels", Value::Null),
    ];
    for (name, target, pointer, expected) in rows {
        assert_eq!(
            json(target).pointer(pointer),
            Some(&expected),
            "{name}: {target} {pointer}"
        );
    }
    let gone = [
        ("/v1.7/containers/x/json", "/HostConfig"),
        ("/v1.19/containers/x/json", "/Mounts"),
        ("/v1.19/containers/x/json", "/Config/StopSignal"),
        ("/v1.20/containers/x/json", "/NetworkSettings/Networks"),
        ("/v1.24/containers/x/json", "/Config/Memory"),
        ("/v1.24/containers/x/json", "/Volumes"),
        ("/v1.22/containers/json", "/0/Mounts"),
        ("/v1.22/images/x/json", "/RootFS"),
        ("/v1.1/images/json", "/0/Size"),
        ("/v1.6/images/json", "/0/RepoTags"),
        ("/v1.11/version", "/ApiVersion"),
        ("/v1.0/info", "/ServerVersion"),
        ("/v1.24/containers/x/json", "/SizeRw"),
        ("/v1.18/containers/x/stats", "/precpu_stats"),
        ("/v1.20/containers/x/stats?stream=0", "/networks"),
        ("/v1.21/containers/x/stats", "/network"),
        ("/v1.22/containers/x/stats", "/pids_stats"),
        ("/v1.22/containers/x/stats?stream=0", "/name"),
        ("/v1.21/exec/x/json", "/ContainerID"),
        ("/v1.21/exec/x/json", "/CanRemove"),
        ("/v1.21/exec/x/json", "/Container/Id"),
        ("/v1.19/exec/x/json", "/Container/Mounts"),
        ("/v1.22/exec/x/json", "/Container"),
        ("/v1.21/volumes", "/Warnings"),
        ("/v1.22/volumes", "/Volumes/0/Labels"),
        ("/v1.23/volumes", "/Volumes/0/Scope"),
        ("/v1.23/volumes/x", "/Status"),
        ("/v1.24/volumes", "/Volumes/1/Status"),
        ("/v1.22/networks", "/0/Internal"),
        ("/v1.22/networks/x", "/EnableIPv6"),
        ("/v1.21/networks/x", "/IPAM/Options"),
    ];
    for (target, pointer) in gone {
        assert_eq!(json(target).pointer(pointer), None, "{target} {pointer}");
    }
}

#[test]
fn exit_code_of_an_exec_that_runs() {
    for (version, code) in [("1.18", json!(0)), ("1.19", Value::Null), ("1.24", Value::Null)] {
        let mut exchange = begin("GET", &format!("/v{version}/exec/x/json"), None).expect(version);
        let Reply::Exec(mut exec) = daemon::reply(&exchange.call(b"").expect(version)) else {
            panic!("no exec")
        };
        exec.exit_code = None;
        let ResponseBody::Full(bytes) = exchange.respond(Reply::Exec(exec)).body else {
            panic!("no body")
        };
        let exec: Value = serde_json::from_slice(&bytes).expect(version);
        assert_eq!(exec["ExitCode"], code, "{version}");
    }
}

#[test]
fn warnings_of_an_exec_came_later() {
    for (version, expected) in [
        ("1.17", json!({"Id": "e"})),
        ("1.18", json!({"Id": "e", "Warnings": ["w"]})),
    ] {
        let mut exchange = begin("POST", &format!("/v{version}/containers/x/exec"), None).expect(version);
        let reply = Reply::ExecCreated {
            id: "e".into(),
            warnings: vec!["w".into()],
        };
        let response = exchange.respond(reply);
        let ResponseBody::Full(bytes) = &response.body else {
            panic!("{response:?}")
        };
        let created: Value = serde_json::from_slice(bytes).expect(version);
        assert_eq!((response.status, created), (201, expected), "{version}");
    }
}

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

#[test]
fn a_container_without_network_has_zeros_in_its_place() {
    let stats = || Reply::Stats(Box::default());
    for (version, expected) in [("1.20", Some(&json!(0))), ("1.21", None)] {
        let target = format!("/v{version}/containers/x/stats?stream=0");
        let response = begin("GET", &target, None).expect(version).respond(stats());
        let ResponseBody::Full(bytes) = response.body else {
            panic!("no body")
        };
        let stats: Value = serde_json::from_slice(&bytes).expect(version);
        assert_eq!(stats.pointer("/network/tx_packets"), expected, "{version}");
        assert_eq!(stats.get("networks"), None, "{version}");
    }
}

#[test]
fn other_numbers_are_no_kinds_of_changes() {
    let kind = |number: u8| serde_json::from_value::<model::FileChangeKind>(number.into());
    assert_eq!(kind(1).expect("a kind"), model::FileChangeKind::Added);
    let error = kind(3).expect_err("three").to_string();
    assert_eq!(error, "unknown kind of change: 3");
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

#[test]
fn paths_are_told_in_a_header() {
    // The documents' own.
    let expected = "eyJuYW1lIjoicm9vdCIsInNpemUiOjQwOTYsIm1vZGUiOjIxNDc0ODQwOTYsIm10aW1lIjoiMjAxNC0wMi0yN1QyMDo1MToyM1oiLCJsaW5rVGFyZ2V0IjoiIn0=";
    for (method, body) in [("GET", "headerdata"), ("HEAD", "")] {
        for version in ["1.20", "1.24"] {
            let (response, got) = exchange(method, &format!("/v{version}/containers/x/archive?path=/root"));
            let header = ("X-Docker-Container-Path-Stat", expected.into());
            assert!(response.headers.contains(&header), "{method} {version}: {response:?}");
            assert_eq!(got, body, "{method} {version}");
        }
    }
    let rows = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("~~~???", "fn5+Pz8/"),
    ];
    for (bytes, expected) in rows {
        assert_eq!(base64::encode(bytes.as_bytes(), base64::STANDARD), expected, "{bytes}");
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
fn ping_tells_the_version() {
    let (response, body) = exchange("GET", "/_ping");
    assert_eq!(
        (response.status, &*body, content_type(&response)),
        (200, "OK", Some(PLAIN))
    );
    assert!(response.headers.contains(&("Api-Version", "1.24".into())));
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

#[test]
fn committing_was_called_a_raw_stream() {
    for (version, kind) in [
        ("1.0", "application/vnd.docker.raw-stream"),
        ("1.11", "application/vnd.docker.raw-stream"),
        ("1.12", "application/json"),
        ("1.24", "application/json"),
    ] {
        let (response, body) = exchange("POST", &format!("/v{version}/commit?container=x"));
        assert_eq!(
            (response.status, content_type(&response)),
            (201, Some(kind)),
            "{version}"
        );
        let start = if version == "1.24" {
            "{\"Id\":\"sha256:5960"
        } else {
            "{\"Id\":\"5960"
        };
        assert!(body.starts_with(start), "{version}: {body}");
    }
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
