//! What registries tell.

use alloc::string::String;

use serde::{Deserialize, Serialize};

/// An entry of `GET /images/search`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SearchResult {
    /// How many people like it.
    pub star_count: i64,
    /// The makers of the software or of the registry look after it.
    pub is_official: bool,
    /// Repository, without registry.
    pub name: String,
    /// It is built from its sources by the registry.
    pub is_automated: bool,
    /// A line about it.
    pub description: String,
}

/// `GET /auth` (v1.0 and v1.1): the login that the daemon has stored, without what proves it. Empty when there is none.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StoredLogin {
    /// Name of the account.
    pub username: String,
    /// Its mail address.
    pub email: String,
}

/// What a push has made in the registry: `aux` of the last message about a tag (v1.22).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pushed {
    /// The tag.
    pub tag: String,
    /// Digest of its manifest, `sha256:…`.
    pub digest: String,
    /// Bytes of its manifest.
    pub size: u64,
}
