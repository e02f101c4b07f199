//! What worker threads tell the engine when a job is done.

use gantry_core::{Refusal, Reply, model::Progress};

use crate::{
    container::{Record, Started, Stored, log_file},
    port::CallId,
};

/// A worker's news.
pub struct Message(pub(crate) News);

pub(crate) enum News {
    /// A call that needed nothing but the job is answered.
    Answered {
        call: CallId,
        outcome: Outcome,
        ended: Ended,
    },
    /// A create has been stored, or failed; the name and id are known from the record.
    Created {
        call: CallId,
        record: Box<Record>,
        result: Result<Vec<String>, Refusal>,
    },
    /// A start has succeeded or failed.
    Started {
        call: CallId,
        id: String,
        result: Result<Started, Refusal>,
    },
    /// The end of a run has been stored and cleaned up after.
    Settled { id: String },
    /// A removal has succeeded or failed.
    Removed {
        call: CallId,
        id: String,
        result: Result<(), Refusal>,
    },
    /// The keeper's connection broke, and this is what became of the container.
    Found { id: String, stored: Stored },
    /// A piece of log has been read.
    LogRead {
        call: CallId,
        result: Result<log_file::Piece, String>,
    },
    /// So many bytes of a tar stream have been put into its pipe.
    TarWritten { call: CallId, len: usize },
    /// The reader of an upload has room again.
    UploadRoom { call: CallId },
    /// A long job says how far it is.
    Progress { call: CallId, progress: Progress },
    /// A job panicked.
    Panicked {
        call: Option<CallId>,
        container: Option<String>,
        ended: Ended,
    },
}

/// The kind of exclusive work that a job was, to let what waited for it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Nothing waits for it.
    Nothing,
    /// An image removal.
    ImageRemoval,
}

/// The answer of a job, and the events it caused.
pub(crate) struct Outcome {
    pub(crate) reply: Reply,
    pub(crate) events: Vec<ImageEvent>,
}

impl Outcome {
    pub(crate) fn of(result: Result<Self, Refusal>) -> Self {
        result.unwrap_or_else(|refusal| Self {
            reply: Reply::Refused(refusal),
            events: Vec::new(),
        })
    }
}

/// Something that happened to an image.
pub(crate) struct ImageEvent {
    /// `tag`, `untag`, `delete`, `import`, `load`.
    pub(crate) action: &'static str,
    /// Id or reference.
    pub(crate) id: String,
    /// `name` attribute.
    pub(crate) name: String,
}
