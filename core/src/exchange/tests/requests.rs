//! Requests of every era and the calls they become.

use alloc::{borrow::ToOwned, boxed::Box, format, vec};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{super::*, answer, begin, begin_with, call};
use crate::{
    ContainerArchivePut, ContainerAttach, ContainerLogs, ContainerRemove, ExecCreate, ExecStart, ImageImport,
    ImageList, ImagePull, RegistryAuth, decode::Body, model,
};

#[test]
fn answers_without_a_call() {
    for target in ["/", "*", "/nothing", "/v1.99/containers/json", "//"] {
        let response = begin("OPTIONS", target, None).expect_err(target);
        assert_eq!(
            (response.status, &response.body),
            (200, &ResponseBody::None),
            "{target}"
        );
    }
    let rows = [
        ("//version", "/version"),
        ("/v1.24//version?a=b", "/v1.24/version?a=b"),
        ("/v1.24/containers/../version", "/v1.24/version"),
        ("/./info", "/info"),
        ("/../../info", "/info"),
        ("/v1.24/images//x%20y/json", "/v1.24/images/x%20y/json"),
        ("//", "/"),
        ("/%2e%2e/%0d%0aSet-Cookie:x", "/%0D%0ASet-Cookie:x"),
    ];
    for (target, location) in rows {
        let response = begin("GET", target, None).expect_err(target);
        assert_eq!(response.status, 301, "{target}");
        assert_eq!(response.headers, [("Location", location.into())], "{target}");
    }
}

