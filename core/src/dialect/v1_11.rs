//! API v1.11. Sources: the Engine API version history, section "v1.11", and the documents of v1.10 and v1.11.

use super::{Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Ping],
        what: "answers OK as text",
        source: Source::History,
        effects: &[Effect::None {
            why: "every genuine daemon answers it at every version",
        }],
    },
    Change {
        bullet: 2,
        routes: &[Route::Events],
        what: "until added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?until"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerLogs],
        what: "preferred way to read logs; follow, stdout, stderr, timestamps",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImageInsert],
        what: "no longer in the document (history says removed in v1.12)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "the history removes it in v1.12",
        }],
    },
    Change {
        bullet: 5,
        routes: &[Route::Info],
        what: "Driver, ExecutionDriver, KernelVersion, NEventsListener, InitPath, IndexServerAddress …",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&[
            "Driver",
            "ExecutionDriver",
            "LoggingDriver",
            "InitPath",
            "IndexServerAddress",
        ])],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "VolumesFrom shown again; key is DisableNetwork (v1.10: NetworkDisabled)",
        source: Source::Documents,
        effects: &[Effect::None { why: "lifted at v1.12" }],
    },
    Change {
        bullet: 7,
        routes: &[Route::Commit],
        what: "key is DisableNetwork (v1.10: NetworkDisabled)",
        source: Source::Documents,
        effects: &[Effect::None { why: "lifted at v1.12" }],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerInspect],
        what: "Config.Dns and Config.VolumesFrom shown again",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageInspect],
        what: "container_config.Dns and VolumesFrom shown again",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 10,
        routes: &[Route::AuthCheck],
        what: "no Content-Type shown in the answer",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
];
