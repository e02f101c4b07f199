//! Volumes: directories that outlive the containers they are mounted into.

use alloc::{collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use super::null;

/// `GET /volumes/{name}`, the answer to a create, and an entry of the list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Volume {
    /// Name; 64 hexadecimal digits when the daemon chose it.
    pub name: String,
    /// Driver, `local` by default.
    pub driver: String,
    /// Path on the host.
    pub mountpoint: String,
    /// What the driver tells about it (v1.24); left out when that is nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub status: BTreeMap<String, serde_json::Value>,
    /// Free names and values (v1.23), `null` when the create named none.
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    /// `local`, or `global` for a cluster's (v1.24).
    #[serde(default)]
    pub scope: String,
}

/// What `POST /volumes/create` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeConfig {
    /// Name; empty lets the daemon choose one.
    #[serde(deserialize_with = "null::as_default")]
    pub name: String,
    /// Driver; empty is `local`.
    #[serde(deserialize_with = "null::as_default")]
    pub driver: String,
    /// The driver's options.
    #[serde(deserialize_with = "null::as_default")]
    pub driver_opts: BTreeMap<String, String>,
    /// Free names and values (v1.23).
    #[serde(deserialize_with = "null::as_default")]
    pub labels: Option<BTreeMap<String, String>>,
}
