//! API v1.6. Sources: the Engine API version history, section "v1.6", and the documents of v1.5 and v1.6.

use alloc::{format, string::String, vec::Vec};
use serde_json::{Map, Value, json};

use super::v1_15::exposed_by;
use super::{Answer, Asked, Change, Effect, Manner, Source, into_host_config, object, out_of_host_config, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerAttach],
        what: "without a TTY the answer is multiplexed: 8-byte header (type, three zero bytes …",
        source: Source::History,
        effects: &[Effect::Switch(output_was_merged)],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerAttachWebsocket],
        what: "unchanged: never multiplexed",
        source: Source::History,
        effects: &[Effect::None {
            why: "a WebSocket carries the output without frame headers at every version",
        }],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerAttach],
        what: "requests on v1.5 and older still get stdout and stderr merged",
        source: Source::History,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerCreate],
        what: "name added (missing again in v1.7)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?name"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerCreate],
        what: "ExposedPorts replaces PortSpecs; Privileged leaves the create body",
        source: Source::Documents,
        effects: &[
            Effect::Lift(privileged_at_create),
            Effect::LowerCall(create_of_1_5),
            Effect::AddsParameters(&["ExposedPorts"]),
        ],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerStart],
        what: "ContainerIDFile, Privileged, PortBindings, Links, PublishAllPorts added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&[
            "ContainerIDFile",
            "Privileged",
            "PortBindings",
            "Links",
            "PublishAllPorts",
        ])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerInspect],
        what: "Config.ExposedPorts replaces Config.PortSpecs",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&["Config.ExposedPorts"]),
            Effect::Lower(port_mapping),
            Effect::Raise(ports_of_the_mapping),
        ],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImageInspect],
        what: "container_config.ExposedPorts replaces PortSpecs",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerKill],
        what: "signal (integer) added (missing again in v1.7-v1.8)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?signal"])],
    },
    Change {
        bullet: 10,
        routes: &[Route::Commit],
        what: "ExposedPorts replaces PortSpecs in the example",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "PortSpecs is lifted at v1.20",
        }],
    },
    Change {
        bullet: 11,
        routes: &[Route::Build],
        what: "rm no longer listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 12,
        routes: &[],
        what: "the daemon is said to listen on a Unix socket by default",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "an option of the daemon",
        }],
    },
    Change {
        bullet: 13,
        routes: &[Route::ContainerStart],
        what: "answer Content-Type text/plain becomes text/plain and text/plain; charset=utf-8",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
];

fn output_was_merged(manner: &mut Manner) {
    manner.framed_output = false;
}

/// v1.4 and v1.5 have `Privileged` in the create body.
fn privileged_at_create(asked: &mut Asked) {
    into_host_config(asked, &["Privileged"]);
}

/// `Privileged` stands beside the program, and only `PortSpecs` expose ports.
fn create_of_1_5(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["Privileged"]);
    let specs = asked.body.get("PortSpecs").and_then(Value::as_array);
    let exposed: Vec<String> = specs.into_iter().flatten().filter_map(exposed_by).collect();
    if let Some(Value::Object(ports)) = asked.body.get_mut("ExposedPorts") {
        ports.retain(|port, _| !exposed.contains(port));
        if ports.is_empty() {
            asked.body.remove("ExposedPorts");
        }
    }
    Ok(())
}

/// `{"Tcp":{"80":"49153"},"Udp":{}}`: private to public port, as the clients up to Docker 0.6.4 read it.
fn port_mapping(answer: &mut Answer) {
    let Some(settings) = answer.body.as_mut().and_then(|body| object(body, "NetworkSettings")) else {
        return;
    };
    let (mut tcp, mut udp) = (Map::new(), Map::new());
    let ports = settings.get("Ports").and_then(Value::as_object);
    for (port, bindings) in ports.into_iter().flatten() {
        let (private, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let bindings = bindings.as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(public) = bindings.first().and_then(|binding| binding.get("HostPort")) {
            let map = if protocol == "udp" { &mut udp } else { &mut tcp };
            map.insert(String::from(private), public.clone());
        }
    }
    settings.insert("PortMapping".into(), json!({"Tcp": tcp, "Udp": udp}));
}

/// Where `Ports` are shown as well, they say more.
fn ports_of_the_mapping(answer: &mut Answer) {
    let Some(settings) = answer.body.as_mut().and_then(|body| object(body, "NetworkSettings")) else {
        return;
    };
    let mapping = settings.remove("PortMapping").unwrap_or_default();
    if settings.get("Ports").is_some_and(|ports| !ports.is_null()) {
        return;
    }
    let mut ports = Map::new();
    for (key, protocol) in [("Tcp", "tcp"), ("Udp", "udp")] {
        for (private, public) in mapping.get(key).and_then(Value::as_object).into_iter().flatten() {
            let binding = json!([{"HostIp": "", "HostPort": public}]);
            ports.insert(format!("{private}/{protocol}"), binding);
        }
    }
    settings.insert("Ports".into(), Value::Object(ports));
}
