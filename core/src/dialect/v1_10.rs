//! API v1.10. Sources: the Engine API version history, section "v1.10", and the documents of v1.9 and v1.10.

use super::{Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ImageRemove],
        what: "force added",
        source: Source::History,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 2,
        routes: &[Route::ImageRemove],
        what: "noprune added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?noprune"])],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerRemove],
        what: "force added",
        source: Source::History,
        effects: &[Effect::AddsParameters(&["?force"])],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImagePush],
        what: "tag added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?tag"])],
    },
    Change {
        bullet: 5,
        routes: &[Route::ImagePush],
        what: "private registry: host and port are part of the image name in the path",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "names held registries at every version",
        }],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerCreate],
        what: "Dns, VolumesFrom and CpuShares leave the example; NetworkDisabled appears",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "Dns and VolumesFrom are lifted at v1.12",
        }],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerStart],
        what: "Dns and VolumesFrom (array) added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["Dns", "VolumesFrom"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerInspect],
        what: "Config.Dns and Config.VolumesFrom not shown in this document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageInspect],
        what: "container_config.Dns and VolumesFrom not shown in this document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 10,
        routes: &[Route::Commit],
        what: "key is NetworkDisabled (v1.9: DisableNetwork)",
        source: Source::Documents,
        effects: &[Effect::None { why: "lifted at v1.12" }],
    },
];
