//! Calls about execs.

use alloc::string::String;

use crate::model::ExecConfig;

/// `POST /containers/{id}/exec`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecCreate {
    /// Container id, unambiguous id prefix, or name.
    pub container: String,
    /// What runs; its command is never empty.
    pub config: ExecConfig,
}

/// `POST /exec/{id}/start`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecStart {
    /// Exec id.
    pub exec: String,
    /// Start it and leave: answered with [`Reply::Done`](crate::Reply::Done) instead of a stream.
    pub detach: bool,
    /// The client takes its stream for that of a terminal: raw. Whether there is one was said with the create.
    pub tty: bool,
}
