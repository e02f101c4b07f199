//! Events and progress messages.

use alloc::{boxed::Box, collections::BTreeMap, string::String};

use serde::{Deserialize, Serialize};

use super::Pushed;

/// Something that happened, as `GET /events` tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The action again (containers and images only).
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub status: String,
    /// The actor's id again (containers and images only).
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub id: String,
    /// Image of a container.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub from: String,
    /// `container`, `image`, `volume`, `network` or `daemon`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// `create`, `start`, `die`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// What it happened to.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// Seconds since 1970.
    pub time: i64,
    /// Nanoseconds since 1970; strictly increasing.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// What an event happened to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Actor {
    /// Id (containers, networks), id or reference (images), name (volumes).
    #[serde(rename = "ID")]
    pub id: String,
    /// Facts: labels, `name`, `image`, `exitCode`, `signal`, …
    pub attributes: BTreeMap<String, String>,
}

/// One message of a progress stream (pull, push, import, load, build).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Progress {
    /// Text to print as it is (build, load).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// A line of state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How far, as numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress_detail: Option<ProgressDetail>,
    /// How far, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Layer or object that the line is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What a push has made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aux: Option<Box<Pushed>>,
    /// The work failed; this is the last message. `errorDetail` is made from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Exit code of the step of a build that failed; told in `errorDetail`.
    #[serde(skip_serializing)]
    pub error_code: Option<i64>,
}

/// How far a transfer is, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProgressDetail {
    /// Done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current: Option<i64>,
    /// In all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
}
