//! `POST /images/load`: the images of a saved bundle, all or none.
//!
//! Formats, tried in this order: `manifest.json` (Docker image specification v1.2, "Combined Image JSON + Filesystem
//! Changeset Format"), an OCI image layout (`index.json`; OCI image specification, "Image Layout"), and the bundles of
//! Docker before 1.10 (specification v1; see `legacy.rs`). Every layer is checked against the `diff_ids` of the
//! configuration, every blob against its name.

use std::{collections::HashSet, io::Read};

use gantry_core::{
    grammar::reference::Reference,
    model::{Progress, ProgressDetail},
};
use serde::Deserialize;

use super::{
    ImageId, ImageRecord, Images, add,
    bundle::{Bundle, LayerState},
    catalog::{Stored, new_image},
    config::{CONFIG_BYTES_MAX, ImageConfig, LAYERS_MAX, architecture},
    error::ImageError,
    legacy, name,
};
use crate::archive::Digest;

/// An image that was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Its id.
    pub id: ImageId,
    /// Names it got, in the familiar form, with tag.
    pub references: Vec<String>,
}

/// An image as a bundle describes it.
pub(super) struct Described {
    /// Configuration document.
    pub(super) document: Vec<u8>,
    /// Paths of its layers in the bundle, bottom first.
    pub(super) layers: Vec<String>,
    pub(super) references: Vec<Reference>,
    pub(super) parent: Option<ImageId>,
}

impl Images {
    /// Loads all images of the tar stream `body`, compressed or not, and names them as it says; names that other images
    /// had move. `progress` gets a message per layer while the stream is read, and one per name at the end.
    ///
    /// # Errors
    /// A bundle that is refused, or the host; nothing has been added or named then.
    pub fn load(&self, body: impl Read, progress: &mut dyn FnMut(Progress)) -> Result<Vec<Loaded>, ImageError> {
        let mut bundle = Bundle::read(body, &self.layers, &mut |diff_id, size| {
            let size = i64::try_from(size).ok();
            progress(Progress {
                status: Some("Loading layer".into()),
                progress_detail: Some(ProgressDetail {
                    current: size,
                    total: size,
                }),
                id: Some(diff_id.hex()[..12].to_owned()),
                ..Progress::default()
            });
        })?;
        let described = describe(&bundle)?;
        let images = self.take_layers(&mut bundle, described)?;
        let (loaded, messages) = self.change(|catalog, changes| {
            let mut loaded = Vec::new();
            let mut messages = Vec::new();
            for (record, stored, references) in images {
                let id = record.id();
                add(catalog, changes, record, &stored);
                let keys: Vec<String> = references.iter().map(Reference::key).collect();
                for key in &keys {
                    if let Some(former) = catalog.references.get(key).filter(|former| **former != id) {
                        messages.push(format!(
                            "The image {key} already exists, renaming the old one with ID {former} to empty string\n"
                        ));
                    }
                    name(catalog, changes, key.clone(), id);
                    messages.push(format!("Loaded image: {key}\n"));
                }
                if keys.is_empty() {
                    messages.push(format!("Loaded image ID: {id}\n"));
                }
                loaded.push(Loaded { id, references: keys });
            }
            Ok((loaded, messages))
        })?;
        for message in messages {
            progress(Progress {
                stream: Some(message),
                ..Progress::default()
            });
        }
        Ok(loaded)
    }

