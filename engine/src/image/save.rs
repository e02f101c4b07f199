//! `GET /images/{name}/get` and `GET /images/get`: images as a tar stream that Docker of any age, and `load`, read again.
//!
//! Format: the Docker image specification v1.2, "Combined Image JSON + Filesystem Changeset Format", as Docker 1.10 to 24
//! wrote it. The directories of the layers are those of specification v1, for daemons before that:
//!
//! ```text
//!   <layer>/VERSION       1.0
//!   <layer>/json          its parent; of the topmost, the configuration too
//!   <layer>/layer.tar     the very archive it came in, or a link to where that was written before
//!   <image id>.json       the configuration document as it came, so that its digest, the image's id, stays
//!   manifest.json         which layers make which image, and its names
//!   repositories          name, tag, topmost layer; only when there are names
//! ```
//!
//! The topmost layer is called as the image, which is what its id becomes where there is no other.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io,
    os::fd::AsFd,
    sync::Arc,
};

use gantry_core::grammar::reference::{Reference, is_digest_key, is_hex_id, repository_of};
use nix::{fcntl::OFlag, sys::stat::Mode};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    ImageId, ImageRecord, Images,
    catalog::{Catalog, Stored},
    error::ImageError,
    layers::LayerHold,
};
use crate::{
    archive::{Digest, Kind, Member, Mtime, Piece, Sink, Skeleton, finish, header, pack_member},
    sys::openat,
};

/// Images that are to be saved; their layers stay meanwhile.
pub(crate) struct Saving {
    images: Vec<(Arc<ImageRecord>, Vec<String>)>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ManifestEntry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
}

impl Images {
    /// Finds what is meant by each name: with a tag, that image under that name; without, all of that name; an id, that
    /// image without a name.
    ///
    /// # Errors
    /// As [`Images::resolve`].
    pub(crate) fn saving(&self, names: &[String]) -> Result<Saving, ImageError> {
        let catalog = self.snapshot();
        let mut images: Vec<(Arc<ImageRecord>, Vec<String>)> = Vec::new();
        for name in names {
            for (image, key) in find(&catalog, name)? {
                match images.iter_mut().find(|(known, _)| known.id() == image.id()) {
                    Some((_, keys)) => {
                        if let Some(key) = key.filter(|key| !keys.contains(key)) {
                            keys.push(key);
                        }
                    }
                    None => images.push((image, key.into_iter().collect())),
                }
            }
        }
        Ok(Saving { images })
    }

    /// Writes the whole archive.
    ///
    /// # Errors
    /// The sink's, the host's, and [`ImageError::Unsaveable`].
    pub(crate) fn save(&self, saving: &Saving, sink: &mut dyn Sink) -> Result<(), ImageError> {
        let failed = |error| ImageError::host("write", "image archive")(error);
        let mut writer = Writer {
            sink,
            layers: HashMap::new(),
            directories: HashSet::new(),
        };
        let mut manifest = Vec::new();
        let mut repositories: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
        // All that can be refused is, before the first byte.
        let documents = saving.images.iter().map(|(image, _)| self.document(image));
        let documents = documents.collect::<Result<Vec<_>, _>>()?;
        for ((image, keys), document) in saving.images.iter().zip(documents) {
            let hex = image.id().hex();
            let layers = writer.layers(image, &document)?;
            let mtime = image.config().created.secs;
            writer
                .file(&format!("{hex}.json"), mtime, document.as_bytes())
                .map_err(failed)?;
            for key in keys {
                let tag = key.strip_prefix(repository_of(key)).unwrap_or_default();
                let tag = tag.strip_prefix(':').unwrap_or_default();
                let tags = repositories.entry(repository_of(key)).or_default();
                tags.insert(tag, hex.clone());
            }
            let is_saved = |id: &ImageId| saving.images.iter().any(|(image, _)| image.id() == *id);
            manifest.push(ManifestEntry {
                config: format!("{hex}.json"),
                repo_tags: (!keys.is_empty()).then(|| keys.clone()),
                layers,
                parent: image.parent().filter(is_saved).map(|id| id.to_string()),
            });
        }
        let json = |value: Result<Vec<u8>, _>| value.expect("strings are always JSON");
        let manifest = json(serde_json::to_vec(&manifest));
        writer.file("manifest.json", 0, &manifest).map_err(failed)?;
        if !repositories.is_empty() {
            let repositories = json(serde_json::to_vec(&repositories));
            writer.file("repositories", 0, &repositories).map_err(failed)?;
        }
        finish(writer.sink).map_err(failed)
    }

