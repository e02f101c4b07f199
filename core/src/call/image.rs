//! Calls about images.

use alloc::{string::String, vec::Vec};

use crate::model::{ContainerConfig, Filters};

/// `POST /images/getCache` (below v1.8).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ImageCached {
    /// Id of the image that the step was applied to.
    pub parent: String,
    /// What the step ran, or set.
    pub config: ContainerConfig,
}

/// `POST /commit`.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    /// Container id, unambiguous id prefix, or name. Not empty.
    pub container: String,
    /// Repository to tag; empty leaves the image untagged.
    pub repository: String,
    /// Tag; empty means `latest`.
    pub tag: String,
    /// Comment stored with the image.
    pub comment: String,
    /// Author stored with the image.
    pub author: String,
    /// Pause the container meanwhile.
    pub pause: bool,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
    /// Configuration to store. Fields at their default (`None`, empty, false) were not named by the client and are the
    /// container's.
    pub config: ContainerConfig,
}

/// `POST /images/create` with `fromSrc`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageImport {
    /// `-` for the request body, else a URL.
    pub source: String,
    /// Repository to tag; empty leaves the image untagged.
    pub repository: String,
    /// Tag; empty means `latest`.
    pub tag: String,
    /// Comment stored with the image.
    pub message: String,
    /// Dockerfile instructions to apply to the configuration.
    pub changes: Vec<String>,
}

/// `GET /images/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageList {
    /// Include intermediate images.
    pub all: bool,
    /// Conditions, all of which must hold. The `filter` parameter (a repository name or pattern) of v1.24 and below
    /// arrives as `reference`.
    pub filters: Filters,
}
