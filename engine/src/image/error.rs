//! Why a call on images failed.

use std::{fmt, io, path::PathBuf};

use gantry_core::{ImageUse, Refusal, grammar::reference::ReferenceError};

use crate::{archive::ArchiveError, store::StoreError};

/// Why a call on images failed.
#[derive(Debug)]
pub enum ImageError {
    /// An id prefix fits several images.
    Ambiguous {
        /// As the client wrote it.
        prefix: String,
    },
    /// An archive could not be read or unpacked.
    Archive(ArchiveError),
    /// The bundle (`docker save` archive) is not what it has to be.
    BadBundle {
        /// File in the bundle.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A document of the bundle is not the JSON it has to be.
    BadDocument {
        /// File in the bundle.
        name: String,
        /// What is wrong, and where.
        error: serde_json::Error,
    },
    /// A configuration change of an import cannot be applied.
    BadChange {
        /// The instruction as the client wrote it.
        instruction: String,
        /// What is wrong.
        what: &'static str,
    },
    /// An image's configuration cannot be used.
    BadConfig {
        /// What is wrong, with the place in the document.
        what: String,
    },
    /// A filter is not known or has no such value.
    BadFilter {
        /// Its name, with `=value` when that is what is wrong.
        filter: String,
    },
    /// A pattern of the `reference` filter is malformed.
    BadPattern {
        /// As the client wrote it.
        pattern: String,
    },
    /// A reference does not meet the grammar.
    BadReference {
        /// As the client wrote it.
        reference: String,
        /// What is wrong.
        why: ReferenceError,
    },
    /// Bytes do not have the digest they are named by.
    DigestMismatch {
        /// What was named so.
        name: String,
        /// The digest that was promised.
        expected: String,
        /// The digest of the bytes.
        found: String,
    },
    /// The host refused a step.
    Host {
        /// The step.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The operating system's error.
        error: io::Error,
    },
    /// The image cannot be removed.
    InUse(ImageUse),
    /// No such image.
    NoSuchImage {
        /// As the client wrote it.
        reference: String,
    },
    /// The state file failed.
    Store(StoreError),
    /// The tag names another image and `force` was not given.
    TagInUse {
        /// Repository and tag.
        reference: String,
        /// Id (hex) of the image that has it.
        holder: String,
    },
    /// A change of an import is no instruction that changes a configuration.
    UnknownChange {
        /// The instruction's name, in lower case.
        verb: String,
    },
    /// A layer cannot be written as the archive it came in: that put files in the place of others of its own, or it was
    /// unpacked before archives were kept.
    Unsaveable {
        /// Its digest.
        layer: String,
    },
}

impl ImageError {
    pub(crate) fn host(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |error| Self::Host { step, path, error }
    }

    pub(crate) fn bundle(name: impl Into<String>, what: &'static str) -> Self {
        Self::BadBundle {
            name: name.into(),
            what,
        }
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambiguous { prefix } => write!(f, "several images fit the id {prefix}"),
            Self::Archive(error) => error.fmt(f),
            Self::BadBundle { name, what } => write!(f, "image archive refused: {what}: {name}"),
            Self::BadDocument { name, error } => write!(f, "image archive refused: {name}: {error}"),
            Self::BadChange { instruction, what } => write!(f, "change refused: {what}: {instruction}"),
            Self::BadConfig { what } => write!(f, "image configuration refused: {what}"),
            Self::BadFilter { filter } => write!(f, "Invalid filter '{filter}'"),
            Self::BadPattern { .. } => f.write_str("syntax error in pattern"),
            Self::BadReference { reference, why } => f.write_str(&why.text(reference)),
            Self::DigestMismatch { name, expected, found } => {
                write!(f, "digest mismatch: {name}: expected {expected}, found {found}")
            }
            Self::Host { step, path, error } => write!(f, "{step} failed: {}: {error}", path.display()),
            Self::InUse(use_) => write!(f, "image is in use: {use_:?}"),
            Self::NoSuchImage { reference } => write!(f, "no such image: {reference}"),
            Self::Store(error) => error.fmt(f),
            Self::TagInUse { reference, holder } => write!(f, "tag {reference} names image {holder}"),
            Self::UnknownChange { verb } => write!(f, "{verb} is not a valid change command"),
            Self::Unsaveable { layer } => {
                write!(
                    f,
                    "layer {layer} cannot be saved: its archive holds a file twice or was not kept"
                )
            }
        }
    }
}

impl std::error::Error for ImageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Archive(error) => Some(error),
            Self::BadDocument { error, .. } => Some(error),
            Self::BadReference { why, .. } => Some(why),
            Self::Host { error, .. } => Some(error),
            Self::Store(error) => Some(error),
            Self::Ambiguous { .. }
            | Self::BadBundle { .. }
            | Self::BadChange { .. }
            | Self::BadConfig { .. }
            | Self::BadFilter { .. }
            | Self::BadPattern { .. }
            | Self::UnknownChange { .. }
            | Self::DigestMismatch { .. }
            | Self::InUse(_)
            | Self::NoSuchImage { .. }
            | Self::TagInUse { .. }
            | Self::Unsaveable { .. } => None,
        }
    }
}

impl From<ArchiveError> for ImageError {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<StoreError> for ImageError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ImageError> for Refusal {
    fn from(error: ImageError) -> Self {
        let text = error.to_string();
        match error {
            ImageError::Ambiguous { prefix } => Self::AmbiguousId { prefix },
            // dockerd unpacks in another process, and whatever that says is a server error.
            ImageError::Archive(error) if error.is_clients() => {
                Self::Internal(format!("Error processing tar file: {error}"))
            }
            ImageError::BadBundle { .. }
            | ImageError::BadDocument { .. }
            | ImageError::BadChange { .. }
            | ImageError::BadConfig { .. }
            | ImageError::BadFilter { .. }
            | ImageError::BadPattern { .. }
            | ImageError::DigestMismatch { .. }
            | ImageError::UnknownChange { .. } => Self::BadParameter(text),
            // The wording of these three changed with the API version; of the others there is only one.
            ImageError::BadReference { reference, why } => match why {
                ReferenceError::Format => Self::BadReference { reference, why: "" },
                ReferenceError::NotLowercase => Self::BadReference {
                    reference,
                    why: "repository name must be lowercase",
                },
                ReferenceError::Tag => Self::BadReference {
                    reference,
                    why: "invalid tag format",
                },
                ReferenceError::Digest | ReferenceError::IsId | ReferenceError::TooLong => {
                    Self::BadParameter(why.text(&reference))
                }
            },
            ImageError::Archive(_) | ImageError::Host { .. } | ImageError::Store(_) | ImageError::Unsaveable { .. } => {
                Self::Internal(text)
            }
            ImageError::InUse(use_) => Self::ImageInUse(use_),
            ImageError::NoSuchImage { reference } => Self::NoSuchImage { reference },
            ImageError::TagInUse { reference, holder } => Self::TagInUse { reference, holder },
        }
    }
}
