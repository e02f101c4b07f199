//! What cannot be done: Docker's status and words for the version, and nothing half-made left behind.

use gantry_conformance::client::Request;
use serde_json::json;

use crate::harness::{Daemon, is_root, json_of, status, text};

#[test]
fn bad_requests_are_refused_by_name() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["stay"], json!({}));
    daemon.start_container(&id);
    daemon.post_json(
        "/v1.24/containers/create?name=taken",
        &json!({"Image": "probe", "Cmd": ["/probe", "true"]}),
    );
    let good = json!({"Image": "probe", "Cmd": ["/probe", "true"]}).to_string();
    // (name, method, path below the version, body, status at v1.12 and at v1.24, words that the answer holds)
    type Row<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, u16, u16, &'a str);
    let rows: &[Row<'_>] = &[
        (
            "unknown image",
            "POST",
            "/containers/create",
            Some(r#"{"Image":"nosuch","Cmd":["x"]}"#),
            404,
            404,
            "No such image: nosuch",
        ),
        (
            "bad JSON",
            "POST",
            "/containers/create",
            Some(r#"{"Image":"#),
            500,
            500,
            "unexpected EOF",
        ),
        (
            "no command",
            "POST",
            "/containers/create",
            Some(r#"{"Image":"probe"}"#),
            500,
            400,
            "No command specified",
        ),
        (
            "bad name",
            "POST",
            "/containers/create?name=-x",
            Some(&good),
            500,
            400,
            "Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
        ),
        (
            "taken name",
            "POST",
            "/containers/create?name=taken",
            Some(&good),
            409,
            409,
            "taken",
        ),
        (
            "unknown container",
            "GET",
            "/containers/nosuch/json",
            None,
            404,
            404,
            "nosuch",
        ),
        (
            "remove while running",
            "DELETE",
            &format!("/containers/{id}"),
            None,
            409,
            409,
            "",
        ),
        (
            "bad signal",
            "POST",
            &format!("/containers/{id}/kill?signal=BOGUS"),
            None,
            500,
            400,
            "Invalid signal: BOGUS",
        ),
        (
            "not supported",
            "POST",
            "/containers/create",
            Some(r#"{"Image":"probe","Cmd":["x"],"HostConfig":{"Privileged":true}}"#),
            501,
            501,
            "Privileged",
        ),
    ];
    for (name, method, path, body, old, new, words) in rows {
        for (version, wanted) in [("v1.12", *old), ("v1.24", *new)] {
            let mut request = Request::new(method, format!("/{version}{path}"));
            if let Some(body) = body {
                request = request.body("application/json", body.as_bytes().to_vec());
            }
            let response = daemon.exchange(&request);
            // A host configuration means nothing to a create before v1.15.
            if *name == "not supported" && version == "v1.12" {
                continue;
            }
            assert_eq!(status(&response), wanted, "{name} at {version}: {}", text(&response));
            let message = if version == "v1.24" {
                json_of(&response)["message"].to_string()
            } else {
                text(&response)
            };
            assert!(message.contains(words), "{name} at {version}: {message}");
        }
    }
    let list = json_of(&daemon.get("/v1.24/containers/json?all=1"));
    assert_eq!(list.as_array().map(Vec::len), Some(2));
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let rows = [
        (
            "missing",
            json!(["/nosuch"]),
            json!({}),
            127,
            "no such file or directory",
        ),
        (
            "missing on the path",
            json!(["nosuch"]),
            json!({}),
            127,
            "executable file not found in $PATH",
        ),
        ("not executable", json!(["/plain"]), json!({}), 126, "permission denied"),
        (
            "unknown user",
            json!(["/probe", "true"]),
            json!({"User": "nobody-here"}),
            128,
            "nobody-here",
        ),
    ];
    for (name, command, more, code, words) in rows {
        let id = daemon.create(&[], {
            let mut more = more;
            more["Cmd"] = command;
            more
        });
        let response = daemon.post(&format!("/v1.24/containers/{id}/start"));
        assert!(status(&response) >= 400, "{name}");
        assert!(text(&response).contains(words), "{name}: {}", text(&response));
        let state = &daemon.inspect(&id)["State"];
        assert_eq!(
            (&state["Running"], &state["ExitCode"]),
            (&json!(false), &json!(code)),
            "{name}: {state}"
        );
        assert_eq!(daemon.leftovers(), Vec::<String>::new(), "{name}");
        assert_eq!(
            status(&daemon.delete(&format!("/v1.24/containers/{id}"))),
            204,
            "{name}"
        );
    }
}

#[test]
fn a_client_that_vanishes_in_the_middle_of_an_import_leaves_no_image() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let archive = crate::harness::probe_archive();
    let images = |daemon: &Daemon| json_of(&daemon.get("/v1.24/images/json")).as_array().map(Vec::len);
    let before = images(&daemon);
    for path in ["/v1.24/images/create?fromSrc=-&repo=half", "/v1.24/images/load"] {
        let mut connection = daemon.connect();
        let request = Request::new("POST", path)
            .field("Content-Length", &archive.len().to_string())
            .bare_body(Vec::new());
        connection.send(&request.encode()).expect("the head");
        connection
            .send(&archive[..archive.len() / 2])
            .expect("half of the body");
    }
    daemon.eventually("the half images are cleared away", |daemon| {
        let below = |name: &str| std::fs::read_dir(daemon.root().join("data").join(name)).map_or(0, Iterator::count);
        images(daemon) == before && below("trash") == 0
    });
}
