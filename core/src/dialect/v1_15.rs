//! API v1.15. Sources: the Engine API version history, section "v1.15", and the documents of v1.14 and v1.15.

use alloc::{format, string::String, vec::Vec};
use serde_json::{Map, Value, json};

use super::{Asked, Change, Effect, Manner, Source, into_host_config, out_of_host_config, take_from_host_config, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerCreate],
        what: "HostConfig accepted at create time",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerCreate],
        what: "Entrypoint, MacAddress, SecurityOpt added; PortSpecs and top-level RestartPolicy leave …",
        source: Source::Documents,
        effects: &[
            Effect::Lift(port_specs),
            Effect::LowerCall(to_port_specs),
            Effect::Lift(restart_policy),
            Effect::LowerCall(restart_policy_beside),
            Effect::AddsParameters(&["MacAddress", "SecurityOpt"]),
        ],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerStart],
        what: "LxcConf becomes an object; DnsSearch, RestartPolicy, NetworkMode, Devices added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&[
            "DnsSearch",
            "RestartPolicy",
            "NetworkMode",
            "Devices",
        ])],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerList],
        what: "Names added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::SENT_BEFORE }],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerResizeByGet],
        what: "TTY resize with h and w, written GET in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerExec],
        what: "creates an exec instance, 201 with Id",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 7,
        routes: &[Route::ExecStart],
        what: "runs it; hijacked stream unless Detach",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 8,
        routes: &[Route::ExecResize],
        what: "h and w, 201",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageGetMany],
        what: "tar of several repositories, repeated names",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageGet],
        what: "name:tag or an id exports that image only; an id leaves out the repositories file",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCopy],
        what: "answer Content-Type becomes application/x-tar",
        source: Source::Documents,
        effects: &[Effect::Switch(copies_were_bytes)],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerCreate],
        what: "example Id is the full 64 characters (12 again in v1.16)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
];

fn copies_were_bytes(manner: &mut Manner) {
    manner.copy_is_tar = false;
}

/// v1.14 shows the restart policy beside the program.
fn restart_policy(asked: &mut Asked) {
    into_host_config(asked, &["RestartPolicy"]);
}

fn restart_policy_beside(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["RestartPolicy"]);
    Ok(())
}

/// `PortSpecs` (`80`, `8080:80`, `80/udp`, `8080:80/udp`, `127.0.0.1:8080:80`) both exposes and publishes; without a
/// public port, one is chosen. What is no such text is left to fail where ports are read.
pub(super) fn port_specs(asked: &mut Asked) {
    let Some(Value::Array(specs)) = asked.body.remove("PortSpecs") else {
        return;
    };
    let mut exposed = Map::new();
    let mut published: Map<String, Value> = Map::new();
    for spec in specs.iter().filter_map(Value::as_str) {
        let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
        let parts: Vec<&str> = ports.rsplitn(3, ':').collect();
        let (private, public, address) = match parts.as_slice() {
            [private] => (*private, "", ""),
            [private, public] => (*private, *public, ""),
            [private, public, address] => (*private, *public, *address),
            _ => continue,
        };
        let port = format!("{private}/{protocol}");
        exposed.insert(port.clone(), json!({}));
        let bindings = published.entry(port).or_insert_with(|| json!([]));
        if let Value::Array(bindings) = bindings {
            bindings.push(json!({"HostIp": address, "HostPort": public}));
        }
    }
    if exposed.is_empty() {
        return;
    }
    merge(&mut asked.body, "ExposedPorts", exposed);
    asked
        .body
        .insert("PortBindings".into(), Value::Object(published.clone()));
    into_host_config(asked, &["PortBindings"]);
    if let Some(Value::Object(host_config)) = asked.body.get_mut("HostConfig") {
        merge(host_config, "PortBindings", published);
    }
}

/// A spec publishes a port and exposes it, so what is published without being exposed has none; nor has a port without
/// protocol, or without any binding.
fn to_port_specs(asked: &mut Asked) -> Result<(), String> {
    let Some(Value::Object(published)) = take_from_host_config(asked, "PortBindings") else {
        return Ok(());
    };
    let exposed = asked.body.get("ExposedPorts");
    let mut specs = Vec::new();
    for (port, bindings) in &published {
        let is_exposed = exposed.is_some_and(|ports| ports.get(port).is_some());
        let bindings = bindings
            .as_array()
            .filter(|bindings| is_exposed && !bindings.is_empty());
        let written = bindings.and_then(|list| list.iter().map(|binding| spec(port, binding)).collect());
        let Some(written): Option<Vec<Value>> = written else {
            return Err(format!("HostConfig.PortBindings of {port}"));
        };
        specs.extend(written);
    }
    asked.body.insert("PortSpecs".into(), Value::Array(specs));
    Ok(())
}

fn spec(port: &str, binding: &Value) -> Option<Value> {
    let text = |key| binding.get(key).and_then(Value::as_str);
    let (private, protocol) = port.split_once('/')?;
    let (address, public) = (text("HostIp")?, text("HostPort")?);
    let fits = !private.contains(':') && !public.contains([':', '/']) && !address.contains('/');
    let ports = match (address, public) {
        ("", "") => private.into(),
        ("", public) => format!("{public}:{private}"),
        (address, public) => format!("{address}:{public}:{private}"),
    };
    fits.then(|| match protocol {
        "tcp" => ports.into(),
        protocol => format!("{ports}/{protocol}").into(),
    })
}

/// The port that a spec exposes.
pub(super) fn exposed_by(spec: &Value) -> Option<String> {
    let spec = spec.as_str()?;
    let (ports, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let (_, private) = ports.rsplit_once(':').unwrap_or(("", ports));
    Some(format!("{private}/{protocol}"))
}

/// Adds what is missing to the map under `key`.
fn merge(map: &mut Map<String, Value>, key: &str, more: Map<String, Value>) {
    let known = map.entry(key).or_insert(Value::Null);
    if known.is_null() {
        *known = Value::Object(Map::new());
    }
    if let Value::Object(known) = known {
        for (key, value) in more {
            known.entry(key).or_insert(value);
        }
    }
}
