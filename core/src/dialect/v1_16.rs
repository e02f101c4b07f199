//! API v1.16. Sources: the Engine API version history, section "v1.16", and the documents of v1.15 and v1.16.

use alloc::{format, string::String};

use super::{Asked, Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Info],
        what: "NCPU, MemTotal, Name, ID, Labels added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["NCPU", "MemTotal", "Name", "ID", "Labels"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::Info],
        what: "DriverStatus, InitSha1, DockerRootDir, OperatingSystem added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&[
            "DriverStatus",
            "InitSha1",
            "DockerRootDir",
            "OperatingSystem",
        ])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerCreate],
        what: "MAC address can be set (document shows it in v1.15)",
        source: Source::History,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerCreate],
        what: "volumes are initialised at create time",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerCopy],
        what: "files inside a volume can be copied",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 6,
        routes: &[Route::ExecInspect],
        what: "exec state with the whole container embedded; Content-Type plain/text in the example",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerResize],
        what: "method is POST",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "genuine daemons take POST at every version",
        }],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerResizeByGet],
        what: "GET form was in v1.15 only",
        source: Source::Documents,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerStart],
        what: "body no longer documented; HostConfig still accepted for compatibility",
        source: Source::Documents,
        effects: &[Effect::LowerCall(only_documented_keys)],
    },
    Change {
        bullet: 10,
        routes: &[Route::Build],
        what: "pull added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?pull"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::Events],
        what: "filters added: event, image, container",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?filters"])],
    },
];

/// Below, the document lists what a start may set.
fn only_documented_keys(asked: &mut Asked) -> Result<(), String> {
    const KEYS: [&str; 14] = [
        "Binds",
        "CapAdd",
        "CapDrop",
        "ContainerIDFile",
        "Devices",
        "Dns",
        "DnsSearch",
        "Links",
        "NetworkMode",
        "PortBindings",
        "Privileged",
        "PublishAllPorts",
        "RestartPolicy",
        "VolumesFrom",
    ];
    match asked.body.keys().find(|key| !KEYS.contains(&key.as_str())) {
        Some(key) => Err(format!("{key} at start")),
        None => Ok(()),
    }
}