#[test]
fn requests_become_calls() {
    let attach = |stdin| {
        Call::ContainerAttach(ContainerAttach {
            container: "x".into(),
            stream: true,
            stdin,
            stdout: true,
            ..Default::default()
        })
    };
    let logs = |tail, since| {
        let since = since_time(since);
        Call::ContainerLogs(ContainerLogs {
            container: "x".into(),
            stdout: true,
            tail,
            since,
            ..Default::default()
        })
    };
    let inspect = |size| Call::ContainerInspect {
        container: "x".into(),
        size,
    };
    let stop = |grace_secs| Call::ContainerStop {
        container: "x".into(),
        grace_secs,
    };
    let tag = |force| Call::ImageTag {
        image: "h:1/a/b:c".into(),
        repository: "r".into(),
        tag: "t".into(),
        force,
    };
    let start = |host_config: Option<Value>| Call::ContainerStart {
        container: "x".into(),
        host_config: host_config.map(|config| serde_json::from_value(config).expect("host config")),
    };
    let remove = ContainerRemove {
        container: "x".into(),
        force: true,
        volumes: true,
        link: false,
    };
    let resize = || Call::ContainerResize {
        container: "x".into(),
        height: 40,
        width: 80,
    };
    let import = ImageImport {
        source: "-".into(),
        repository: "r".into(),
        tag: "t".into(),
        changes: vec!["a".into(), "b".into()],
        ..Default::default()
    };
    let stats = |stream| Call::ContainerStats {
        container: "x".into(),
        stream,
    };
    let top = |ps_args: Option<&str>| Call::ContainerTop {
        container: "x".into(),
        ps_args: ps_args.map(Into::into),
    };
    let restart = |grace_secs| Call::ContainerRestart {
        container: "x".into(),
        grace_secs,
    };
    let rename = || Call::ContainerRename {
        container: "x".into(),
        name: "new".into(),
    };
    let update = |config: Value| Call::ContainerUpdate {
        container: "x".into(),
        config: serde_json::from_value(config).expect("update"),
    };
    let exec = |config: Value| {
        Call::ExecCreate(Box::new(ExecCreate {
            container: "x".into(),
            config: serde_json::from_value(config).expect("exec"),
        }))
    };
    let exec_start = |detach, tty| {
        let exec = "x".into();
        Call::ExecStart(ExecStart { exec, detach, tty })
    };
    let exec_inspect = |container| Call::ExecInspect {
        exec: "x".into(),
        container,
    };
    let put = |path: &str, no_overwrite_dir_non_dir| {
        Call::ContainerArchivePut(ContainerArchivePut {
            container: "x".into(),
            path: path.into(),
            no_overwrite_dir_non_dir,
        })
    };
    let copy = |resource: &str| Call::ContainerCopy {
        container: "x".into(),
        resource: resource.into(),
    };
    let get_many = |images: &[&str]| Call::ImageGetMany {
        images: images.iter().copied().map(ToOwned::to_owned).collect(),
    };
    let rows = [
        (
            "archive",
            "GET",
            "/v1.20/containers/x/archive?path=a%20b/",
            "",
            Call::ContainerArchiveGet {
                container: "x".into(),
                path: "a b/".into(),
            },
        ),
        (
            "archive: what it is",
            "HEAD",
            "/v1.24/containers/x/archive?path=/",
            "",
            Call::ContainerArchiveStat {
                container: "x".into(),
                path: "/".into(),
            },
        ),
        (
            "archive: unpack",
            "PUT",
            "/v1.24/containers/x/archive?path=/d",
            "",
            put("/d", false),
        ),
        (
            "archive: unpack, 1",
            "PUT",
            "/v1.22/containers/x/archive?noOverwriteDirNonDir=1&path=d",
            "",
            put("d", true),
        ),
        (
            "archive: unpack, True",
            "PUT",
            "/v1.20/containers/x/archive?path=/d&noOverwriteDirNonDir=True",
            "",
            put("/d", true),
        ),
        (
            "archive: unpack, false",
            "PUT",
            "/v1.20/containers/x/archive?path=/d&noOverwriteDirNonDir=false",
            "",
            put("/d", false),
        ),
        (
            "copy",
            "POST",
            "/v1.4/containers/x/copy",
            r#"{"Resource":"a"}"#,
            copy("a"),
        ),
        (
            "copy: other case, more keys",
            "POST",
            "/v1.23/containers/x/copy",
            r#"{"HostPath":"/h","resource":"/b"}"#,
            copy("/b"),
        ),
        (
            "export",
            "GET",
            "/v1.0/containers/x/export",
            "",
            Call::ContainerExport { container: "x".into() },
        ),
        (
            "image: a name with slashes",
            "GET",
            "/v1.7/images/h:1/a/get/get",
            "",
            Call::ImageGet {
                image: "h:1/a/get".into(),
            },
        ),
        (
            "images: several",
            "GET",
            "/v1.15/images/get?names=a%3Ab&names=c,d",
            "",
            get_many(&["a:b", "c,d"]),
        ),
        ("images: none", "GET", "/v1.24/images/get", "", get_many(&[])),
        ("no version", "GET", "/info", "", Call::Info),
        ("old version", "GET", "/v1.000000/info", "", Call::Info),
        ("ping at every version", "GET", "/v1.0/_ping", "", Call::Ping),
        (
            "attach",
            "POST",
            "/v1.24/containers/x/attach?stream=1&stdout=1&stdin=1",
            "",
            attach(true),
        ),
        (
            "attach, old switches",
            "POST",
            "/v1.0/containers/x/attach?stream=True&stdout=true&stdin=False",
            "",
            attach(false),
        ),
        ("escaped name", "GET", "/v1.24/containers/%78/json", "", inspect(false)),
        ("sizes", "GET", "/v1.21/containers/x/json?size=1", "", inspect(true)),
        (
            "sizes not yet",
            "GET",
            "/v1.20/containers/x/json?size=1",
            "",
            inspect(false),
        ),
        (
            "logs",
            "GET",
            "/v1.24/containers/x/logs?stdout=1&tail=10&since=5.5",
            "",
            logs(Some(10), Some((5, 500_000_000))),
        ),
        (
            "logs: all",
            "GET",
            "/v1.24/containers/x/logs?stdout=1&tail=all&since=0",
            "",
            logs(None, None),
        ),
        (
            "logs: no number",
            "GET",
            "/v1.24/containers/x/logs?stdout=1&tail=abc",
            "",
            logs(None, None),
        ),
        (
            "logs: negative",
            "GET",
            "/v1.24/containers/x/logs?stdout=1&tail=-1",
            "",
            logs(None, None),
        ),
        (
            "logs: none",
            "GET",
            "/v1.24/containers/x/logs?stdout=1&tail=0",
            "",
            logs(Some(0), None),
        ),
        (
            "logs: bad time was ignored",
            "GET",
            "/v1.18/containers/x/logs?stdout=1&since=abc",
            "",
            logs(None, None),
        ),
        ("stop", "POST", "/v1.24/containers/x/stop?t=5", "", stop(Some(5))),
        (
            "stop: for ever",
            "POST",
            "/v1.24/containers/x/stop?t=-1",
            "",
            stop(Some(-1)),
        ),
        (
            "stop: bad time was ignored",
            "POST",
            "/v1.22/containers/x/stop?t=abc",
            "",
            stop(None),
        ),
        (
            "tag moves",
            "POST",
            "/v1.24/images/h:1/a/b:c/tag?repo=r&tag=t",
            "",
            tag(true),
        ),
        (
            "tag stayed",
            "POST",
            "/v1.23/images/h:1/a/b:c/tag?repo=r&tag=t",
            "",
            tag(false),
        ),
        (
            "tag forced",
            "POST",
            "/v1.0/images/h:1/a/b:c/tag?repo=r&tag=t&force=1",
            "",
            tag(true),
        ),
        ("start", "POST", "/v1.24/containers/x/start", "", start(None)),
        (
            "start: short bodies do not count",
            "POST",
            "/v1.24/containers/x/start",
            "{  }",
            start(None),
        ),
        ("start: empty", "POST", "/v1.12/containers/x/start", "{}", start(None)),
        (
            "start: configured",
            "POST",
            "/v1.12/containers/x/start",
            r#"{"Binds":["/a:/b"],"privileged":true}"#,
            start(Some(json!({"Binds": ["/a:/b"], "Privileged": true}))),
        ),
        (
            "remove",
            "DELETE",
            "/v1.24/containers/x?v=1&force=1",
            "",
            Call::ContainerRemove(remove),
        ),
        (
            "history",
            "GET",
            "/v1.24/images/h:1/a/b:c/history",
            "",
            Call::ImageHistory {
                image: "h:1/a/b:c".into(),
            },
        ),
        (
            "the graph is of all images",
            "GET",
            "/v1.6/images/viz?all=0",
            "",
            Call::ImageList(ImageList {
                all: true,
                ..Default::default()
            }),
        ),
        ("resize", "POST", "/v1.0/containers/x/resize?h=40&w=80", "", resize()),
        (
            "resize by GET",
            "GET",
            "/v1.15/containers/x/resize?h=40&w=80",
            "",
            resize(),
        ),
        (
            "import",
            "POST",
            "/v1.24/images/create?fromSrc=-&repo=r&tag=t&changes=a&changes=b",
            "",
            Call::ImageImport(import),
        ),
        (
            "pull",
            "POST",
            "/v1.0/images/create?fromImage=a&fromSrc=",
            "",
            Call::ImagePull(ImagePull {
                repository: "a".into(),
                auth: RegistryAuth::Stored,
                ..Default::default()
            }),
        ),
        (
            "kill",
            "POST",
            "/v1.24/containers/x/kill",
            "",
            Call::ContainerKill {
                container: "x".into(),
                signal: None,
            },
        ),
        (
            "kill: signal",
            "POST",
            "/v1.24/containers/x/kill?signal=9",
            "",
            Call::ContainerKill {
                container: "x".into(),
                signal: Some("9".into()),
            },
        ),
    ];
    let later = [
        (
            "restart",
            "POST",
            "/v1.0/containers/x/restart?t=5",
            "",
            restart(Some(5)),
        ),
        (
            "restart: usual time",
            "POST",
            "/v1.24/containers/x/restart",
            "",
            restart(None),
        ),
        (
            "restart: bad time was ignored",
            "POST",
            "/v1.22/containers/x/restart?t=abc",
            "",
            restart(None),
        ),
        ("rename", "POST", "/v1.17/containers/x/rename?name=new", "", rename()),
        (
            "rename: slash",
            "POST",
            "/v1.24/containers/x/rename?name=%2Fnew",
            "",
            rename(),
        ),
        ("top", "GET", "/v1.24/containers/x/top", "", top(None)),
        (
            "top: arguments",
            "GET",
            "/v1.4/containers/x/top?ps_args=-o+pid,cmd",
            "",
            top(Some("-o pid,cmd")),
        ),
        (
            "top: no arguments",
            "GET",
            "/v1.24/containers/x/top?ps_args=",
            "",
            top(None),
        ),
        (
            "top: fixed columns",
            "GET",
            "/v1.3/containers/x/top?ps_args=aux",
            "",
            top(None),
        ),
        ("stats", "GET", "/v1.17/containers/x/stats", "", stats(true)),
        (
            "stats: once",
            "GET",
            "/v1.19/containers/x/stats?stream=0",
            "",
            stats(false),
        ),
        (
            "stats: once",
            "GET",
            "/v1.24/containers/x/stats?stream=False",
            "",
            stats(false),
        ),
        (
            "stats: once",
            "GET",
            "/v1.24/containers/x/stats?stream=",
            "",
            stats(false),
        ),
        (
            "stats: on",
            "GET",
            "/v1.24/containers/x/stats?stream=True",
            "",
            stats(true),
        ),
        (
            "stats: always on",
            "GET",
            "/v1.18/containers/x/stats?stream=0",
            "",
            stats(true),
        ),
        (
            "update",
            "POST",
            "/v1.22/containers/x/update",
            r#"{"memory":9,"CpusetCpus":"0","Binds":5,"RestartPolicy":{"Name":"always"}}"#,
            update(json!({"Memory": 9, "CpusetCpus": "0", "RestartPolicy": {"Name": "always"}})),
        ),
        (
            "update: nulls",
            "POST",
            "/v1.24/containers/x/update",
            r#"{"Memory":null,"CpusetMems":null,"RestartPolicy":null}"#,
            update(json!({})),
        ),
        (
            "exec",
            "POST",
            "/v1.24/containers/x/exec",
            r#"{"Container":"y","cmd":["a"],"TTY":true,"User":null,"DetachKeys":"ctrl-a"}"#,
            exec(json!({"Cmd": ["a"], "Tty": true, "DetachKeys": "ctrl-a"})),
        ),
        (
            "exec: no keys yet",
            "POST",
            "/v1.21/containers/x/exec",
            r#"{"Cmd":["a"],"detachkeys":"what"}"#,
            exec(json!({"Cmd": ["a"]})),
        ),
        (
            "exec: command as text",
            "POST",
            "/v1.18/containers/x/exec",
            r#"{"Cmd":"a b"}"#,
            exec(json!({"Cmd": ["a b"]})),
        ),
        (
            "exec start",
            "POST",
            "/v1.24/exec/x/start",
            "{}",
            exec_start(false, false),
        ),
        (
            "exec start: detached",
            "POST",
            "/v1.15/exec/x/start",
            r#"{"detach":true,"Tty":null}"#,
            exec_start(true, false),
        ),
        (
            "exec start: terminal",
            "POST",
            "/v1.24/exec/x/start",
            r#"{"Detach":false,"Tty":true,"Container":"y"}"#,
            exec_start(false, true),
        ),
        ("exec inspect", "GET", "/v1.22/exec/x/json", "", exec_inspect(false)),
        (
            "exec inspect: container",
            "GET",
            "/v1.21/exec/x/json",
            "",
            exec_inspect(true),
        ),
        (
            "exec resize",
            "POST",
            "/v1.15/exec/x/resize?h=40&w=80",
            "",
            Call::ExecResize {
                exec: "x".into(),
                height: 40,
                width: 80,
            },
        ),
    ];
    for (name, method, target, body, expected) in rows.into_iter().chain(later) {
        assert_eq!(call(method, target, body), Ok(expected), "{name}: {target}");
    }
}