    /// Checks every image against its layers, makes the layers visible, and makes the records that hold them.
    fn take_layers(
        &self,
        bundle: &mut Bundle,
        described: Vec<Described>,
    ) -> Result<Vec<(ImageRecord, Stored, Vec<Reference>)>, ImageError> {
        let mut fresh = Vec::new();
        let mut known = Vec::new();
        let mut wanted = Vec::new();
        for image in &described {
            let config = ImageConfig::decode(&image.document)?;
            if !matches!(config.os.as_str(), "" | "linux") {
                return Err(ImageError::BadConfig {
                    what: format!("operating system {:?}", config.os),
                });
            }
            if config.diff_ids.len() != image.layers.len() {
                return Err(ImageError::BadConfig {
                    what: "another number of layers than its manifest".into(),
                });
            }
            for (expected, path) in config.diff_ids.iter().zip(&image.layers) {
                let layer = bundle.layer(path)?;
                if let Some(found) = layer.diff_id()
                    && found != *expected
                {
                    return Err(ImageError::DigestMismatch {
                        name: path.clone(),
                        expected: expected.to_string(),
                        found: found.to_string(),
                    });
                }
                match std::mem::replace(layer, LayerState::Taken(*expected)) {
                    LayerState::Failed(error) => return Err(error),
                    LayerState::Fresh(layer) => fresh.push(layer),
                    LayerState::Known(hold) => known.push(hold),
                    LayerState::Taken(_) => {}
                }
            }
            wanted.push(config.diff_ids);
        }
        // Held until every record has its own holds.
        known.extend(self.layers.publish(fresh)?);
        let mut images = Vec::new();
        for (image, diff_ids) in described.into_iter().zip(wanted) {
            let holds = diff_ids.iter().map(|id| self.layers.hold(*id));
            let holds = holds
                .collect::<Option<Vec<_>>>()
                .expect("published or known just above, and held");
            let (record, stored) = new_image(image.document, image.parent, holds)?;
            images.push((record, stored, image.references));
        }
        Ok(images)
    }
}

fn describe(bundle: &Bundle) -> Result<Vec<Described>, ImageError> {
    let described = if bundle.has("manifest.json") {
        from_manifest(bundle)?
    } else if bundle.has("index.json") {
        from_layout(bundle)?
    } else {
        legacy::describe(bundle)?
    };
    if described.is_empty() {
        return Err(ImageError::bundle("manifest.json", "an archive without images"));
    }
    Ok(described)
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
    #[serde(default)]
    parent: Option<String>,
}

fn from_manifest(bundle: &Bundle) -> Result<Vec<Described>, ImageError> {
    let entries: Vec<ManifestEntry> = json(bundle.document("manifest.json")?, "manifest.json")?;
    let mut described = Vec::new();
    for entry in entries {
        let document = bundle.document(&entry.config)?;
        if document.len() > CONFIG_BYTES_MAX {
            return Err(ImageError::bundle(entry.config, "a configuration that is too large"));
        }
        let file = entry.config.rsplit('/').next().unwrap_or_default();
        let promised = Digest::from_hex(file.strip_suffix(".json").unwrap_or(file));
        if let Some(expected) = promised.filter(|promised| *promised != Digest::of(document)) {
            return Err(ImageError::DigestMismatch {
                name: entry.config,
                expected: expected.to_string(),
                found: Digest::of(document).to_string(),
            });
        }
        let layers = entry.layers.unwrap_or_default();
        if layers.len() > LAYERS_MAX {
            return Err(ImageError::bundle("manifest.json", "too many layers"));
        }
        let tags = entry.repo_tags.unwrap_or_default();
        described.push(Described {
            document: document.to_vec(),
            layers,
            references: tags.iter().map(|tag| reference(tag)).collect::<Result<_, _>>()?,
            parent: entry
                .parent
                .as_deref()
                .and_then(|id| ImageId::from_hex(id.strip_prefix("sha256:")?)),
        });
    }
    Ok(described)
}

/// An OCI index or manifest (or Docker schema 2 manifest or list): which of both, the fields tell.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciDocument {
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Option<Vec<Descriptor>>,
    #[serde(default)]
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
    os: String,
}

/// Most indexes on the way to a manifest.
const INDEX_DEPTH_MAX: usize = 3;

fn from_layout(bundle: &Bundle) -> Result<Vec<Described>, ImageError> {
    let index: OciDocument = json(bundle.document("index.json")?, "index.json")?;
    let mut described = Vec::new();
    let mut seen = HashSet::new();
    let manifests = index.manifests.unwrap_or_default();
    if index.layers.is_some() {
        return Err(ImageError::bundle("index.json", AMBIGUOUS));
    }
    for descriptor in &manifests {
        walk(bundle, descriptor, &names(descriptor)?, 0, &mut seen, &mut described)?;
    }
    Ok(described)
}

