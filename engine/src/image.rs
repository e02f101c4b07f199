//! Images: importing, loading, naming, listing and removing them, and the layers they are made of.
//!
//! [`Images`] is shared by all threads. Reads work on an immutable snapshot and do no I/O; changes are made one at a time,
//! written to the [`Store`] in one transaction, and only then put into the next snapshot. What is on disk:
//!
//! ```text
//!   <root>/layers/<diff id>/diff    unpacked layers, see layers.rs
//!   <root>/tmp                      what is being unpacked
//!   the store                       configuration documents, references
//! ```
//!
//! Not here: HTTP, API versions, pulling from registries. What the API promises about images is in the Engine API
//! document v1.24, section 3.2 "Images"; the rules it leaves open are those of Docker 20.10, as its clients expect them.

mod builtin;
mod bundle;
mod catalog;
mod changes;
mod config;
mod error;
mod layers;
mod legacy;
mod list;
mod load;
mod pattern;
mod remove;
mod save;
#[cfg(test)]
pub(crate) mod scratch;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::Read,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use gantry_core::{
    ImageImport,
    grammar::reference::{Reference, ReferenceError},
    model::{self, Timestamp},
};

use self::{
    catalog::{Catalog, Stored, new_image},
    layers::Layers,
};
pub use self::{
    catalog::{ImageId, ImageRecord},
    config::ImageConfig,
    error::ImageError,
    load::Loaded,
    remove::ImageUser,
};
use crate::{
    archive::Limits,
    store::{ImageChanges, Store},
    trash::Trash,
};

/// All images of a daemon.
pub struct Images {
    layers: Arc<Layers>,
    store: Arc<Store>,
    /// The snapshot. Locked only to copy or replace the pointer.
    catalog: Mutex<Arc<Catalog>>,
    /// Held by whoever changes images, from reading the snapshot to replacing it.
    changing: Mutex<()>,
    warnings: Vec<String>,
}

impl Images {
    /// Opens the images below `root` (made when missing) and puts right what a crash left: half-made layers go to the
    /// trash, records whose layers are gone are dropped, as are references to them. [`Images::warnings`] tells of it.
    ///
    /// # Errors
    /// The directories or the store cannot be read or written.
    pub fn open(root: &Path, store: Arc<Store>, trash: Arc<Trash>) -> Result<Self, ImageError> {
        Self::open_with(root, store, trash, Limits::default())
    }

    /// As [`Images::open`], with other bounds on layers.
    ///
    /// # Errors
    /// As [`Images::open`].
    pub fn open_with(root: &Path, store: Arc<Store>, trash: Arc<Trash>, limits: Limits) -> Result<Self, ImageError> {
        let layers = Arc::new(Layers::open(root, trash, limits)?);
        let mut catalog = Catalog::default();
        let mut changes = ImageChanges::default();
        let mut warnings = Vec::new();
        for (hex, bytes) in store.images()? {
            let record = ImageId::from_hex(&hex)
                .ok_or_else(|| "its id is malformed".to_owned())
                .and_then(|id| Stored::decode(&bytes)?.record(id, &layers));
            match record {
                Ok(record) => {
                    catalog.images.insert(record.id(), Arc::new(record));
                }
                Err(why) => {
                    warnings.push(format!("image {hex} dropped: {why}"));
                    changes.remove.push(hex);
                }
            }
        }
        for (key, hex) in store.references()? {
            match ImageId::from_hex(&hex).filter(|id| catalog.visible(id).is_some()) {
                Some(id) => {
                    catalog.references.insert(key, id);
                }
                None => {
                    warnings.push(format!("reference {key} dropped: image {hex} is gone"));
                    changes.untag.push(key);
                }
            }
        }
        if changes != ImageChanges::default() {
            store.commit_images(&changes)?;
        }
        match layers.sweep()? {
            0 => {}
            thrown => warnings.push(format!("{thrown} unused layers removed")),
        }
        Ok(Self {
            layers,
            store,
            catalog: Mutex::new(Arc::new(catalog)),
            changing: Mutex::new(()),
            warnings,
        })
    }

