//! API v1.24. Sources: the Engine API version history, section "v1.24", and the documents of v1.23 and v1.24.

use alloc::string::String;
use serde_json::Value;

use super::{Asked, Change, Effect, Failure, Manner, Source, Words, why};
use crate::refusal::Refusal;
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.StorageOpt added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.StorageOpt"])],
    },
    Change {
        bullet: 2,
        routes: &[Route::Info],
        what: "SecurityOptions added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["SecurityOptions"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::Info],
        what: "ExecutionDriver removed",
        source: Source::History,
        effects: &[Effect::None {
            why: "genuine daemons go on sending it",
        }],
    },
    Change {
        bullet: 4,
        routes: &[Route::NetworkList],
        what: "filters gain label and driver",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.driver", "?filters.label"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerList],
        what: "filters gain network",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.network"])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.IOMaximumBandwidth and IOMaximumIOps added (Windows)",
        source: Source::History,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerCreate],
        what: "400 instead of 500 when no command is given",
        source: Source::History,
        effects: &[Effect::Reword(no_command_was_500)],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImageSearch],
        what: "filters added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::Events],
        what: "reload event on daemon configuration reload",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 10,
        routes: &[Route::Events],
        what: "filters gain daemon",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.daemon"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::Events],
        what: "detach event",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 12,
        routes: &[Route::Events],
        what: "exec_detach event",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 13,
        routes: &[Route::ImageList],
        what: "filters gain since and before",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?filters.before", "?filters.since"])],
    },
    Change {
        bullet: 14,
        routes: &[Route::ContainerStart],
        what: "HostConfig body no longer accepted",
        source: Source::History,
        effects: &[Effect::Switch(start_configured)],
    },
    Change {
        bullet: 15,
        routes: &[Route::ImageTag],
        what: "force removed",
        source: Source::History,
        effects: &[Effect::Switch(tags_stayed)],
    },
    Change {
        bullet: 16,
        routes: &[Route::ImageSearch],
        what: "limit added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?limit"])],
    },
    Change {
        bullet: 17,
        routes: &[Route::ContainerCopy],
        what: "removed, answers an error",
        source: Source::History,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 18,
        routes: &[],
        what: "errors are JSON (message) instead of plain text",
        source: Source::History,
        effects: &[Effect::Switch(errors_were_text)],
    },
    Change {
        bullet: 19,
        routes: &[Route::ContainerCreate, Route::ContainerStart],
        what: "HostConfig.Sysctls added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["HostConfig.Sysctls", "Sysctls"])],
    },
    Change {
        bullet: 20,
        routes: &[Route::ContainerExec, Route::ExecStart],
        what: "Container field no longer expected",
        source: Source::History,
        effects: &[Effect::None {
            why: "the path names the container, and nobody ever read the field",
        }],
    },
    Change {
        bullet: 21,
        routes: &[Route::ContainerCreate],
        what: "hostname is validated (RFC 1123)",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 22,
        routes: &[Route::ContainerCreate],
        what: "HostConfig.PidMode accepts container:<name or id>",
        source: Source::History,
        effects: &[Effect::LowerCall(no_shared_pids)],
    },
    Change {
        bullet: 23,
        routes: &[Route::ContainerCreate],
        what: "Healthcheck, CpuPercent, LinkLocalIPs added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Healthcheck", "Shell"])],
    },
    Change {
        bullet: 24,
        routes: &[Route::VolumeCreate, Route::VolumeInspect, Route::VolumeList],
        what: "Scope and Status added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&[
            "Scope",
            "Status",
            "Volumes.[].Scope",
            "Volumes.[].Status",
        ])],
    },
    Change {
        bullet: 25,
        routes: &[Route::NetworkCreate],
        what: "403 for pre-defined networks",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 26,
        routes: &[Route::Events],
        what: "status, id and from no longer shown (still sent)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "genuine daemons go on sending them",
        }],
    },
    Change {
        bullet: 27,
        routes: &[Route::Node],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 28,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 29,
        routes: &[Route::Service],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 30,
        routes: &[Route::ContainerInspect],
        what: "example keys change: +HostConfig.IOMaximumBandwidth, +HostConfig.IOMaximumIOps …",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 31,
        routes: &[Route::ContainerLogs],
        what: "added: details",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 32,
        routes: &[Route::Events],
        what: "listed: 400",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 33,
        routes: &[Route::Events],
        what: "example keys change: -status, -id, -from",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "genuine daemons go on sending them",
        }],
    },
    Change {
        bullet: 34,
        routes: &[Route::Info],
        what: "example keys change: +SecurityOptions, +SecurityOptions[], -ExecutionDriver",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 35,
        routes: &[Route::Node],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 36,
        routes: &[Route::Node],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 37,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 38,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 39,
        routes: &[Route::Service],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 40,
        routes: &[Route::Service],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 41,
        routes: &[Route::Task],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 42,
        routes: &[Route::Task],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 43,
        routes: &[Route::VolumeList],
        what: "example keys change: +Volumes[].Labels, +Volumes[].Scope",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "Scope is said by an earlier item, and the labels of a list came with those of an inspect in v1.23",
        }],
    },
    Change {
        bullet: 44,
        routes: &[Route::VolumeInspect],
        what: "example keys change: +Status, +Status.{key}, +Scope",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
    Change {
        bullet: 45,
        routes: &[Route::ContainerCreate],
        what: "example keys change: +Healthcheck, +Healthcheck.Test, +Healthcheck.Test[] …",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 46,
        routes: &[Route::ContainerStart],
        what: "listed: 400",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 47,
        routes: &[Route::ContainerUpdate],
        what: "example keys change: -KernelMemory",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 48,
        routes: &[Route::NetworkConnect],
        what: "listed: 403",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 49,
        routes: &[Route::NetworkDisconnect],
        what: "listed: 403",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 50,
        routes: &[Route::Node],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 51,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 52,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 53,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 54,
        routes: &[Route::Plugin],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 55,
        routes: &[Route::Service],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 56,
        routes: &[Route::Service],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 57,
        routes: &[Route::Swarm],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 58,
        routes: &[Route::Swarm],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 59,
        routes: &[Route::Swarm],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 60,
        routes: &[Route::Swarm],
        what: "first listed in this document",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 61,
        routes: &[Route::VolumeCreate],
        what: "example keys change: +Driver",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "a parameter from v1.21 on",
        }],
    },
    Change {
        bullet: 62,
        routes: &[Route::VolumeCreate],
        what: "example keys change: +Status, +Status.{key}, +Scope",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by an earlier item",
        }],
    },
];

fn no_command_was_500(failure: &Failure, _: Route) -> Option<Words> {
    let none = matches!(failure, Failure::Refused(Refusal::NoCommand));
    none.then(|| Words::new(500, "No command specified"))
}

fn start_configured(manner: &mut Manner) {
    manner.start_configures = true;
}

/// `PidMode` is empty or `host`.
fn no_shared_pids(asked: &mut Asked) -> Result<(), String> {
    let mode = asked.body.get("HostConfig").and_then(|config| config.get("PidMode"));
    match mode.and_then(Value::as_str) {
        Some(mode) if mode.starts_with("container:") => Err("the HostConfig.PidMode of a container".into()),
        _ => Ok(()),
    }
}

/// A tag was moved to another image only with `force`.
fn tags_stayed(manner: &mut Manner) {
    manner.tag_moves = false;
}

fn errors_were_text(manner: &mut Manner) {
    manner.json_errors = false;
}
