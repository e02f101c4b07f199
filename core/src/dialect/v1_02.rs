//! API v1.2. Sources: the Engine API version history, section "v1.2", and the documents of v1.1 and v1.2.

use alloc::vec::Vec;
use serde_json::Value;

use super::{Answer, Change, Effect, Manner, Source, why};
use crate::{route::Route, upload::ContextForm};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ImagePush],
        what: "client sends its auth configuration as a JSON body with each push",
        source: Source::History,
        effects: &[Effect::None {
            why: "a body stands for the header at every version, as with genuine daemons",
        }],
    },
    Change {
        bullet: 2,
        routes: &[Route::AuthShow],
        what: "deprecated; gone from the document",
        source: Source::History,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 3,
        routes: &[],
        what: "login only checks the credentials and no longer stores them on the server",
        source: Source::History,
        effects: &[Effect::Switch(login_was_stored)],
    },
    Change {
        bullet: 4,
        routes: &[Route::AuthCheck],
        what: "answer body with Status (only in this document until v1.23)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "clients of every version read it, and genuine daemons sent it",
        }],
    },
    Change {
        bullet: 5,
        routes: &[Route::AuthCheck],
        what: "401 and 403 added (only in this document)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
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
        effects: &[Effect::Lower(removal_said_nothing), Effect::Raise(removal_of_nothing)],
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
        bullet: 12,
        routes: &[Route::ImageHistory],
        what: "Tag (array) added, in this document only",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["[].Tag"])],
    },
    Change {
        bullet: 13,
        routes: &[Route::Build],
        what: "remote added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?remote"])],
    },
    Change {
        bullet: 14,
        routes: &[Route::Build],
        what: "Content-Type text/plain shown in the answer; text says the output is raw and the …",
        source: Source::Documents,
        effects: &[Effect::Switch(context_was_the_dockerfile)],
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

/// The daemon was the one that logged in, and pulled and pushed for everybody.
fn login_was_stored(manner: &mut Manner) {
    manner.login_stored = true;
}

/// Text is called text below v1.8, and that the connection leaves HTTP is said at v1.3. But the request of the example becomes an
/// archive: a body that is no form was the Dockerfile until then.
fn context_was_the_dockerfile(manner: &mut Manner) {
    manner.context = ContextForm::FormOrDockerfile;
}

fn removal_of_nothing(answer: &mut Answer) {
    answer.status = 200;
    answer.body.get_or_insert(Value::Array(Vec::new()));
}