fn since_time(time: Option<(i64, u32)>) -> Option<model::Timestamp> {
    time.map(|(secs, nanos)| model::Timestamp { secs, nanos })
}

#[test]
fn filters_and_lists() {
    let list = |target: &str| match call("GET", target, "") {
        Ok(Call::ContainerList(list)) => list,
        other => panic!("{target}: {other:?}"),
    };
    let filter = "filters=%7B%22nope%22%3A%5B%22x%22%5D%2C%22status%22%3A%7B%22paused%22%3Atrue%7D%7D";
    let old = list(&format!("/v1.22/containers/json?limit=3&since=a&before=b&{filter}"));
    assert_eq!(old.filters.values("status"), ["paused"]);
    assert!(old.filters.values("nope").is_empty());
    assert_eq!(
        (old.limit, old.since.as_deref(), old.before.as_deref()),
        (Some(3), Some("a"), Some("b"))
    );
    assert_eq!(
        list("/v1.18/containers/json?limit=abc&since=a").since.as_deref(),
        Some("a")
    );
    assert!(list("/v1.2/containers/json").size && !list("/v1.3/containers/json").size);
    match call("GET", "/v1.24/images/json?filter=busybox:1&all=1", "") {
        Ok(Call::ImageList(images)) => assert_eq!(
            (images.all, images.filters.values("reference")),
            (true, &["busybox:1".to_owned()][..])
        ),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_old_exec_started_with_a_body_of_any_type() {
    for typed in [None, Some("text/plain"), Some("application/json")] {
        let mut exchange = begin("POST", "/v1.21/exec/x/start", typed).expect("exec");
        let call = exchange.call(br#"{"Detach":true}"#);
        assert!(
            matches!(call, Ok(Call::ExecStart(ExecStart { detach: true, .. }))),
            "{typed:?}: {call:?}"
        );
    }
}

#[test]
fn attaching_by_websocket() {
    // Standard input, output and error, and the query that asks for them.
    let rows = [
        ("logs=1&stream=1", (true, true, true)),
        ("stream=1&stdin=1", (true, false, false)),
        ("stream=1&stdout=1&stderr=True", (false, true, true)),
        ("stream=1&stdin=0", (false, false, false)),
    ];
    for version in ["1.0", "1.24"] {
        for (query, (stdin, stdout, stderr)) in rows {
            let attach = ContainerAttach {
                container: "x".into(),
                logs: query.contains("logs"),
                stream: true,
                stdin,
                stdout,
                stderr,
            };
            let target = format!("/v{version}/containers/x/attach/ws?{query}");
            assert_eq!(call("GET", &target, ""), Ok(Call::ContainerAttach(attach)), "{target}");
        }
    }
    let keys = "/containers/x/attach/ws?stream=1&detachKeys=bogus-key";
    assert!(call("GET", &format!("/v1.21{keys}"), "").is_ok(), "not known yet");
    let refused = call("GET", &format!("/v1.22{keys}"), "").expect_err(keys);
    assert_eq!((refused.status, refused.close), (400, true));
}

#[test]
fn bodies_are_used() {
    let rows = [
        ("POST", "/auth", Body::Required),
        ("GET", "/v1.1/auth", Body::None),
        ("POST", "/v1.7/images/getCache", Body::Required),
        ("POST", "/images/x/push", Body::Optional),
        ("POST", "/v1.11/images/x/insert", Body::None),
        ("GET", "/images/search", Body::None),
        ("POST", "/containers/x/exec", Body::Required),
        ("POST", "/containers/x/update", Body::Required),
        ("POST", "/exec/x/start", Body::Required),
        ("POST", "/exec/x/resize?h=1&w=1", Body::None),
        ("POST", "/containers/x/restart", Body::None),
        ("GET", "/containers/x/stats", Body::None),
        ("POST", "/build", Body::Stream),
        ("POST", "/commit?container=x", Body::Optional),
        ("GET", "/containers/x/archive?path=/", Body::None),
        ("HEAD", "/containers/x/archive?path=/", Body::None),
        ("PUT", "/containers/x/archive?path=/", Body::Stream),
        ("POST", "/v1.23/containers/x/copy", Body::Required),
        ("GET", "/containers/x/export", Body::None),
        ("GET", "/images/get?names=x", Body::None),
        ("POST", "/containers/create", Body::Required),
        ("POST", "/containers/x/start", Body::Optional),
        ("POST", "/networks/create", Body::Required),
        ("POST", "/networks/x/connect", Body::Required),
        ("POST", "/networks/x/disconnect", Body::Required),
        ("POST", "/volumes/create", Body::Required),
        ("DELETE", "/networks/x", Body::None),
        ("POST", "/images/load", Body::Stream),
        ("POST", "/images/create?fromSrc=-", Body::Stream),
        ("POST", "/images/create?fromSrc=http://x", Body::None),
        ("POST", "/images/create?fromImage=a&fromSrc=-", Body::None),
        ("POST", "/containers/x/attach", Body::None),
        ("GET", "/version", Body::None),
    ];
    for (method, target, expected) in rows {
        let mut exchange = begin(method, target, None).expect(target);
        assert_eq!(exchange.body(), expected, "{target}");
        if matches!(expected, Body::None | Body::Stream) {
            let call = exchange.call(b"").expect(target);
            assert_eq!(call.streams_body(), expected == Body::Stream, "{target}");
        }
    }
}

proptest! {
    #[test]
    fn no_request_panics(
        method in "GET|POST|PUT|DELETE|HEAD|X",
        version in "|/v1\\.[0-9]{1,2}|/v[0-9.]{0,6}",
        path in "/(containers|exec|images|networks|volumes)\
             /(json|create|get|load|search|getCache|viz|[a-z/:%0-9.]{0,12})\
             (/(json|start|archive|attach|attach/ws|changes|connect|copy|disconnect|exec|export|get|history|insert|logs|push|\
             rename|restart|resize|stats|tag|top|update))?|/(auth|build|commit)|.{0,30}",
        query in "(\\?(h|w|t|since|filters|fromSrc|fromImage|registry|size|stdout|limit|name|names|path|ps_args|stream|run|\
             memory|ulimits)=.{0,8}(&[a-z]{0,4}=.{0,4})?)?",
        auth in "|e30=|eyJ1c2VybmFtZSI6InUifQ==|[A-Za-z0-9+/=]{0,12}|.{0,8}",
        body in "(\\{\"(Image|HostConfig|Binds|PortSpecs|Cmd|Container|Detach|DetachKeys|Id|Memory|Name|Resource|\
             RestartPolicy|username|password)\":.{0,12}\\}?)|.{0,8}",
    ) {
        let target = format!("{version}{path}{query}");
        let headers = [("Content-Type", "application/json"), ("X-Registry-Auth", &*auth)];
        if let Ok(mut exchange) = begin_with(&method, &target, &headers)
            && let Ok(call) = exchange.call(body.as_bytes())
        {
            let (response, _) = answer(&mut exchange, &call);
            prop_assert!((200..600).contains(&response.status));
        }
    }

    #[test]
    fn redirects_lead_to_clean_paths(path in "(/[a-z.]{0,3}){1,6}") {
        if let Err(response) = begin("GET", &path, None)
            && response.status == 301
        {
            let location = response.headers.first().map(|(_, value)| value.clone().into_owned()).expect("Location");
            let again = begin("GET", &location, None);
            prop_assert!(again.err().is_none_or(|again| again.status != 301), "{} -> {}", path, location);
        }
    }
}