    /// What [`Images::open`] put right, for the log.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Makes an image of one layer from the tar stream `body`, compressed or not, and tags it when the request names a
    /// repository. The tag moves when it named another image.
    ///
    /// # Errors
    /// A bad reference or change, an archive that is refused, or the host.
    pub fn import(&self, body: impl Read, request: &ImageImport, now: Timestamp) -> Result<ImageId, ImageError> {
        self.import_noting(body, request, now, None)
    }

    /// As [`Images::import`], and sets a meta name of the store in the same transaction.
    fn import_noting(
        &self,
        body: impl Read,
        request: &ImageImport,
        now: Timestamp,
        note: Option<(String, Vec<u8>)>,
    ) -> Result<ImageId, ImageError> {
        let reference = match request.repository.as_str() {
            "" => None,
            repository => Some(parse_tag(repository, &request.tag)?),
        };
        let mut config = ImageConfig {
            architecture: config::architecture().into(),
            os: "linux".into(),
            created: now,
            comment: match request.message.as_str() {
                "" => format!("Imported from {}", request.source),
                message => message.to_owned(),
            },
            docker_version: env!("CARGO_PKG_VERSION").into(),
            config: Some(model::ContainerConfig::default()),
            ..ImageConfig::default()
        };
        for change in &request.changes {
            changes::apply(&mut config, change)?;
        }
        let fresh = self.layers.unpack(body)?;
        config.diff_ids = vec![fresh.unpacked.diff_id];
        let document = config.encode();
        // Refuses what could not be read again before anything becomes visible.
        ImageConfig::decode(&document)?;
        let holds = self.layers.publish(vec![fresh])?;
        let (record, stored) = new_image(document, None, holds)?;
        let id = record.id();
        self.change(|catalog, changes| {
            changes.meta = note;
            add(catalog, changes, record, &stored);
            if let Some(reference) = &reference {
                name(catalog, changes, reference.key(), id);
            }
            Ok(id)
        })
    }

    /// Finds an image by `name[:tag]`, `name@digest`, id (with or without `sha256:`) or unambiguous id prefix.
    ///
    /// # Errors
    /// [`ImageError::NoSuchImage`], [`ImageError::Ambiguous`] and [`ImageError::BadReference`].
    pub fn resolve(&self, reference: &str) -> Result<Arc<ImageRecord>, ImageError> {
        self.snapshot().resolve(reference).cloned()
    }

    /// The image of this id, also when it was removed by force while a container used it.
    pub fn by_id(&self, id: &ImageId) -> Option<Arc<ImageRecord>> {
        self.snapshot().images.get(id).cloned()
    }

    /// `GET /images/{name}/json`.
    ///
    /// # Errors
    /// As [`Images::resolve`].
    pub fn inspect(&self, reference: &str) -> Result<model::Image, ImageError> {
        let catalog = self.snapshot();
        let image = catalog.resolve(reference)?;
        let (repo_tags, repo_digests) = catalog::split_keys(catalog.keys_of(&image.id()));
        let config = image.config();
        let size = i64::try_from(image.size()).unwrap_or(i64::MAX);
        Ok(model::Image {
            id: image.id().to_string(),
            repo_tags,
            repo_digests,
            parent: image.parent().map(|id| id.to_string()).unwrap_or_default(),
            comment: config.comment.clone(),
            created: config.created,
            container: config.container.clone(),
            container_config: config.container_config.clone(),
            docker_version: config.docker_version.clone(),
            author: config.author.clone(),
            config: config.config.clone(),
            architecture: config.architecture.clone(),
            os: config.os.clone(),
            size,
            virtual_size: size,
            graph_driver: graph_driver(&image.layer_paths()),
            root_fs: model::RootFs {
                kind: "layers".into(),
                layers: config.diff_ids.iter().map(ToString::to_string).collect(),
            },
        })
    }

