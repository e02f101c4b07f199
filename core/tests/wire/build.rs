//! Builds: the context of each era as it arrives, and the head that v1.0 clients wait for.

use gantry_core::{Call, ContextPart, Event, Item, Refusal, Reply, RequestId, model::Progress};

use super::scenario::{FIRST, PING, Scenario, passive};

const RAW: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";

fn head(version: &str, fields: &str) -> String {
    format!("POST /v{version}/build?t=x HTTP/1.1\r\nHost: docker\r\n{fields}\r\n")
}

/// What was told after the call, neighbouring bytes joined.
fn told(scenario: &Scenario) -> Vec<(Option<ContextPart>, String)> {
    let mut parts: Vec<(Option<ContextPart>, String)> = vec![];
    for event in &scenario.events {
        match event {
            Event::ContextPart { part, .. } => parts.push((Some(part.clone()), String::new())),
            Event::Body { bytes, .. } => {
                let (_, text) = parts.last_mut().expect("a part comes before its bytes");
                text.push_str(std::str::from_utf8(bytes).unwrap());
            }
            Event::BodyEnd { .. } => parts.push((None, "end".into())),
            Event::Aborted { .. } => parts.push((None, "aborted".into())),
            Event::Call { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    parts
}

fn line(text: &str) -> Item {
    Item::Progress(Progress {
        stream: Some(text.into()),
        ..Progress::default()
    })
}

fn form() -> String {
    "--B\r\nContent-Disposition: form-data; name=\"Context\"; filename=\"c.tar.bz2\"\r\nContent-Type: \
     application/octet-stream\r\n\r\nBZh9\r\n--B\r\nContent-Disposition: form-data; name=\"Dockerfile\"; \
     filename=\"Dockerfile\"\r\n\r\nFROM a\r\n--B--\r\n"
        .into()
}

#[test]
fn contexts_of_every_era() {
    let archive = |text: &str| (Some(ContextPart::Archive), text.to_owned());
    let dockerfile = |text: &str| (Some(ContextPart::Dockerfile), text.to_owned());
    let end = || (None, "end".to_owned());
    let multipart = "Content-Type: multipart/form-data; boundary=B\r\n";
    let rows = [
        ("tar", "1.24", "", "ustar".to_owned(), vec![archive("ustar"), end()]),
        ("nothing", "1.24", "", String::new(), vec![end()]),
        (
            "form",
            "1.2",
            multipart,
            form(),
            vec![archive("BZh9"), dockerfile("FROM a"), end()],
        ),
        (
            "Dockerfile",
            "1.0",
            "",
            "FROM a".to_owned(),
            vec![dockerfile("FROM a"), end()],
        ),
    ];
    for (name, version, fields, body, expected) in rows {
        for len in [1, 5, 1000] {
            let chunks = body.as_bytes().chunks(len);
            let chunks: String = chunks
                .map(|piece| format!("{:x}\r\n{}\r\n", piece.len(), std::str::from_utf8(piece).unwrap()))
                .collect();
            let mut scenario = Scenario::new(passive);
            scenario.receive(head(version, &format!("{fields}Transfer-Encoding: chunked\r\n")));
            for byte in format!("{chunks}0\r\n\r\n").as_bytes() {
                scenario.receive([*byte]);
            }
            assert_eq!(told(&scenario), expected, "{name}, {len}");
            assert!(matches!(scenario.calls()[..], [Call::Build(_)]), "{name}");
            assert!(scenario.sent.is_empty(), "{name}: the daemon has not answered");
        }
    }
}

#[test]
fn a_form_that_breaks_ends_the_request() {
    let multipart = "Content-Type: multipart/form-data; boundary=B\r\n";
    let cut = form().replace("--B--", "");
    let rows = [
        ("cut", cut, 3),
        ("a part without line", "--B x\r\n\r\n".to_owned(), 1),
        ("a long head", format!("--B\r\nX: {}", "x".repeat(9000)), 1),
    ];
    for (name, body, events) in rows {
        let mut scenario = Scenario::new(passive);
        let len = body.len();
        scenario.receive(head("1.1", &format!("{multipart}Content-Length: {len}\r\n")) + &body + PING);
        assert_eq!(told(&scenario).last(), Some(&(None, "aborted".to_owned())), "{name}");
        assert_eq!(told(&scenario).len(), events, "{name}: {:?}", scenario.events);
        assert_eq!((scenario.statuses(), scenario.is_shut), (vec![400], true), "{name}");
        assert!(
            scenario.text().ends_with("400 Bad Request: malformed multipart form"),
            "{name}"
        );
        // It is over, and late commands do nothing.
        scenario.respond(FIRST, Reply::ProgressStream);
        assert_eq!(scenario.statuses(), [400], "{name}");
    }

    // After the answer there is no status left to say it with.
    let mut late = Scenario::new(passive);
    late.receive(head("1.1", &format!("{multipart}Content-Length: 9\r\n")) + "--B\r\n");
    late.respond(FIRST, Reply::ProgressStream).receive("\r\nx\n");
    assert_eq!(late.statuses(), [200]);
    assert!(
        late.is_shut && told(&late).last() == Some(&(None, "aborted".to_owned())),
        "{:?}",
        late.events
    );
}

/// A client of v1.0 sends the Dockerfile on the connection that has left HTTP, after it has seen the head.
#[test]
fn the_head_comes_before_the_dockerfile() {
    for fields in ["", "Content-Length: 0\r\nContent-Type: plain/text\r\n"] {
        let mut scenario = Scenario::new(passive);
        scenario.receive(head("1.0", fields));
        assert_eq!(scenario.take_text(), RAW);
        assert_eq!(told(&scenario), []);
        scenario.receive("FROM a\n").receive("RUN b\n").eof();
        let dockerfile = (Some(ContextPart::Dockerfile), "FROM a\nRUN b\n".to_owned());
        assert_eq!(told(&scenario), [dockerfile, (None, "end".to_owned())]);
        assert!(!scenario.is_shut, "the reply is owed");
        scenario.respond(FIRST, Reply::ProgressStream);
        assert_eq!(
            scenario
                .connection
                .respond(FIRST, Reply::ProgressStream)
                .map_err(|e| e.to_string()),
            Err("request 0 was answered before".to_owned())
        );
        scenario.connection.send(FIRST, line("Step 1\n")).unwrap();
        scenario.finish(FIRST);
        assert_eq!(
            (scenario.take_text(), scenario.is_shut),
            ("Step 1\n\r".to_owned(), true)
        );
    }
}

#[test]
fn a_refusal_after_the_head_is_a_line_of_text() {
    let rows = [
        (
            "refused",
            Reply::Refused(Refusal::EmptyDockerfile { path: "F".into() }),
            "Error: Dockerfile cannot be empty\r\n",
        ),
        ("not a stream", Reply::Done, ""),
    ];
    for (name, reply, expected) in rows {
        let mut scenario = Scenario::new(passive);
        scenario.receive(head("1.0", ""));
        assert!(
            scenario.connection.send(FIRST, line("early")).is_err(),
            "{name}: nothing is open"
        );
        scenario.respond(FIRST, reply);
        assert_eq!(
            (scenario.text(), scenario.is_shut),
            (format!("{RAW}{expected}"), true),
            "{name}"
        );
        scenario.receive("FROM a\n").eof();
        assert_eq!(told(&scenario), [], "{name}: it is over");
    }
}

#[test]
fn a_client_that_goes_away_is_told() {
    let mut scenario = Scenario::new(passive);
    scenario.receive(head("1.0", "")).receive("FROM a\n").reset();
    assert_eq!(told(&scenario).last(), Some(&(None, "aborted".to_owned())));
}

#[test]
fn a_body_or_a_remote_needs_no_head_before() {
    let mut body = Scenario::new(passive);
    body.receive(head("1.0", "Content-Length: 6\r\n") + "FROM a");
    assert_eq!(body.text(), "");
    body.respond(
        RequestId(0),
        Reply::Refused(Refusal::EmptyDockerfile { path: "F".into() }),
    );
    assert_eq!(body.statuses(), [500]);

    let mut remote = Scenario::new(passive);
    remote.receive("POST /v1.0/build?remote=r HTTP/1.1\r\nHost: docker\r\n\r\n");
    assert_eq!(
        (remote.text(), told(&remote)),
        (String::new(), vec![(None, "end".to_owned())])
    );
}
