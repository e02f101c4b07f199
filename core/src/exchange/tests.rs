//! The documented exchanges of v1.0 to v1.22, tables for what they do not show, and properties.
//!
//! Each case of `tests/cases/v1_NN.json` is sent through an [`Exchange`]; a scripted daemon answers in the newest shape;
//! status, type and the shape of the body (keys and types, not values) must be those of the document. Where gantry says
//! something else on purpose, `tests/cases/deviations.tsv` holds the reason, and an entry that is no longer needed fails.

use alloc::{
    borrow::ToOwned,
    collections::{BTreeMap, BTreeSet, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use serde_json::Value;

use super::*;
use crate::{documented::DOCUMENTED, http::HttpVersion};

mod build;
#[path = "../../tests/cases/daemon.rs"]
mod daemon;
mod lifted;
mod refused;
mod registry;
mod replies;
mod requests;
mod streams;

use daemon::{items, reply};

const ID: &str = "4fa6e0f0c6786287e131c3852c58a2e01cc697a68231826813597e4994f1d6e2";
const PLAIN: &str = "text/plain; charset=utf-8";

/// What asks for a WebSocket; the examples of the documents leave it out.
const HANDSHAKE: [(&str, &str); 4] = [
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

/// A request as far as an exchange sees it.
fn begin(method: &str, target: &str, content_type: Option<&str>) -> Result<Exchange, Response> {
    let handshake = HANDSHAKE.into_iter().filter(|_| target.contains("/attach/ws"));
    let typed = content_type.map(|value| ("Content-Type", value));
    begin_with(method, target, &typed.into_iter().chain(handshake).collect::<Vec<_>>())
}

/// A request with these header fields.
fn begin_with(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Exchange, Response> {
    let headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Exchange::begin(&RequestHead {
        method: method.to_owned(),
        target: target.to_owned(),
        version: HttpVersion::Http11,
        headers: headers.collect(),
    })
}

/// The call that a request makes, or the error answer.
fn call(method: &str, target: &str, body: &str) -> Result<Call, Response> {
    let json = (!body.is_empty()).then_some("application/json");
    begin(method, target, json)?.call(body.as_bytes())
}

/// The bytes of parts none of which is in a pipe.
fn bytes(parts: &VecDeque<Part>) -> Vec<u8> {
    let bytes = |part: &Part| match part {
        Part::Bytes(bytes) => bytes.to_vec(),
        Part::Source { .. } => panic!("{part:?}"),
    };
    parts.iter().flat_map(bytes).collect()
}

/// Everything a client gets: the final head, and all bytes of the body.
fn answer(exchange: &mut Exchange, call: &Call) -> (Response, Vec<u8>) {
    let response = exchange.respond(reply(call));
    let mut out = VecDeque::new();
    for item in items(call) {
        exchange.item(item, &mut out);
    }
    let streamed = bytes(&out);
    match &response.body {
        ResponseBody::Later => {
            assert!(out.is_empty(), "nothing is told before the end");
            (exchange.finish().expect("an answer at the end"), Vec::new())
        }
        ResponseBody::Full(bytes) => (response.clone(), bytes.to_vec()),
        ResponseBody::None => (response, Vec::new()),
        _ => (response, streamed),
    }
}

/// The text of an error answer, out of either form.
fn text(response: &Response) -> String {
    let ResponseBody::Full(bytes) = &response.body else {
        panic!("{response:?}")
    };
    let text = String::from_utf8(bytes.to_vec()).expect("text");
    let text = text.strip_suffix('\n').expect("a line feed at the end");
    match content_type(response) {
        Some("application/json") => {
            let error: Value = serde_json::from_str(text).expect("JSON");
            error["message"].as_str().expect("message").to_owned()
        }
        other => {
            assert_eq!(other, Some(PLAIN));
            text.to_owned()
        }
    }
}

fn content_type(response: &Response) -> Option<&str> {
    let field = response.headers.iter().find(|(name, _)| *name == "Content-Type");
    field.map(|(_, value)| &**value)
}

/// The JSON values of a stream, whatever stands between them.
fn values(bytes: &[u8]) -> Vec<Value> {
    let values = serde_json::Deserializer::from_slice(bytes).into_iter();
    values.collect::<Result<_, _>>().expect("JSON values")
}

/// Keys of maps whose keys are names or values.
const MAPS: &[&str] = &[
    "Attributes",
    "AuxiliaryAddresses",
    "Containers",
    "Data",
    "ExposedPorts",
    "IndexConfigs",
    "Labels",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Runtimes",
    "Status",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "VolumesRW",
    "networks",
    "stats",
];

/// Path → types. `[]` stands for the elements of a list, `*` for the values of a map.
fn shape(value: &Value, path: &str, shape_of: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    if !path.is_empty() {
        shape_of.entry(path.to_owned()).or_default().insert(json::kind(value));
    }
    let under = |step: &str| {
        if path.is_empty() {
            step.to_owned()
        } else {
            format!("{path}.{step}")
        }
    };
    match value {
        Value::Array(list) => list.iter().for_each(|value| shape(value, &under("[]"), shape_of)),
        Value::Object(map) => {
            let last = path.rsplit('.').next().unwrap_or_default();
            for (key, value) in map {
                let step = if MAPS.contains(&last) { "*" } else { key };
                shape(value, &under(step), shape_of);
            }
        }
        _ => {}
    }
}

/// Whether a path is there, or something above it is and has nothing in it (`null`, an empty list or map).
fn is_sent(sent: &BTreeMap<String, BTreeSet<&'static str>>, path: &str) -> bool {
    let is_empty = |path: &str| sent.contains_key(path) && !sent.keys().any(|p| p.starts_with(&format!("{path}.")));
    let mut above = path;
    while let Some((parent, _)) = above.rsplit_once('.') {
        if is_empty(parent) {
            return true;
        }
        above = parent;
    }
    sent.contains_key(path)
}

/// What the document shows and the answer lacks, or has with another type. `null` and empty lists fit anything.
fn missing(documented: &Value, answered: &Value) -> Vec<String> {
    let (mut wanted, mut got) = (BTreeMap::new(), BTreeMap::new());
    shape(documented, "", &mut wanted);
    shape(answered, "", &mut got);
    let differs = |(path, types): (&String, &BTreeSet<&str>)| match got.get(path) {
        None if is_sent(&got, path) => None,
        None => Some(path.clone()),
        Some(found) if types.contains("null") || found.contains("null") => None,
        Some(found) if types.is_disjoint(found) => Some(format!("{path}: {types:?} is {found:?}")),
        Some(_) => None,
    };
    wanted.iter().filter_map(differs).collect()
}

/// How the answer to a documented request differs from the documented answer.
fn differences(minor: usize, case: &Value) -> Vec<String> {
    let text = |key: &str| case[key].as_str();
    let method = text("method").expect("method");
    let target = format!("/v1.{minor}{}", text("path").expect("path"));
    let body = match &case["request"] {
        Value::Null => String::new(),
        request => request.to_string(),
    };
    // A body without type is a slip of the example: its neighbours have one.
    let typed = text("content_type").or_else(|| (!body.is_empty()).then_some("application/json"));
    let mut exchange = match begin(method, &target, typed) {
        Ok(exchange) => exchange,
        Err(response) => return vec![format!("no exchange: {response:?}")],
    };
    let call = match exchange.call(body.as_bytes()) {
        Ok(call) => call,
        Err(response) => return vec![format!("no call: {response:?}")],
    };
    let (response, bytes) = answer(&mut exchange, &call);
    let mut found = Vec::new();
    let status = case["status"].as_u64().expect("status");
    let upgraded = response.body == ResponseBody::Hijack;
    if u64::from(response.status) != status && !(status == 101 && upgraded) {
        found.push(format!("status: {status} is {}", response.status));
    }
    let media_type = |text: &str| text.split(';').next().unwrap_or_default().to_owned();
    let has_body = !matches!(text("kind"), Some("empty" | "websocket"));
    if has_body && text("reply_type").map(media_type) != content_type(&response).map(media_type) {
        found.push(format!(
            "type: {:?} is {:?}",
            text("reply_type"),
            content_type(&response)
        ));
    }
    match text("kind").expect("kind") {
        "empty" if !bytes.is_empty() => found.push(format!("body: none is {bytes:?}")),
        "tar" if bytes != b"headerdata" => found.push(format!("body: {bytes:?}")),
        "text" if Some(&*bytes) != text("reply").map(str::as_bytes) => found.push(format!("body: {bytes:?}")),
        "json" => match serde_json::from_slice(&bytes) {
            Ok(answered) => found.extend(missing(&case["reply"], &answered)),
            Err(e) => found.push(format!("body: {e}")),
        },
        "json-stream" => found.extend(missing(&case["reply"], &Value::Array(values(&bytes)))),
        "raw-stream" => {
            let is_output = target.contains("/attach");
            let expected = if is_output {
                "outerr"
            } else if target.ends_with("/build") {
                "Step 1/5...\n\r...\rError: Error...\r\n"
            } else {
                "8dbd9e392a96 Pulling 1 B/100 B\rError: Invalid...\r\n"
            };
            if bytes != expected.as_bytes() {
                found.push(format!("body: {:?}", String::from_utf8_lossy(&bytes)));
            }
        }
        "websocket" if bytes != b"\x81\x03out\x81\x03err" => found.push(format!("body: {bytes:?}")),
        "mux-stream-or-raw" if bytes != b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x03err" => {
            found.push(format!("body: {bytes:?}"));
        }
        _ => {}
    }
    found
}

/// The shape of the answer to a request without body.
fn sent(endpoint: &str, minor: u8) -> BTreeMap<String, BTreeSet<&'static str>> {
    let (method, target) = endpoint.split_once(' ').expect(endpoint);
    let mut exchange = begin(method, &format!("/v1.{minor}{target}"), None).expect(endpoint);
    let call = exchange.call(b"").expect(endpoint);
    let (_, bytes) = answer(&mut exchange, &call);
    let mut sent = BTreeMap::new();
    shape(&serde_json::from_slice(&bytes).expect(endpoint), "", &mut sent);
    sent
}

/// What recorded daemons of an era send at its versions, gantry sends too, but for the entries of the list.
#[test]
fn what_daemons_sent() {
    let absent = include_str!("../../tests/cases/absent.tsv");
    let mut absent: Vec<(Vec<&str>, bool)> = absent
        .lines()
        .skip(1)
        .map(|line| (line.split('\t').collect(), false))
        .collect();
    let mut shapes = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in include_str!("../../tests/cases/daemons.tsv").lines().skip(1) {
        let fields: Vec<_> = line.split('\t').collect();
        let [first, last, endpoint, path] = fields[..] else {
            panic!("{line}")
        };
        // Daemons sent new fields at old versions; there the documents count.
        let came_later = |minor: u8, shapes: &mut BTreeMap<_, _>| {
            (minor..=24).any(|minor| {
                is_sent(
                    shapes.entry((endpoint, minor)).or_insert_with(|| sent(endpoint, minor)),
                    path,
                )
            })
        };
        let span = first.parse::<u8>().expect(line)..=last.parse().expect(line);
        for minor in span {
            if came_later(minor, &mut shapes) {
                continue;
            }
            let fits = |fields: &[&str]| match fields {
                [at, what, why] if !why.is_empty() => *at == endpoint && path.starts_with(what),
                _ => panic!("absent.tsv: {fields:?}"),
            };
            match absent.iter_mut().find(|(fields, _)| fits(fields)) {
                Some((_, used)) => *used = true,
                None => wrong.push(format!("v1.{minor} {endpoint}: {path}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = absent
        .iter()
        .filter(|(_, used)| !used)
        .map(|(fields, _)| fields)
        .collect();
    assert!(unused.is_empty(), "not absent any more: {unused:?}");
}

#[test]
fn the_documented_exchanges() {
    let deviations = include_str!("../../tests/cases/deviations.tsv");
    let mut allowed: Vec<(Vec<&str>, bool)> = deviations
        .lines()
        .skip(1)
        .map(|line| (line.split('\t').collect(), false))
        .collect();
    let mut wrong = Vec::new();
    let mut count = 0;
    for (minor, cases) in DOCUMENTED.iter().enumerate() {
        let cases: Vec<Value> = serde_json::from_str(cases).expect("cases");
        for case in &cases {
            count += 1;
            let id = case["id"].as_str().expect("id");
            let (_, endpoint) = id.split_once(' ').expect("version and endpoint");
            for difference in differences(minor, case) {
                let fits = |fields: &[&str]| match fields {
                    [first, last, at, what, why] if !why.is_empty() => {
                        (first.parse().unwrap_or(99)..=last.parse().unwrap_or(0)).contains(&minor)
                            && endpoint.starts_with(at)
                            && (difference == *what || difference.starts_with(&format!("{what}:")))
                    }
                    _ => panic!("deviations.tsv: {fields:?}"),
                };
                match allowed.iter_mut().find(|(fields, _)| fits(fields)) {
                    Some((_, used)) => *used = true,
                    None => wrong.push(format!("{id}: {difference}")),
                }
            }
        }
    }
    assert_eq!(count, 875);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = allowed
        .iter()
        .filter(|(_, used)| !used)
        .map(|(fields, _)| fields)
        .collect();
    assert!(unused.is_empty(), "no deviations any more: {unused:?}");
}
