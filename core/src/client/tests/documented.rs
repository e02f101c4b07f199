//! The documented exchanges of v1.0 to v1.22: each request can be said again, each answer is understood.

use alloc::string::ToString;

use serde_json::Value;

use super::{super::ask::ask, *};
use crate::{dialect, documented::DOCUMENTED, http::RequestHead, model};

/// What the newest shape has no place for: endpoint, path, why.
const NO_PLACE: &[(&str, &str, &str)] = &[
    (
        "GET /containers/{id}/json",
        ".ExecDriver",
        "there is no other than native",
    ),
    (
        "GET /containers/{id}/json",
        ".SysInitPath",
        "there is no init program of its own",
    ),
    (
        "GET /exec/{id}/json",
        ".Container.ExecDriver",
        "there is no other than native",
    ),
    ("GET /info", ".DriverStatus.[]", "a pair that lacks one"),
    ("GET /info", ".GoVersion", "is in GET /version"),
    ("GET /info", ".InitPath", "there is no init program of its own"),
    ("GET /info", ".LXCVersion", "there is no LXC"),
    ("GET /info", ".SystemStatus", "there is no cluster"),
    ("GET /version", ".Experimental", "is in GET /info"),
    ("GET /version", ".MemoryLimit", "is in GET /info"),
];

/// The cases, without those of endpoints that are never asked, and the example that forgets its size.
fn cases() -> impl Iterator<Item = (ApiVersion, Value)> {
    ApiVersion::all().zip(DOCUMENTED).flat_map(|(version, cases)| {
        let cases: Vec<Value> = serde_json::from_str(cases).expect("cases");
        let is_asked = |case: &Value| {
            let path = case["path"].as_str().expect("path");
            !path.contains("/attach/ws") && path != "/images/viz" && !path.ends_with("/resize")
        };
        cases.into_iter().filter(is_asked).map(move |case| (version, case))
    })
}

