//! API v1.12. Sources: the Engine API version history, section "v1.12", and the documents of v1.11 and v1.12.

use alloc::{string::String, vec::Vec};
use serde_json::Value;

use super::{Answer, Asked, Change, Effect, Manner, Source, body, elements, into_host_config, out_of_host_config, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::Build],
        what: "forcerm added; rm is now the default",
        source: Source::History,
        effects: &[
            Effect::Lift(containers_of_a_build_stayed),
            Effect::LowerCall(containers_of_a_build_go),
            Effect::AddsParameters(&["?forcerm"]),
        ],
    },
    Change {
        bullet: 2,
        routes: &[Route::ImageInspect],
        what: "keys become CamelCase (Id, Parent, Created, Container, ContainerConfig)",
        source: Source::History,
        effects: &[Effect::Lower(keys_were_lower_case), Effect::Raise(keys_have_capitals)],
    },
    Change {
        bullet: 3,
        routes: &[Route::ContainerInspect],
        what: "keys become CamelCase (history; the documents showed CamelCase before)",
        source: Source::History,
        effects: &[Effect::Lower(id_was_in_capitals), Effect::Raise(id_is_spelled_id)],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImageSearch],
        what: "is_trusted renamed to is_automated",
        source: Source::History,
        effects: &[
            Effect::Lower(automated_was_trusted),
            Effect::Raise(trusted_is_automated),
        ],
    },
    Change {
        bullet: 5,
        routes: &[Route::ImageInsert],
        what: "removed (already absent from the v1.11 document)",
        source: Source::History,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::ContainerPause],
        what: "204 on success",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerUnpause],
        what: "204 on success",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerList],
        what: "filters added (missing from the v1.13 document)",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?filters"])],
    },
    Change {
        bullet: 9,
        routes: &[Route::ImageList],
        what: "all, filters (dangling=true) and filter listed",
        source: Source::Documents,
        effects: &[Effect::AddsParameters(&["?filter", "?filters"])],
    },
    Change {
        bullet: 10,
        routes: &[Route::ContainerCreate],
        what: "Domainname and Cpuset added, CpuShares shown again, VolumesFrom leaves …",
        source: Source::Documents,
        effects: &[
            Effect::Lift(old_names),
            Effect::LowerCall(to_old_names),
            Effect::AddsParameters(&["Cpuset", "Domainname"]),
        ],
    },
    Change {
        bullet: 11,
        routes: &[Route::Commit],
        what: "comment replaces m",
        source: Source::Documents,
        effects: &[Effect::Lift(comment_was_m), Effect::LowerCall(comment_is_m)],
    },
    Change {
        bullet: 12,
        routes: &[Route::Commit],
        what: "answer Content-Type becomes application/json",
        source: Source::Documents,
        effects: &[Effect::Switch(commit_was_no_json)],
    },
    Change {
        bullet: 13,
        routes: &[Route::Commit],
        what: "Domainname, CpuShares, Cpuset added; key is NetworkDisabled from here on",
        source: Source::Documents,
        effects: &[Effect::Lift(network_was_disabled)],
    },
    Change {
        bullet: 14,
        routes: &[Route::Version],
        what: "ApiVersion added",
        source: Source::Documents,
        effects: &[Effect::AddsFields(&["ApiVersion"])],
    },
    Change {
        bullet: 15,
        routes: &[Route::ContainerStart],
        what: "Links shown again",
        source: Source::Documents,
        effects: &[Effect::None { why: why::NOT_SENT }],
    },
];

/// Keys of an image, now and as they were stored.
const IMAGE_KEYS: [(&str, &str); 11] = [
    ("Architecture", "architecture"),
    ("Author", "author"),
    ("Comment", "comment"),
    ("Config", "config"),
    ("Container", "container"),
    ("ContainerConfig", "container_config"),
    ("Created", "created"),
    ("DockerVersion", "docker_version"),
    ("Id", "id"),
    ("Os", "os"),
    ("Parent", "parent"),
];

