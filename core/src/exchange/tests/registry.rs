//! Logins, searches and progress of what talks to a registry: where a login may stand, what a broken one is, and that none is
//! ever printed. What daemons make of odd ones was asked of Docker 20.10.

use alloc::{boxed::Box, format, string::String, vec};
use core::time::Duration;

use serde_json::{Value, json};

use super::{super::*, answer, begin, begin_with, call, content_type};
use crate::{
    AuthCheck, Connection, Event, ImageCached, ImageInsert, ImagePull, ImagePush, ImageSearch, Instant, Limits, Login,
    RegistryAuth,
    driver::{Output, Protocol},
    model,
};

/// `{"username":"u","password":"p"}`
const U_P: &str = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAifQ==";

fn login() -> RegistryAuth {
    RegistryAuth::Login(Box::new(Login {
        username: "u".into(),
        password: "p".into(),
        ..Login::default()
    }))
}

/// Whom a request names.
fn auth(method: &str, target: &str, header: Option<&str>, body: &str) -> RegistryAuth {
    let headers: Vec<_> = header.map(|value| ("x-registry-auth", value)).into_iter().collect();
    let call = begin_with(method, target, &headers).and_then(|mut exchange| exchange.call(body.as_bytes()));
    match call.expect(target) {
        Call::ImagePull(ImagePull { auth, .. })
        | Call::ImagePush(ImagePush { auth, .. })
        | Call::ImageSearch(ImageSearch { auth, .. }) => auth,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn logins_are_found() {
    let none = || RegistryAuth::None;
    let stored = || RegistryAuth::Stored;
    let body = r#"{"username":"u","password":"p"}"#;
    let tokens = RegistryAuth::Login(Box::new(Login {
        email: "e".into(),
        server_address: "s".into(),
        identity_token: "i".into(),
        registry_token: "r".into(),
        ..Login::default()
    }));
    // {"email":"e","serveraddress":"s","identitytoken":"i","registrytoken":"r"}
    let all = "eyJlbWFpbCI6ImUiLCJzZXJ2ZXJhZGRyZXNzIjoicyIsImlkZW50aXR5dG9rZW4iOiJpIiwicmVnaXN0cnl0b2tlbiI6InIifQ==";
    // {"username":"u","password":"p","auth":"ûûû>>>???"} in either alphabet
    let standard = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAiLCJhdXRoIjoiw7vDu8O7Pj4+Pz8/In0=";
    let url_safe = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6InAiLCJhdXRoIjoiw7vDu8O7Pj4-Pz8_In0=";
    let push = "/images/x/push";
    let pull = "/images/create?fromImage=x";
    let rows = [
        ("push: header", "1.24", push, Some(U_P), "", login()),
        ("push: header below v1.5", "1.0", push, Some(U_P), "", login()),
        ("push: header wins", "1.24", push, Some("e30="), body, none()),
        ("push: broken header wins", "1.24", push, Some("!!!"), body, none()),
        ("push: body", "1.2", push, None, body, login()),
        ("push: body later on", "1.24", push, None, body, login()),
        ("push: empty header", "1.24", push, Some(""), body, login()),
        (
            "push: more after the body",
            "1.24",
            push,
            None,
            &format!("{body} x"),
            login(),
        ),
        ("push: empty body", "1.24", push, None, "{}", none()),
        ("push: null", "1.24", push, None, "null", none()),
        ("push: nothing", "1.2", push, None, "", none()),
        ("push: nothing, and the daemon has", "1.1", push, None, "", stored()),
        (
            "push: nobody, and the daemon has",
            "1.1",
            push,
            Some("e30="),
            "",
            stored(),
        ),
        ("push: in the body at once", "1.1", push, None, body, login()),
        ("pull: header", "1.5", pull, Some(U_P), "", login()),
        ("pull: nobody reads the body", "1.24", pull, None, body, none()),
        ("pull: nothing", "1.24", pull, None, "", none()),
        ("pull: nothing, and the daemon has", "1.0", pull, None, "", stored()),
        ("standard alphabet", "1.24", pull, Some(standard), "", login()),
        ("URL-safe alphabet", "1.24", pull, Some(url_safe), "", login()),
        ("no padding", "1.24", pull, Some(U_P.trim_end_matches('=')), "", login()),
        ("every key", "1.24", pull, Some(all), "", tokens),
        // {"USERNAME":"u","Password":"p","nope":1}
        (
            "other case",
            "1.24",
            pull,
            Some("eyJVU0VSTkFNRSI6InUiLCJQYXNzd29yZCI6InAiLCJub3BlIjoxfQ=="),
            "",
            login(),
        ),
        // {"username":"","password":"","email":"","auth":""}
        (
            "all empty",
            "1.24",
            pull,
            Some("eyJ1c2VybmFtZSI6IiIsInBhc3N3b3JkIjoiIiwiZW1haWwiOiIiLCJhdXRoIjoiIn0="),
            "",
            none(),
        ),
        // {"username":"u","password":5}
        (
            "wrong type",
            "1.24",
            pull,
            Some("eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6NX0="),
            "",
            none(),
        ),
        ("no JSON", "1.24", pull, Some("Zm9v"), "", none()),
        ("a list", "1.24", pull, Some("W10="), "", none()),
        ("null", "1.24", pull, Some("bnVsbA=="), "", none()),
    ];
    for (name, version, path, header, body, expected) in rows {
        assert_eq!(
            auth("POST", &format!("/v{version}{path}"), header, body),
            expected,
            "{name}"
        );
    }
    let search = "/v1.24/images/search?term=x";
    assert_eq!(auth("GET", search, Some(U_P), ""), login());
    assert_eq!(auth("GET", search, None, ""), none());
    assert_eq!(auth("GET", "/v1.1/images/search?term=x", None, ""), stored());
}

#[test]
fn requests_become_calls() {
    let check = |store| {
        Call::AuthCheck(Box::new(AuthCheck {
            login: Login {
                username: "u".into(),
                password: "p".into(),
                email: "e".into(),
                server_address: "s".into(),
                ..Login::default()
            },
            store,
        }))
    };
    let pull = |repository: &str, tag: &str, auth| {
        Call::ImagePull(ImagePull {
            repository: repository.into(),
            tag: tag.into(),
            auth,
        })
    };
    let push = |tag: &str, registry: &str, auth| {
        Call::ImagePush(ImagePush {
            image: "h:5000/a/b".into(),
            tag: tag.into(),
            registry: registry.into(),
            auth,
        })
    };
    let search = |is_automated, is_official, stars_min, limit| {
        Call::ImageSearch(ImageSearch {
            term: "h:5000/x y".into(),
            is_automated,
            is_official,
            stars_min,
            limit,
            auth: RegistryAuth::None,
        })
    };
    let cached = |cmd: Option<&str>| {
        Call::ImageCached(Box::new(ImageCached {
            parent: "abc".into(),
            config: model::ContainerConfig {
                cmd: cmd.map(|word| vec![word.into()]),
                ..Default::default()
            },
        }))
    };
    let filters = |json: &str| {
        let escaped = json.replace('{', "%7B").replace('"', "%22").replace('}', "%7D");
        format!("/v1.24/images/search?term=h:5000/x+y&filters={escaped}")
    };
    let (none, stored) = (|| RegistryAuth::None, || RegistryAuth::Stored);
    let who = r#"{"username":"u","password":"p","email":"e","serveraddress":"s","auth":""}"#;
    let insert = Call::ImageInsert(ImageInsert {
        image: "a/b:c".into(),
        url: "http://h/f".into(),
        path: "/usr".into(),
    });
    let rows = [
        ("POST", "/v1.24/auth".into(), who, check(false)),
        ("POST", "/v1.2/auth".into(), who, check(false)),
        ("POST", "/v1.1/auth".into(), who, check(true)),
        ("POST", "/v1.0/auth".into(), who, check(true)),
        ("POST", "/v1.24/auth".into(), "null", Call::AuthCheck(Box::default())),
        ("GET", "/v1.0/auth".into(), "", Call::AuthShow),
        ("GET", "/v1.1/auth".into(), "", Call::AuthShow),
        (
            "POST",
            "/v1.11/images/a/b:c/insert?url=http://h/f&path=/usr".into(),
            "",
            insert,
        ),
        (
            "POST",
            "/v1.24/images/h:5000/a/b/push?tag=v".into(),
            "",
            push("v", "", none()),
        ),
        (
            "POST",
            "/v1.24/images/h:5000/a/b/push?registry=r:1".into(),
            "",
            push("", "", none()),
        ),
        (
            "POST",
            "/v1.1/images/h:5000/a/b/push?registry=r:1".into(),
            "",
            push("", "", stored()),
        ),
        (
            "POST",
            "/v1.0/images/h:5000/a/b/push?registry=r:1".into(),
            "",
            push("", "r:1", stored()),
        ),
        (
            "POST",
            "/v1.24/images/create?fromImage=a&tag=v&registry=r:1".into(),
            "",
            pull("a", "v", none()),
        ),
        (
            "POST",
            "/v1.14/images/create?fromImage=a&registry=r:1".into(),
            "",
            pull("a", "", none()),
        ),
        (
            "POST",
            "/v1.13/images/create?fromImage=a&registry=r:1".into(),
            "",
            pull("r:1/a", "", none()),
        ),
        (
            "POST",
            "/v1.13/images/create?fromImage=a&registry=".into(),
            "",
            pull("a", "", none()),
        ),
        (
            "POST",
            "/v1.2/images/create?fromImage=a&registry=https://r:1/v1/".into(),
            "",
            pull("r:1/a", "", none()),
        ),
        (
            "POST",
            "/v1.2/images/create?fromImage=r:1/a&registry=r:1".into(),
            "",
            pull("r:1/a", "", none()),
        ),
        (
            "GET",
            "/v1.2/images/search?term=h:5000/x+y".into(),
            "",
            search(None, None, 0, None),
        ),
        (
            "GET",
            "/v1.24/images/search?term=h:5000/x+y&limit=100".into(),
            "",
            search(None, None, 0, Some(100)),
        ),
        (
            "GET",
            "/v1.22/images/search?term=h:5000/x+y&limit=1".into(),
            "",
            search(None, None, 0, Some(1)),
        ),
        (
            "GET",
            filters(r#"{"is-automated":["true"],"is-official":["false"]}"#),
            "",
            search(Some(true), Some(false), 0, None),
        ),
        (
            "GET",
            filters(r#"{"stars":{"-1":true,"3":true,"2":true}}"#),
            "",
            search(None, None, 3, None),
        ),
        ("GET", filters(r#"{"stars":["-5"]}"#), "", search(None, None, 0, None)),
        (
            "POST",
            "/v1.0/images/getCache".into(),
            r#"{"Id":"abc","Cmd":["x"],"PortSpecs":null}"#,
            cached(Some("x")),
        ),
        ("POST", "/v1.7/images/getCache".into(), r#"{"id":"abc"}"#, cached(None)),
    ];
    for (method, target, body, expected) in rows {
        assert_eq!(call(method, &target, body), Ok(expected), "{method} {target} {body}");
    }
}

/// Status, type and body of the answer to a request.
fn exchange(method: &str, target: &str, body: &str) -> (u16, String) {
    let mut exchange = begin(method, target, Some("application/json")).expect(target);
    let call = exchange.call(body.as_bytes()).expect(target);
    let (response, bytes) = answer(&mut exchange, &call);
    (response.status, String::from_utf8(bytes).expect("text"))
}

#[test]
fn answers_by_version() {
    let token = "{\"IdentityToken\":\"9cbaf023786cd7\",\"Status\":\"Login Succeeded\"}\n";
    let status = "{\"Status\":\"Login Succeeded\"}\n";
    for (version, expected) in [
        ("1.0", status),
        ("1.2", status),
        ("1.22", status),
        ("1.23", token),
        ("1.24", token),
    ] {
        let answered = exchange("POST", &format!("/v{version}/auth"), "{}");
        assert_eq!(answered, (200, expected.into()), "{version}");
    }
    for (version, expected) in [("1.0", 204), ("1.18", 204), ("1.19", 200), ("1.24", 200)] {
        let mut exchange = begin("POST", &format!("/v{version}/auth"), None).expect(version);
        let response = exchange.respond(Reply::AuthChecked {
            status: String::new(),
            identity_token: Secret::default(),
        });
        assert_eq!(response.status, expected, "{version}");
        assert_eq!(response.body == ResponseBody::None, expected == 204, "{version}");
    }
    let stored = "{\"username\":\"hannibal\",\"email\":\"hannibal@a-team.com\"}\n";
    assert_eq!(exchange("GET", "/v1.1/auth", ""), (200, stored.into()));
    let (status, body) = exchange("POST", "/v1.7/images/getCache", "{}");
    let id = "b750fe79269d2ec9a3c593ef05b4332b1d1a02a62b4accb2c21d589ff2f5f2dc";
    assert_eq!((status, &*body), (200, &*format!("{{\"Id\":\"{id}\"}}\n")));
}

#[test]
fn searches_by_version() {
    let old = json!({"Name": "jdswinbank/sshd", "Description": ""});
    let found = |extra: Value| {
        let mut found = json!({"description": "", "is_official": false, "name": "jdswinbank/sshd", "star_count": 0});
        let fields = found.as_object_mut().expect("an object");
        fields.extend(extra.as_object().expect("an object").clone());
        found
    };
    let rows = [
        ("1.0", old.clone()),
        ("1.6", old),
        ("1.7", found(json!({"is_trusted": true}))),
        ("1.11", found(json!({"is_trusted": true}))),
        ("1.12", found(json!({"is_automated": true}))),
        ("1.18", found(json!({"is_automated": true}))),
        ("1.19", found(json!({"is_automated": true, "is_trusted": true}))),
        ("1.20", found(json!({"is_automated": true}))),
        ("1.24", found(json!({"is_automated": true}))),
    ];
    for (version, expected) in rows {
        let (_, body) = exchange("GET", &format!("/v{version}/images/search?term=x"), "");
        let list: Value = serde_json::from_str(&body).expect(version);
        assert_eq!(list[1], expected, "{version}");
    }
}

#[test]
fn pushes_tell_their_progress() {
    let messages = [
        json!({"status": "Preparing", "id": "f3b690bd57b3", "progressDetail": {}}),
        json!({"aux": {"Tag": "v", "Digest": "sha256:ab", "Size": 528}, "progressDetail": {}}),
    ];
    let detail = "{\"id\":\"f3b690bd57b3\",\"progressDetail\":{},\"status\":\"Preparing\"}\r\n";
    let plain = "{\"id\":\"f3b690bd57b3\",\"status\":\"Preparing\"}\r\n";
    let aux = "{\"aux\":{\"Digest\":\"sha256:ab\",\"Size\":528,\"Tag\":\"v\"},\"progressDetail\":{}}\r\n";
    let text = |error| format!("{{\"error\":\"{error}\",\"errorDetail\":{{\"message\":\"{error}\"}}}}\r\n");
    let (now, then) = (
        text("An image does not exist locally with the tag: x"),
        text("Repository does not exist: x"),
    );
    let rows = [
        ("1.24", "push", vec![detail, aux, &now]),
        ("1.22", "push", vec![detail, aux, &then]),
        ("1.21", "push", vec![detail, &then]),
        ("1.8", "push", vec![detail, &then]),
        ("1.7", "push", vec![plain, &then]),
        ("1.1", "push", vec![plain, &then]),
        (
            "1.0",
            "push",
            vec!["f3b690bd57b3 Preparing\r\n", "Error: Repository does not exist: x\r\n"],
        ),
        (
            "1.0",
            "insert",
            vec!["f3b690bd57b3 Preparing\r\n", "Error: No such image: x\r\n"],
        ),
    ];
    for (version, what, expected) in rows {
        let mut exchange = begin("POST", &format!("/v{version}/images/x/{what}"), None).expect(version);
        exchange.call(b"").expect(version);
        let response = exchange.respond(Reply::ProgressStream);
        let (body, media_type) = match version {
            "1.0" => (ResponseBody::StreamUntilClose, RAW_STREAM),
            _ => (ResponseBody::Stream, JSON),
        };
        assert_eq!(
            (&response.body, content_type(&response)),
            (&body, Some(media_type)),
            "{version}"
        );
        let mut out = VecDeque::new();
        for message in &messages {
            let message = serde_json::from_value(message.clone()).expect("progress");
            exchange.item(Item::Progress(message), &mut out);
        }
        let reference = "x".into();
        exchange.item(Item::Failed(Refusal::NoSuchImage { reference }), &mut out);
        let pieces: Vec<_> = out.into_iter().collect();
        let expected = expected.into_iter().map(|text| Part::Bytes(text.to_owned().into()));
        assert_eq!(pieces, expected.collect::<Vec<_>>(), "{version} {what}");
    }
}

/// Whatever is printed for people to debug with: no password, no token, and not the text that they are made of.
#[test]
fn logins_are_not_printed() {
    let login = r#"{"username":"u","password":"hunter2","identitytoken":"hunter2"}"#;
    // The same as text of a header.
    let header = "eyJ1c2VybmFtZSI6InUiLCJwYXNzd29yZCI6Imh1bnRlcjIiLCJpZGVudGl0eXRva2VuIjoiaHVudGVyMiJ9";
    let body = format!("Content-Length: {}\r\n\r\n{login}", login.len());
    let rows = [
        format!("POST /auth HTTP/1.1\r\nHost: d\r\n{body}"),
        format!("POST /v1.2/images/x/push HTTP/1.1\r\nHost: d\r\n{body}"),
        format!("POST /images/x/push HTTP/1.1\r\nHost: d\r\nX-Registry-Auth: {header}\r\nContent-Length: 9\r\n\r\n"),
        format!("POST /images/create?fromImage=x HTTP/1.1\r\nHost: d\r\nx-registry-auth: {header}\r\n\r\n"),
    ];
    let now = Instant(Duration::ZERO);
    for request in rows {
        let mut connection = Connection::new(Limits::default(), now);
        let mut shown = String::new();
        let mut called = false;
        for byte in request.as_bytes() {
            connection.handle_input(now, &[*byte]);
            shown += &format!("{connection:?}");
            while let Output::Event(event) = connection.poll_output(now, &mut []) {
                shown += &format!("{event:?}");
                let Event::Call { id, call } = event else { continue };
                called = true;
                assert!(
                    shown.contains("username: \"u\"") && shown.contains("Secret(..)"),
                    "{shown}"
                );
                let reply = match call {
                    Call::AuthCheck(_) => Reply::AuthChecked {
                        status: "fine".into(),
                        identity_token: "hunter2".into(),
                    },
                    _ => Reply::ProgressStream,
                };
                shown += &format!("{reply:?}");
                connection.respond(id, reply).expect("a call");
                shown += &format!("{connection:?}");
            }
        }
        // The third one never gets its body, so nobody is told.
        assert_eq!(called, !request.contains("Content-Length: 9"), "{request}");
        assert!(!shown.contains("hunter2") && !shown.contains(header), "{shown}");
    }
    let head = RequestHead {
        method: "POST".into(),
        target: "/images/x/push".into(),
        version: crate::http::HttpVersion::Http11,
        headers: [("X-Registry-Auth".into(), header.into()), ("Host".into(), "d".into())]
            .into_iter()
            .collect(),
    };
    let exchange = Exchange::begin(&head).expect("a push");
    let shown = format!("{head:?} {exchange:?}");
    assert!(shown.contains(r#""Host": "d""#) && !shown.contains(header), "{shown}");
}
