//! API v1.3. Sources: the Engine API version history, section "v1.3", and the documents of v1.2 and v1.3.

use alloc::string::String;

use super::{Answer, Asked, Change, Effect, Manner, Source, elements};
use crate::{route::Route, upload::ContextForm};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ContainerTop],
        what: "process list; the example is an array of objects with PID, Tty, Time, Cmd",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 2,
        routes: &[Route::Events],
        what: "live stream or polling with since; objects have status, id, time",
        source: Source::History,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerList],
        what: "size=1 asks for SizeRw and SizeRootFs",
        source: Source::History,
        effects: &[Effect::Lift(sizes_came_unasked), Effect::LowerCall(sizes_come_unasked)],
    },
    Change {
        bullet: 4,
        routes: &[Route::ContainerStart],
        what: "host configuration accepted in the body (Binds)",
        source: Source::History,
        effects: &[Effect::LowerCall(start_has_no_body)],
    },
    Change {
        bullet: 5,
        routes: &[Route::ContainerStart],
        what: "example answer becomes 204 (status list says 200 until v1.4)",
        source: Source::Documents,
        effects: &[Effect::Lower(start_was_200), Effect::Raise(start_is_204)],
    },
    Change {
        bullet: 6,
        routes: &[Route::Build],
        what: "context is one tar stream (plain, gzip, bzip2, xz) with Dockerfile at its root, not a …",
        source: Source::History,
        effects: &[Effect::Switch(context_was_a_form), Effect::Switch(build_left_http)],
    },
    Change {
        bullet: 7,
        routes: &[Route::Build],
        what: "q (quiet) added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?q"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImageRemove],
        what: "status list now says 200 instead of 204",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "said by item 7 of v1.2",
        }],
    },
    Change {
        bullet: 9,
        routes: &[Route::AuthCheck],
        what: "answer shown without a body, Content-Type text/plain; 401 and 403 no longer listed",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "clients of every version read the body, and genuine daemons sent it",
        }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageHistory],
        what: "Tag no longer shown",
        source: Source::Documents,
        effects: &[Effect::Lower(tags_were_tag), Effect::Raise(tags_of_tag)],
    },
    Change {
        bullet: 11,
        routes: &[Route::Info],
        what: "EventsListeners (string), LXCVersion, KernelVersion added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["EventsListeners", "LXCVersion", "KernelVersion"])],
    },
];

/// v1.2 has no parameter for sizes and shows them always; below, they are taken away again.
fn sizes_came_unasked(asked: &mut Asked) {
    asked.query.set("size", "1");
}

fn sizes_come_unasked(asked: &mut Asked) -> Result<(), String> {
    asked.query.remove("size");
    Ok(())
}

fn start_has_no_body(asked: &mut Asked) -> Result<(), String> {
    match asked.body.is_empty() {
        true => Ok(()),
        false => Err("a host configuration at start".into()),
    }
}

fn start_was_200(answer: &mut Answer) {
    if answer.status == 204 {
        answer.status = 200;
    }
}

/// In v1.2 the tags stood under `Tag`. `Tags`, which daemons sent before any document has it, stays beside.
fn tags_were_tag(answer: &mut Answer) {
    for entry in elements(answer) {
        if let Some(tags) = entry.get("Tags").filter(|tags| !tags.is_null()).cloned() {
            entry.insert("Tag".into(), tags);
        }
    }
}

fn tags_of_tag(answer: &mut Answer) {
    for entry in elements(answer) {
        if let Some(tags) = entry.remove("Tag") {
            entry.entry("Tags").or_insert(tags);
        }
    }
}

fn context_was_a_form(manner: &mut Manner) {
    manner.context = ContextForm::FormOrArchive;
}

/// As the document of v1.2 says of the output.
fn build_left_http(manner: &mut Manner) {
    manner.progress_in_http = false;
}

fn start_is_204(answer: &mut Answer) {
    if answer.status == 200 {
        answer.status = 204;
    }
}
