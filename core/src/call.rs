//! What a client may ask, decoded: one variant per endpoint, in the newest shape.
//!
//! A [`Call`] is what is left of a request once route, version, query, headers and JSON body are understood and lifted
//! to the newest API version. The daemon never sees an older shape. The truth of each field is the Engine API document
//! of v1.24; what older versions called the same thing is written down in the `dialect` modules.

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

use crate::model::{ContainerConfig, Filters, HostConfig, NetworkingConfig};

/// One decoded request.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// `POST /containers/{id}/attach`: hijacks the connection.
    ContainerAttach(ContainerAttach),
    /// `POST /containers/create`.
    ContainerCreate(Box<ContainerCreate>),
    /// `GET /containers/{id}/json`.
    ContainerInspect {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Add `SizeRw` and `SizeRootFs`.
        size: bool,
    },
    /// `POST /containers/{id}/kill`.
    ContainerKill {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Signal as the client wrote it (`KILL`, `SIGKILL`, `9`); `None` means SIGKILL.
        signal: Option<String>,
    },
    /// `GET /containers/json`.
    ContainerList(ContainerList),
    /// `GET /containers/{id}/logs`.
    ContainerLogs(ContainerLogs),
    /// `DELETE /containers/{id}`.
    ContainerRemove(ContainerRemove),
    /// `POST /containers/{id}/resize`.
    ContainerResize {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Rows, in characters.
        height: u16,
        /// Columns, in characters.
        width: u16,
    },
    /// `POST /containers/{id}/start`.
    ContainerStart {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Host configuration sent with the start, which versions below v1.24 allow. Fields at their default (`None`,
        /// empty, 0, false) were not named by the client and leave what the create set; the others replace it.
        host_config: Option<Box<HostConfig>>,
    },
    /// `POST /containers/{id}/stop`.
    ContainerStop {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Seconds between the stop signal and SIGKILL. `None` is the default of 10; negative waits for ever.
        grace_secs: Option<i64>,
    },
    /// `POST /containers/{id}/wait`.
    ContainerWait {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
    /// `GET /events`.
    Events(EventsQuery),
    /// `POST /images/create` with `fromSrc`. With `source` = `-` a tar stream follows as the request body.
    ImageImport(ImageImport),
    /// `POST /images/create` with `fromImage`.
    ImagePull {
        /// Repository, as the client wrote it.
        repository: String,
        /// Tag or digest; empty when none was given.
        tag: String,
    },
    /// `GET /images/{name}/json`.
    ImageInspect {
        /// Image reference, id or id prefix.
        image: String,
    },
    /// `GET /images/json`.
    ImageList(ImageList),
    /// `POST /images/load`. A tar stream follows as the request body.
    ImageLoad {
        /// Suppress progress messages.
        quiet: bool,
    },
    /// `DELETE /images/{name}`.
    ImageRemove {
        /// Image reference, id or id prefix.
        image: String,
        /// Remove although it is tagged several times or used by stopped containers.
        force: bool,
        /// Keep untagged parents.
        noprune: bool,
    },
    /// `POST /images/{name}/tag`.
    ImageTag {
        /// Image reference, id or id prefix.
        image: String,
        /// Repository of the new tag.
        repository: String,
        /// Tag; empty means `latest`.
        tag: String,
        /// Move the tag when it names another image. Always true from v1.24 on.
        force: bool,
    },
    /// `GET /info`.
    Info,
    /// `GET /_ping`.
    Ping,
    /// `GET /version`.
    Version,
}

impl Call {
    /// Whether a request body follows as [`Event::Body`](crate::Event::Body) instead of being part of the call.
    pub fn streams_body(&self) -> bool {
        match self {
            Self::ImageLoad { .. } => true,
            Self::ImageImport(import) => import.source == "-",
            _ => false,
        }
    }
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
    pub since: Option<crate::model::Timestamp>,
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

/// `GET /events`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsQuery {
    /// Conditions, all of which must hold.
    pub filters: Filters,
    /// Replay from this time on.
    pub since: Option<crate::model::Timestamp>,
    /// End the answer at this time.
    pub until: Option<crate::model::Timestamp>,
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

/// Named values, such as labels.
pub type Labels = BTreeMap<String, String>;
