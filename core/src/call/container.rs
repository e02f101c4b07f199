//! Calls about containers.

use alloc::string::String;

use crate::model::{ContainerConfig, Filters, HostConfig, NetworkingConfig, Timestamp};

/// `PUT /containers/{id}/archive`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerArchivePut {
    /// Container id, unambiguous id prefix, or name.
    pub container: String,
    /// Directory in the container to unpack into. Never empty; one that is not absolute is below the root.
    pub path: String,
    /// Refuse members that would put something else in the place of a directory, or a directory in the place of something
    /// else.
    pub no_overwrite_dir_non_dir: bool,
}

/// `POST /containers/{id}/attach`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerAttach {
    /// Container id, unambiguous id prefix, or name.
    pub container: String,
    /// Replay what was written so far.
    pub logs: bool,
    /// Follow what is written from now on.
    pub stream: bool,
    /// Forward the connection's input to the container.
    pub stdin: bool,
    /// Send standard output.
    pub stdout: bool,
    /// Send standard error.
    pub stderr: bool,
}

/// `POST /containers/create`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ContainerCreate {
    /// Wished name, without leading slash; `None` lets the daemon choose one.
    pub name: Option<String>,
    /// What runs.
    pub config: ContainerConfig,
    /// What the host grants.
    pub host_config: HostConfig,
    /// Networks to join (v1.22).
    pub networking_config: NetworkingConfig,
}

/// `GET /containers/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerList {
    /// Include containers that do not run.
    pub all: bool,
    /// Only those created before this container (id or name).
    pub before: Option<String>,
    /// Conditions, all of which must hold.
    pub filters: Filters,
    /// At most this many, newest first, running or not; `None` or 0 or negative is no limit.
    pub limit: Option<i64>,
    /// Only those created after this container (id or name).
    pub since: Option<String>,
    /// Add `SizeRw` and `SizeRootFs`.
    pub size: bool,
}

/// `GET /containers/{id}/logs`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerLogs {
    /// Container id, unambiguous id prefix, or name.
    pub container: String,
    /// Stay and send what is written later.
    pub follow: bool,
    /// Send standard output.
    pub stdout: bool,
    /// Send standard error.
    pub stderr: bool,
    /// Only entries not older than this time.
    pub since: Option<Timestamp>,
    /// Only the last so many lines; `None` is all.
    pub tail: Option<u64>,
    /// Put the RFC 3339 time and a blank before each line.
    pub timestamps: bool,
}

/// `DELETE /containers/{id}`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerRemove {
    /// Container id, unambiguous id prefix, or name.
    pub container: String,
    /// Kill it first when it runs.
    pub force: bool,
    /// Remove a link, not the container.
    pub link: bool,
    /// Remove its anonymous volumes as well.
    pub volumes: bool,
}
