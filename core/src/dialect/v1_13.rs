//! API v1.13. Sources: the Engine API version history, section "v1.13", and the documents of v1.12 and v1.13.

use alloc::string::String;

use super::{Asked, Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerInspect],
        what: "HostConfig.Links is filled in properly",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 2,
        routes: &[Route::Info],
        what: "Sockets (listening sockets) added per the history; never in a document",
        source: Source::History,
        effects: &[Effect::None {
            why: "in no document, and no recorded daemon sends it",
        }],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerStart],
        what: "304 when already running",
        source: Source::History,
        effects: &[Effect::None {
            why: "genuine daemons answer 304 at every version",
        }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerStop],
        what: "304 when already stopped",
        source: Source::History,
        effects: &[Effect::None {
            why: "genuine daemons answer 304 at every version",
        }],
    },
    Change {
        bullet: 5,
        routes: &[Route::Commit],
        what: "pause added, default true (in a document only from v1.20)",
        source: Source::History,
        effects: &[
            Effect::Lift(commit_did_not_pause),
            Effect::LowerCall(commit_does_not_pause),
        ],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerLogs],
        what: "tail added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?tail"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerList],
        what: "filters missing from this document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
];

fn commit_did_not_pause(asked: &mut Asked) {
    if asked.query.text("pause").is_none() {
        asked.query.set("pause", "0");
    }
}

fn commit_does_not_pause(asked: &mut Asked) -> Result<(), String> {
    match asked.query.text("pause").is_none() || asked.query.flag("pause") {
        true => Err("a commit that pauses the container".into()),
        false => {
            asked.query.remove("pause");
            Ok(())
        }
    }
}
