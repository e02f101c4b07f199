//! API v1.1. Sources: the Engine API version history, section "v1.1", and the documents of v1.0 and v1.1.

use super::{Answer, Change, Effect, Manner, Source, body, why};
use crate::{route::Route, upload::ContextForm};

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[],
        what: "answer changes from a hijacked raw stream to a stream of JSON objects (status, progress …",
        source: Source::History,
        effects: &[Effect::Switch(progress_was_text)],
    },
    Change {
        bullet: 2,
        routes: &[Route::ImageInsert],
        what: "answer changes from a raw stream to a stream of JSON objects",
        source: Source::History,
        effects: &[Effect::None {
            why: "said by item 1 for every progress",
        }],
    },
    Change {
        bullet: 3,
        routes: &[Route::ImagePush],
        what: "answer changes from a hijacked raw stream to a stream of JSON objects",
        source: Source::History,
        effects: &[Effect::None {
            why: "said by item 1 for every progress",
        }],
    },
    Change {
        bullet: 4,
        routes: &[],
        what: "only attach is still described as hijacking the connection (v1.0: attach, pull and push)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 5,
        routes: &[],
        what: "default port text is 4243 in the seed v1.0 doc, 2375 in the v1.1 document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 6,
        routes: &[Route::ImageTag],
        what: "success 200 (seed v1.0 doc) becomes 201",
        source: Source::Documents,
        effects: &[Effect::Lower(tag_was_200), Effect::Raise(tag_is_201)],
    },
    Change {
        bullet: 7,
        routes: &[Route::ImageTag],
        what: "tag added (seed v1.0 doc has only repo and force)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?tag"])],
    },
    Change {
        bullet: 8,
        routes: &[Route::ImagePush],
        what: "registry removed (seed v1.0 doc lists it)",
        source: Source::Documents,
        effects: &[Effect::Switch(registry_beside_the_repository)],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageRemove],
        what: "force removed again until v1.10 (seed v1.0 doc lists it)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageRemove],
        what: "409 removed until v1.2 (seed v1.0 doc lists it)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::DAEMON }],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerCreate],
        what: "406 (impossible to attach) added",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "no daemon ever answered 406",
        }],
    },
    Change {
        bullet: 12,
        routes: &[Route::Commit],
        what: "container configuration may be sent as a JSON body (Cmd, PortSpecs)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
    Change {
        bullet: 13,
        routes: &[Route::Commit],
        what: "run (configuration as a parameter) removed; comes back in v1.7 and v1.8",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "what is in the parameter is lifted at v1.9",
        }],
    },
    Change {
        bullet: 14,
        routes: &[Route::Build],
        what: "t (repository name for the result) added",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?t"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::Build],
        what: "upload is no longer Dockerfile text on the hijacked stream but a multipart form (per …",
        source: Source::History,
        effects: &[Effect::Switch(dockerfile_was_input)],
    },
    Change {
        bullet: 16,
        routes: &[Route::Info],
        what: "Version and GoVersion leave; NFd, NGoroutines, MemoryLimit, SwapLimit appear …",
        source: Source::Documents,
        effects: &[
            Effect::AddsFields(&["NFd", "NGoroutines", "MemoryLimit", "SwapLimit"]),
            Effect::Lower(info_told_the_version),
            Effect::Raise(info_names_the_server),
        ],
    },
    Change {
        bullet: 17,
        routes: &[Route::Version],
        what: "MemoryLimit and SwapLimit leave; GoVersion appears (against the seed v1.0 doc)",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["GoVersion"])],
    },
    Change {
        bullet: 18,
        routes: &[Route::ContainerAttachWebsocket],
        what: "listed in v1.1; not in the seed v1.0 doc (the v1.0 reference has it)",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "the reference document of v1.0 has it, and so have daemons",
        }],
    },
    Change {
        bullet: 19,
        routes: &[Route::ImageInsert],
        what: "url and path are listed as parameters (only in the example target before)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 20,
        routes: &[Route::AuthCheck],
        what: "Content-Type text/plain shown in the answer",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "the answer is JSON at every version; see item 4 of v1.2",
        }],
    },
];

/// In v1.0 the connection left HTTP, and progress was lines of text.
fn progress_was_text(manner: &mut Manner) {
    manner.json_progress = false;
    manner.progress_in_http = false;
}

fn dockerfile_was_input(manner: &mut Manner) {
    manner.context = ContextForm::FormOrInput;
}

/// `registry` said where to push to, whatever the repository.
fn registry_beside_the_repository(manner: &mut Manner) {
    manner.push_names_registry = true;
}

fn tag_was_200(answer: &mut Answer) {
    answer.status = 200;
}

fn tag_is_201(answer: &mut Answer) {
    answer.status = 201;
}

/// `Version` stood in `info`.
fn info_told_the_version(answer: &mut Answer) {
    if let Some(info) = body(answer)
        && let Some(version) = info.remove("ServerVersion")
    {
        info.insert("Version".into(), version);
    }
}

fn info_names_the_server(answer: &mut Answer) {
    if let Some(info) = body(answer)
        && let Some(version) = info.remove("Version")
    {
        info.entry("ServerVersion").or_insert(version);
    }
}
