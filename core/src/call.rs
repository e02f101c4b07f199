//! What a client may ask, decoded: one variant per endpoint, in the newest shape.
//!
//! A [`Call`] is what is left of a request once route, version, query, headers and JSON body are understood and lifted
//! to the newest API version. The daemon never sees an older shape. The truth of each field is the Engine API document
//! of v1.24; what older versions called the same thing is written down in the `dialect` modules.

mod build;
mod container;
mod exec;
mod image;
mod network;
mod registry;
mod system;

use alloc::{boxed::Box, collections::BTreeMap, string::String, vec::Vec};

pub use self::{
    build::{Build, BuildLimits, ContextPart},
    container::{ContainerArchivePut, ContainerAttach, ContainerCreate, ContainerList, ContainerLogs, ContainerRemove},
    exec::{ExecCreate, ExecStart},
    image::{Commit, ImageCached, ImageImport, ImageList},
    network::{NetworkConnect, NetworkDisconnect},
    registry::{AuthCheck, ImageInsert, ImagePull, ImagePush, ImageSearch, Login, RegistryAuth},
    system::EventsQuery,
};
use crate::model::{Filters, HostConfig, NetworkConfig, UpdateConfig, VolumeConfig};

/// One decoded request.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// `POST /auth`.
    AuthCheck(Box<AuthCheck>),
    /// `GET /auth` (v1.0 and v1.1): the login that the daemon has stored.
    AuthShow,
    /// `POST /build`. The context follows as the request body, in parts.
    Build(Box<Build>),
    /// `POST /commit`.
    Commit(Box<Commit>),
    /// `GET /containers/{id}/archive`: a tar of one path.
    ContainerArchiveGet {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Path in the container, never empty; one that is not absolute is below the root.
        path: String,
    },
    /// `PUT /containers/{id}/archive`. A tar stream follows as the request body.
    ContainerArchivePut(ContainerArchivePut),
    /// `HEAD /containers/{id}/archive`: only what the path is.
    ContainerArchiveStat {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// As of [`ContainerArchiveGet`](Self::ContainerArchiveGet).
        path: String,
    },
    /// `POST /containers/{id}/attach`: hijacks the connection.
    ContainerAttach(ContainerAttach),
    /// `GET /containers/{id}/changes`.
    ContainerChanges {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
    /// `POST /containers/{id}/copy`, the forerunner of [`ContainerArchiveGet`](Self::ContainerArchiveGet).
    ContainerCopy {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Path in the container, never empty; one that is not absolute is below the root.
        resource: String,
    },
    /// `POST /containers/create`.
    ContainerCreate(Box<ContainerCreate>),
    /// `GET /containers/{id}/export`: a tar of all its files.
    ContainerExport {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
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
    /// `POST /containers/{id}/pause`.
    ContainerPause {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
    /// `DELETE /containers/{id}`.
    ContainerRemove(ContainerRemove),
    /// `POST /containers/{id}/rename`.
    ContainerRename {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Wished name, without leading slash; never empty.
        name: String,
    },
    /// `POST /containers/{id}/resize`.
    ContainerResize {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Rows, in characters.
        height: u16,
        /// Columns, in characters.
        width: u16,
    },
    /// `POST /containers/{id}/restart`.
    ContainerRestart {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Seconds between the stop signal and SIGKILL. `None` is the default of 10; negative waits for ever.
        grace_secs: Option<i64>,
    },
    /// `POST /containers/{id}/start`.
    ContainerStart {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Host configuration sent with the start, which versions below v1.24 allow. Fields at their default (`None`,
        /// empty, 0, false) were not named by the client and leave what the create set; the others replace it.
        host_config: Option<Box<HostConfig>>,
    },
    /// `GET /containers/{id}/stats`.
    ContainerStats {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Go on once a second, with [`Reply::StatsStream`](crate::Reply::StatsStream); otherwise one
        /// [`Reply::Stats`](crate::Reply::Stats) is all.
        stream: bool,
    },
    /// `POST /containers/{id}/stop`.
    ContainerStop {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Seconds between the stop signal and SIGKILL. `None` is the default of 10; negative waits for ever.
        grace_secs: Option<i64>,
    },
    /// `GET /containers/{id}/top`.
    ContainerTop {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// Options of `ps`, as the client wrote them; `None` means `-ef`. Not to be given to a shell.
        ps_args: Option<String>,
    },
    /// `POST /containers/{id}/unpause`.
    ContainerUnpause {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
    /// `POST /containers/{id}/update`.
    ContainerUpdate {
        /// Container id, unambiguous id prefix, or name.
        container: String,
        /// What changes.
        config: Box<UpdateConfig>,
    },
    /// `POST /containers/{id}/wait`.
    ContainerWait {
        /// Container id, unambiguous id prefix, or name.
        container: String,
    },
    /// `GET /events`.
    Events(EventsQuery),
    /// `POST /images/getCache` (below v1.8): the image that a build step has made before.
    ImageCached(Box<ImageCached>),
    /// `POST /containers/{id}/exec`.
    ExecCreate(Box<ExecCreate>),
    /// `GET /exec/{id}/json`.
    ExecInspect {
        /// Exec id.
        exec: String,
        /// The answer needs [`Exec::container`](crate::model::Exec::container), which versions below v1.22 show.
        container: bool,
    },
    /// `POST /exec/{id}/resize`.
    ExecResize {
        /// Exec id.
        exec: String,
        /// Rows, in characters.
        height: u16,
        /// Columns, in characters.
        width: u16,
    },
    /// `POST /exec/{id}/start`: hijacks the connection, unless it is detached.
    ExecStart(ExecStart),
    /// `GET /images/{name}/history`.
    ImageHistory {
        /// Image reference, id or id prefix.
        image: String,
    },
    /// `GET /images/{name}/get`: a tar of one image, or of all those of a repository.
    ImageGet {
        /// Image reference, id, id prefix, or repository without tag.
        image: String,
    },
    /// `GET /images/get`: a tar of several images.
    ImageGetMany {
        /// As of [`ImageGet`](Self::ImageGet); none gives an archive without images.
        images: Vec<String>,
    },
    /// `POST /images/create` with `fromSrc`. With `source` = `-` a tar stream follows as the request body.
    ImageImport(ImageImport),
    /// `POST /images/{name}/insert` (below v1.12).
    ImageInsert(ImageInsert),
    /// `GET /images/{name}/json`.
    ImageInspect {
        /// Image reference, id or id prefix.
        image: String,
    },
    /// `GET /images/json`, and `GET /images/viz` below v1.7, which is made from the list of all images.
    ImageList(ImageList),
    /// `POST /images/load`. A tar stream follows as the request body.
    ImageLoad {
        /// Suppress progress messages.
        quiet: bool,
    },
    /// `POST /images/create` with `fromImage`.
    ImagePull(ImagePull),
    /// `POST /images/{name}/push`.
    ImagePush(ImagePush),
    /// `DELETE /images/{name}`.
    ImageRemove {
        /// Image reference, id or id prefix.
        image: String,
        /// Remove although it is tagged several times or used by stopped containers.
        force: bool,
        /// Keep untagged parents.
        noprune: bool,
    },
    /// `GET /images/search`.
    ImageSearch(ImageSearch),
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
    /// `POST /networks/{id}/connect`.
    NetworkConnect(NetworkConnect),
    /// `POST /networks/create`.
    NetworkCreate(Box<NetworkConfig>),
    /// `POST /networks/{id}/disconnect`.
    NetworkDisconnect(NetworkDisconnect),
    /// `GET /networks/{id}`.
    NetworkInspect {
        /// Network id, unambiguous id prefix, or name.
        network: String,
    },
    /// `GET /networks`.
    NetworkList {
        /// Conditions, all of which must hold.
        filters: Filters,
    },
    /// `DELETE /networks/{id}`.
    NetworkRemove {
        /// Network id, unambiguous id prefix, or name.
        network: String,
    },
    /// `GET /_ping`.
    Ping,
    /// `GET /version`.
    Version,
    /// `POST /volumes/create`.
    VolumeCreate(VolumeConfig),
    /// `GET /volumes/{name}`.
    VolumeInspect {
        /// Its name.
        volume: String,
    },
    /// `GET /volumes`.
    VolumeList {
        /// Conditions, all of which must hold.
        filters: Filters,
    },
    /// `DELETE /volumes/{name}`.
    VolumeRemove {
        /// Its name.
        volume: String,
    },
}

impl Call {
    /// Method and path of the endpoint, as the documents write them.
    pub fn endpoint(&self) -> &'static str {
        match self {
            Self::AuthCheck(_) => "POST /auth",
            Self::AuthShow => "GET /auth",
            Self::Build(_) => "POST /build",
            Self::Commit(_) => "POST /commit",
            Self::ContainerArchiveGet { .. } => "GET /containers/{id}/archive",
            Self::ContainerArchivePut(_) => "PUT /containers/{id}/archive",
            Self::ContainerArchiveStat { .. } => "HEAD /containers/{id}/archive",
            Self::ContainerAttach(_) => "POST /containers/{id}/attach",
            Self::ContainerChanges { .. } => "GET /containers/{id}/changes",
            Self::ContainerCopy { .. } => "POST /containers/{id}/copy",
            Self::ContainerCreate(_) => "POST /containers/create",
            Self::ContainerExport { .. } => "GET /containers/{id}/export",
            Self::ContainerInspect { .. } => "GET /containers/{id}/json",
            Self::ContainerKill { .. } => "POST /containers/{id}/kill",
            Self::ContainerList(_) => "GET /containers/json",
            Self::ContainerLogs(_) => "GET /containers/{id}/logs",
            Self::ContainerPause { .. } => "POST /containers/{id}/pause",
            Self::ContainerRemove(_) => "DELETE /containers/{id}",
            Self::ContainerRename { .. } => "POST /containers/{id}/rename",
            Self::ContainerResize { .. } => "POST /containers/{id}/resize",
            Self::ContainerRestart { .. } => "POST /containers/{id}/restart",
            Self::ContainerStart { .. } => "POST /containers/{id}/start",
            Self::ContainerStats { .. } => "GET /containers/{id}/stats",
            Self::ContainerStop { .. } => "POST /containers/{id}/stop",
            Self::ContainerTop { .. } => "GET /containers/{id}/top",
            Self::ContainerUnpause { .. } => "POST /containers/{id}/unpause",
            Self::ContainerUpdate { .. } => "POST /containers/{id}/update",
            Self::ContainerWait { .. } => "POST /containers/{id}/wait",
            Self::Events(_) => "GET /events",
            Self::ImageCached(_) => "POST /images/getCache",
            Self::ImageImport(_) | Self::ImagePull(_) => "POST /images/create",
            Self::ImageInsert(_) => "POST /images/{name}/insert",
            Self::ExecCreate(_) => "POST /containers/{id}/exec",
            Self::ExecInspect { .. } => "GET /exec/{id}/json",
            Self::ExecResize { .. } => "POST /exec/{id}/resize",
            Self::ExecStart(_) => "POST /exec/{id}/start",
            Self::ImageHistory { .. } => "GET /images/{name}/history",
            Self::ImageGet { .. } => "GET /images/{name}/get",
            Self::ImageGetMany { .. } => "GET /images/get",
            Self::ImageInspect { .. } => "GET /images/{name}/json",
            Self::ImageList(_) => "GET /images/json",
            Self::ImageLoad { .. } => "POST /images/load",
            Self::ImagePush(_) => "POST /images/{name}/push",
            Self::ImageRemove { .. } => "DELETE /images/{name}",
            Self::ImageSearch(_) => "GET /images/search",
            Self::ImageTag { .. } => "POST /images/{name}/tag",
            Self::Info => "GET /info",
            Self::NetworkConnect(_) => "POST /networks/{id}/connect",
            Self::NetworkCreate(_) => "POST /networks/create",
            Self::NetworkDisconnect(_) => "POST /networks/{id}/disconnect",
            Self::NetworkInspect { .. } => "GET /networks/{id}",
            Self::NetworkList { .. } => "GET /networks",
            Self::NetworkRemove { .. } => "DELETE /networks/{id}",
            Self::Ping => "GET /_ping",
            Self::Version => "GET /version",
            Self::VolumeCreate(_) => "POST /volumes/create",
            Self::VolumeInspect { .. } => "GET /volumes/{name}",
            Self::VolumeList { .. } => "GET /volumes",
            Self::VolumeRemove { .. } => "DELETE /volumes/{name}",
        }
    }

    /// Whether a good answer takes the connection out of HTTP.
    pub fn hijacks(&self) -> bool {
        match self {
            Self::ContainerAttach(_) => true,
            Self::ExecStart(start) => !start.detach,
            _ => false,
        }
    }

    /// Whether a request body follows as [`Event::Body`](crate::Event::Body) instead of being part of the call.
    pub fn streams_body(&self) -> bool {
        match self {
            Self::Build(_) | Self::ContainerArchivePut(_) | Self::ImageLoad { .. } => true,
            Self::ImageImport(import) => import.source == "-",
            _ => false,
        }
    }
}

/// Named values, such as labels.
pub type Labels = BTreeMap<String, String>;
