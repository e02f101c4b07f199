//! API v1.17. Sources: the Engine API version history, section "v1.17", and the documents of v1.16 and v1.17.

use alloc::{string::String, vec::Vec};
use serde_json::Value;

use super::{
    Answer, Asked, Change, Effect, Source, body, into_host_config, out_of_host_config, set_in_host_config, why,
};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Build],
        what: "LABEL instruction supported",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerAttach],
        what: "request may carry Upgrade and Connection headers …",
        source: Source::History,
        effects: &[Effect::None {
            why: "who asks for an upgrade wants it: docker CLI 28 cannot do without at any version, and older clients do not ask",
        }],
    },
    Change {
        bullet: 3,
        routes: &[Route::ExecStart],
        what: "same Upgrade handling as attach",
        source: Source::History,
        effects: &[Effect::None {
            why: "as with attach: who asks for an upgrade wants it",
        }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerCreate],
        what: "Labels accepted (document: v1.18)",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["Labels"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerList],
        what: "Labels returned (document: v1.18)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].Labels"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerInspect],
        what: "ExecIDs added; Config.Labels returned (document: v1.18)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["ExecIDs", "Config.Labels"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerRename],
        what: "name query, 204, 409 on conflict",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerCreate, Route::ContainerStart],
        what: "HostConfig.ReadonlyRootfs added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.ReadonlyRootfs", "ReadonlyRootfs"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerStats],
        what: "endless JSON stream of resource usage",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageList],
        what: "Labels returned (document: v1.19)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].Labels"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerLogs],
        what: "101 listed beside 200 as for attach",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "101 is listed and shown, but no daemon takes this connection out of HTTP",
        }],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerInspect],
        what: "example rewritten: many fields first shown here (AppArmorProfile, Driver, ExecDriver …",
        source: Source::Documents,
        effects: &[Effect::Lower(old_spellings), Effect::Raise(from_old_spellings)],
    },
    Change {
        bullet: 13,
        routes: &[Route::ContainerCreate],
        what: "SecurityOpt moves into HostConfig",
        source: Source::Documents,
        effects: &[Effect::Lift(security_opt), Effect::LowerCall(security_opt_beside)],
    },
    Change {
        bullet: 14,
        routes: &[Route::Build],
        what: "dockerfile added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?dockerfile"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::Events],
        what: "events exec_create, exec_start and oom listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 16,
        routes: &[Route::ExecResize],
        what: "Content-Type plain/text becomes text/plain",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 17,
        routes: &[Route::ContainerCreate],
        what: "MemorySwap needs Memory and must exceed it",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
];

/// v1.15 and v1.16 show `SecurityOpt` beside the program.
fn security_opt(asked: &mut Asked) {
    into_host_config(asked, &["SecurityOpt"]);
}

fn security_opt_beside(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["SecurityOpt"]);
    Ok(())
}

/// What the documents up to v1.16 show of a container, beside the spellings that daemons really sent.
fn old_spellings(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    container.insert("SysInitPath".into(), "".into());
    let from_host = |key| container.get("HostConfig").and_then(|config| config.get(key)).cloned();
    let dns = from_host("Dns").unwrap_or_default();
    let volumes_from: Vec<String> = match from_host("VolumesFrom") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(String::from).collect(),
        _ => Vec::new(),
    };
    if let Some(Value::Object(config)) = container.get_mut("Config") {
        config.insert("Dns".into(), dns);
        config.insert("VolumesFrom".into(), volumes_from.join(",").into());
    }
    if let Some(Value::Object(state)) = container.get_mut("State") {
        // A ghost was a process that a restarted daemon had lost; here none is lost.
        state.insert("Ghost".into(), false.into());
    }
    if let Some(Value::Object(settings)) = container.get_mut("NetworkSettings") {
        for (new, old) in [("IPAddress", "IpAddress"), ("IPPrefixLen", "IpPrefixLen")] {
            if let Some(value) = settings.get(new).cloned() {
                settings.insert(old.into(), value);
            }
        }
    }
}

fn from_old_spellings(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    if let Some(Value::Object(config)) = container.get_mut("Config") {
        let dns = config.remove("Dns");
        let volumes_from = match config.remove("VolumesFrom") {
            Some(Value::String(names)) if !names.is_empty() => Some(names.split(',').collect()),
            _ => None,
        };
        set_in_host_config(container, "Dns", dns);
        set_in_host_config(container, "VolumesFrom", volumes_from);
    }
    if let Some(Value::Object(settings)) = container.get_mut("NetworkSettings") {
        for (new, old) in [("IPAddress", "IpAddress"), ("IPPrefixLen", "IpPrefixLen")] {
            if let Some(value) = settings.remove(old) {
                settings.entry(new).or_insert(value);
            }
        }
    }
}
