//! API v1.8. Sources: the Engine API version history, section "v1.8", and the documents of v1.7 and v1.8.

use serde_json::Value;

use super::{Change, Effect, Manner, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Build],
        what: "answer is a JSON stream (stream, error, errorDetail with code and message)",
        source: Source::History,
        effects: &[Effect::Switch(build_was_text)],
    },
    Change {
        bullet: 2,
        routes: &[Route::ContainerInspect],
        what: "HostConfig added",
        source: Source::History,
        effects: &[Effect::AddsFields(&["HostConfig"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ImageCreate],
        what: "progressDetail (current, total) added",
        source: Source::History,
        effects: &[Effect::LowerItem(no_progress_detail)],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImageInsert],
        what: "progressDetail added",
        source: Source::History,
        effects: &[Effect::LowerItem(no_progress_detail)],
    },
    Change {
        bullet: 5,
        routes: &[Route::ImagePush],
        what: "progressDetail added",
        source: Source::History,
        effects: &[Effect::LowerItem(no_progress_detail)],
    },
    Change {
        bullet: 6,
        routes: &[Route::Build],
        what: "X-Registry-Auth accepted, in v1.8 only",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["X-Registry-Auth"])],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerCreate],
        what: "name listed again, must match /?[a-zA-Z0-9_-]+",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerCreate],
        what: "CpuShares added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["CpuShares"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageLoad],
        what: "layout of the image tar described (VERSION, json, layer.tar, repositories)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageCached],
        what: "the daemon builds by itself, and nobody asks for its cache",
        source: Source::Daemons,
        effects: &[Effect::RemovesRoute],
    },
];

fn no_progress_detail(item: &mut Value) -> bool {
    if let Value::Object(message) = item {
        message.remove("progressDetail");
    }
    true
}

fn build_was_text(manner: &mut Manner) {
    manner.json_progress = false;
}
