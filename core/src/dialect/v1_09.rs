//! API v1.9. Sources: the Engine API version history, section "v1.9", and the documents of v1.8 and v1.9.

use super::{Change, Effect, Source, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[Change {
    bullet: 3,
    routes: &[Route::ContainerKill],
    what: "signal listed again, integer or name",
    source: Source::Documents,
    effects: &[Effect::None { why: why::STILL_TAKEN }],
}];