fn walk(
    bundle: &Bundle,
    descriptor: &Descriptor,
    references: &[Reference],
    depth: usize,
    seen: &mut HashSet<(String, Vec<Reference>)>,
    described: &mut Vec<Described>,
) -> Result<(), ImageError> {
    let path = blob(&descriptor.digest)?;
    if depth > INDEX_DEPTH_MAX {
        return Err(ImageError::bundle(path, "indexes nested too deep"));
    }
    // The same manifest twice under the same names says nothing new.
    if !seen.insert((path.clone(), references.to_vec())) {
        return Ok(());
    }
    let bytes = sized(bundle, descriptor, &path)?;
    let document: OciDocument = json(bytes, &path)?;
    if document.media_type.is_some_and(|own| own != descriptor.media_type) {
        return Err(ImageError::bundle(
            path,
            "a document of another media type than promised",
        ));
    }
    match (document.manifests, document.layers, document.config) {
        (Some(manifests), None, None) => {
            let fits = |descriptor: &&Descriptor| {
                let platform = descriptor.platform.as_ref();
                platform.is_none_or(|p| p.os == "linux" && p.architecture == architecture())
            };
            for descriptor in manifests.iter().filter(fits) {
                walk(bundle, descriptor, references, depth + 1, seen, described)?;
            }
            Ok(())
        }
        (None, Some(layers), Some(config)) => {
            // Signatures, attestations and other artifacts are no images.
            if !matches!(config.media_type.as_str(), OCI_CONFIG | DOCKER_CONFIG) {
                return Ok(());
            }
            if layers.len() > LAYERS_MAX {
                return Err(ImageError::bundle(path, "too many layers"));
            }
            let document = sized(bundle, &config, &blob(&config.digest)?)?.to_vec();
            described.push(Described {
                document,
                layers: layers
                    .iter()
                    .map(|layer| blob(&layer.digest))
                    .collect::<Result<_, _>>()?,
                references: references.to_vec(),
                parent: None,
            });
            Ok(())
        }
        _ => Err(ImageError::bundle(path, AMBIGUOUS)),
    }
}

fn sized<'a>(bundle: &'a Bundle, descriptor: &Descriptor, path: &str) -> Result<&'a [u8], ImageError> {
    let bytes = bundle.document(path)?;
    if bytes.len() as u64 != descriptor.size {
        return Err(ImageError::bundle(path, "a document of another size than promised"));
    }
    Ok(bytes)
}

/// The names a descriptor of `index.json` carries. A bare tag, which some tools write, names no repository.
fn names(descriptor: &Descriptor) -> Result<Vec<Reference>, ImageError> {
    let annotation = |key: &str| descriptor.annotations.as_ref().and_then(|all| all.get(key));
    if let Some(full) = annotation("io.containerd.image.name") {
        return Ok(vec![reference(full)?]);
    }
    match annotation("org.opencontainers.image.ref.name") {
        Some(full) if full.contains(['/', ':']) => Ok(vec![reference(full)?]),
        _ => Ok(Vec::new()),
    }
}

fn blob(digest: &str) -> Result<String, ImageError> {
    let parsed: Result<Digest, _> = digest.parse();
    match parsed {
        Ok(digest) => Ok(format!("blobs/sha256/{}", digest.hex())),
        Err(_) => Err(ImageError::bundle(digest, "a malformed digest")),
    }
}

pub(super) fn reference(text: &str) -> Result<Reference, ImageError> {
    match Reference::parse(text) {
        Ok(reference) if reference.digest().is_none() => Ok(reference.or_latest()),
        Ok(_) => Err(ImageError::bundle(text, "a digest as a name")),
        Err(why) => Err(ImageError::BadReference {
            reference: text.to_owned(),
            why,
        }),
    }
}

pub(super) fn json<'a, T: Deserialize<'a>>(document: &'a [u8], path: &str) -> Result<T, ImageError> {
    serde_json::from_slice(document).map_err(|error| ImageError::BadDocument {
        name: path.to_owned(),
        error,
    })
}

const AMBIGUOUS: &str = "a document that is neither an index nor a manifest";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

#[cfg(test)]
mod tests;
