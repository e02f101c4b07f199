//! Why a request fails, and the newest version's status and words for it.
//!
//! The words are those of Docker 20.10, the genuine daemon that is nearest to v1.24. Where they differed before, the
//! version file with the change holds the older words.

use alloc::{
    format,
    string::{String, ToString},
};

use crate::{
    grammar::bind::check_volume_name,
    json::JsonError,
    query::{BadNumber, QueryError},
    refusal::{ImageUse, Refusal, RegistryLack, StartFailure},
    route::Route,
    websocket::HandshakeError,
};

/// The reason of an error answer: the daemon's, or one found on the way to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The daemon refused.
    Refused(Refusal),
    /// A parameter is no number.
    BadNumber(BadNumber),
    /// `filters` cannot be read; the text says why.
    BadFilters(String),
    /// A filter that the endpoint does not have, or `name=value` when it is the value that it does not.
    UnknownFilter(String),
    /// A parameter that is JSON cannot be read.
    BadJsonParameter {
        /// What it holds.
        what: &'static str,
        /// Why.
        error: JsonError,
    },
    /// The JSON body cannot be read.
    BadJson(JsonError),
    /// The login in the body of a push cannot be read.
    BadLogin(JsonError),
    /// The body's Content-Type (empty when missing) is not JSON.
    ContentType(String),
    /// A commit of no container.
    NoContainer,
    /// Logs of neither standard output nor standard error.
    NoStream,
    /// A start with a body, which this version does not allow.
    BodyAtStart,
    /// The detach keys cannot be read.
    BadDetachKeys(String),
    /// The request is no WebSocket handshake.
    BadHandshake(HandshakeError),
    /// Path or query cannot be read.
    BadTarget(QueryError),
    /// A page that is not ours asks for a WebSocket; its origin.
    ForeignOrigin(String),
    /// No such endpoint.
    NoRoute,
    /// The endpoint exists and gantry does not serve it.
    NotServed {
        /// Method of the request.
        method: String,
        /// Path without version.
        path: String,
    },
    /// The version is above the newest; as written.
    TooNew(String),
    /// The version is below the oldest; as written.
    TooOld(String),
}

/// How a failure is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words {
    /// HTTP status.
    pub(crate) status: u16,
    /// One or more sentences, without line feed at the end.
    pub(crate) text: String,
}

