//! What the daemon answers, in the newest shape.
//!
//! A call is answered by exactly one [`Reply`]. The replies that open a stream are followed by [`Item`]s until the
//! daemon finishes or aborts it. How each looks on the wire (status, headers, JSON keys, framing) is decided by the
//! version the request named; see `dialect`.

use alloc::{boxed::Box, string::String, vec::Vec};

use bytes::Bytes;

use crate::{Secret, driver::SourceId, framing::StreamKind, model, refusal::Refusal};

/// The answer to one [`Call`](crate::Call).
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// `POST /auth`: the login is good.
    AuthChecked {
        /// The registry's words, `Login Succeeded` if it has none.
        status: String,
        /// Stands for the password from now on; empty when the registry gave none.
        identity_token: Secret,
    },
    /// `GET /auth`.
    AuthShown(model::StoredLogin),
    /// `POST /commit`.
    Committed {
        /// The new image's id: `sha256:` and 64 hexadecimal digits.
        id: String,
    },
    /// `POST /containers/create`.
    ContainerCreated {
        /// The new container's id, 64 hexadecimal digits.
        id: String,
        /// What the daemon could not grant, for people.
        warnings: Vec<String>,
    },
    /// `GET /containers/{id}/changes`.
    ContainerChanges(Vec<model::FileChange>),
    /// `GET /containers/json`.
    ContainerList(Vec<model::ContainerSummary>),
    /// `GET /containers/{id}/json`.
    Container(Box<model::Container>),
    /// `POST /containers/{id}/wait`.
    ContainerExited {
        /// Exit code: the process's own, or 128 + signal number.
        status_code: i64,
    },
    /// `POST /containers/{id}/update`.
    ContainerUpdated {
        /// What the daemon could not grant, for people.
        warnings: Vec<String>,
    },
    /// `HEAD /containers/{id}/archive`.
    ContainerPath(Box<model::PathStat>),
    /// Done, nothing to say: connect and disconnect of networks, kill, pause, remove, rename, resize, restart, start, stop,
    /// tag, unpacking an archive, unpause, a detached exec.
    Done,
    /// `GET /exec/{id}/json`.
    Exec(Box<model::Exec>),
    /// `POST /containers/{id}/exec`.
    ExecCreated {
        /// The new exec's id, 64 hexadecimal digits.
        id: String,
        /// What the daemon could not grant, for people.
        warnings: Vec<String>,
    },
    /// `GET /images/{name}/json`.
    Image(Box<model::Image>),
    /// `POST /images/getCache`. That there is none is [`Refusal::NoSuchImage`].
    ImageCached {
        /// Id of the image.
        id: String,
    },
    /// `GET /images/{name}/history`, newest first.
    ImageHistory(Vec<model::ImageHistoryEntry>),
    /// `GET /images/json`.
    ImageList(Vec<model::ImageSummary>),
    /// `DELETE /images/{name}`: what happened, in order.
    ImageRemoved(Vec<model::ImageRemoval>),
    /// `GET /images/search`: what was found, best first.
    ImageSearch(Vec<model::SearchResult>),
    /// `GET /info`.
    Info(Box<model::Info>),
    /// `GET /networks/{id}`.
    Network(Box<model::Network>),
    /// `POST /networks/create`.
    NetworkCreated {
        /// The new network's id, 64 hexadecimal digits.
        id: String,
        /// What the daemon could not grant, for people; empty when that is nothing.
        warning: String,
    },
    /// `GET /networks`.
    NetworkList(Vec<model::Network>),
    /// The state asked for is there already (start of a running container, stop of a stopped one).
    NotModified,
    /// `GET /_ping`.
    Pong,
    /// `GET /containers/{id}/top`.
    ProcessList(model::ProcessList),
    /// The call failed.
    Refused(Refusal),
    /// `GET /containers/{id}/stats`, once.
    Stats(Box<model::Stats>),
    /// `GET /version`.
    Version(Box<model::Version>),
    /// `POST /volumes/create` and `GET /volumes/{name}`.
    Volume(Box<model::Volume>),
    /// `GET /volumes`.
    VolumeList {
        /// The volumes.
        volumes: Vec<model::Volume>,
        /// Which drivers could not be asked (v1.22), for people.
        warnings: Vec<String>,
    },

    /// Opens the tar stream of `GET /containers/{id}/archive`; [`Item::Data`] follows.
    Archive(Box<model::PathStat>),
    /// Opens the hijacked stream of `POST /containers/{id}/attach`; [`Item::Output`] follows, and input arrives as
    /// [`Event::Input`](crate::Event::Input).
    Attached {
        /// The container has a terminal: the stream is raw, and the detach keys are looked for.
        tty: bool,
    },
    /// Opens the stream of `GET /events`; [`Item::Event`] follows.
    EventStream,
    /// Opens the hijacked stream of `POST /exec/{id}/start`; [`Item::Output`] follows, and input arrives as
    /// [`Event::Input`](crate::Event::Input).
    ExecAttached {
        /// The start asked for the stream of a terminal: it is raw.
        tty: bool,
        /// Detach keys to look for in a raw stream, as the exec's create named them; empty is the usual ones. `None` when
        /// the exec has no terminal or does not read standard input.
        detach_keys: Option<String>,
    },
    /// Opens the stream of `GET /containers/{id}/logs`; [`Item::Output`] follows.
    Logs {
        /// The container has a terminal: the stream is raw.
        tty: bool,
    },
    /// Opens the progress stream of an image import, insert, load, pull or push; [`Item::Progress`] follows.
    ProgressStream,
    /// Opens the stream of `GET /containers/{id}/stats`; [`Item::Stats`] follows.
    StatsStream,
    /// Opens the tar stream of an export, of a copy, or of images; [`Item::Data`] follows.
    Tar,
}

impl Reply {
    /// Whether [`Item`]s follow.
    pub fn opens_stream(&self) -> bool {
        matches!(
            self,
            Self::Archive(_)
                | Self::Attached { .. }
                | Self::EventStream
                | Self::ExecAttached { .. }
                | Self::Logs { .. }
                | Self::ProgressStream
                | Self::StatsStream
                | Self::Tar
        )
    }
}

/// One piece of a stream that a [`Reply`] opened.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Bytes of a tar stream.
    Data(Bytes),
    /// A container event.
    Event(Box<model::Event>),
    /// Bytes a container wrote.
    Output(StreamKind, Bytes),
    /// Bytes of a container's output or of a tar stream that are in a pipe, and go from there to the client unseen. Without
    /// form for a client whose bytes are changed on their way, as TLS changes them: there is no source for it.
    Spliced {
        /// Which stream they belong to; of no meaning in a tar.
        kind: StreamKind,
        /// The pipe, opened for this connection.
        source: SourceId,
        /// How many; they are there already.
        len: usize,
    },
    /// The work failed after its stream was opened: the last item of a progress stream.
    Failed(Refusal),
    /// A line of progress.
    Progress(model::Progress),
    /// A reading of a container's usage.
    Stats(Box<model::Stats>),
}
