//! API v1.2. Sources: the Engine API version history, section "v1.2", and the documents of v1.1 and v1.2.

use super::{Answer, Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 2,
        routes: &[Route::AuthShow],
        what: "deprecated; gone from the document",
        source: Source::History,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::ImageRemove],
        what: "only untags an image that has children; removes untagged parents as well",
        source: Source::History,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 7,
        routes: &[Route::ImageRemove],
        what: "success becomes 200 with a JSON list of Untagged/Deleted items …",
        source: Source::History,
        effects: &[Effect::Lower(removal_said_nothing)],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImageRemove],
        what: "409 (conflict) listed",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerList],
        what: "Ports (string), SizeRw, SizeRootFs added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["[].Ports", "[].SizeRw", "[].SizeRootFs"])],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageList],
        what: "Size and VirtualSize added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["[].Size", "[].VirtualSize"])],
    },
    Change {
        bullet: 11,
        routes: &[Route::ImageInspect],
        what: "Size added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["Size"])],
    },
    Change {
        bullet: 15,
        routes: &[],
        what: "CORS can be switched on for the daemon (Access-Control headers on all answers)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "an option of the daemon",
        }],
    },
];

/// Before, there was no list of what went.
fn removal_said_nothing(answer: &mut Answer) {
    *answer = Answer {
        status: 204,
        body: None,
    };
}
