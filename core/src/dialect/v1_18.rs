//! API v1.18. Sources: the Engine API version history, section "v1.18", and the documents of v1.17 and v1.18.

use alloc::{string::String, vec::Vec};
use serde_json::Value;

use super::{Answer, Asked, Change, Effect, Source, body, out_of_host_config, take_from_host_config, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Version],
        what: "Os, Arch, KernelVersion added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["Os", "Arch", "KernelVersion"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerCreate, Route::ContainerStart],
        what: "HostConfig.Ulimits added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.Ulimits", "Ulimits"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::Info],
        what: "SystemTime, HttpProxy, HttpsProxy, NoProxy added",
        source: Source::History,
        effects: &[Effect::AddsFields(&[
            "SystemTime",
            "HttpProxy",
            "HttpsProxy",
            "NoProxy",
        ])],
    },
    Change {
        bullet: 4,
        routes: &[Route::Info],
        what: "RegistryConfig added; Debug, MemoryLimit, SwapLimit, IPv4Forwarding shown as integers …",
        source: Source::Documents,
        effects: &[
            Effect::Lower(flags_and_index_server),
            Effect::Raise(flags_are_numbers),
            Effect::AddsFields(&["RegistryConfig"]),
        ],
    },
    Change {
        bullet: 5,
        routes: &[Route::ImageList],
        what: "RepoDigests added (with digests=1)",
        source: Source::History,
        effects: &[Effect::AddsFields(&["[].RepoDigests"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ImageList],
        what: "digests used in an example without being listed; label filter added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?filters.label"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::Build],
        what: "memory, memswap, cpushares, cpusetcpus added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&[
            "?memory",
            "?memswap",
            "?cpushares",
            "?cpusetcpus",
        ])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.CgroupParent added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.CgroupParent"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::Build],
        what: "closing the connection cancels the build",
        source: Source::History,
        effects: &[Effect::None {
            why: "the daemon is told at every version that the client is gone",
        }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ContainerExec],
        what: "Warnings added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["Warnings"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCreate],
        what: "Memory, MemorySwap, CpuShares move from the top level into HostConfig …",
        source: Source::Documents,
        effects: &[Effect::LowerCall(limits_beside)],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerCreate],
        what: "400 and 409 added; 404 now means no such image",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 13,
        routes: &[Route::ContainerInspect],
        what: "Config.Memory, MemorySwap, CpuShares, Cpuset leave; HostConfig gains Memory, MemorySwap …",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "both places are filled up to v1.19; see v1.20",
        }],
    },
    Change {
        bullet: 14,
        routes: &[Route::ContainerList],
        what: "Labels shown",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "returned from v1.17 on",
        }],
    },
    Change {
        bullet: 15,
        routes: &[Route::ContainerList],
        what: "filters gain label",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?filters.label"])],
    },
    Change {
        bullet: 16,
        routes: &[Route::ContainerRemove],
        what: "link added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?link"])],
    },
    Change {
        bullet: 17,
        routes: &[Route::ContainerRemove],
        what: "409 added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 18,
        routes: &[Route::ContainerChanges],
        what: "Kind values named: 0 modify, 1 add, 2 delete",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 19,
        routes: &[Route::ContainerResize],
        what: "h and w listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 20,
        routes: &[Route::ContainerLogs],
        what: "works only with the json-file and journald log drivers",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 21,
        routes: &[Route::ImageCreate],
        what: "404 (no repository or no access) added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 22,
        routes: &[Route::ImageCreate],
        what: "no tag on pull means all tags",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 23,
        routes: &[Route::ImageInspect],
        what: "ContainerConfig.Memory, MemorySwap, PortSpecs leave; Labels shown",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "genuine daemons sent them longer; see the last items of v1.19",
        }],
    },
    Change {
        bullet: 24,
        routes: &[Route::Commit],
        what: "Memory, MemorySwap, CpuShares, Cpuset leave the example",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "images keep no limits",
        }],
    },
    Change {
        bullet: 25,
        routes: &[Route::ExecInspect],
        what: "Container.Config.Memory, MemorySwap, CpuShares, Cpuset leave; Container.LogPath added",
        source: Source::Documents,
        effects: &[Effect::None { why: why::INSPECTED }],
    },
    Change {
        bullet: 26,
        routes: &[Route::ContainerExec],
        what: "example attaches stdin with a TTY",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 27,
        routes: &[],
        what: "a path without version means the newest API; an unsupported version is answered 400 …",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 28,
        routes: &[],
        what: "Content-Length should be present on POST requests with a body",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "HTTP decides how long a body is",
        }],
    },
    Change {
        bullet: 29,
        routes: &[],
        what: "daemon option for CORS takes a header value",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "an option of the daemon",
        }],
    },
    Change {
        bullet: 30,
        routes: &[Route::ImageLoad],
        what: "request Content-Type application/x-tar shown",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "the type of a tar is not looked at",
        }],
    },
    Change {
        bullet: 31,
        routes: &[Route::Build],
        what: "request Content-Type is application/x-tar (was application/tar)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "the type of a tar is not looked at",
        }],
    },
];

/// Numbers in v1.18 only, and the index server was a list.
fn flags_and_index_server(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    for flag in ["Debug", "IPv4Forwarding", "MemoryLimit", "SwapLimit"] {
        if let Some(value) = info.get_mut(flag)
            && let Some(number) = value.as_i64()
        {
            *value = Value::Bool(number != 0);
        }
    }
    if let Some(server) = info.get_mut("IndexServerAddress") {
        *server = Value::Array(Vec::from([server.take()]));
    }
}

/// Booleans become numbers, as they are in this version only.
fn flags_are_numbers(answer: &mut Answer) {
    let Some(info) = body(answer) else { return };
    for flag in ["Debug", "IPv4Forwarding", "MemoryLimit", "SwapLimit"] {
        if let Some(value) = info.get_mut(flag)
            && let Some(on) = value.as_bool()
        {
            *value = Value::from(i32::from(on));
        }
    }
    if let Some(server) = info.get_mut("IndexServerAddress")
        && let Value::Array(list) = server
    {
        *server = list.first_mut().map(Value::take).unwrap_or_default();
    }
}

/// `CpuShares` and the like stand beside the program, and `CpusetCpus` is `Cpuset` there.
fn limits_beside(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["Memory", "MemorySwap", "CpuShares"]);
    if let Some(cpus) = take_from_host_config(asked, "CpusetCpus") {
        asked.body.insert("Cpuset".into(), cpus);
    }
    Ok(())
}
