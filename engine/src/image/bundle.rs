//! The files of a saved bundle, taken from its tar stream in one pass.
//!
//! What looks like a layer is unpacked on the spot, before anything says whether it belongs to an image: the manifest
//! stands at the end of the archive, and writing layers twice would cost more than unpacking one in vain. Everything else
//! is a document and must be small. Files below `blobs/sha256/` are checked against the digest they are named by.

use std::{collections::HashMap, io::Read, sync::Arc};

use super::{
    error::ImageError,
    layers::{Fresh, LayerHold, Layers},
};
use crate::archive::{ArchiveError, Decoder, Digest, DigestReader, Kind, Member, Members, looks_like_layer};

/// Most bytes of one document (I2 of the OCI distribution specification recommends 4 MiB for manifests).
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of all documents, which are kept in memory.
const DOCUMENTS_BYTES_MAX: u64 = 32 << 20;
/// Most files and links.
const FILES_MAX: usize = 16 * 1024;
/// Most links in a row.
const LINKS_MAX: usize = 8;

/// A bundle's files by path.
pub(super) struct Bundle {
    files: HashMap<String, File>,
    documents_bytes: u64,
}

enum File {
    Document(Vec<u8>),
    Layer(Box<LayerState>),
    /// Path of another file.
    Link(String),
}

/// A layer of a bundle.
pub(super) enum LayerState {
    /// It was there before.
    Known(LayerHold),
    Fresh(Fresh),
    /// It could not be unpacked, which matters only if an image needs it.
    Failed(ImageError),
    /// Taken for publication.
    Taken(Digest),
}

impl LayerState {
    pub(super) fn diff_id(&self) -> Option<Digest> {
        match self {
            Self::Known(hold) => Some(*hold.diff_id()),
            Self::Fresh(fresh) => Some(fresh.unpacked.diff_id),
            Self::Taken(diff_id) => Some(*diff_id),
            Self::Failed(_) => None,
        }
    }
}

impl Bundle {
    /// Reads the whole stream. `unpacked` is told the digest and size of each layer when it is done.
    pub(super) fn read(
        body: impl Read,
        layers: &Arc<Layers>,
        unpacked: &mut dyn FnMut(Digest, u64),
    ) -> Result<Self, ImageError> {
        let decoder = Decoder::new(body).map_err(ArchiveError::Read)?;
        let mut members = Members::new(decoder);
        let mut bundle = Self {
            files: HashMap::new(),
            documents_bytes: 0,
        };
        while let Some(member) = members.next_member()? {
            let path = text(&member.path)?;
            let file = match &member.kind {
                Kind::Directory => continue,
                Kind::File => bundle.file(&path, &member, &mut members, layers, unpacked)?,
                Kind::HardLink { target } => File::Link(text(target)?),
                Kind::Symlink { target } => File::Link(below(&path, &text(target)?)?),
                _ => return Err(ImageError::bundle(path, "a device in an image archive")),
            };
            if bundle.files.len() >= FILES_MAX {
                return Err(ImageError::Archive(ArchiveError::TooMuch {
                    what: "files in an image archive",
                    max: FILES_MAX as u64,
                }));
            }
            if bundle.files.insert(path.clone(), file).is_some() {
                return Err(ImageError::bundle(path, "a file that is there twice"));
            }
        }
        Ok(bundle)
    }

    fn file<R: Read>(
        &mut self,
        path: &str,
        member: &Member,
        members: &mut Members<R>,
        layers: &Arc<Layers>,
        unpacked: &mut dyn FnMut(Digest, u64),
    ) -> Result<File, ImageError> {
        let promised = match path.strip_prefix("blobs/sha256/") {
            None => None,
            Some(hex) => Some(Digest::from_hex(hex).ok_or_else(|| ImageError::bundle(path, "a blob without digest"))?),
        };
        let check = |found: Digest| match promised {
            Some(promised) if promised != found => Err(ImageError::DigestMismatch {
                name: path.to_owned(),
                expected: promised.to_string(),
                found: found.to_string(),
            }),
            _ => Ok(()),
        };
        let len = member.size;
        if looks_like_layer(members.peek()?) {
            // A layer we have is not unpacked again; nothing of what is skipped is used.
            if let Some(hold) = promised.and_then(|id| layers.hold(id)) {
                return Ok(File::Layer(Box::new(LayerState::Known(hold))));
            }
            let mut blob = DigestReader::new(members.reader());
            let state = match layers.unpack(&mut blob) {
                Ok(fresh) => {
                    let (found, _) = blob.finish();
                    check(found)?;
                    unpacked(fresh.unpacked.diff_id, fresh.unpacked.size);
                    LayerState::Fresh(fresh)
                }
                Err(error) => LayerState::Failed(error),
            };
            return Ok(File::Layer(Box::new(state)));
        }
        self.documents_bytes = self.documents_bytes.saturating_add(len);
        if len > DOCUMENT_BYTES_MAX || self.documents_bytes > DOCUMENTS_BYTES_MAX {
            return Err(ImageError::bundle(path, "a document that is too large"));
        }
        let mut document = Vec::with_capacity(usize::try_from(len).unwrap_or(0));
        members
            .reader()
            .read_to_end(&mut document)
            .map_err(ArchiveError::Read)?;
        if promised.is_some() {
            check(Digest::of(&document))?;
        }
        Ok(File::Document(document))
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path)
    }

    /// All paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A document; links are followed.
    pub(super) fn document(&self, path: &str) -> Result<&[u8], ImageError> {
        match self.files.get(self.target(path)?) {
            Some(File::Document(document)) => Ok(document),
            Some(_) => Err(ImageError::bundle(path, "an archive where a document should be")),
            None => Err(ImageError::bundle(path, MISSING)),
        }
    }

    /// A layer; links are followed.
    pub(super) fn layer(&mut self, path: &str) -> Result<&mut LayerState, ImageError> {
        let target = self.target(path)?.to_owned();
        match self.files.get_mut(&target) {
            Some(File::Layer(layer)) => Ok(layer),
            Some(_) => Err(ImageError::bundle(path, "a document where a layer should be")),
            None => Err(ImageError::bundle(path, MISSING)),
        }
    }

    /// The digest of a layer, uncompressed; links are followed.
    pub(super) fn diff_id(&self, path: &str) -> Result<Digest, ImageError> {
        match self.files.get(self.target(path)?) {
            Some(File::Layer(layer)) => layer
                .diff_id()
                .ok_or_else(|| ImageError::bundle(path, "a layer that cannot be unpacked")),
            Some(_) => Err(ImageError::bundle(path, "a document where a layer should be")),
            None => Err(ImageError::bundle(path, MISSING)),
        }
    }

    fn target<'a>(&'a self, path: &'a str) -> Result<&'a str, ImageError> {
        let mut path = path;
        for _ in 0..LINKS_MAX {
            match self.files.get(path) {
                Some(File::Link(target)) => path = target,
                _ => return Ok(path),
            }
        }
        Err(ImageError::bundle(path, "a loop of links"))
    }
}

fn text(name: &[u8]) -> Result<String, ImageError> {
    match std::str::from_utf8(name) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(ImageError::bundle(
            name.escape_ascii().to_string(),
            "a name that is not UTF-8",
        )),
    }
}

/// The path a symbolic link at `path` leads to, which must stay in the archive.
fn below(path: &str, target: &str) -> Result<String, ImageError> {
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        return Err(ImageError::bundle(path, "a link that leads out of the archive"));
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => {
                return Err(ImageError::bundle(path, "a link that leads out of the archive"));
            }
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

const MISSING: &str = "a file that is missing";