/// The call that a documented request makes, and the server's end of it.
fn call(version: ApiVersion, case: &Value) -> (Exchange, Call) {
    let text = |key: &str| case[key].as_str();
    let body = match &case["request"] {
        Value::Null => String::new(),
        request => request.to_string(),
    };
    let typed = text("content_type").or_else(|| (!body.is_empty()).then_some("application/json"));
    let head = RequestHead {
        method: text("method").expect("method").to_owned(),
        target: format!("/v{version}{}", text("path").expect("path")),
        version: HttpVersion::Http11,
        headers: typed
            .map(|value| ("Content-Type".to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
    };
    let mut exchange = Exchange::begin(&head).expect("an exchange");
    let call = exchange.call(body.as_bytes()).expect("a call");
    (exchange, call)
}

/// The documented answer as bytes.
fn bytes(case: &Value) -> Vec<u8> {
    match (case["kind"].as_str().expect("kind"), &case["reply"]) {
        ("empty", _) => vec![],
        // A slip of the documents; no daemon ever wrote such an offset.
        ("json", reply) => reply.to_string().replace("+02:01360", "+02:00").into_bytes(),
        ("json-stream", Value::Null) => vec![],
        ("json-stream", Value::Array(items)) => items.iter().flat_map(|item| item.to_string().into_bytes()).collect(),
        ("text", Value::String(text)) => text.clone().into_bytes(),
        ("mux-stream-or-raw", _) => b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err".to_vec(),
        ("tar", _) => b"headerdata".to_vec(),
        ("raw-stream", _) => b"out\r\nerr".to_vec(),
        (kind, reply) => panic!("{kind}: {reply}"),
    }
}

/// What the documents say of the headers of an answer.
fn headers(asked: &Call) -> Headers {
    let stat = "eyJuYW1lIjoicm9vdCIsInNpemUiOjQwOTYsIm1vZGUiOjIxNDc0ODQwOTYsIm10aW1lIjoiMjAxNC0wMi0yN1QyMDo1MToyM1oiLCJsaW5r\
                VGFyZ2V0IjoiIn0=";
    match asked {
        Call::ContainerArchiveGet { .. } | Call::ContainerArchiveStat { .. } => {
            [("X-Docker-Container-Path-Stat".to_owned(), stat.to_owned())]
                .into_iter()
                .collect()
        }
        _ => Headers::default(),
    }
}

#[test]
fn requests_can_be_said_again() {
    let mut count = 0;
    for (version, case) in cases() {
        let (_, asked) = call(version, &case);
        let outgoing = match (encode(&asked, &at(version)), &asked) {
            (Ok(outgoing), _) => outgoing,
            // The context was a text or a form.
            (Err(_), Call::Build(_)) if version < super::version("1.2") => continue,
            (Err(error), _) => panic!("{}: {error}", case["id"]),
        };
        assert_eq!(served(&outgoing).map(|(_, call)| call), Ok(asked), "{}", case["id"]);
        count += 1;
    }
    assert!(count > 400, "{count}");
}

#[test]
fn answers_are_understood() {
    let (mut wrong, mut used) = (vec![], vec![false; NO_PLACE.len()]);
    for (version, case) in cases() {
        let id = case["id"].as_str().expect("id");
        let (mut exchange, asked) = call(version, &case);
        let ask = match (ask(&asked, version), &asked) {
            (Ok(ask), _) => ask,
            (Err(_), Call::Build(_)) if version < super::version("1.2") => continue,
            (Err(error), _) => panic!("{id}: {error}"),
        };
        let manner = dialect::manner(version, ask.route);
        let status = u16::try_from(case["status"].as_u64().expect("status")).expect("status");
        let answering = Answering::new(version, manner, ask.route, ask.expects, false, &Limits::default());
        let (opened, items, ending) = received(answering, status, headers(&asked), &bytes(&case), 1000).expect(id);
        match ending {
            Ending::StreamEnd => {
                assert!(opened.is_some_and(|reply| reply.opens_stream()), "{id}");
                assert!(!items.is_empty() || bytes(&case).is_empty(), "{id}");
            }
            Ending::Refused(error) => panic!("{id}: {error}"),
            Ending::Replied(reply) => {
                let (_, told) = sent(&mut exchange, reply, vec![]);
                if case["kind"] == "json" {
                    let told = serde_json::from_slice(&told).expect(id);
                    let documented = serde_json::from_slice(&bytes(&case)).expect(id);
                    lost("", &documented, &told, &mut |path, why| {
                        let known = |(endpoint, at, _): &(&str, &str, &str)| id.contains(endpoint) && path == *at;
                        match NO_PLACE.iter().position(known) {
                            Some(at) => used[at] = true,
                            None => wrong.push(format!("{id}: {path}: {why}")),
                        }
                    });
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(used.iter().all(|used| *used), "not lost any more: {used:?}");
}

/// Values that the document has and the same answer, read and told again, has not. Nothing is as good as zero, and times are
/// compared as such.
fn lost(path: &str, documented: &Value, told: &Value, found: &mut impl FnMut(&str, &str)) {
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<model::Timestamp>().ok());
    match (documented, told) {
        (documented, told) if documented == told || is_zero(documented) && is_zero(told) => {}
        (documented, told) if time(documented).is_some() && time(documented) == time(told) => {}
        (Value::Object(documented), Value::Object(told)) => {
            for (key, value) in documented {
                let told = told.get(key).unwrap_or(&Value::Null);
                lost(&format!("{path}.{key}"), value, told, found);
            }
        }
        (Value::Array(documented), Value::Array(told)) if documented.len() == told.len() => {
            for (documented, told) in documented.iter().zip(told) {
                lost(&format!("{path}.[]"), documented, told, found);
            }
        }
        (documented, told) => found(path, &format!("{documented} is {told}")),
    }
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_zero),
    }
}