/// Below, the stored object was sent as it was.
fn keys_were_lower_case(answer: &mut Answer) {
    let Some(image) = body(answer) else { return };
    for (new, old) in IMAGE_KEYS {
        if let Some(value) = image.remove(new) {
            image.insert(old.into(), value);
        }
    }
    image.remove("VirtualSize");
}

fn keys_have_capitals(answer: &mut Answer) {
    let Some(image) = body(answer) else { return };
    for (new, old) in IMAGE_KEYS {
        if let Some(value) = image.remove(old) {
            image.entry(new).or_insert(value);
        }
    }
    if let Some(size) = image.get("Size").cloned() {
        image.entry("VirtualSize").or_insert(size);
    }
}

/// Documents say `Id`, genuine daemons sent `ID`; clients of the time know one or the other.
fn id_was_in_capitals(answer: &mut Answer) {
    if let Some(container) = body(answer)
        && let Some(id) = container.get("Id").cloned()
    {
        container.insert("ID".into(), id);
    }
}

fn id_is_spelled_id(answer: &mut Answer) {
    if let Some(container) = body(answer)
        && let Some(id) = container.remove("ID")
    {
        container.entry("Id").or_insert(id);
    }
}

/// `DisableNetwork` (v1.9, v1.11), `Dns` and `VolumesFrom` beside the program, the latter a text of names.
fn old_names(asked: &mut Asked) {
    network_was_disabled(asked);
    if let Some(Value::String(names)) = asked.body.get("VolumesFrom") {
        let names: Vec<String> = names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect();
        asked.body.insert("VolumesFrom".into(), names.into());
    }
    into_host_config(asked, &["Dns", "VolumesFrom"]);
}

fn automated_was_trusted(answer: &mut Answer) {
    for found in elements(answer) {
        if let Some(automated) = found.remove("is_automated") {
            found.insert("is_trusted".into(), automated);
        }
    }
}

fn trusted_is_automated(answer: &mut Answer) {
    for found in elements(answer) {
        if let Some(trusted) = found.remove("is_trusted") {
            found.entry("is_automated").or_insert(trusted);
        }
    }
}

/// `DisableNetwork` in v1.9 and v1.11, `NetworkDisabled` in v1.10.
fn network_was_disabled(asked: &mut Asked) {
    if let Some(disabled) = asked.body.remove("DisableNetwork") {
        asked.body.entry("NetworkDisabled").or_insert(disabled);
    }
}

/// Documents say `m`, though daemons of the time read `comment`.
fn comment_was_m(asked: &mut Asked) {
    if asked.query.text("comment").is_none()
        && let Some(comment) = asked.query.text("m")
    {
        asked.query.set("comment", &comment);
    }
}

/// Both are said, for daemons of either kind.
fn comment_is_m(asked: &mut Asked) -> Result<(), String> {
    if let Some(comment) = asked.query.text("comment") {
        asked.query.set("m", &comment);
    }
    Ok(())
}

/// The JSON was called a raw stream.
fn commit_was_no_json(manner: &mut Manner) {
    manner.commit_is_json = false;
}

/// `rm` was off unless it was given.
fn containers_of_a_build_stayed(asked: &mut Asked) {
    if asked.query.text("rm").is_none() {
        asked.query.set("rm", "0");
    }
}

fn containers_of_a_build_go(asked: &mut Asked) -> Result<(), String> {
    match asked.query.flag("rm") || asked.query.text("rm").is_none() {
        true => asked.query.set("rm", "1"),
        false => asked.query.remove("rm"),
    }
    Ok(())
}

/// `Dns` and `VolumesFrom` beside the program; the latter a text, in which no name may be empty or hold a comma.
fn to_old_names(asked: &mut Asked) -> Result<(), String> {
    out_of_host_config(asked, &["Dns", "VolumesFrom"]);
    if let Some(Value::Array(names)) = asked.body.get("VolumesFrom") {
        let names: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
        if names.iter().any(|name| name.is_empty() || name.contains(',')) {
            return Err("HostConfig.VolumesFrom of such names".into());
        }
        let names = names.join(",");
        asked.body.insert("VolumesFrom".into(), names.into());
    }
    Ok(())
}
