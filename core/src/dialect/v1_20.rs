//! API v1.20. Sources: the Engine API version history, section "v1.20", and the documents of v1.19 and v1.20.

use alloc::string::String;
use serde_json::{Map, Value, json};

use super::{Answer, Asked, Change, Effect, Failure, Source, Words, body, elements, set_in_host_config, why};
use crate::{decode::REGISTRY_CONFIG, refusal::Refusal, route::Route};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerArchiveGet],
        what: "tar of a path; X-Docker-Container-Path-Stat header",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerArchivePut],
        what: "extracts a tar into a directory; noOverwriteDirNonDir",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerArchiveStat],
        what: "path information only, in the same header",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerCopy],
        what: "deprecated",
        source: Source::History,
        effects: &[Effect::None {
            why: "served until it is removed in v1.24",
        }],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.GroupAdd added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.GroupAdd"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.MemorySwappiness added; gelf log driver",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["HostConfig.MemorySwappiness"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerInspect],
        what: "Mounts replaces Volumes and VolumesRW; Config.PortSpecs leaves",
        source: Source::Documents,
        effects: &[
            Effect::Lower(volumes_instead_of_mounts),
            Effect::Lower(limits_in_config),
            Effect::Raise(mounts_of_volumes),
            Effect::Raise(limits_in_host_config),
        ],
    },
    Change {
        bullet: 8,
        routes: &[Route::ExecInspect],
        what: "Container.Mounts replaces Volumes and VolumesRW; PortSpecs leaves",
        source: Source::Documents,
        effects: &[Effect::None { why: why::INSPECTED }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerList],
        what: "status filter gains created",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 10,
        routes: &[Route::Build],
        what: "structure of X-Registry-Config described (host to username and password)",
        source: Source::Documents,
        effects: &[
            Effect::Lift(logins_stood_deeper),
            Effect::LowerCall(logins_stand_deeper),
        ],
    },
    Change {
        bullet: 11,
        routes: &[Route::Build],
        what: "remote may point to a tarball, used as context",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 12,
        routes: &[Route::Version],
        what: "Experimental added",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "daemons send it only when it is true, which it never is here",
        }],
    },
    Change {
        bullet: 13,
        routes: &[Route::Commit],
        what: "pause and changes listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 14,
        routes: &[Route::Commit],
        what: "Mounts in place of Volumes; PortSpecs leaves",
        source: Source::Documents,
        effects: &[Effect::Lift(super::v1_15::port_specs)],
    },
    Change {
        bullet: 15,
        routes: &[Route::ImageSearch],
        what: "is_trusted no longer shown",
        source: Source::Documents,
        effects: &[Effect::Lower(trusted_beside_automated), Effect::Raise(automated_alone)],
    },
    Change {
        bullet: 16,
        routes: &[Route::Events],
        what: "image events import, pull, push, tag listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 17,
        routes: &[Route::ContainerKill],
        what: "kill of a container that does not run is an error",
        source: Source::Daemons,
        effects: &[Effect::Reword(kill_of_a_stopped_container_was_done)],
    },
];

/// `Volumes` (target to source) and `VolumesRW` (target to writable).
fn volumes_instead_of_mounts(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    let (mut volumes, mut writable) = (Map::new(), Map::new());
    if let Some(Value::Array(mounts)) = container.remove("Mounts") {
        for mount in &mounts {
            if let Some(target) = mount.get("Destination").and_then(Value::as_str) {
                volumes.insert(target.into(), mount.get("Source").cloned().unwrap_or_default());
                writable.insert(target.into(), mount.get("RW").cloned().unwrap_or_default());
            }
        }
    }
    container.insert("Volumes".into(), Value::Object(volumes));
    container.insert("VolumesRW".into(), Value::Object(writable));
}

/// Without `VolumesRW`, all are writable.
fn mounts_of_volumes(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    let (volumes, writable) = (container.remove("Volumes"), container.remove("VolumesRW"));
    let mount = |(target, source): (&String, &Value)| {
        let rw = writable.as_ref().and_then(|writable| writable.get(target));
        json!({"Destination": target, "Source": source, "RW": rw.unwrap_or(&Value::Bool(true))})
    };
    let volumes = volumes.as_ref().and_then(Value::as_object);
    let mounts = volumes.into_iter().flatten().map(mount).collect();
    container.entry("Mounts").or_insert(Value::Array(mounts));
}

/// Limits stood in `Config`, for some years also in `HostConfig`. `PortSpecs` went at the same time.
fn limits_in_config(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    let limit = |key| container.get("HostConfig").and_then(|config| config.get(key)).cloned();
    let limits = [
        ("Memory", limit("Memory").unwrap_or_else(|| json!(0))),
        ("MemorySwap", limit("MemorySwap").unwrap_or_else(|| json!(0))),
        ("CpuShares", limit("CpuShares").unwrap_or_else(|| json!(0))),
        ("Cpuset", limit("CpusetCpus").unwrap_or_else(|| json!(""))),
        ("PortSpecs", Value::Null),
    ];
    if let Some(Value::Object(config)) = container.get_mut("Config") {
        for (key, value) in limits {
            config.insert(key.into(), value);
        }
    }
}

fn limits_in_host_config(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    for (old, new) in [
        ("Memory", "Memory"),
        ("MemorySwap", "MemorySwap"),
        ("CpuShares", "CpuShares"),
        ("Cpuset", "CpusetCpus"),
    ] {
        let limit = container
            .get_mut("Config")
            .and_then(|config| config.as_object_mut()?.remove(old));
        set_in_host_config(container, new, limit);
    }
}

fn kill_of_a_stopped_container_was_done(failure: &Failure, _: Route) -> Option<Words> {
    let stopped = matches!(failure, Failure::Refused(Refusal::ContainerNotRunning { .. }));
    stopped.then(|| Words::new(204, ""))
}

/// Both names stand in the document of v1.19.
fn trusted_beside_automated(answer: &mut Answer) {
    for found in elements(answer) {
        if let Some(automated) = found.get("is_automated").cloned() {
            found.insert("is_trusted".into(), automated);
        }
    }
}

/// A `ConfigFile` has the logins under `configs`; clients of the time sent that.
fn logins_stood_deeper(asked: &mut Asked) {
    if let Some(Value::Object(config)) = asked.body.get_mut(REGISTRY_CONFIG) {
        let key = config.keys().find(|key| key.eq_ignore_ascii_case("configs")).cloned();
        if let Some(Value::Object(logins)) = key.and_then(|key| config.remove(&key)) {
            *config = logins;
        }
    }
}

fn logins_stand_deeper(asked: &mut Asked) -> Result<(), String> {
    if let Some(logins) = asked.body.get_mut(REGISTRY_CONFIG) {
        *logins = json!({"configs": logins.take()});
    }
    Ok(())
}

fn automated_alone(answer: &mut Answer) {
    for found in elements(answer) {
        if let Some(trusted) = found.remove("is_trusted") {
            found.entry("is_automated").or_insert(trusted);
        }
    }
}
