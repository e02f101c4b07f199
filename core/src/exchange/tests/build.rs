//! Builds of every era: what they ask for, whose logins they bring, and how their output looks.

use alloc::{borrow::ToOwned, format, string::ToString, vec, vec::Vec};

use serde_json::json;

use super::{super::*, begin, bytes, call, content_type, text};
use crate::{Build, BuildLimits, ContextPart, Login, http::HttpVersion, model, upload::Piece};

fn build(target: &str) -> Build {
    match call("POST", target, "") {
        Ok(Call::Build(build)) => *build,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn every_parameter_is_read() {
    let found = build(
        "/v1.24/build?t=a&t=&t=h:5/b:c&dockerfile=d/F&remote=git://r&q=1&nocache=True&pull=1&rm=0&forcerm=0&memory=1&memswap=-1\
         &cpushares=2&cpusetcpus=0-3&cpusetmems=0,1&cpuperiod=3&cpuquota=4&shmsize=5&cgroupparent=g&isolation=i&networkmode=host\
         &buildargs={\"A\":\"b\",\"N\":null}&labels={\"l\":\"v\"}&ulimits=[{\"name\":\"nofile\",\"Soft\":6,\"Hard\":7},null]",
    );
    let expected = Build {
        tags: vec!["a".into(), "h:5/b:c".into()],
        dockerfile: Some("d/F".into()),
        remote: Some("git://r".into()),
        quiet: true,
        no_cache: true,
        pull: true,
        remove: false,
        force_remove: false,
        limits: BuildLimits {
            cgroup_parent: "g".into(),
            cpu_period: 3,
            cpu_quota: 4,
            cpu_shares: 2,
            cpuset_cpus: "0-3".into(),
            cpuset_mems: "0,1".into(),
            memory: 1,
            memory_swap: -1,
            shm_size: 5,
            ulimits: vec![model::Ulimit {
                name: "nofile".into(),
                soft: 6,
                hard: 7,
            }],
        },
        network_mode: "host".into(),
        isolation: "i".into(),
        build_args: [("A".into(), "b".into()), ("N".into(), String::new())].into(),
        labels: [("l".into(), "v".into())].into(),
        logins: [].into(),
    };
    assert_eq!(found, expected);
}

#[test]
fn what_is_not_given_has_its_default() {
    let nothing = Build {
        remove: true,
        ..Build::default()
    };
    let rows = [
        ("nothing", "1.24", "", nothing.clone()),
        (
            "numbers that are none",
            "1.24",
            "?memory=lots&cpuquota=&memswap=1.5",
            nothing.clone(),
        ),
        ("null", "1.24", "?buildargs=null&labels=&ulimits=null", nothing.clone()),
        ("empty", "1.24", "?t=&dockerfile=&remote=&rm=", nothing.clone()),
        ("containers went", "1.12", "", nothing.clone()),
        (
            "containers stayed",
            "1.11",
            "",
            Build {
                remove: false,
                ..nothing.clone()
            },
        ),
        ("unless told", "1.4", "?rm=1", nothing.clone()),
        (
            "whatever happens",
            "1.24",
            "?rm=0&forcerm=1",
            Build {
                force_remove: true,
                ..nothing
            },
        ),
    ];
    for (name, version, query, expected) in rows {
        assert_eq!(build(&format!("/v{version}/build{query}")), expected, "{name}");
    }
}

/// The call of a build with these header fields.
fn with_headers(version: &str, headers: &[(&str, &str)]) -> Build {
    let head = RequestHead {
        method: "POST".to_owned(),
        target: format!("/v{version}/build"),
        version: HttpVersion::Http11,
        headers: headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()))
            .collect(),
    };
    match Exchange::begin(&head).and_then(|mut exchange| exchange.call(b"")) {
        Ok(Call::Build(build)) => *build,
        other => panic!("{other:?}"),
    }
}

#[test]
fn logins_of_the_time() {
    const MAP: &str = "eyJoOjUiOnsidXNlcm5hbWUiOiJ1IiwicGFzc3dvcmQiOiJzM2NyM3QifX0="; // {"h:5":{"username":"u","password":"s3cr3t"}}
    const FILE: &str = "eyJjb25maWdzIjp7Img6NSI6eyJVc2VybmFtZSI6InUiLCJwYXNzd29yZCI6InMzY3IzdCJ9fX0"; // {"configs":{"h:5":{"Username":"u",…}}}
    const ONE: &str = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InMzY3IzdCIsInNlcnZlcmFkZHJlc3MiOiJoOjUifQ=="; // {"username":"u",…,"serveraddress":"h:5"}
    const BARE: &str = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InMzY3IzdCJ9"; // {"username":"u","password":"s3cr3t"}
    const LIST: &str = "W10="; // []
    const TYPE: &str = "eyJoOjUiOnsidXNlcm5hbWUiOjF9LCJpOjUiOjF9"; // {"h:5":{"username":1},"i:5":1}
    let login = |server: &str| Login {
        username: "u".into(),
        password: "s3cr3t".into(),
        server_address: server.into(),
        ..Login::default()
    };
    let (config, auth) = ("X-Registry-Config", "x-registry-auth");
    let index = "https://index.docker.io/v1/";
    let rows: Vec<(&str, &str, Vec<(&str, &str)>, Vec<(&str, Login)>)> = vec![
        ("a map", "1.24", vec![(config, MAP)], vec![("h:5", login(""))]),
        (
            "a map in older versions",
            "1.9",
            vec![(config, MAP)],
            vec![("h:5", login(""))],
        ),
        ("a file", "1.19", vec![(config, FILE)], vec![("h:5", login(""))]),
        (
            "a file where it is none",
            "1.20",
            vec![(config, FILE)],
            vec![("configs", Login::default())],
        ),
        ("one login", "1.8", vec![(auth, ONE)], vec![("h:5", login("h:5"))]),
        (
            "one login for no registry",
            "1.8",
            vec![(auth, BARE)],
            vec![(index, login(""))],
        ),
        (
            "a map wins",
            "1.8",
            vec![(auth, BARE), (config, MAP)],
            vec![("h:5", login(""))],
        ),
        ("one login where there is none", "1.9", vec![(auth, ONE)], vec![]),
        ("no base64", "1.24", vec![(config, "!!!")], vec![]),
        ("no JSON", "1.24", vec![(config, "Zm9v")], vec![]),
        ("no object", "1.24", vec![(config, LIST)], vec![]),
        ("wrong types", "1.24", vec![(config, TYPE)], vec![]),
        ("nothing", "1.24", vec![], vec![]),
    ];
    for (name, version, headers, expected) in rows {
        let found = with_headers(version, &headers);
        let expected = expected.into_iter().map(|(server, login)| (server.to_owned(), login));
        assert_eq!(found.logins, expected.collect(), "{name}");
        let shown = format!("{found:?}");
        assert!(!shown.contains("s3cr3t"), "{name}: {shown}");
    }
}

