//! Why a call failed, as facts.
//!
//! The daemon says what happened; the wording and the status belong to the API version of the request (a missing
//! container was `no such id: x` in 2013 and is `No such container: x` since v1.19), so both are decided in `dialect`.

use alloc::{string::String, vec::Vec};

/// The reason of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// A change (of a commit or an import) is not one of the instructions that change a configuration.
    BadChange {
        /// The instruction's name, as the client wrote it.
        instruction: String,
    },
    /// The Dockerfile cannot be carried out; the text says where and why.
    BadDockerfile(String),
    /// A parameter cannot be used; the text names it and says why.
    BadParameter(String),
    /// The registry does not take the login.
    BadLogin {
        /// What the registry said.
        why: String,
    },
    /// The container's name cannot be used.
    BadContainerName {
        /// As the client wrote it.
        name: String,
    },
    /// A filter has a value that it cannot have.
    BadFilterValue {
        /// Its name.
        filter: String,
        /// The value.
        value: String,
    },
    /// The network cannot be made as it is described; the text says what is wrong, in Docker's words.
    BadNetworkConfig(String),
    /// The image reference does not follow the grammar.
    BadReference {
        /// As the client wrote it.
        reference: String,
        /// What is wrong with it, in Docker's words: `repository name must be lowercase`, `invalid tag format`, …
        why: &'static str,
    },
    /// The signal is not known.
    BadSignal {
        /// As the client wrote it.
        signal: String,
    },
    /// The signal's number is out of range.
    BadSignalNumber {
        /// The container as the client named it.
        container: String,
        /// As the client wrote it.
        signal: String,
    },
    /// The container is paused already.
    AlreadyPaused {
        /// Full id.
        id: String,
        /// The container as the client named it.
        name: String,
    },
    /// The volume's name cannot be used.
    BadVolumeName {
        /// As the client wrote it.
        name: String,
    },
    /// The volume driver does not know this option.
    BadVolumeOption {
        /// The volume's name.
        name: String,
        /// The option's.
        option: String,
    },
    /// The container exists but does not run.
    ContainerNotRunning {
        /// Full id.
        id: String,
        /// The container as the client named it.
        name: String,
    },
    /// The container is paused and the call needs it running (start, exec).
    ContainerPaused {
        /// Full id.
        id: String,
        /// The container as the client named it.
        name: String,
    },
    /// The container runs and the call needs it stopped (remove without force).
    ContainerRunning {
        /// Full id.
        id: String,
    },
    /// The exec has run already.
    ExecEnded {
        /// Full id.
        id: String,
    },
    /// The exec does not run: not yet, or no more.
    ExecNotRunning {
        /// Full id.
        id: String,
    },
    /// The exec runs already.
    ExecRunning {
        /// Full id.
        id: String,
    },
    /// The container is in the network already.
    EndpointExists {
        /// The container's name, without leading slash.
        container: String,
        /// The network's name.
        network: String,
    },
    /// A container with the host's network keeps it, and no other one gets it.
    HostNetworkIsFixed,
    /// Containers are in the network, so it cannot be removed.
    NetworkInUse {
        /// The network's name.
        name: String,
        /// Full id.
        id: String,
    },
    /// Another network has the name.
    NetworkNameInUse {
        /// The wished name.
        name: String,
    },
    /// The container is not in the network.
    NotConnected {
        /// Full id of the container.
        container: String,
        /// The network's name.
        network: String,
    },
    /// There may be one network of this driver only.
    OneNetworkOnly {
        /// The driver.
        driver: String,
    },
    /// The network is the daemon's own and can neither be made nor removed.
    PredefinedNetwork {
        /// Its name.
        name: String,
    },
    /// The container is being removed by another call.
    RemovalInProgress {
        /// The container as the client named it.
        name: String,
    },
    /// Another container has the name.
    NameInUse {
        /// The wished name, without leading slash.
        name: String,
        /// Full id of the container that has it.
        holder: String,
    },
    /// The container has the wished name already.
    NameUnchanged {
        /// The wished name, without leading slash.
        name: String,
        /// Full id of the container.
        id: String,
    },
    /// The Dockerfile has no instruction.
    EmptyDockerfile {
        /// Its path in the context.
        path: String,
    },
    /// The image cannot be removed.
    ImageInUse(ImageUse),
    /// The request needs something that gantry does not do (yet). The text names it.
    NotSupported(String),
    /// The path exists in the container and is no directory.
    NotADirectory {
        /// As the client wrote it.
        path: String,
    },
    /// Neither the request nor the image says what to run.
    NoCommand,
    /// The context has no Dockerfile.
    NoDockerfile {
        /// Where it should be.
        path: String,
    },
    /// The body holds no configuration at all.
    NoConfig,
    /// An exec without a program to run.
    NoExecCommand,
    /// No such container.
    NoSuchContainer {
        /// As the client wrote it.
        name: String,
    },
    /// No such exec.
    NoSuchExec {
        /// As the client wrote it.
        id: String,
    },
    /// No driver of that name, for the network or volume to be made.
    NoSuchDriver {
        /// As the client wrote it.
        driver: String,
        /// The name of the network or volume.
        name: String,
    },
    /// No such image.
    NoSuchImage {
        /// As the client wrote it.
        reference: String,
    },
    /// The registry does not have what is asked for, or does not show it to this client.
    NotInRegistry {
        /// Repository, with the tag or digest when it is the [manifest](RegistryLack::Manifest) that lacks.
        reference: String,
        /// What is not there.
        lack: RegistryLack,
        /// What the registry said.
        why: String,
    },
    /// The name stands for something else than an image (`scratch`).
    ReservedName {
        /// As the client wrote it.
        name: String,
    },
    /// The container is not paused.
    NotPaused {
        /// Full id.
        id: String,
        /// The container as the client named it.
        name: String,
    },
    /// No such network.
    NoSuchNetwork {
        /// As the client wrote it.
        name: String,
    },
    /// No such volume.
    NoSuchVolume {
        /// As the client wrote it.
        name: String,
    },
    /// No such file or directory in the container.
    NoSuchPath {
        /// The container as the client named it.
        container: String,
        /// As the client wrote it.
        path: String,
    },
    /// The container's root, or the volume, may not be written to.
    ReadOnly {
        /// The path as the client wrote it.
        path: String,
    },
    /// An id prefix fits several objects.
    AmbiguousId {
        /// As the client wrote it.
        prefix: String,
    },
    /// The image has this tag already and `force` was not given.
    TagInUse {
        /// Repository and tag.
        reference: String,
        /// Id of the image that has it.
        holder: String,
    },
    /// The subnet overlaps another network's.
    SubnetInUse,
    /// Containers use the volume, so it cannot be removed.
    VolumeInUse {
        /// Its name.
        name: String,
        /// Full ids of the containers.
        containers: Vec<String>,
    },
    /// The container's program could not be started.
    StartFailed {
        /// The container as the client named it.
        name: String,
        /// What kind of failure; clients derive 125, 126 and 127 from it.
        cause: StartFailure,
        /// What happened, naming the step and the operating system's error.
        message: String,
    },
    /// The host failed; the text names the step and the operating system's error.
    Internal(String),
}

/// Why a container's program could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFailure {
    /// The program does not exist in the image (clients exit with 127).
    NotFound,
    /// The program exists and cannot be executed (clients exit with 126).
    NotExecutable,
    /// Anything else (clients exit with 125, 128 in old ones).
    Other,
}

/// What a registry does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryLack {
    /// The right to read the repository, or the repository: it does not tell which.
    Access,
    /// The tag or digest.
    Manifest,
    /// The repository.
    Repository,
}

/// Why an image cannot be removed. Ids are full ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageUse {
    /// A running container uses it; force does not help.
    Running {
        /// Reference as the client wrote it.
        reference: String,
        /// Image id, without `sha256:`.
        image: String,
        /// Container id.
        container: String,
    },
    /// A stopped container uses it.
    Stopped {
        /// Reference as the client wrote it.
        reference: String,
        /// Image id, without `sha256:`.
        image: String,
        /// Container id.
        container: String,
        /// The client named a tag (not an id).
        by_tag: bool,
    },
    /// Several tags name it and the client gave its id.
    SeveralTags {
        /// Image id, without `sha256:`.
        image: String,
    },
    /// Another image is built on it.
    HasChildren {
        /// Image id, without `sha256:`.
        image: String,
    },
}
