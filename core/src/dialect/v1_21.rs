//! API v1.21. Sources: the Engine API version history, section "v1.21", and the documents of v1.20 and v1.21.

use alloc::{format, string::String};
use serde_json::{Map, Value, json};

use super::{
    Answer, Asked, Change, Effect, Failure, Source, Words, body, into_host_config, object, out_of_host_config,
    set_in_host_config, why,
};
use crate::refusal::Refusal;
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::VolumeList],
        what: "lists volumes of all drivers; filters dangling",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 2,
        routes: &[Route::VolumeCreate],
        what: "Name, Driver, DriverOpts; 201",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 3,
        routes: &[Route::VolumeInspect],
        what: "volume details",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 4,
        routes: &[Route::VolumeRemove],
        what: "204; 409 when in use",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 5,
        routes: &[Route::NetworkList],
        what: "lists networks; filters name, id",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::NetworkInspect],
        what: "network details",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 7,
        routes: &[Route::NetworkCreate],
        what: "201 with Id and Warning",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 8,
        routes: &[Route::NetworkConnect],
        what: "body Container; 200",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 9,
        routes: &[Route::NetworkDisconnect],
        what: "body Container; 200",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 10,
        routes: &[Route::NetworkRemove],
        what: "200; 403 for pre-defined networks",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCreate],
        what: "VolumeDriver moves from the configuration into HostConfig",
        source: Source::History,
        effects: &[Effect::Lift(volume_driver), Effect::LowerCall(volume_driver_beside)],
    },
    Change {
        bullet: 12,
        routes: &[Route::ImageInspect],
        what: "RepoTags and RepoDigests added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["RepoTags", "RepoDigests"])],
    },
    Change {
        bullet: 13,
        routes: &[Route::ImageInspect],
        what: "example rewritten: Author, Architecture, Comment, Config, DockerVersion, GraphDriver, Os …",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&["GraphDriver"]),
            Effect::Lower(dns_in_container_config),
        ],
    },
    Change {
        bullet: 14,
        routes: &[Route::ContainerCreate],
        what: "StopSignal added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["StopSignal"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::ContainerStats],
        what: "networks (one entry per interface) replaces network",
        source: Source::History,
        effects: &[
            Effect::Lower(one_network),
            Effect::LowerItem(one_network_in_items),
            Effect::Raise(an_interface),
            Effect::RaiseItem(an_interface_in_items),
        ],
    },
    Change {
        bullet: 16,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.DnsOptions added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.DnsOptions"])],
    },
    Change {
        bullet: 17,
        routes: &[Route::Build],
        what: "buildargs added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?buildargs"])],
    },
    Change {
        bullet: 18,
        routes: &[Route::Build],
        what: "t may be repeated",
        source: Source::Documents,
        effects: &[Effect::LowerCall(one_tag)],
    },
    Change {
        bullet: 19,
        routes: &[Route::Events],
        what: "timeNano added (history writes timenano)",
        source: Source::History,
        effects: &[Effect::LowerItem(no_time_nano), Effect::RaiseItem(time_nano_of_time)],
    },
    Change {
        bullet: 20,
        routes: &[Route::Events],
        what: "filters gain label",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.label"])],
    },
    Change {
        bullet: 21,
        routes: &[Route::Info],
        what: "engine version (ServerVersion) added; CPUShares and Cpuset per the history …",
        source: Source::History,
        effects: &[Effect::None {
            why: "ServerVersion stays, as the v1.0 answer is made of it",
        }],
    },
    Change {
        bullet: 22,
        routes: &[Route::Info],
        what: "ClusterStore added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["ClusterStore", "ClusterAdvertise"])],
    },
    Change {
        bullet: 23,
        routes: &[Route::ContainerList],
        what: "ImageID added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].ImageID"])],
    },
    Change {
        bullet: 24,
        routes: &[Route::ExecStart],
        what: "409 when the container is stopped or paused",
        source: Source::History,
        effects: &[Effect::Reword(conflicts_of_execs_were_500)],
    },
    Change {
        bullet: 25,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.KernelMemory added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.KernelMemory"])],
    },
    Change {
        bullet: 26,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.MemoryReservation added; restart policy unless-stopped …",
        source: Source::Documents,
        effects: &[
            Effect::AddsParameters(&["HostConfig.MemoryReservation"]),
            Effect::LowerCall(no_unless_stopped),
        ],
    },
    Change {
        bullet: 27,
        routes: &[Route::ContainerInspect],
        what: "size added: SizeRw and SizeRootFs in the answer",
        source: Source::History,
        effects: &[Effect::Lift(no_sizes), Effect::AddsParameters(&["?size"])],
    },
    Change {
        bullet: 28,
        routes: &[Route::ContainerInspect],
        what: "NetworkSettings.Networks added; top-level network fields of NetworkSettings deprecated but …",
        source: Source::History,
        effects: &[Effect::AddsFields(&["NetworkSettings.Networks"])],
    },
    Change {
        bullet: 29,
        routes: &[Route::ContainerInspect],
        what: "State.Status, Config.StopSignal …",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&[
                "State.Status",
                "Config.StopSignal",
                "NetworkSettings.SandboxID",
                "NetworkSettings.HairpinMode",
                "NetworkSettings.SandboxKey",
                "NetworkSettings.SecondaryIPAddresses",
                "NetworkSettings.SecondaryIPv6Addresses",
                "NetworkSettings.EndpointID",
                "HostConfig.DnsOptions",
                "HostConfig.MemoryReservation",
                "HostConfig.KernelMemory",
                "HostConfig.VolumeDriver",
            ]),
            Effect::Lower(old_config_and_ports),
            Effect::Raise(volume_driver_of_config),
        ],
    },
    Change {
        bullet: 30,
        routes: &[Route::ExecInspect],
        what: "NetworkSettings.Networks of the embedded container; older members kept",
        source: Source::History,
        effects: &[Effect::None { why: why::INSPECTED }],
    },
    Change {
        bullet: 31,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.OomScoreAdj added (document: v1.22)",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.OomScoreAdj"])],
    },
    Change {
        bullet: 32,
        routes: &[Route::ContainerExec],
        what: "Privileged added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Privileged"])],
    },
    Change {
        bullet: 33,
        routes: &[Route::ContainerExec],
        what: "409 (paused) and 500 listed",
        source: Source::Documents,
        effects: &[Effect::Reword(conflicts_of_execs_were_500)],
    },
    Change {
        bullet: 34,
        routes: &[Route::ContainerResize],
        what: "unit is characters",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 35,
        routes: &[Route::ImageCreate],
        what: "fromImage may hold a tag or digest; tag may be a digest",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
];

