//! Bundles of Docker before 1.10: an image is a chain of directories, each with its own JSON and one layer.
//!
//! Format: Docker image specification v1, "Combined Image JSON + Filesystem Changeset Format": `<id>/json` with the key
//! `parent`, `<id>/layer.tar`, and `repositories` with repository → tag → id. Ids were random then; the image gets the
//! id of a configuration made from the top JSON and the digests of all layers.

use std::collections::{BTreeMap, BTreeSet};

use gantry_core::{
    grammar::reference::{self, Reference},
    model::Timestamp,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    bundle::Bundle,
    config::LAYERS_MAX,
    error::ImageError,
    load::{Described, json as read_json},
};

/// The part of a layer's JSON that is looked at.
#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    parent: Option<String>,
    #[serde(default)]
    created: Option<Timestamp>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    container_config: Option<Made>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    #[serde(default)]
    cmd: Option<Vec<String>>,
}

/// The images that `repositories` names, or without it those that no other is built on.
pub(super) fn describe(bundle: &Bundle) -> Result<Vec<Described>, ImageError> {
    let mut tops: BTreeMap<String, Vec<Reference>> = BTreeMap::new();
    if bundle.has("repositories") {
        let document = bundle.document("repositories")?;
        let named: BTreeMap<String, BTreeMap<String, String>> = read_json(document, "repositories")?;
        for (repository, tags) in named {
            for (tag, id) in tags {
                let reference = Reference::with_tag(&repository, &tag).map_err(|why| ImageError::BadReference {
                    reference: format!("{repository}:{tag}"),
                    why,
                })?;
                tops.entry(id).or_default().push(reference);
            }
        }
    }
    if tops.is_empty() {
        let ids = bundle.paths().filter_map(|path| path.strip_suffix("/json"));
        let ids: BTreeSet<String> = ids.filter(|id| reference::is_hex_id(id)).map(str::to_owned).collect();
        let mut parents = BTreeSet::new();
        for id in &ids {
            parents.extend(step(bundle, id)?.parent.filter(|parent| !parent.is_empty()));
        }
        tops.extend(ids.difference(&parents).map(|id| (id.clone(), Vec::new())));
    }
    tops.into_iter()
        .map(|(id, references)| image(bundle, &id, references))
        .collect()
}

fn image(bundle: &Bundle, top: &str, references: Vec<Reference>) -> Result<Described, ImageError> {
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    let mut history = Vec::new();
    let mut next = Some(top.to_owned());
    while let Some(id) = next {
        if layers.len() >= LAYERS_MAX {
            return Err(ImageError::bundle(id, "too many layers"));
        }
        let step = step(bundle, &id)?;
        let path = format!("{id}/layer.tar");
        diff_ids.push(Value::from(bundle.diff_id(&path)?.to_string()));
        layers.push(path);
        history.push(past(&step));
        next = step.parent.filter(|parent| !parent.is_empty());
    }
    layers.reverse();
    diff_ids.reverse();
    history.reverse();
    let path = format!("{top}/json");
    let mut config: Map<String, Value> = read_json(bundle.document(&path)?, &path)?;
    // What belonged to the chain, not to the image.
    for key in ["id", "parent", "Size", "parent_id", "layer_id", "throwaway"] {
        config.remove(key);
    }
    config.insert("rootfs".into(), json!({"type": "layers", "diff_ids": diff_ids}));
    config.insert("history".into(), Value::Array(history));
    Ok(Described {
        document: serde_json::to_vec(&config).expect("JSON stays JSON"),
        layers,
        references,
        parent: None,
    })
}

fn step(bundle: &Bundle, id: &str) -> Result<Step, ImageError> {
    if !reference::is_hex_id(id) {
        return Err(ImageError::bundle(id, "a malformed image id"));
    }
    let path = format!("{id}/json");
    read_json(bundle.document(&path)?, &path)
}

fn past(step: &Step) -> Value {
    let mut past = Map::new();
    past.insert(
        "created".into(),
        step.created.unwrap_or(Timestamp::ZERO).to_string().into(),
    );
    let mut add = |key: &str, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            past.insert(key.into(), text.into());
        }
    };
    let command = step.container_config.as_ref().and_then(|made| made.cmd.as_ref());
    add("author", step.author.clone());
    add("comment", step.comment.clone());
    add("created_by", command.map(|words| words.join(" ")));
    Value::Object(past)
}
