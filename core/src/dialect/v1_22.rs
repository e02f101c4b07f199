//! API v1.22. Sources: the Engine API version history, section "v1.22", and the documents of v1.21 and v1.22.

use serde_json::{Map, Value, json};

use super::{Answer, Asked, Change, Effect, Manner, Source, body, object, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerCreate, Route::ContainerInspect],
        what: "HostConfig.LxcConf removed (the seed v1.22 doc still shows it in inspect)",
        source: Source::History,
        effects: &[Effect::None {
            why: "the document of v1.22 shows it still; see item 28 of v1.23",
        }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerUpdate],
        what: "changes resource limits; answer Warnings",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerList],
        what: "filters gain isolation (Windows) and status dead",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.isolation"])],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerList],
        what: "HostConfig.NetworkMode and NetworkSettings.Networks added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].HostConfig", "[].NetworkSettings"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::Info],
        what: "Architecture and OSType added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["Architecture", "OSType"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::NetworkInspect],
        what: "Name of each attached container added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["Containers.*.Name"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::Version],
        what: "BuildTime added, RFC 3339 with nanoseconds",
        source: Source::History,
        effects: &[Effect::AddsFields(&["BuildTime"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImageCreate, Route::ImagePush],
        what: "X-Registry-Auth may hold a registrytoken",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["X-Registry-Auth.registrytoken"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerCreate],
        what: "KernelMemory must be at least 4 MB",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageCreate, Route::ImagePush],
        what: "closing the connection cancels the transfer",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.BlkioWeightDevice, BlkioDeviceReadBps, BlkioDeviceWriteBps, BlkioDeviceReadIOps …",
        source: Source::History,
        effects: &[Effect::AddsParameters(&[
            "HostConfig.BlkioWeightDevice",
            "HostConfig.BlkioDeviceReadBps",
            "HostConfig.BlkioDeviceWriteBps",
            "HostConfig.BlkioDeviceReadIOps",
            "HostConfig.BlkioDeviceWriteIOps",
        ])],
    },
    Change {
        bullet: 12,
        routes: &[Route::NetworkList],
        what: "filters by name, id, type",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.type"])],
    },
    Change {
        bullet: 13,
        routes: &[Route::ContainerCreate],
        what: "NetworkingConfig.EndpointsConfig with static IPv4 and IPv6 addresses (IPAMConfig), Links …",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["NetworkingConfig"])],
    },
    Change {
        bullet: 14,
        routes: &[Route::NetworkConnect],
        what: "EndpointConfig.IPAMConfig with static addresses",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["EndpointConfig"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::Info],
        what: "ContainersRunning, ContainersStopped, ContainersPaused added",
        source: Source::History,
        effects: &[Effect::AddsFields(&[
            "ContainersRunning",
            "ContainersStopped",
            "ContainersPaused",
        ])],
    },
    Change {
        bullet: 16,
        routes: &[Route::NetworkCreate],
        what: "Internal added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["Internal"])],
    },
    Change {
        bullet: 17,
        routes: &[Route::NetworkDisconnect],
        what: "Force added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["Force"])],
    },
    Change {
        bullet: 18,
        routes: &[Route::ContainerInspect],
        what: "NetworkSettings.Networks.{key}.NetworkID added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["NetworkSettings.Networks.*.NetworkID"])],
    },
    Change {
        bullet: 19,
        routes: &[Route::NetworkCreate],
        what: "IPAM.Options added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["IPAM.Options"])],
    },
    Change {
        bullet: 20,
        routes: &[Route::NetworkInspect],
        what: "IPAM.Options returned",
        source: Source::History,
        effects: &[Effect::AddsFields(&["IPAM.Options"])],
    },
    Change {
        bullet: 21,
        routes: &[Route::NetworkInspect],
        what: "subnet and gateway of user-defined networks returned",
        source: Source::History,
        effects: &[Effect::None {
            why: "the keys were there; a daemon that knows the subnet it chose tells it at every version",
        }],
    },
    Change {
        bullet: 22,
        routes: &[Route::Info],
        what: "SystemStatus may be returned",
        source: Source::History,
        effects: &[Effect::None {
            why: "there is no cluster behind this daemon",
        }],
    },
    Change {
        bullet: 23,
        routes: &[Route::Info],
        what: "Plugins (Volume, Network) added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Plugins"])],
    },
    Change {
        bullet: 24,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.Tmpfs, OomScoreAdj, ShmSize added; splunk log driver",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["HostConfig.ShmSize", "HostConfig.Tmpfs"])],
    },
    Change {
        bullet: 25,
        routes: &[Route::ContainerInspect],
        what: "ExecDriver leaves; State.Dead, Mounts Name/Driver/Propagation, HostConfig OomScoreAdj …",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&[
                "Mounts.[].Name",
                "Mounts.[].Driver",
                "Mounts.[].Propagation",
                "HostConfig.OomScoreAdj",
                "HostConfig.ShmSize",
                "HostConfig.BlkioWeightDevice",
                "HostConfig.BlkioDeviceReadBps",
                "HostConfig.BlkioDeviceWriteBps",
                "HostConfig.BlkioDeviceReadIOps",
                "HostConfig.BlkioDeviceWriteIOps",
            ]),
            Effect::Lower(exec_driver),
        ],
    },
    Change {
        bullet: 26,
        routes: &[Route::ContainerStart],
        what: "detachKeys added",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "a slip of the document; start attaches nothing",
        }],
    },
    Change {
        bullet: 27,
        routes: &[Route::ContainerAttach],
        what: "detachKeys added",
        source: Source::Documents,
        effects: &[Effect::Lift(no_detach_keys), Effect::AddsParameters(&["?detachKeys"])],
    },
    Change {
        bullet: 28,
        routes: &[Route::ContainerAttach],
        what: "409 (paused) added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 29,
        routes: &[Route::ContainerAttachWebsocket],
        what: "detachKeys added",
        source: Source::Documents,
        effects: &[Effect::Lift(no_detach_keys)],
    },
    Change {
        bullet: 30,
        routes: &[Route::ContainerExec],
        what: "DetachKeys added",
        source: Source::Documents,
        effects: &[
            Effect::Lift(no_detach_keys_of_execs),
            Effect::AddsParameters(&["DetachKeys"]),
        ],
    },
    Change {
        bullet: 31,
        routes: &[Route::Build],
        what: "shmsize added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?shmsize"])],
    },
    Change {
        bullet: 32,
        routes: &[Route::Events],
        what: "Type, Action, Actor (ID, Attributes) added beside status, id, from …",
        source: Source::Documents,
        effects: &[Effect::LowerItem(old_events), Effect::RaiseItem(actor_of_old_event)],
    },
    Change {
        bullet: 33,
        routes: &[Route::Events],
        what: "filters gain type, volume, network",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&[
            "?filters.network",
            "?filters.type",
            "?filters.volume",
        ])],
    },
    Change {
        bullet: 34,
        routes: &[Route::ExecInspect],
        what: "ContainerID, CanRemove, DetachKeys replace the embedded Container",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&["ContainerID", "CanRemove", "DetachKeys"]),
            Effect::Lower(container_of_an_exec),
            Effect::Raise(exec_of_a_container),
            Effect::Switch(execs_showed_their_container),
        ],
    },
    Change {
        bullet: 35,
        routes: &[Route::ExecInspect],
        what: "Content-Type becomes application/json",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "a type that there is not; genuine daemons said application/json at every version",
        }],
    },
    Change {
        bullet: 36,
        routes: &[Route::VolumeList],
        what: "Warnings added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Warnings"])],
    },
    Change {
        bullet: 37,
        routes: &[Route::NetworkList],
        what: "filters example uses a map of maps",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "both forms are read at every version",
        }],
    },
    Change {
        bullet: 38,
        routes: &[Route::NetworkRemove],
        what: "403 is not in the seed v1.22 doc (v1.21 and the v1.22 reference list it)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 39,
        routes: &[Route::NetworkInspect],
        what: "500 is not in the seed v1.22 doc",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 40,
        routes: &[Route::ImagePush],
        what: "the digest of what was pushed is told",
        source: Source::Daemons,
        effects: &[Effect::LowerItem(no_digest)],
    },
    Change {
        bullet: 41,
        routes: &[Route::ExecStart],
        what: "a body that does not say it is JSON is an error",
        source: Source::Daemons,
        effects: &[Effect::Switch(exec_start_took_any_type)],
    },
];

