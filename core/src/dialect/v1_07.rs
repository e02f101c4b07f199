//! API v1.7. Sources: the Engine API version history, section "v1.7", and the documents of v1.6 and v1.7.

use alloc::{format, string::String, vec::Vec};
use serde_json::Value;

use super::{Answer, Change, Effect, Source, elements, why};
use crate::route::Route;

pub(super) const CHANGES: &[Change] = &[
    Change {
        bullet: 1,
        routes: &[Route::ImageViz],
        what: "gone; clients draw the graph from images/json",
        source: Source::History,
        effects: &[Effect::RemovesRoute],
    },
    Change {
        bullet: 2,
        routes: &[Route::ImageList],
        what: "one entry per image: RepoTags array (and ParentId) instead of Repository and Tag",
        source: Source::History,
        effects: &[Effect::Lower(one_entry_per_tag), Effect::Raise(one_entry_per_image)],
    },
    Change {
        bullet: 3,
        routes: &[Route::ImageList],
        what: "no status list any more (v1.7-v1.24)",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
    Change {
        bullet: 4,
        routes: &[Route::ImageSearch],
        what: "keys become lower case and new: name, description, is_official, is_trusted, star_count",
        source: Source::Documents,
        effects: &[Effect::Lower(name_and_description), Effect::Raise(keys_in_lower_case)],
    },
    Change {
        bullet: 5,
        routes: &[Route::ImageGet],
        what: "tar of a repository with its layers",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 6,
        routes: &[Route::ImageLoad],
        what: "loads such a tar",
        source: Source::Documents,
        effects: &[Effect::AddsRoute],
    },
    Change {
        bullet: 7,
        routes: &[Route::ContainerCreate],
        what: "PortSpecs shown again beside ExposedPorts; Volumes entries shown",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "PortSpecs is lifted at v1.15",
        }],
    },
    Change {
        bullet: 8,
        routes: &[Route::ContainerCreate],
        what: "name missing from this document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 9,
        routes: &[Route::ContainerInspect],
        what: "Config.PortSpecs shown again, Config.ExposedPorts not",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 10,
        routes: &[Route::ImageInspect],
        what: "container_config.PortSpecs shown again, ExposedPorts not",
        source: Source::Documents,
        effects: &[Effect::None { why: why::EXTRA }],
    },
    Change {
        bullet: 11,
        routes: &[Route::ContainerStart],
        what: "ContainerIDFile and Links not shown",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 12,
        routes: &[Route::ContainerKill],
        what: "signal missing from this document",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 13,
        routes: &[Route::Commit],
        what: "JSON body not shown in v1.7 and v1.8",
        source: Source::Documents,
        effects: &[Effect::None { why: why::STILL_TAKEN }],
    },
    Change {
        bullet: 14,
        routes: &[Route::Commit],
        what: "run (configuration as a parameter) listed in v1.7 and v1.8",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "what is in the parameter is lifted at v1.9",
        }],
    },
    Change {
        bullet: 15,
        routes: &[Route::Build],
        what: "request Content-Type should be application/tar; answer shown as application/json …",
        source: Source::Documents,
        effects: &[Effect::None {
            why: "daemons called text by its name until it became JSON",
        }],
    },
    Change {
        bullet: 16,
        routes: &[Route::ContainerStart],
        what: "answer Content-Type text/plain and text/plain; charset=utf-8 becomes text/plain",
        source: Source::Documents,
        effects: &[Effect::None { why: why::PROSE }],
    },
];

/// Below, every tag of an image is an entry of its own, with `Repository` and `Tag`.
fn one_entry_per_tag(answer: &mut Answer) {
    let Some(Value::Array(images)) = &mut answer.body else {
        return;
    };
    let mut entries = Vec::new();
    for image in images.drain(..) {
        let Value::Object(mut image) = image else { continue };
        image.remove("ParentId");
        let tags = match image.remove("RepoTags") {
            Some(Value::Array(tags)) if !tags.is_empty() => tags,
            _ => [Value::from("<none>:<none>")].into(),
        };
        for tag in tags.iter().filter_map(Value::as_str) {
            // A registry's port stands before a slash, so the last colon is the tag's.
            let (repository, tag) = tag.rsplit_once(':').unwrap_or((tag, ""));
            let mut entry = image.clone();
            entry.insert("Repository".into(), repository.into());
            entry.insert("Tag".into(), tag.into());
            entries.push(Value::Object(entry));
        }
    }
    *images = entries;
}

/// Of what registries know, images had `Name` and `Description`.
fn name_and_description(answer: &mut Answer) {
    for found in elements(answer) {
        let kept = [
            ("Name", found.remove("name")),
            ("Description", found.remove("description")),
        ];
        let kept = kept.into_iter().filter_map(|(key, value)| Some((key.into(), value?)));
        *found = kept.collect();
    }
}

fn keys_in_lower_case(answer: &mut Answer) {
    for found in elements(answer) {
        for (new, old) in [("name", "Name"), ("description", "Description")] {
            if let Some(value) = found.remove(old) {
                found.entry(new).or_insert(value);
            }
        }
    }
}

/// Entries of one image are those with its id. They need not stand together.
fn one_entry_per_image(answer: &mut Answer) {
    let Some(Value::Array(entries)) = &mut answer.body else {
        return;
    };
    let mut images: Vec<Value> = Vec::new();
    for mut entry in entries.drain(..) {
        let mut take = |key| entry.as_object_mut().and_then(|entry| entry.remove(key));
        let (repository, tag) = (take("Repository"), take("Tag"));
        let text = |value: &Option<Value>| String::from(value.as_ref().and_then(Value::as_str).unwrap_or("<none>"));
        let name = Value::String(format!("{}:{}", text(&repository), text(&tag)));
        let known = images.iter_mut().find(|image| image.get("Id") == entry.get("Id"));
        match (known.and_then(|image| image.get_mut("RepoTags")), &mut entry) {
            (Some(Value::Array(tags)), _) => tags.push(name),
            (_, Value::Object(image)) => {
                image
                    .entry("RepoTags")
                    .or_insert_with(|| Value::Array(Vec::from([name])));
                images.push(entry);
            }
            // No list of images; the error is worded where it is read.
            _ => images.push(entry),
        }
    }
    *entries = images;
}
