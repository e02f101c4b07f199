//! Replies, byte for byte where it matters.

use alloc::{
    boxed::Box,
    format,
    string::{String, ToString},
    vec,
};

use serde_json::{Value, json};

use super::{super::*, ID, PLAIN, answer, begin, content_type, daemon};
use crate::model;

/// Status and body of the answer to a request without body.
pub(super) fn exchange(method: &str, target: &str) -> (Response, String) {
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