/// `native`: namespaces and control groups without LXC, which is what the name meant.
fn exec_driver(answer: &mut Answer) {
    if let Some(container) = body(answer) {
        container.insert("ExecDriver".into(), "native".into());
    }
}

fn no_detach_keys(asked: &mut Asked) {
    asked.query.remove("detachKeys");
}

/// Below there are no events of anything but containers and images, which alone have a `status`. `Type`, `Action` and `Actor`
/// stay: daemons sent them at every version, and docker CLI 28 takes the exit code from there whatever version it speaks.
fn old_events(item: &mut Value) -> bool {
    item.get("status").is_some()
}

/// Older clients do not know `aux`, and print an empty line for a message with nothing else.
fn no_digest(item: &mut Value) -> bool {
    item.get("aux").is_none()
}

fn no_detach_keys_of_execs(asked: &mut Asked) {
    asked.body.remove("DetachKeys");
}

/// The container is shown as inspect shows it, but for the name of its id.
fn container_of_an_exec(answer: &mut Answer) {
    if let Some(container) = answer.body.as_mut().and_then(|body| object(body, "Container"))
        && let Some(id) = container.remove("Id")
    {
        container.insert("ID".into(), id);
    }
}

/// The ids are what is told of the exec itself.
fn exec_of_a_container(answer: &mut Answer) {
    let Some(exec) = body(answer) else { return };
    let Some(Value::Object(container)) = exec.get_mut("Container") else {
        return;
    };
    if let Some(id) = container.remove("ID") {
        container.insert("Id".into(), id.clone());
        exec.entry("ContainerID").or_insert(id);
    }
}

fn execs_showed_their_container(manner: &mut Manner) {
    manner.exec_shows_container = true;
}

fn exec_start_took_any_type(manner: &mut Manner) {
    manner.exec_start_has_type = false;
}

/// `Type`, `Action` and `Actor` from what was told before. Actions on images have names that no action on a container has.
fn actor_of_old_event(item: &mut Value) {
    let Value::Object(event) = item else { return };
    let text = |key| event.get(key).and_then(Value::as_str).unwrap_or_default();
    let (action, id, from) = (text("status"), text("id"), text("from"));
    let kind = match action {
        "delete" | "import" | "load" | "pull" | "push" | "tag" | "untag" => "image",
        _ => "container",
    };
    let mut attributes = Map::new();
    if !from.is_empty() {
        attributes.insert("image".into(), from.into());
    }
    let facts = [
        ("Type", Value::from(kind)),
        ("Action", Value::from(action)),
        ("Actor", json!({"ID": id, "Attributes": attributes})),
    ];
    for (key, value) in facts {
        event.entry(key).or_insert(value);
    }
}