fn volume_driver(asked: &mut Asked) {
    into_host_config(asked, &["VolumeDriver"]);
}

fn volume_driver_beside(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["VolumeDriver"]);
    Ok(())
}

fn no_unless_stopped(asked: &mut Asked) -> Result<(), String> {
    let config = asked
        .body
        .get("HostConfig")
        .and_then(|config| config.get("RestartPolicy"));
    let name = config.and_then(|policy| policy.get("Name"));
    match name.and_then(Value::as_str) {
        Some("unless-stopped") => Err("the restart policy unless-stopped".into()),
        _ => Ok(()),
    }
}

fn no_time_nano(item: &mut Value) -> bool {
    if let Value::Object(event) = item {
        event.remove("timeNano");
    }
    true
}

fn time_nano_of_time(item: &mut Value) {
    if let Value::Object(event) = item
        && let Some(time) = event.get("time").and_then(Value::as_i64)
    {
        let nanos = time.saturating_mul(1_000_000_000);
        event.entry("timeNano").or_insert(nanos.into());
    }
}

/// The parameter had no meaning.
fn no_sizes(asked: &mut Asked) {
    asked.query.remove("size");
}

/// `Config` always had these keys, and the network settings a `PortMapping` that nothing filled any more.
fn old_config_and_ports(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    let driver = container
        .get("HostConfig")
        .and_then(|config| config.get("VolumeDriver"));
    let driver = driver.cloned().unwrap_or_else(|| json!(""));
    if let Some(Value::Object(config)) = container.get_mut("Config") {
        for (key, value) in [
            ("ExposedPorts", Value::Null),
            ("MacAddress", json!("")),
            ("NetworkDisabled", json!(false)),
            ("VolumeDriver", driver),
        ] {
            config.entry(key).or_insert(value);
        }
    }
    if let Some(Value::Object(settings)) = container.get_mut("NetworkSettings") {
        settings.insert("PortMapping".into(), Value::Null);
    }
}

fn volume_driver_of_config(answer: &mut Answer) {
    let Some(container) = body(answer) else { return };
    let config = container.get_mut("Config").and_then(Value::as_object_mut);
    let driver = config.and_then(|config| config.remove("VolumeDriver"));
    set_in_host_config(container, "VolumeDriver", driver);
}

/// The configuration that an image was committed from had these two, which belong to a host.
fn dns_in_container_config(answer: &mut Answer) {
    if let Some(config) = answer.body.as_mut().and_then(|body| object(body, "ContainerConfig")) {
        config.insert("Dns".into(), Value::Null);
        config.insert("VolumesFrom".into(), json!(""));
    }
}

fn one_network(answer: &mut Answer) {
    if let Some(stats) = &mut answer.body {
        sum_networks(stats);
    }
}

fn one_network_in_items(item: &mut Value) -> bool {
    sum_networks(item);
    true
}

/// `network` is the sum over all interfaces, also over none.
fn sum_networks(stats: &mut Value) {
    let Value::Object(stats) = stats else { return };
    let networks = stats.remove("networks");
    let interfaces = networks.as_ref().and_then(Value::as_object);
    let sum = |counter: &str| -> u64 {
        let counters = interfaces.into_iter().flat_map(Map::values);
        let values = counters.filter_map(|interface| interface.get(counter)?.as_u64());
        values.fold(0, u64::saturating_add)
    };
    let counters = [
        "rx_bytes",
        "rx_packets",
        "rx_errors",
        "rx_dropped",
        "tx_bytes",
        "tx_packets",
        "tx_errors",
        "tx_dropped",
    ];
    let network: Map<_, _> = counters.iter().map(|&key| (key.into(), sum(key).into())).collect();
    stats.insert("network".into(), Value::Object(network));
}

fn an_interface(answer: &mut Answer) {
    answer.body.iter_mut().for_each(an_interface_in_items);
}

/// The sum stands for `eth0`, which nearly every container has alone.
fn an_interface_in_items(stats: &mut Value) {
    if let Value::Object(stats) = stats
        && let Some(network @ Value::Object(_)) = stats.remove("network")
    {
        stats.entry("networks").or_insert(json!({"eth0": network}));
    }
}

fn one_tag(asked: &mut Asked) -> Result<(), String> {
    match asked.query.all("t").len() {
        0 | 1 => Ok(()),
        _ => Err("several tags for a build".into()),
    }
}

fn conflicts_of_execs_were_500(failure: &Failure, _: Route) -> Option<Words> {
    let Failure::Refused(refusal) = failure else {
        return None;
    };
    match refusal {
        Refusal::ContainerNotRunning { name, .. } => Some(Words::new(500, format!("Container {name} is not running"))),
        Refusal::ContainerPaused { name, .. } => Some(Words::new(
            500,
            format!("Container {name} is paused, unpause the container before exec"),
        )),
        _ => None,
    }
}
