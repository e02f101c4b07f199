//! API v1.5. Sources: the Engine API version history, section "v1.5", and the documents of v1.4 and v1.5.

use alloc::{format, string::String, vec::Vec};
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Change, Effect, Source, elements, why};
use crate::{decode::REGISTRY_AUTH, query::number, route::Route};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ImageCreate],
        what: "X-Registry-Auth (base64 JSON auth configuration) accepted",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["X-Registry-Auth"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::ImagePush],
        what: "auth configuration moves from the body to X-Registry-Auth",
        source: Source::History,
        effects: &[Effect::LowerCall(login_in_the_body)],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerList],
        what: "Ports changes from a string to an array of PrivatePort, PublicPort, Type",
        source: Source::History,
        effects: &[Effect::Lower(ports_were_text), Effect::Raise(ports_are_a_list)],
    },
    Change {
        bullet: 4,
        routes: &[Route::Build],
        what: "rm added (missing again in v1.6-v1.8)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?rm"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerInspect],
        what: "409 no longer listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 6,
        routes: &[Route::ImageInspect],
        what: "409 no longer listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
];

/// Either is taken at every version, and the header wins, as with genuine daemons; clients of the time sent a body.
fn login_in_the_body(asked: &mut Asked) -> Result<(), String> {
    if let Some(Value::Object(login)) = asked.body.remove(REGISTRY_AUTH) {
        asked.body.extend(login);
    }
    Ok(())
}

/// `49153->80, 5353->53/udp`: public to private, tcp unsaid, only what is published.
fn ports_were_text(answer: &mut Answer) {
    for container in elements(answer) {
        if let Some(ports) = container.get_mut("Ports") {
            let list = ports.as_array().map(Vec::as_slice).unwrap_or_default();
            let texts: Vec<String> = list.iter().filter_map(Value::as_object).filter_map(port_text).collect();
            *ports = Value::String(texts.join(", "));
        }
    }
}

fn port_text(port: &Map<String, Value>) -> Option<String> {
    let (public, private) = (port.get("PublicPort")?, port.get("PrivatePort")?);
    let suffix = match port.get("Type").and_then(Value::as_str) {
        Some("tcp") | None => "",
        Some(protocol) => &format!("/{protocol}"),
    };
    Some(format!("{public}->{private}{suffix}"))
}

/// What is no such text is left to fail where ports are read.
fn ports_are_a_list(answer: &mut Answer) {
    for container in elements(answer) {
        let Some(Value::String(text)) = container.get("Ports") else {
            continue;
        };
        let ports = text.split(", ").filter(|port| !port.is_empty()).map(port_of_text);
        if let Some(ports) = ports.collect() {
            container.insert("Ports".into(), Value::Array(ports));
        }
    }
}

fn port_of_text(text: &str) -> Option<Value> {
    let (public, private) = text.split_once("->")?;
    let (private, protocol) = private.split_once('/').unwrap_or((private, "tcp"));
    let port = |text: &str| number(text).filter(|port| (0..=65_535).contains(port));
    Some(json!({"PrivatePort": port(private)?, "PublicPort": port(public)?, "Type": protocol}))
}
