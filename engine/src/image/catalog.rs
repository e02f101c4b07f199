//! What images there are and what they are called: the immutable snapshot that every read uses, and the records on disk.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

use gantry_core::grammar::reference::{self, Reference};
use serde::{Deserialize, Serialize};

use super::{
    config::ImageConfig,
    error::ImageError,
    layers::{LayerHold, Layers},
};
use crate::archive::Digest;

/// An image's id: the digest of its configuration document. Displayed as `sha256:<64 hexadecimal digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageId(Digest);

impl ImageId {
    /// The id of the image with this configuration document.
    pub fn of(document: &[u8]) -> Self {
        Self(Digest::of(document))
    }

    /// An id from exactly 64 lower-case hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Self> {
        Digest::from_hex(hex).map(Self)
    }

    /// The 64 hexadecimal digits alone.
    pub fn hex(&self) -> String {
        self.0.hex()
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An image. As long as somebody keeps it, its layers stay, also when the image is removed meanwhile.
#[derive(Debug)]
pub struct ImageRecord {
    id: ImageId,
    config: ImageConfig,
    parent: Option<ImageId>,
    layers: Vec<LayerHold>,
    /// Removed by force while a stopped container used it: not to be found any more, kept for that container.
    hidden: bool,
}

impl ImageRecord {
    /// Id.
    pub fn id(&self) -> ImageId {
        self.id
    }

    /// Configuration.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The image this was built on, when known.
    pub fn parent(&self) -> Option<ImageId> {
        self.parent
    }

    /// Bytes of all layers, unpacked.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(LayerHold::size).sum()
    }

    /// The directories of the unpacked layers, top first, as overlay wants them. Never twice the same: a layer that is
    /// there again further down adds nothing to what its upper self shows, and overlay refuses doubles.
    pub fn layer_paths(&self) -> Vec<PathBuf> {
        let mut seen = std::collections::HashSet::new();
        let top_first = self.layers.iter().rev();
        top_first
            .filter(|l| seen.insert(*l.diff_id()))
            .map(LayerHold::path)
            .collect()
    }

    /// Its layers, bottom first.
    pub(crate) fn layer_holds(&self) -> &[LayerHold] {
        &self.layers
    }

    pub(crate) fn is_hidden(&self) -> bool {
        self.hidden
    }
}

/// A record as it is stored. The document is a string in it, because the id is the digest of its very bytes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Stored {
    document: String,
    layers: Vec<StoredLayer>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    parent: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(crate) hidden: bool,
}

#[derive(Serialize, Deserialize)]
struct StoredLayer {
    diff_id: String,
    size: u64,
}

impl Stored {
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings and numbers are always JSON")
    }

    /// The configuration document as it came.
    pub(crate) fn into_document(self) -> String {
        self.document
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }

    /// Checks a stored record against its id and takes hold of its layers. The error says what is missing or wrong.
    pub(crate) fn record(self, id: ImageId, layers: &Arc<Layers>) -> Result<ImageRecord, String> {
        if ImageId::of(self.document.as_bytes()) != id {
            return Err("its configuration has another digest".into());
        }
        let config = ImageConfig::decode(self.document.as_bytes()).map_err(|e| e.to_string())?;
        if config.diff_ids.len() != self.layers.len() {
            return Err("its configuration names other layers".into());
        }
        let mut holds = Vec::with_capacity(self.layers.len());
        for (diff_id, stored) in config.diff_ids.iter().zip(&self.layers) {
            if diff_id.to_string() != stored.diff_id {
                return Err("its configuration names other layers".into());
            }
            let hold = layers.hold_stored(*diff_id, stored.size);
            holds.push(hold.ok_or_else(|| format!("layer {diff_id} is missing"))?);
        }
        Ok(ImageRecord {
            id,
            config,
            parent: self.parent.as_deref().and_then(ImageId::from_hex),
            layers: holds,
            hidden: self.hidden,
        })
    }
}

/// A new image: its record, and what is to be stored of it.
pub(crate) fn new_image(
    document: Vec<u8>,
    parent: Option<ImageId>,
    layers: Vec<LayerHold>,
) -> Result<(ImageRecord, Stored), ImageError> {
    let config = ImageConfig::decode(&document)?;
    let id = ImageId::of(&document);
    let document = String::from_utf8(document).map_err(|_| ImageError::BadConfig {
        what: "not UTF-8".into(),
    })?;
    let stored = Stored {
        layers: layers
            .iter()
            .map(|layer| StoredLayer {
                diff_id: layer.diff_id().to_string(),
                size: layer.size(),
            })
            .collect(),
        parent: parent.map(|id| id.hex()),
        hidden: false,
        document,
    };
    let record = ImageRecord {
        id,
        config,
        parent,
        layers,
        hidden: false,
    };
    Ok((record, stored))
}

/// All images and references at one moment.
#[derive(Clone, Default)]
pub(crate) struct Catalog {
    /// By id; hidden ones included.
    pub(crate) images: BTreeMap<ImageId, Arc<ImageRecord>>,
    /// Key of a [`Reference`] → image, which is never hidden.
    pub(crate) references: BTreeMap<String, ImageId>,
}

impl Catalog {
    /// Finds an image as Docker does: by full id, by name, by unambiguous id prefix, in this order.
    pub(crate) fn resolve(&self, text: &str) -> Result<&Arc<ImageRecord>, ImageError> {
        let missing = || ImageError::NoSuchImage {
            reference: text.to_owned(),
        };
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        if let Some(id) = ImageId::from_hex(digits) {
            return self.visible(&id).ok_or_else(missing);
        }
        let parsed = Reference::parse(text).map_err(|why| ImageError::BadReference {
            reference: text.to_owned(),
            why,
        })?;
        if let Some(image) = self.references.get(&parsed.key()).and_then(|id| self.visible(id)) {
            return Ok(image);
        }
        if digits.is_empty() || !digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(missing());
        }
        let mut fitting = self.shown().filter(|image| image.id.hex().starts_with(digits));
        match (fitting.next(), fitting.next()) {
            (Some(image), None) => Ok(image),
            (None, _) => Err(missing()),
            (Some(_), Some(_)) => Err(ImageError::Ambiguous {
                prefix: text.to_owned(),
            }),
        }
    }

    /// The image of this id, unless it is hidden.
    pub(crate) fn visible(&self, id: &ImageId) -> Option<&Arc<ImageRecord>> {
        self.images.get(id).filter(|image| !image.hidden)
    }

    /// All images but the hidden ones.
    pub(crate) fn shown(&self) -> impl Iterator<Item = &Arc<ImageRecord>> {
        self.images.values().filter(|image| !image.hidden)
    }

    /// The keys that name `id`, in order.
    pub(crate) fn keys_of(&self, id: &ImageId) -> Vec<String> {
        let naming = self.references.iter().filter(|(_, named)| *named == id);
        naming.map(|(key, _)| key.clone()).collect()
    }

    /// Whether another image was built on `id`.
    pub(crate) fn has_children(&self, id: &ImageId) -> bool {
        self.shown().any(|image| image.parent == Some(*id))
    }
}

/// Tags and digests among keys, as `RepoTags` and `RepoDigests` have them.
pub(crate) fn split_keys(keys: Vec<String>) -> (Vec<String>, Vec<String>) {
    keys.into_iter().partition(|key| !reference::is_digest_key(key))
}