    /// The configuration document of an image whose layers can be saved.
    fn document(&self, image: &ImageRecord) -> Result<String, ImageError> {
        if let Some(layer) = image.layer_holds().iter().find(|layer| !layer.skeleton().exists()) {
            return Err(ImageError::Unsaveable {
                layer: layer.diff_id().to_string(),
            });
        }
        let hex = image.id().hex();
        let Some(record) = self.store.image(&hex)? else {
            return Err(ImageError::NoSuchImage { reference: hex });
        };
        let stored = Stored::decode(&record).map_err(|what| ImageError::BadConfig { what })?;
        Ok(stored.into_document())
    }
}

impl Saving {
    /// The ids of the images.
    pub(crate) fn ids(&self) -> Vec<String> {
        self.images.iter().map(|(image, _)| image.id().to_string()).collect()
    }
}

/// An image, and the key it is to be known by.
type Found = (Arc<ImageRecord>, Option<String>);

/// The images that a name means.
fn find(catalog: &Catalog, name: &str) -> Result<Vec<Found>, ImageError> {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    if is_hex_id(digits) {
        return Ok(vec![(Arc::clone(catalog.resolve(name)?), None)]);
    }
    let reference = Reference::parse(name).map_err(|why| ImageError::BadReference {
        reference: name.to_owned(),
        why,
    })?;
    let key = reference.key();
    if reference.tag().is_some() || reference.digest().is_some() {
        let image = Arc::clone(catalog.resolve(name)?);
        let known = catalog.references.contains_key(&key) && !is_digest_key(&key);
        return Ok(vec![(image, known.then_some(key))]);
    }
    let repository = repository_of(&key);
    let keys = catalog.references.iter();
    let keys = keys.filter(|(key, _)| repository_of(key) == repository && !is_digest_key(key));
    let found: Vec<_> = keys
        .filter_map(|(key, id)| Some((Arc::clone(catalog.visible(id)?), Some(key.clone()))))
        .collect();
    if found.is_empty() {
        return Ok(vec![(Arc::clone(catalog.resolve(name)?), None)]);
    }
    Ok(found)
}

struct Writer<'a> {
    sink: &'a mut dyn Sink,
    /// Where the archive of a layer was written.
    layers: HashMap<Digest, String>,
    /// Directories that have been written.
    directories: HashSet<String>,
}