impl Words {
    pub(crate) fn new(status: u16, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<BadNumber> for Failure {
    fn from(error: BadNumber) -> Self {
        Self::BadNumber(error)
    }
}

impl From<JsonError> for Failure {
    fn from(error: JsonError) -> Self {
        Self::BadJson(error)
    }
}

impl Failure {
    /// The newest version's words.
    pub(super) fn words(&self, route: Option<Route>) -> Words {
        match self {
            Self::Refused(refusal) => refused(refusal, route),
            Self::BadNumber(bad) => {
                // Only resize checks its numbers as parameters; elsewhere the error came from deeper down.
                let resize = matches!(
                    route,
                    Some(Route::ContainerResize | Route::ContainerResizeByGet | Route::ExecResize)
                );
                Words::new(if resize { 400 } else { 500 }, number(bad))
            }
            Self::BadFilters(why) if route == Some(Route::VolumeList) => {
                Words::new(400, format!("error reading volume filters: {why}"))
            }
            Self::BadFilters(why) => Words::new(500, why.as_str()),
            Self::UnknownFilter(name) => Words::new(400, format!("Invalid filter '{name}'")),
            Self::BadJson(JsonError::Empty) if is_exec(route) => Words::new(400, "got EOF while reading request body"),
            Self::BadJson(error) if is_exec(route) => Words::new(400, error.to_string()),
            Self::BadJsonParameter { what, error } => Words::new(400, format!("error reading {what}: {error}")),
            Self::BadJson(error) if route.is_some_and(checks_json) => Words::new(400, bad_json(error)),
            Self::BadJson(error) => Words::new(500, error.to_string()),
            Self::BadLogin(error) => Words::new(400, format!("Bad parameters and missing X-Registry-Auth: {error}")),
            Self::ContentType(found) => Words::new(400, content_type(found)),
            Self::NoContainer => Words::new(400, "invalid name or ID supplied: \"\""),
            Self::NoStream => Words::new(400, "Bad parameters: you must choose at least one stream"),
            Self::BodyAtStart => Words::new(
                400,
                "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
            ),
            Self::BadDetachKeys(keys) if route == Some(Route::ContainerExec) => {
                Words::new(500, format!("Invalid escape keys ({keys}) provided"))
            }
            Self::BadDetachKeys(keys) => Words::new(400, format!("Invalid detach keys ({keys}) provided")),
            Self::BadHandshake(error) => Words::new(400, error.to_string()),
            Self::BadTarget(error) => Words::new(400, error.to_string()),
            Self::ForeignOrigin(origin) => Words::new(403, format!("pages of {origin} may not attach")),
            Self::NoRoute => Words::new(404, "page not found"),
            Self::NotServed { method, path } => Words::new(501, format!("gantry does not support {method} {path} yet")),
            Self::TooNew(version) => Words::new(
                400,
                format!(
                    "client version {version} is too new. Maximum supported API version is {}",
                    super::ApiVersion::NEWEST
                ),
            ),
            Self::TooOld(version) => Words::new(
                400,
                format!(
                    "client version {version} is too old. Minimum supported API version is {}, please upgrade your \
                     client to a newer version",
                    super::ApiVersion::OLDEST
                ),
            ),
        }
    }
}

/// The text for a parameter that is no number: Go's, after the parameter's name.
pub(super) fn number(bad: &BadNumber) -> String {
    let BadNumber { parameter, value } = bad;
    format!("bad parameter {parameter}: strconv.ParseInt: parsing {value:?}: invalid syntax")
}

pub(super) fn content_type(found: &str) -> String {
    format!("Content-Type specified ({found}) must be 'application/json'")
}

/// A reference with the tag that is meant when none is written.
pub(super) fn with_tag(reference: &str) -> String {
    let (_, last) = reference.rsplit_once('/').unwrap_or(("", reference));
    if last.contains([':', '@']) {
        reference.into()
    } else {
        format!("{reference}:latest")
    }
}

/// The first 12 digits of an id, which Docker's messages show.
pub(crate) fn short(id: &str) -> &str {
    let id = id.strip_prefix("sha256:").unwrap_or(id);
    id.get(..12).unwrap_or(id)
}

/// Whether a body for an exec is read: later than others, it was given statuses of its own.
fn is_exec(route: Option<Route>) -> bool {
    matches!(route, Some(Route::ContainerExec | Route::ExecStart))
}

/// What is wrong with the new name of a container.
pub(super) fn renaming(why: &str) -> String {
    format!("Error when allocating new name: {why}")
}

/// The words for a name that another container has.
pub(super) fn name_in_use(name: &str, holder: &str) -> String {
    format!(
        "Conflict. The container name \"/{name}\" is already in use by container \"{holder}\". You have to remove (or \
         rename) that container to be able to reuse that name."
    )
}

fn refused(refusal: &Refusal, route: Option<Route>) -> Words {
    match refusal {
        Refusal::BadChange { instruction } => Words::new(400, bad_change(instruction)),
        Refusal::BadDockerfile(why) => Words::new(400, why.as_str()),
        Refusal::BadParameter(why) => Words::new(400, why.as_str()),
        Refusal::BadLogin { why } => {
            let is_check = route == Some(Route::AuthCheck);
            Words::new(if is_check { 401 } else { 500 }, why.as_str())
        }
        Refusal::AlreadyPaused { id, .. } => Words::new(409, format!("Container {id} is already paused")),
        Refusal::BadContainerName { name } if route == Some(Route::ContainerRename) => {
            Words::new(400, renaming(&container_name(&format!("/{name}"))))
        }
        Refusal::BadContainerName { name } => Words::new(400, container_name(name)),
        Refusal::BadFilterValue { filter, value } if route == Some(Route::NetworkList) => {
            Words::new(500, format!("invalid filter: '{filter}'='{value}'"))
        }
        Refusal::BadFilterValue { filter, value } => Words::new(400, format!("Invalid filter '{filter}=[{value}]'")),
        Refusal::BadNetworkConfig(why) => Words::new(500, why.as_str()),
        Refusal::BadReference { reference, why } => {
            let from_deeper_down = matches!(
                route,
                Some(
                    Route::Build
                        | Route::Commit
                        | Route::ImageGet
                        | Route::ImageGetMany
                        | Route::ImagePush
                        | Route::ImageTag
                )
            );
            let status = if from_deeper_down { 500 } else { 400 };
            Words::new(status, bad_reference(reference, why, route))
        }
        Refusal::BadSignal { signal } => Words::new(400, format!("Invalid signal: {signal}")),
        Refusal::BadSignalNumber { container, signal } => Words::new(
            500,
            format!("Cannot kill container: {container}: The linux daemon does not support signal {signal}"),
        ),
        Refusal::BadVolumeName { name } => {
            let why = check_volume_name(name).err().unwrap_or_default();
            Words::new(400, format!("create {name}: {why}"))
        }
        Refusal::BadVolumeOption { name, option } => {
            Words::new(400, format!("create {name}: invalid option: \"{option}\""))
        }
        Refusal::ContainerNotRunning { id, name } if route == Some(Route::ContainerKill) => Words::new(
            409,
            format!("Cannot kill container: {name}: Container {id} is not running"),
        ),
        Refusal::ContainerNotRunning { id, .. } => Words::new(409, format!("Container {id} is not running")),
        Refusal::ContainerPaused { id, name } => Words::new(409, paused(id, name, route)),
        Refusal::ContainerRunning { id } => Words::new(
            409,
            format!(
                "You cannot remove a running container {id}. Stop the container before attempting removal or force \
                 remove"
            ),
        ),
        Refusal::ExecEnded { id } => Words::new(409, format!("Error: Exec command {id} has already run")),
        Refusal::ExecNotRunning { .. } => Words::new(404, "no such exec"),
        Refusal::ExecRunning { id } => Words::new(409, format!("Error: Exec command {id} is already running")),
        Refusal::EndpointExists { container, network } => Words::new(
            403,
            format!("endpoint with name {container} already exists in network {network}"),
        ),
        Refusal::HostNetworkIsFixed => Words::new(
            400,
            "container cannot be disconnected from host network or connected to host network",
        ),
        Refusal::NetworkInUse { name, id } => Words::new(
            403,
            format!("error while removing network: network {name} id {id} has active endpoints"),
        ),
        Refusal::NetworkNameInUse { name } => Words::new(409, network_name_in_use(name)),
        Refusal::NotConnected { container, network } => Words::new(
            500,
            format!("container {container} is not connected to network {network}"),
        ),
        Refusal::OneNetworkOnly { driver } => Words::new(403, one_network_only(driver)),
        Refusal::PredefinedNetwork { name } if route == Some(Route::NetworkCreate) => Words::new(
            403,
            // The blank at the end is the daemons' own.
            format!("operation is not permitted on predefined {name} network "),
        ),
        Refusal::PredefinedNetwork { name } => {
            Words::new(403, format!("{name} is a pre-defined network and cannot be removed"))
        }
        Refusal::RemovalInProgress { name } => {
            Words::new(409, format!("removal of container {name} is already in progress"))
        }
        Refusal::NameInUse { name, holder } if route == Some(Route::ContainerRename) => {
            Words::new(409, renaming(&name_in_use(name, holder)))
        }
        Refusal::NameInUse { name, holder } => Words::new(409, name_in_use(name, holder)),
        Refusal::NameUnchanged { .. } => Words::new(400, "Renaming a container with the same name as its current name"),
        Refusal::EmptyDockerfile { path } => Words::new(400, format!("the Dockerfile ({path}) cannot be empty")),
        Refusal::ImageInUse(usage) => Words::new(409, image_in_use(usage)),
        Refusal::NotSupported(what) => Words::new(501, format!("gantry does not support {what} yet")),
        Refusal::NotADirectory { .. } => Words::new(400, "extraction point is not a directory"),
        Refusal::NoCommand => Words::new(400, "No command specified"),
        Refusal::NoDockerfile { path } => Words::new(500, format!("Cannot locate specified Dockerfile: {path}")),
        Refusal::NoConfig => Words::new(400, "Config cannot be empty in order to create a container"),
        Refusal::NoExecCommand => Words::new(400, "No exec command specified"),
        Refusal::NoSuchContainer { name } if route == Some(Route::ContainerKill) => {
            Words::new(404, format!("Cannot kill container: {name}: No such container: {name}"))
        }
        Refusal::NoSuchContainer { name } => Words::new(404, format!("No such container: {name}")),
        Refusal::NoSuchExec { id } => Words::new(404, format!("No such exec instance: {id}")),
        Refusal::NoSuchDriver { driver, name } if route == Some(Route::VolumeCreate) => Words::new(
            404,
            format!("create {name}: error looking up volume plugin {driver}: plugin \"{driver}\" not found"),
        ),
        Refusal::NoSuchDriver { driver, .. } => Words::new(404, format!("plugin \"{driver}\" not found")),
        Refusal::NoSuchImage { reference } if route == Some(Route::ImageInspect) => Words::new(
            404,
            format!("no such image: {reference}: No such image: {}", with_tag(reference)),
        ),
        Refusal::NoSuchImage { reference } if route == Some(Route::ImagePush) => Words::new(
            404,
            format!("An image does not exist locally with the tag: {reference}"),
        ),
        Refusal::NoSuchImage { reference } if matches!(route, Some(Route::ImageGet | Route::ImageGetMany)) => {
            Words::new(404, format!("No such image: {reference}"))
        }
        Refusal::NoSuchImage { reference } => Words::new(404, format!("No such image: {}", with_tag(reference))),
        Refusal::NotInRegistry { reference, lack, why } => Words::new(404, not_in_registry(reference, *lack, why)),
        Refusal::ReservedName { name } => Words::new(403, reserved(name)),
        Refusal::NotPaused { id, .. } => Words::new(500, format!("Container {id} is not paused")),
        Refusal::NoSuchNetwork { name } => Words::new(404, format!("network {name} not found")),
        Refusal::NoSuchVolume { name } => Words::new(404, format!("get {name}: no such volume")),
        Refusal::NoSuchPath { container, path } => {
            Words::new(404, format!("Could not find the file {path} in container {container}"))
        }
        Refusal::ReadOnly { .. } => Words::new(403, "container rootfs is marked read-only"),
        Refusal::AmbiguousId { prefix } => {
            Words::new(500, format!("Multiple IDs found with provided prefix: {prefix}"))
        }
        Refusal::TagInUse { reference, holder } => Words::new(409, tag_in_use(reference, holder)),
        Refusal::StartFailed { name, cause, message } if route == Some(Route::ContainerRestart) => {
            Words::new(500, restart_failed(name, *cause, message))
        }
        Refusal::StartFailed { cause, message, .. } => {
            // Clients tell 126 and 127 from 125 by these words.
            let status = if *cause == StartFailure::Other { 500 } else { 400 };
            Words::new(status, marked(message, sign(*cause)))
        }
        Refusal::SubnetInUse => Words::new(403, SUBNET_IN_USE),
        Refusal::VolumeInUse { name, containers } => Words::new(409, volume_in_use(name, containers)),
        Refusal::Internal(what) => Words::new(500, what.as_str()),
    }
}

/// The words for a call that a paused container cannot serve.
fn paused(id: &str, name: &str, route: Option<Route>) -> String {
    match route {
        Some(Route::ContainerAttach) => format!("container {name} is paused, unpause the container before attach"),
        Some(Route::ContainerExec) => format!("Container {name} is paused, unpause the container before exec"),
        Some(Route::ContainerStart) => "cannot start a paused container, try unpause instead".into(),
        Some(Route::ExecStart) => format!("Container {id} is paused, unpause the container before exec"),
        _ => format!("Container {id} is paused"),
    }
}

/// The words of every version for a restart that failed.
pub(super) fn restart_failed(name: &str, cause: StartFailure, message: &str) -> String {
    format!("Cannot restart container {name}: {}", marked(message, sign(cause)))
}

/// What clients look for in a message to tell why a program could not be started.
pub(super) fn sign(cause: StartFailure) -> &'static str {
    match cause {
        StartFailure::NotFound => "executable file not found in $PATH",
        StartFailure::NotExecutable => "permission denied",
        StartFailure::Other => "",
    }
}

/// Whether a body that is no JSON was the client's fault to the daemons, and not one of theirs.
fn checks_json(route: Route) -> bool {
    matches!(
        route,
        Route::NetworkConnect | Route::NetworkCreate | Route::NetworkDisconnect | Route::VolumeCreate
    )
}

fn bad_json(error: &JsonError) -> String {
    match error {
        JsonError::Empty => "got EOF while reading request body".to_string(),
        error => error.to_string(),
    }
}

pub(super) const SUBNET_IN_USE: &str = "Pool overlaps with other one on this address space";

pub(super) fn network_name_in_use(name: &str) -> String {
    format!("network with name {name} already exists")
}

pub(super) fn one_network_only(driver: &str) -> String {
    format!("only one instance of \"{driver}\" network is allowed")
}

pub(super) fn volume_in_use(name: &str, containers: &[String]) -> String {
    format!("remove {name}: volume is in use - [{}]", containers.join(", "))
}

/// A message that holds `sign`, which clients look for.
pub(super) fn marked(message: &str, sign: &str) -> String {
    let found = ["executable file not found", "no such file or directory"];
    let says_so = match sign {
        "" => true,
        "permission denied" => message.contains(sign),
        _ => found.iter().any(|words| message.contains(words)),
    };
    if says_so {
        message.into()
    } else {
        format!("{message}: {sign}")
    }
}

/// The words of every version for an instruction that changes nothing of a configuration.
pub(super) fn bad_change(instruction: &str) -> String {
    format!("{} is not a valid change command", instruction.to_lowercase())
}

/// The words of every version for a bad container name.
pub(super) fn container_name(name: &str) -> String {
    format!("Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
}

fn bad_reference(reference: &str, why: &str, route: Option<Route>) -> String {
    let text = match why {
        "" => "invalid reference format".to_string(),
        "invalid tag format" => why.to_string(),
        _ => format!("invalid reference format: {why}"),
    };
    if route == Some(Route::ImageInspect) {
        format!("no such image: {reference}: {text}")
    } else {
        text
    }
}

fn not_in_registry(reference: &str, lack: RegistryLack, why: &str) -> String {
    match lack {
        RegistryLack::Access => format!(
            "pull access denied for {reference}, repository does not exist or may require 'docker login': {why}"
        ),
        RegistryLack::Manifest => format!("manifest for {reference} not found: {why}"),
        RegistryLack::Repository => format!("repository {reference} not found: {why}"),
    }
}

/// The words of every version for a reserved name.
pub(super) fn reserved(name: &str) -> String {
    format!("'{name}' is a reserved name")
}

pub(super) fn tag_in_use(reference: &str, holder: &str) -> String {
    let tag = with_tag(reference);
    let tag = tag.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let holder = holder.strip_prefix("sha256:").unwrap_or(holder);
    format!("Conflict: Tag {tag} is already set to image {holder}, if you want to replace it, please use -f option")
}

fn image_in_use(usage: &ImageUse) -> String {
    match usage {
        ImageUse::Running { image, container, .. } => format!(
            "conflict: unable to delete {} (cannot be forced) - image is being used by running container {}",
            short(image),
            short(container)
        ),
        ImageUse::Stopped {
            reference,
            image,
            container,
            by_tag: true,
        } => format!(
            "conflict: unable to remove repository reference \"{reference}\" (must force) - container {} is using its \
             referenced image {}",
            short(container),
            short(image)
        ),
        ImageUse::Stopped { image, container, .. } => format!(
            "conflict: unable to delete {} (must be forced) - image is being used by stopped container {}",
            short(image),
            short(container)
        ),
        ImageUse::SeveralTags { image } => format!(
            "conflict: unable to delete {} (must be forced) - image is referenced in multiple repositories",
            short(image)
        ),
        ImageUse::HasChildren { image } => format!(
            "conflict: unable to delete {} (cannot be forced) - image has dependent child images",
            short(image)
        ),
    }
}