#[test]
fn output_by_version() {
    let messages = [
        json!({"stream": "Step 1\n"}),
        json!({"status": "Pulling", "id": "ab"}),
        json!({"error": "exit 4", "errorCode": 4}),
        json!({"error": "no space"}),
    ];
    let raw = "application/vnd.docker.raw-stream";
    let words = "Step 1\n\rab Pulling\r\nError: exit 4\r\nError: no space\r\n";
    let values = "{\"stream\":\"Step 1\\n\"}\r\n{\"id\":\"ab\",\"status\":\"Pulling\"}\r\n\
                  {\"error\":\"exit 4\",\"errorDetail\":{\"code\":4,\"message\":\"exit 4\"}}\r\n\
                  {\"error\":\"no space\",\"errorDetail\":{\"message\":\"no space\"}}\r\n";
    let rows = [
        ("1.0", raw, ResponseBody::StreamUntilClose, words),
        ("1.1", super::PLAIN, ResponseBody::StreamUntilClose, words),
        ("1.2", super::PLAIN, ResponseBody::StreamUntilClose, words),
        ("1.3", super::PLAIN, ResponseBody::Stream, words),
        ("1.7", super::PLAIN, ResponseBody::Stream, words),
        ("1.8", "application/json", ResponseBody::Stream, values),
        ("1.24", "application/json", ResponseBody::Stream, values),
    ];
    for (version, kind, body, expected) in rows {
        let mut exchange = begin("POST", &format!("/v{version}/build"), None).expect(version);
        exchange.call(b"").expect(version);
        let response = exchange.respond(Reply::ProgressStream);
        assert_eq!(
            (response.status, content_type(&response), &response.body),
            (200, Some(kind), &body),
            "{version}"
        );
        let mut out = VecDeque::new();
        for message in &messages {
            exchange.item(
                Item::Progress(serde_json::from_value(message.clone()).expect("progress")),
                &mut out,
            );
        }
        assert_eq!(String::from_utf8_lossy(&bytes(&out)), expected, "{version}");
        let refused = exchange.respond(Reply::Refused(Refusal::NoDockerfile { path: "F".into() }));
        assert_eq!(
            (refused.status, &*text(&refused)),
            (500, "Cannot locate specified Dockerfile: F"),
            "{version}"
        );
    }
}

#[test]
fn contexts_by_version() {
    let form = "multipart/form-data; boundary=B";
    let rows = [
        ("1.0", None, ContextPart::Dockerfile, true),
        ("1.1", None, ContextPart::Dockerfile, false),
        ("1.2", None, ContextPart::Archive, false),
        ("1.2", Some("application/tar"), ContextPart::Archive, false),
        ("1.3", Some(form), ContextPart::Archive, false),
        ("1.24", Some("text/plain"), ContextPart::Archive, false),
    ];
    for (version, content_type, part, promised) in rows {
        let target = format!("/v{version}/build");
        let mut exchange = begin("POST", &target, content_type).expect(version);
        assert_eq!(exchange.promise(false).is_some(), promised, "{version}");
        assert_eq!(exchange.promise(true), None, "{version}");
        exchange.call(b"").expect(version);
        let mut pieces = Vec::new();
        let upload = exchange.upload().expect(version);
        upload
            .push(Bytes::from_static(b"x"), |piece| pieces.push(piece))
            .expect(version);
        assert_eq!(
            pieces,
            [Piece::Part(part), Piece::Bytes(Bytes::from_static(b"x"))],
            "{version}"
        );
    }
    for version in ["1.0", "1.1", "1.2"] {
        let mut exchange = begin("POST", &format!("/v{version}/build"), Some(form)).expect(version);
        exchange.call(b"").expect(version);
        let upload = exchange.upload().expect(version);
        assert!(upload.finish().is_err(), "{version}: a form has an end");
    }
    let remote = begin("POST", "/v1.0/build?remote=r", None).expect("a build");
    assert_eq!(remote.promise(false), None, "nothing is to come");
}
