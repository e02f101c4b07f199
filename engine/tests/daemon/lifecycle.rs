//! One container's whole life, by old and new API versions, and what it looks like from inside.

use gantry_conformance::client::Request;
use serde_json::json;

use crate::harness::{Daemon, is_root, json_of, status, text};

#[test]
fn create_start_wait_remove_by_every_version() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    for minor in 0..=24 {
        let base = format!("/v1.{minor}/containers");
        let body = json!({"Image": "probe", "Cmd": ["/probe", "exit", "3"], "NetworkDisabled": true});
        let created = daemon.post_json(&format!("{base}/create"), &body);
        assert_eq!(status(&created), 201, "v1.{minor}: {}", text(&created));
        let id = json_of(&created)["Id"].as_str().expect("an id").to_owned();
        let started = daemon.post(&format!("{base}/{id}/start"));
        assert!(matches!(status(&started), 200 | 204), "v1.{minor}: {}", text(&started));
        let waited = daemon.post(&format!("{base}/{id}/wait"));
        assert_eq!(json_of(&waited)["StatusCode"], 3, "v1.{minor}");
        let inspected = json_of(&daemon.get(&format!("{base}/{id}/json")));
        assert_eq!(inspected["State"]["Running"], false, "v1.{minor}: {inspected}");
        assert_eq!(inspected["State"]["ExitCode"], 3, "v1.{minor}: {inspected}");
        assert_eq!(status(&daemon.delete(&format!("{base}/{id}"))), 204, "v1.{minor}");
        assert_eq!(status(&daemon.get(&format!("{base}/{id}/json"))), 404, "v1.{minor}");
    }
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

#[test]
fn output_exit_codes_and_environment() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    assert_eq!(
        daemon.run(&["both", "to out", "to err"], json!({})),
        (0, "to out\n".into(), "to err\n".into())
    );
    assert_eq!(daemon.run(&["exit", "42"], json!({})).0, 42);
    let (_, out, _) = daemon.run(&["environment"], json!({"Env": ["A=1", "PATH=/x"], "Hostname": "box"}));
    let mut lines: Vec<_> = out.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["A=1", "HOME=/", "HOSTNAME=box", "PATH=/x"]);
    assert_eq!(
        daemon.run(&["directory"], json!({"WorkingDir": "/made/here"})).1,
        "/made/here\n"
    );
    assert_eq!(
        daemon.run(&["file", "/etc/hostname"], json!({"Hostname": "box"})).1,
        "box\n"
    );
    let (_, status, _) = daemon.run(&["file", "/proc/self/status"], json!({"User": "alice"}));
    let field = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    assert_eq!(field("Uid:"), "1000\t1000\t1000\t1000");
    assert_eq!(field("Gid:"), "1001\t1001\t1001\t1001");
    assert_eq!(field("Groups:"), "10 1001");
    assert_eq!(field("CapEff:"), "0000000000000000");
    assert_eq!(field("CapBnd:"), "00000000a80425fb");
    assert_eq!(field("Seccomp:"), "2");
}

#[test]
fn stop_kill_and_remove() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let call = |id: &str, verb: &str| status(&daemon.post(&format!("/v1.24/containers/{id}/{verb}")));
    // The first process of a pid namespace ignores signals that it has no handler for, so the grace has to end it.
    let id = daemon.create(&["stay"], json!({}));
    daemon.start_container(&id);
    assert_eq!(call(&id, "start"), 304);
    assert_eq!(call(&id, "stop?t=0"), 204);
    assert_eq!(call(&id, "stop"), 304);
    assert_eq!(daemon.wait(&id), 137);
    daemon.start_container(&id);
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}"))), 409);
    assert_eq!(call(&id, "kill"), 204);
    assert_eq!(call(&id, "kill"), 409);
    assert_eq!(daemon.wait(&id), 137);
    daemon.start_container(&id);
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}?force=1"))), 204);
    assert_eq!(daemon.leftovers(), Vec::<String>::new());
}

