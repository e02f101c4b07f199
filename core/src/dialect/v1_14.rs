//! API v1.14. Sources: the Engine API version history, section "v1.14", and the documents of v1.13 and v1.14.

use alloc::format;

use super::{Asked, Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerRemove],
        what: "force kills at once with SIGKILL",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerStart],
        what: "CapAdd and CapDrop added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["CapAdd", "CapDrop"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ImageCreate],
        what: "fromImage and repo accept repo:tag; using that form together with tag is an error",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImageCreate],
        what: "registry removed",
        source: Source::Documents,
        effects: &[Effect::Lift(registry_beside_the_repository)],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerList],
        what: "filters listed again: exited, status (restarting, running, paused, exited)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "RestartPolicy shown at top level of the body; Env example",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["RestartPolicy"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerInspect],
        what: "HostConfig.CapAdd and CapDrop added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["HostConfig.CapAdd", "HostConfig.CapDrop"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerTop],
        what: "default ps arguments are -ef; the command stays one string per process",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "genuine daemons did both at every version",
        }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerStart],
        what: "no Content-Type in the answer any more",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 10,
        routes: &[],
        what: "container paths are written (id or name)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
];

/// `registry` (`host:port`, or the address of one) says where to pull `fromImage` from.
fn registry_beside_the_repository(asked: &mut Asked) {
    let Some(registry) = asked.query.text("registry") else {
        return;
    };
    let (_, host) = registry.split_once("://").unwrap_or(("", &registry));
    let (host, _) = host.split_once('/').unwrap_or((host, ""));
    if let Some(repository) = asked.query.text("fromImage")
        && !host.is_empty()
        && !repository.starts_with(&format!("{host}/"))
    {
        asked.query.set("fromImage", &format!("{host}/{repository}"));
    }
}