    /// Gives an image another name. `repository` may hold a tag of its own when `tag` is empty; both empty of a tag mean
    /// `latest`.
    ///
    /// # Errors
    /// As [`Images::resolve`]; a malformed name; [`ImageError::TagInUse`] without `force`.
    pub fn tag(&self, image: &str, repository: &str, tag: &str, force: bool) -> Result<(), ImageError> {
        let reference = parse_tag(repository, tag)?;
        self.change(|catalog, changes| {
            let id = catalog.resolve(image)?.id();
            let key = reference.key();
            match catalog.references.get(&key) {
                Some(holder) if *holder == id => return Ok(()),
                Some(holder) if !force => {
                    return Err(ImageError::TagInUse {
                        reference: key,
                        holder: holder.hex(),
                    });
                }
                _ => {}
            }
            name(catalog, changes, key, id);
            Ok(())
        })
    }

    /// The directories of an image's unpacked layers, top first; see [`ImageRecord::layer_paths`].
    pub fn layers(&self, record: &ImageRecord) -> Vec<PathBuf> {
        record.layer_paths()
    }

    /// How many images there are.
    pub fn count(&self) -> usize {
        self.snapshot().shown().count()
    }

    fn snapshot(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One change: decided on a copy of the snapshot, stored, then made the snapshot. Nothing has happened when it fails.
    fn change<T>(
        &self,
        decide: impl FnOnce(&mut Catalog, &mut ImageChanges) -> Result<T, ImageError>,
    ) -> Result<T, ImageError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut catalog = Catalog::clone(&self.snapshot());
        let mut changes = ImageChanges::default();
        let result = decide(&mut catalog, &mut changes)?;
        if changes != ImageChanges::default() {
            self.store.commit_images(&changes)?;
            let next = Arc::new(catalog);
            let former = std::mem::replace(&mut *self.catalog.lock().unwrap_or_else(PoisonError::into_inner), next);
            // Outside of the lock: dropping the last record of an image removes its layers.
            drop(former);
        }
        Ok(result)
    }
}

impl Drop for Images {
    fn drop(&mut self) {
        self.layers.close();
    }
}

/// Adds an image, unless it is there already. One that was hidden comes back.
fn add(catalog: &mut Catalog, changes: &mut ImageChanges, record: ImageRecord, stored: &Stored) {
    let id = record.id();
    if catalog.visible(&id).is_some() {
        return;
    }
    changes.put.push((id.hex(), stored.encode()));
    catalog.images.insert(id, Arc::new(record));
}

fn name(catalog: &mut Catalog, changes: &mut ImageChanges, key: String, id: ImageId) {
    if catalog.references.get(&key) == Some(&id) {
        return;
    }
    changes.tag.push((key.clone(), id.hex()));
    catalog.references.insert(key, id);
}

/// A name to give; digests name content and cannot be given.
fn parse_tag(repository: &str, tag: &str) -> Result<Reference, ImageError> {
    let reference = Reference::with_tag(repository, tag).and_then(|reference| match reference.digest() {
        None => Ok(reference),
        Some(_) => Err(ReferenceError::Digest),
    });
    reference.map_err(|why| ImageError::BadReference {
        reference: match (why, tag) {
            (ReferenceError::Tag, _) => tag.to_owned(),
            _ => repository.to_owned(),
        },
        why,
    })
}

fn graph_driver(layers: &[PathBuf]) -> model::GraphDriver {
    let text = |paths: &[PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
        paths.join(":")
    };
    let mut data = BTreeMap::new();
    if let [top, below @ ..] = layers {
        data.insert("UpperDir".to_owned(), text(std::slice::from_ref(top)));
        if !below.is_empty() {
            data.insert("LowerDir".to_owned(), text(below));
        }
    }
    model::GraphDriver {
        name: "overlay2".into(),
        data: Some(data),
    }
}
