//! Calls: what is sent, what cannot be said, and that the server role understands the rest.

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, from_value, json};

use super::{
    super::{answer::Expects, ask::ask},
    any_call::*,
    *,
};
use crate::{
    AuthCheck, Build, Commit, ContainerAttach, ContainerCreate, ContainerList, ContainerLogs, EventsQuery, ExecStart,
    ImageList, ImagePull, ImagePush, ImageSearch, Login, RegistryAuth,
    dialect::{self, Asked},
    model::Filters,
    query::Query,
    route::{self, Route},
};

#[test]
fn what_is_sent() {
    let container = || "web".to_owned();
    let rows = [
        (
            "1.24",
            Call::Ping,
            "GET /v1.24/_ping HTTP/1.1\r\nHost: docker\r\n\r\n",
            "",
        ),
        (
            "1.0",
            Call::ContainerStop {
                container: container(),
                grace_secs: Some(-1),
            },
            "POST /v1.0/containers/web/stop?t=-1 HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
        (
            "1.24",
            Call::ImageInspect {
                image: "host:5000/a b/c%?d@sha256:0".to_owned(),
            },
            "GET /v1.24/images/host:5000/a%20b/c%25%3Fd@sha256:0/json HTTP/1.1\r\nHost: docker\r\n\r\n",
            "",
        ),
        (
            "1.10",
            create(
                json!({"Image": "base"}),
                json!({"Dns": ["1.1.1.1"], "VolumesFrom": ["a", "b:ro"], "Memory": 5}),
            ),
            "POST /v1.10/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: 68\r\n\r\n",
            r#"{"Dns":["1.1.1.1"],"Image":"base","Memory":5,"VolumesFrom":"a,b:ro"}"#,
        ),
        (
            "1.3",
            create(
                json!({"ExposedPorts": {"53/udp": {}, "80/tcp": {}}}),
                json!({"PortBindings": {
                    "53/udp": [{"HostIp": "::1", "HostPort": "53"}, {"HostIp": "", "HostPort": ""}],
                    "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                }}),
            ),
            "POST /v1.3/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: 61\r\n\r\n",
            r#"{"Image":"","PortSpecs":["::1:53:53/udp","53/udp","8080:80"]}"#,
        ),
        (
            "1.23",
            Call::ContainerStart {
                container: container(),
                host_config: Some(Box::default()),
            },
            "POST /v1.23/containers/web/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: 14\r\n\r\n",
            r#"{"Binds":null}"#,
        ),
        (
            "1.24",
            Call::ImageLoad { quiet: true },
            "POST /v1.24/images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nContent-Type: application/x-tar\r\n\
             Transfer-Encoding: chunked\r\n\r\n",
            "",
        ),
    ];
    let push = || {
        Call::ImagePush(ImagePush {
            image: "h:5000/a".into(),
            auth: RegistryAuth::Login(Box::new(secret_login())),
            ..ImagePush::default()
        })
    };
    let build = || {
        Call::Build(Box::new(Build {
            remove: true,
            logins: [("https://r/".to_owned(), secret_login())].into(),
            ..Build::default()
        }))
    };
    let commit = Call::Commit(Box::new(Commit {
        container: container(),
        repository: String::new(),
        tag: String::new(),
        comment: "x".into(),
        author: String::new(),
        pause: false,
        changes: vec![],
        config: from_value(json!({"Cmd": ["ls"]})).expect("a configuration"),
    }));
    let start = Call::ExecStart(ExecStart {
        exec: "e".into(),
        detach: false,
        tty: true,
    });
    // {"password":"p?>","username":"u"}, in the alphabet of URLs, and the same as a map of registries.
    let more = [
        (
            "1.24",
            push(),
            "POST /v1.24/images/h:5000/a/push HTTP/1.1\r\nHost: docker\r\n\
             X-Registry-Auth: eyJwYXNzd29yZCI6InA_PiIsInVzZXJuYW1lIjoidSJ9\r\nContent-Length: 0\r\n\r\n",
            "",
        ),
        (
            "1.4",
            push(),
            "POST /v1.4/images/h:5000/a/push HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: 33\r\n\r\n",
            r#"{"password":"p?>","username":"u"}"#,
        ),
        (
            "1.24",
            build(),
            "POST /v1.24/build HTTP/1.1\r\nHost: docker\r\n\
             X-Registry-Config: eyJodHRwczovL3IvIjp7InBhc3N3b3JkIjoicD8-IiwidXNlcm5hbWUiOiJ1In19\r\n\
             Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
        ),
        (
            "1.8",
            build(),
            "POST /v1.8/build?rm=1 HTTP/1.1\r\nHost: docker\r\n\
             X-Registry-Auth: eyJwYXNzd29yZCI6InA_PiIsInNlcnZlcmFkZHJlc3MiOiJodHRwczovL3IvIiwidXNlcm5hbWUiOiJ1In0=\r\n\
             Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n",
            "",
        ),
        (
            "1.11",
            commit,
            "POST /v1.11/commit?container=web&comment=x&m=x HTTP/1.1\r\nHost: docker\r\n\
             Content-Type: application/json\r\nContent-Length: 14\r\n\r\n",
            r#"{"Cmd":["ls"]}"#,
        ),
        (
            "1.24",
            start,
            "POST /v1.24/exec/e/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n\
             Content-Length: 12\r\n\r\n",
            r#"{"Tty":true}"#,
        ),
    ];
    for (text, call, head, body) in rows.into_iter().chain(more) {
        let outgoing = encode(&call, &at(version(text))).expect(text);
        assert_eq!(String::from_utf8(outgoing.encode_head()).as_deref(), Ok(head));
        match outgoing.body {
            OutgoingBody::Full(bytes) => assert_eq!(String::from_utf8(bytes.to_vec()).as_deref(), Ok(body)),
            OutgoingBody::None | OutgoingBody::Stream(_) => assert_eq!(body, "", "{head}"),
        }
    }
}

/// Its password needs the digits that the two alphabets of base64 do not share.
fn secret_login() -> Login {
    Login {
        username: "u".into(),
        password: "p?>".into(),
        ..Login::default()
    }
}

#[test]
fn logins_are_not_shown() {
    let auth = || RegistryAuth::Login(Box::new(secret_login()));
    let push = || {
        Call::ImagePush(ImagePush {
            image: "a".into(),
            auth: auth(),
            ..ImagePush::default()
        })
    };
    let check = Call::AuthCheck(Box::new(AuthCheck {
        login: secret_login(),
        store: false,
    }));
    for (call, text) in [(push(), "1.24"), (push(), "1.4"), (check, "1.24")] {
        let mut connection = Connection::new(Limits::default());
        connection.ask(&call, &at(version(text))).expect("a call");
        let outgoing = encode(&call, &at(version(text))).expect("a request");
        let shown = format!("{call:?} {outgoing:?} {connection:?}");
        for secret in ["p?>", "eyJwYXNz", "112, 63, 62"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[test]
fn what_is_asked_for_beside() {
    let options = Options {
        host: "a\r\nX-Evil: b".into(),
        upgrade: true,
        detach_keys: Some("ctrl-a".into()),
        body_len: Some(5),
        ..Options::default()
    };
    let sent = |call: &Call| String::from_utf8(encode(call, &options).expect("a request").encode_head());
    assert_eq!(
        sent(&Call::ContainerAttach(ContainerAttach {
            container: "c".into(),
            stream: true,
            ..ContainerAttach::default()
        }))
        .as_deref(),
        Ok(
            "POST /v1.24/containers/c/attach?stream=1&detachKeys=ctrl-a HTTP/1.1\r\nHost: a  X-Evil: b\r\n\
            Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        ),
    );
    assert_eq!(
        sent(&Call::ImageLoad { quiet: false }).as_deref(),
        Ok(
            "POST /v1.24/images/load HTTP/1.1\r\nHost: a  X-Evil: b\r\nContent-Type: application/x-tar\r\n\
            Content-Length: 5\r\n\r\n"
        ),
        "no upgrade where nothing is hijacked"
    );
}

#[test]
fn what_cannot_be_said() {
    let none = || json!({});
    let inspect = |container: &str| Call::ContainerInspect {
        container: container.into(),
        size: false,
    };
    let list = |name: &str| {
        Call::ContainerList(ContainerList {
            filters: filters(&[(name, "x")]),
            ..ContainerList::default()
        })
    };
    let logs = Call::ContainerLogs(ContainerLogs {
        container: "c".into(),
        stdout: true,
        ..ContainerLogs::default()
    });
    let start = |config: Value| Call::ContainerStart {
        container: "c".into(),
        host_config: Some(Box::new(from_value(config).expect("a host configuration"))),
    };
    let tag = Call::ImageTag {
        image: "a".into(),
        repository: "b".into(),
        tag: String::new(),
        force: false,
    };
    let images = Call::ImageList(ImageList {
        filters: filters(&[("reference", "a"), ("reference", "b")]),
        ..ImageList::default()
    });
    let login = || RegistryAuth::Login(Box::new(secret_login()));
    let with_token = || {
        RegistryAuth::Login(Box::new(Login {
            identity_token: "t".into(),
            ..Login::default()
        }))
    };
    let pull = |auth| {
        Call::ImagePull(ImagePull {
            repository: "a".into(),
            auth,
            ..ImagePull::default()
        })
    };
    let search = |limit, stars_min| {
        Call::ImageSearch(ImageSearch {
            limit,
            stars_min,
            ..ImageSearch::default()
        })
    };
    let build = |of: Value| {
        let some = |key: &str| 0..of[key].as_u64().unwrap_or_default();
        Call::Build(Box::new(Build {
            tags: some("tags").map(|at| format!("a{at}")).collect(),
            remove: of["remove"] == true || of["force"] == true,
            force_remove: of["force"] == true,
            logins: some("logins").map(|at| (format!("r{at}"), secret_login())).collect(),
            ..Build::default()
        }))
    };
    let commit = |config: Value| {
        Call::Commit(Box::new(Commit {
            container: "c".into(),
            repository: String::new(),
            tag: String::new(),
            comment: String::new(),
            author: String::new(),
            pause: true,
            changes: vec![],
            config: from_value(config).expect("a configuration"),
        }))
    };
    let stats = |stream| Call::ContainerStats {
        container: "c".into(),
        stream,
    };
    let published = |ports: Value| json!({"PortBindings": ports});
    // The last version that cannot, what, and the first that can.
    let rows = [
        ("1.10", logs, "GET /containers/{id}/logs", Some("1.11")),
        ("1.2", Call::Events(EventsQuery::default()), "GET /events", Some("1.3")),
        (
            "1.6",
            Call::ImageLoad { quiet: false },
            "POST /images/load",
            Some("1.7"),
        ),
        (
            "1.22",
            Call::ImageLoad { quiet: true },
            "the parameter quiet",
            Some("1.23"),
        ),
        ("1.11", list("status"), "the parameter filters", Some("1.12")),
        ("1.17", list("label"), "the filter label", Some("1.18")),
        ("1.23", list("network"), "the filter network", Some("1.24")),
        ("1.24", images, "several values of the filter reference", None),
        ("1.24", tag, "a tag that is not moved", None),
        ("1.24", start(none()), "a host configuration at start", None),
        ("1.2", start(none()), "a host configuration at start", Some("1.3")),
        ("1.15", start(json!({"Memory": 1})), "Memory at start", Some("1.16")),
        ("1.13", start(json!({"CapAdd": ["X"]})), "CapAdd", Some("1.14")),
        (
            "1.22",
            create(none(), json!({"PidsLimit": 5})),
            "HostConfig.PidsLimit",
            Some("1.23"),
        ),
        (
            "1.14",
            create(none(), json!({"Binds": ["/a:/b"]})),
            "HostConfig.Binds",
            Some("1.15"),
        ),
        // Between the versions that have it beside the program and those that have it in the host configuration.
        (
            "1.14",
            create(none(), json!({"Dns": ["8.8.8.8"]})),
            "HostConfig.Dns",
            Some("1.15"),
        ),
        (
            "1.13",
            create(none(), json!({"RestartPolicy": {"Name": "always"}})),
            "RestartPolicy.MaximumRetryCount",
            Some("1.14"),
        ),
        (
            "1.11",
            create(none(), json!({"VolumesFrom": ["a,b"]})),
            "HostConfig.VolumesFrom of such names",
            Some("1.15"),
        ),
        (
            "1.20",
            create(none(), json!({"RestartPolicy": {"Name": "unless-stopped"}})),
            "the restart policy unless-stopped",
            Some("1.21"),
        ),
        (
            "1.18",
            create(json!({"Entrypoint": []}), none()),
            "an empty Entrypoint",
            Some("1.19"),
        ),
        (
            "1.3",
            create(json!({"WorkingDir": "/"}), none()),
            "WorkingDir",
            Some("1.4"),
        ),
        (
            "1.5",
            create(json!({"ExposedPorts": {"80/tcp": {}}}), none()),
            "ExposedPorts.80/tcp",
            Some("1.6"),
        ),
        (
            "1.14",
            create(none(), published(json!({"80/tcp": [{"HostIp": "", "HostPort": "1"}]}))),
            "HostConfig.PortBindings of 80/tcp",
            Some("1.15"),
        ),
        ("1.23", search(Some(1), 0), "the parameter limit", Some("1.24")),
        ("1.23", search(None, 1), "the parameter filters", Some("1.24")),
        ("1.4", pull(login()), "X-Registry-Auth.password", Some("1.5")),
        (
            "1.22",
            pull(with_token()),
            "X-Registry-Auth.identitytoken",
            Some("1.23"),
        ),
        (
            "1.24",
            pull(RegistryAuth::Stored),
            "the login that the daemon keeps",
            None,
        ),
        (
            "1.1",
            pull(RegistryAuth::None),
            "nobody in place of the login that the daemon keeps",
            Some("1.2"),
        ),
        (
            "1.1",
            build(json!({})),
            "an archive as the context of a build",
            Some("1.2"),
        ),
        ("1.4", build(json!({"remove": true})), "the parameter rm", Some("1.5")),
        (
            "1.11",
            build(json!({"force": true})),
            "the parameter forcerm",
            Some("1.12"),
        ),
        (
            "1.20",
            build(json!({"tags": 2})),
            "several tags for a build",
            Some("1.21"),
        ),
        (
            "1.8",
            build(json!({"logins": 2})),
            "logins for several registries",
            Some("1.9"),
        ),
        (
            "1.7",
            build(json!({"logins": 1})),
            "X-Registry-Auth.password",
            Some("1.8"),
        ),
        (
            "1.22",
            Call::VolumeCreate(from_value(json!({"DriverOpts": {"type": "tmpfs"}})).expect("a volume")),
            "DriverOpts of the local driver",
            Some("1.23"),
        ),
        (
            "1.22",
            Call::NetworkCreate(from_value(json!({"Name": "n", "EnableIPv6": true})).expect("a network")),
            "EnableIPv6 unlike the option com.docker.network.enable_ipv6",
            Some("1.23"),
        ),
        ("1.20", commit(json!({"StopSignal": "9"})), "StopSignal", Some("1.21")),
        (
            "1.12",
            commit(json!({})),
            "a commit that pauses the container",
            Some("1.13"),
        ),
        ("1.18", stats(false), "the parameter stream", Some("1.19")),
        ("1.16", stats(true), "GET /containers/{id}/stats", Some("1.17")),
        (
            "1.21",
            Call::ExecInspect {
                exec: "e".into(),
                container: false,
            },
            "an exec without its container",
            Some("1.22"),
        ),
        ("1.24", inspect(""), r#"the name "" in a path"#, None),
        ("1.24", inspect(".."), r#"the name ".." in a path"#, None),
        (
            "1.24",
            inspect("../images/x"),
            r#"the name "../images/x" in a path"#,
            None,
        ),
        ("1.24", inspect("a//b"), r#"the name "a//b" in a path"#, None),
    ];
    for (last, call, what, first) in rows {
        let error = encode(&call, &at(version(last))).expect_err(what);
        assert_eq!((error.what.as_str(), error.version), (what, version(last)));
        if let Some(first) = first {
            encode(&call, &at(version(first))).expect(what);
        }
    }
}

fn create(config: Value, host_config: Value) -> Call {
    Call::ContainerCreate(Box::new(ContainerCreate {
        config: from_value(config).expect("a configuration"),
        host_config: from_value(host_config).expect("a host configuration"),
        ..ContainerCreate::default()
    }))
}

fn filters(pairs: &[(&str, &str)]) -> Filters {
    let mut filters = Filters::default();
    for (name, value) in pairs {
        filters.0.entry((*name).into()).or_default().push((*value).into());
    }
    filters
}

/// What the server reads where a version has no choice: lists below v1.3 come with sizes, and the one login of v1.8 names its
/// registry.
fn as_far_as(version: ApiVersion, mut call: Call) -> Call {
    if let Call::ContainerList(list) = &mut call {
        let mut unasked = Asked {
            query: Query::default(),
            body: serde_json::Map::new(),
        };
        dialect::lift(version, Route::ContainerList, &mut unasked);
        list.size |= unasked.query.flag("size");
    }
    if let Call::Build(build) = &mut call
        && version < super::version("1.9")
    {
        for (registry, login) in &mut build.logins {
            let is_index = registry == "https://index.docker.io/v1/";
            if login.server_address.is_empty() && !is_index {
                login.server_address.clone_from(registry);
            }
        }
    }
    call
}

/// A newly served endpoint needs an arm in `any_call`, and in `replies` as well if it answers in JSON.
#[test]
fn every_served_endpoint_is_asked() {
    let endpoints = include_str!("../../../tests/cases/endpoints.tsv").lines().skip(1);
    let routes = endpoints.filter_map(|line| {
        let mut fields = line.split('\t');
        let (method, path) = (
            fields.next()?,
            fields.next()?.replace("{id}", "x").replace("{name}", "x"),
        );
        route::find(method, &path).map(|(route, _)| route)
    });
    let mut missing: Vec<_> = routes.filter(|route| route.is_served()).collect();
    let (calls, mut runner) = (any_call(), TestRunner::deterministic());
    for _ in 0..5000 {
        let call = calls.new_tree(&mut runner).expect("a call").current();
        let Ok(asked) = ask(&call, ApiVersion::NEWEST) else {
            continue;
        };
        missing.retain(|route| *route != asked.route);
        let replied = replies::calls().iter().any(|other| other.endpoint() == call.endpoint());
        assert!(replied || !matches!(asked.expects, Expects::Json(_)), "{call:?}");
    }
    assert_eq!(missing, NEVER_ASKED.map(|(route, _)| route));
    for (_, endpoint) in NEVER_ASKED {
        let listed = format!("//! - `{endpoint}`");
        assert!(
            include_str!("../mod.rs").contains(&listed),
            "the tour does not list {endpoint}"
        );
    }
}

/// Endpoints that are served, but not asked, because another one tells the same; see the tour of the module.
const NEVER_ASKED: [(Route, &str); 3] = [
    (Route::ContainerAttachWebsocket, "GET /containers/{id}/attach/ws"),
    (Route::ContainerResizeByGet, "GET /containers/{id}/resize"),
    (Route::ImageViz, "GET /images/viz"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_server_reads_what_the_client_meant(call in any_call(), version in any_version()) {
        let Ok(outgoing) = encode(&call, &at(version)) else { return Ok(()) };
        let read = served(&outgoing).map(|(_, call)| call);
        prop_assert_eq!(read, Ok(as_far_as(version, call.clone())));
        let streams = matches!(outgoing.body, OutgoingBody::Stream(_));
        prop_assert_eq!(streams, call.streams_body());
    }

    /// Newer versions can say more, but for what was taken away.
    #[test]
    fn the_newest_version_says_nearly_everything(call in any_call()) {
        let Err(error) = encode(&call, &at(ApiVersion::NEWEST)) else { return Ok(()) };
        let known = [
            "POST /containers/{id}/copy", "POST /images/getCache", "POST /images/{name}/insert", "GET /auth",
            "a host configuration at start", "a login that is kept by the daemon", "a registry beside the repository",
            "a tag that is not moved", "an exec with its container", "several values of the filter reference",
            "the login that the daemon keeps",
        ];
        prop_assert!(known.contains(&error.what.as_str()) || error.what.ends_with(" in a path"), "{error}");
    }
}