#[test]
fn containers_reach_each_other_and_the_gateway() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let bridge = json!({"HostConfig": {"NetworkMode": "bridge"}});
    let server = daemon.create(&["serve", "0.0.0.0:80", "reached"], bridge.clone());
    daemon.start_container(&server);
    daemon.eventually("the server listens", |daemon| daemon.logs(&server).0 == "listening\n");
    let settings = &daemon.inspect(&server)["NetworkSettings"];
    let address = settings["IPAddress"].as_str().expect("an address").to_owned();
    let (code, out, err) = daemon.run(&["connect", &format!("{address}:80")], bridge);
    assert_eq!((code, out.as_str()), (0, "reached"), "{err}");
    let (_, hosts, _) = daemon.run(
        &["file", "/etc/hosts"],
        json!({"HostConfig": {"NetworkMode": "bridge"}, "Hostname": "me"}),
    );
    assert!(hosts.lines().any(|line| line.ends_with("\tme")), "{hosts}");
    // The namespace of the daemon is one hop away: its gateway address answers, if only to say that nobody listens.
    let gateway = settings["Gateway"].as_str().expect("a gateway").to_owned();
    let (_, _, err) = daemon.run(
        &["connect", &format!("{gateway}:81")],
        json!({"HostConfig": {"NetworkMode": "bridge"}}),
    );
    assert!(err.contains("refused"), "{err}");
    let (_, out, _) = daemon.run(&["list", "/sys/class/net"], json!({}));
    assert!(
        out.lines().any(|line| line == "lo") && !out.lines().any(|line| line == "eth0"),
        "{out}"
    );
}

#[test]
fn images_are_imported_tagged_listed_and_removed() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let names = |daemon: &Daemon| {
        let list = json_of(&daemon.get("/v1.24/images/json"));
        let tags = list
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|image| image["RepoTags"].as_array().cloned().unwrap_or_default());
        let mut tags: Vec<_> = tags.map(|tag| tag.as_str().expect("text").to_owned()).collect();
        tags.sort();
        tags
    };
    assert_eq!(names(&daemon), ["gantry/hello:latest", "probe:latest"]);
    assert_eq!(status(&daemon.post("/v1.24/images/probe/tag?repo=other&tag=x")), 201);
    assert_eq!(names(&daemon), ["gantry/hello:latest", "other:x", "probe:latest"]);
    let id = daemon.create(&["true"], json!({}));
    assert_eq!(status(&daemon.delete("/v1.24/images/other:x")), 200);
    assert_eq!(status(&daemon.delete("/v1.24/images/probe")), 409);
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}"))), 204);
    assert_eq!(status(&daemon.delete("/v1.24/images/probe")), 200);
    assert_eq!(names(&daemon), ["gantry/hello:latest"]);
    // The built-in image runs.
    let created = daemon.post_json("/v1.24/containers/create?name=hello", &json!({"Image": "gantry/hello"}));
    assert_eq!(status(&created), 201, "{}", text(&created));
    daemon.start_container("hello");
    assert_eq!(daemon.wait("hello"), 0);
    assert!(daemon.logs("hello").0.starts_with("Hello from gantry!\n"));
}

#[test]
fn events_tell_the_whole_life() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let mut connection = daemon.connect();
    let head = connection.begin(&Request::new(
        "GET",
        "/v1.24/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D",
    ));
    assert_eq!(head.expect("a head before any event").status, 200);
    let id = daemon.create(&["exit", "5"], json!({}));
    daemon.start_container(&id);
    daemon.wait(&id);
    daemon.delete(&format!("/v1.24/containers/{id}"));
    let mut seen = String::new();
    while !seen.contains("destroy") {
        let piece = connection.read_piece().expect("an event").expect("the stream goes on");
        seen += std::str::from_utf8(piece).expect("text");
    }
    let actions: Vec<_> = serde_json::Deserializer::from_str(&seen)
        .into_iter::<serde_json::Value>()
        .map(|event| event.expect("whole events"))
        .map(|event| event["Action"].as_str().expect("an action").to_owned())
        .collect();
    assert_eq!(actions, ["create", "start", "die", "destroy"]);
}
