//! Execs: further processes in a running container. Source: the Engine API documents v1.15 to v1.24.

use alloc::{boxed::Box, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Container, null};

/// What an exec runs: the body of `POST /containers/{id}/exec`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExecConfig {
    /// `user`, `uid`, `user:group` or `uid:gid`; empty is the container's (v1.19).
    #[serde(deserialize_with = "null::as_default")]
    pub user: String,
    /// All capabilities, in the container's namespaces (v1.21).
    #[serde(deserialize_with = "null::as_default")]
    pub privileged: bool,
    /// Standard streams are a terminal.
    #[serde(deserialize_with = "null::as_default")]
    pub tty: bool,
    /// Standard input comes from the client that starts it.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stdin: bool,
    /// Standard error goes to the client that starts it.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stderr: bool,
    /// Standard output goes to the client that starts it.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stdout: bool,
    /// Keys that take the client off a terminal, `ctrl-a,b`; empty is `ctrl-p,ctrl-q` (v1.22).
    #[serde(deserialize_with = "null::as_default")]
    pub detach_keys: String,
    /// The program and its arguments.
    #[serde(deserialize_with = "null::as_default")]
    pub cmd: Vec<String>,
}

/// `GET /exec/{id}/json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Exec {
    /// 64 hexadecimal digits.
    #[serde(rename = "ID")]
    pub id: String,
    /// It has a process.
    pub running: bool,
    /// Exit code, `null` before the end.
    pub exit_code: Option<i64>,
    /// What runs.
    pub process_config: ExecProcess,
    /// Standard input is attached.
    pub open_stdin: bool,
    /// Standard error is attached.
    pub open_stderr: bool,
    /// Standard output is attached.
    pub open_stdout: bool,
    /// It has ended and may be forgotten.
    pub can_remove: bool,
    /// Full id of the container.
    #[serde(rename = "ContainerID")]
    pub container_id: String,
    /// As [`ExecConfig::detach_keys`].
    pub detach_keys: String,
    /// The container, when asked for; up to v1.21 it stands where its id stands now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub container: Option<Box<Container>>,
}

/// What an exec runs, as inspect shows it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExecProcess {
    /// As [`ExecConfig::tty`].
    pub tty: bool,
    /// The program.
    pub entrypoint: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// As [`ExecConfig::privileged`].
    pub privileged: bool,
    /// As [`ExecConfig::user`].
    pub user: String,
}
