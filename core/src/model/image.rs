//! Images.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{ContainerConfig, Timestamp};

/// `GET /images/{name}/json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    /// `sha256:` and 64 hexadecimal digits.
    pub id: String,
    /// `repository:tag`.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…`.
    pub repo_digests: Vec<String>,
    /// Id of the image this was built on; empty when unknown.
    pub parent: String,
    /// Comment.
    pub comment: String,
    /// When it was made.
    pub created: Timestamp,
    /// Container it was committed from.
    pub container: String,
    /// Configuration of that container.
    pub container_config: ContainerConfig,
    /// Version of the engine that made it.
    pub docker_version: String,
    /// Author.
    pub author: String,
    /// Defaults for containers.
    pub config: Option<ContainerConfig>,
    /// `amd64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// Bytes of all layers, unpacked.
    pub size: i64,
    /// As `size`.
    pub virtual_size: i64,
    /// The storage driver's own facts.
    pub graph_driver: GraphDriver,
    /// Layers.
    #[serde(rename = "RootFS")]
    pub root_fs: RootFs,
}

/// What the storage driver knows of a container or image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct GraphDriver {
    /// Driver.
    pub name: String,
    /// Its facts.
    pub data: Option<BTreeMap<String, String>>,
}

/// The layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Digests of the unpacked layers, bottom first.
    pub layers: Vec<String>,
}

/// An entry of `GET /images/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageSummary {
    /// `sha256:` and 64 hexadecimal digits.
    pub id: String,
    /// Id of the image this was built on; empty when unknown.
    pub parent_id: String,
    /// `repository:tag`; `<none>:<none>` when untagged.
    pub repo_tags: Vec<String>,
    /// `repository@sha256:…`.
    pub repo_digests: Option<Vec<String>>,
    /// Seconds since 1970.
    pub created: i64,
    /// Bytes of all layers, unpacked.
    pub size: i64,
    /// As `size`.
    pub virtual_size: i64,
    /// Free names and values.
    pub labels: Option<BTreeMap<String, String>>,
}

/// An entry of `GET /images/{name}/history`: a layer of the image, or a step that made none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageHistoryEntry {
    /// `sha256:` and 64 hexadecimal digits; `<missing>` for a step whose image is not here.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The command that made it.
    pub created_by: String,
    /// `repository:tag` that name this very image; `None` is none.
    pub tags: Option<Vec<String>>,
    /// Bytes that the step added, unpacked.
    pub size: i64,
    /// Comment.
    pub comment: String,
}

/// One step of an image removal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageRemoval {
    /// A tag went; `repository:tag`.
    Untagged(String),
    /// An image went; its id.
    Deleted(String),
}
