//! An image's configuration: the JSON document whose digest is the image's id.
//!
//! Shape: the Docker image specification v1.2, "Image JSON Description", which the OCI image configuration shares. The
//! bytes of the document are kept as they came, unknown fields included; what is here is the part gantry reads.

use gantry_core::model::{ContainerConfig, Timestamp};
use serde::{Deserialize, Serialize};

use super::error::ImageError;
use crate::archive::Digest;

/// Largest document that is read, in bytes.
pub(crate) const CONFIG_BYTES_MAX: usize = 4 << 20;
/// Most layers of an image. The kernel takes 500 at once; Docker builds and accepts up to 127.
pub(crate) const LAYERS_MAX: usize = 127;

/// The part of an image's configuration that gantry reads.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageConfig {
    /// `amd64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// When it was made; [`Timestamp::ZERO`] when it does not say.
    pub created: Timestamp,
    /// Author.
    pub author: String,
    /// Comment.
    pub comment: String,
    /// Container it was committed from.
    pub container: String,
    /// Configuration of that container.
    pub container_config: ContainerConfig,
    /// Version of the engine that made it.
    pub docker_version: String,
    /// Defaults for containers.
    pub config: Option<ContainerConfig>,
    /// Digests of the unpacked layers, bottom first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    architecture: Option<String>,
    #[serde(default)]
    os: Option<String>,
    #[serde(default)]
    created: Option<Timestamp>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    container_config: Option<ContainerConfig>,
    #[serde(default)]
    docker_version: Option<String>,
    #[serde(default)]
    config: Option<ContainerConfig>,
    rootfs: RootFs,
}

#[derive(Deserialize, Serialize)]
struct RootFs {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

impl ImageConfig {
    /// Reads a document.
    ///
    /// # Errors
    /// [`ImageError::BadConfig`].
    pub fn decode(document: &[u8]) -> Result<Self, ImageError> {
        let bad = |what: String| ImageError::BadConfig { what };
        if document.len() > CONFIG_BYTES_MAX {
            return Err(bad(format!("more than {CONFIG_BYTES_MAX} bytes")));
        }
        let read: Document = serde_json::from_slice(document).map_err(|e| bad(e.to_string()))?;
        if read.rootfs.kind != "layers" {
            return Err(bad(format!("rootfs type {:?}", read.rootfs.kind)));
        }
        let diff_ids = read.rootfs.diff_ids.unwrap_or_default();
        if diff_ids.len() > LAYERS_MAX {
            return Err(bad(format!("more than {LAYERS_MAX} layers")));
        }
        let diff_ids = diff_ids
            .iter()
            .map(|text| text.parse().map_err(|_| bad(format!("diff_id {text:?}"))));
        Ok(Self {
            architecture: read.architecture.unwrap_or_default(),
            os: read.os.unwrap_or_default(),
            created: read.created.unwrap_or(Timestamp::ZERO),
            author: read.author.unwrap_or_default(),
            comment: read.comment.unwrap_or_default(),
            container: read.container.unwrap_or_default(),
            container_config: read.container_config.unwrap_or_default(),
            docker_version: read.docker_version.unwrap_or_default(),
            config: read.config,
            diff_ids: diff_ids.collect::<Result<_, _>>()?,
        })
    }

    /// Writes a document with what is here and a history of one step.
    pub(crate) fn encode(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct History<'a> {
            created: Timestamp,
            #[serde(skip_serializing_if = "str::is_empty")]
            author: &'a str,
            comment: &'a str,
        }
        #[derive(Serialize)]
        struct Document<'a> {
            architecture: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            author: &'a str,
            comment: &'a str,
            config: &'a Option<ContainerConfig>,
            container_config: &'a ContainerConfig,
            created: Timestamp,
            docker_version: &'a str,
            history: [History<'a>; 1],
            os: &'a str,
            rootfs: RootFs,
        }
        let document = Document {
            architecture: &self.architecture,
            author: &self.author,
            comment: &self.comment,
            config: &self.config,
            container_config: &self.container_config,
            created: self.created,
            docker_version: &self.docker_version,
            history: [History {
                created: self.created,
                author: &self.author,
                comment: &self.comment,
            }],
            os: &self.os,
            rootfs: RootFs {
                kind: "layers".into(),
                diff_ids: Some(self.diff_ids.iter().map(Digest::to_string).collect()),
            },
        };
        serde_json::to_vec(&document).expect("strings and numbers are always JSON")
    }
}

/// This machine's architecture, in the words of images (Go's `GOARCH`).
pub(crate) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}