impl Writer<'_> {
    /// Writes the layers of an image as far as they have not been; says where they are, bottom first.
    fn layers(&mut self, image: &ImageRecord, document: &str) -> Result<Vec<String>, ImageError> {
        let failed = |error| ImageError::host("write", "image archive")(error);
        let mtime = image.config().created.secs;
        let mut paths = Vec::new();
        let mut parent: Option<String> = None;
        for (place, layer) in image.layer_holds().iter().enumerate() {
            let is_top = place + 1 == image.layer_holds().len();
            let directory = match (&parent, is_top) {
                (_, true) => image.id().hex(),
                (parent, false) => Digest::of(format!("{parent:?} {}", layer.diff_id()).as_bytes()).hex(),
            };
            paths.push(format!("{directory}/layer.tar"));
            if self.directories.insert(directory.clone()) {
                let step = step(&directory, parent.as_deref(), is_top.then_some(document))?;
                self.member(&directory, Kind::Directory, 0o755, mtime, &[])
                    .map_err(failed)?;
                self.file(&format!("{directory}/VERSION"), mtime, b"1.0")
                    .map_err(failed)?;
                self.file(&format!("{directory}/json"), mtime, &step).map_err(failed)?;
                self.layer(&directory, mtime, layer)?;
            }
            parent = Some(directory);
        }
        Ok(paths)
    }

    fn layer(&mut self, directory: &str, mtime: i64, layer: &LayerHold) -> Result<(), ImageError> {
        let failed = |error| ImageError::host("write", "image archive")(error);
        let path = format!("{directory}/layer.tar");
        if let Some(written) = self.layers.get(layer.diff_id()) {
            let target = format!("../{written}").into_bytes();
            return self
                .member(&path, Kind::Symlink { target }, 0o777, mtime, &[])
                .map_err(failed);
        }
        let skeleton = File::open(layer.skeleton()).and_then(Skeleton::open);
        let mut skeleton = skeleton.map_err(ImageError::host("read", layer.skeleton()))?;
        let root = File::open(layer.path()).map_err(ImageError::host("open", layer.path()))?;
        let member = Member {
            size: skeleton.len(),
            ..member(&path, Kind::File, 0o644, mtime)
        };
        self.sink.write_all(&header(&member)).map_err(failed)?;
        while let Some(piece) = skeleton.piece().map_err(ImageError::host("read", layer.skeleton()))? {
            match piece {
                Piece::Bytes(bytes) => self.sink.write_all(&bytes).map_err(failed)?,
                Piece::Zeros(len) => self.sink.zeros(len).map_err(failed)?,
                Piece::Data { path, len } => {
                    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
                    let file = openat::open_in_root(root.as_fd(), &path, flags, Mode::empty());
                    let file = File::from(file.map_err(|errno| ImageError::host("open", layer.path())(errno.into()))?);
                    let changed = |metadata: std::fs::Metadata| !metadata.is_file() || metadata.len() != len;
                    let changed = file.metadata().map(changed).map_err(failed)?;
                    if changed || self.sink.copy(&file, len).map_err(failed)? != len {
                        let why = io::Error::other(format!("changed: {}", path.escape_ascii()));
                        return Err(ImageError::host("read", layer.path())(why));
                    }
                }
            }
        }
        self.sink
            .zeros(skeleton.len().next_multiple_of(512) - skeleton.len())
            .map_err(failed)?;
        self.layers.insert(*layer.diff_id(), path);
        Ok(())
    }

    fn file(&mut self, path: &str, mtime: i64, data: &[u8]) -> io::Result<()> {
        self.member(path, Kind::File, 0o644, mtime, data)
    }

    fn member(&mut self, path: &str, kind: Kind, mode: u32, mtime: i64, data: &[u8]) -> io::Result<()> {
        let member = Member {
            size: data.len() as u64,
            ..member(path, kind, mode, mtime)
        };
        pack_member(&member, data, self.sink)
    }
}

fn member(path: &str, kind: Kind, mode: u32, mtime: i64) -> Member {
    Member {
        path: path.as_bytes().to_vec(),
        kind,
        mode,
        uid: 0,
        gid: 0,
        size: 0,
        mtime: Mtime { secs: mtime, nanos: 0 },
        xattrs: Vec::new(),
    }
}

/// The JSON of a layer as specification v1 has it. `document` is that of the image whose topmost it is.
fn step(id: &str, parent: Option<&str>, document: Option<&str>) -> Result<Vec<u8>, ImageError> {
    let mut step: Map<String, Value> = match document {
        Some(document) => serde_json::from_str(document).map_err(|error| ImageError::BadConfig {
            what: error.to_string(),
        })?,
        None => Map::from_iter([
            ("created".to_owned(), json!("1970-01-01T00:00:00Z")),
            ("container_config".to_owned(), json!({})),
            ("os".to_owned(), json!("linux")),
        ]),
    };
    // What did not exist then.
    step.remove("rootfs");
    step.remove("history");
    step.insert("id".to_owned(), id.into());
    if let Some(parent) = parent {
        step.insert("parent".to_owned(), parent.into());
    }
    Ok(serde_json::to_vec(&step).expect("JSON stays JSON"))
}
