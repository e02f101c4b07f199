//! `gantry-keeper`: the process that holds one running container while gantryd may die.
//!
//! gantryd speaks to clients and may crash or be replaced at any time. So each running container has a keeper: a small
//! static program with one thread that knows no HTTP, no JSON parser and no TLS. It is the container's parent, reads its
//! output whatever happens, is the **only writer** of its log, and writes its exit to disk **before** it tells anyone.
//!
//! ```text
//!            control socket (packets, descriptors)             pipes or pty
//!  gantryd <---------------------------------------> keeper <----------------> container
//!     ^  ^-- per subscription a socket, maybe a pipe --|  |
//!     '------------------ log file <-------------------'  '--> exit record
//! ```
//!
//! - [`client`]: gantryd's side: launch a keeper, find it again after a restart, ask it for things.
//! - [`wire`]: the messages of the control socket, a pure codec. It also says how the protocol may grow.
//! - [`record`]: the exit record on disk.
//! - [`log`]: the log file's format, written and read.
//! - [`serve`]: the keeper itself.
//!
//! # What survives what
//!
//! | killed with -9 | container | output | exit |
//! | --- | --- | --- | --- |
//! | gantryd | runs on, never blocks on output | all in the log | in the exit record |
//! | the keeper | its pipes break; gantryd ends it when it sees the keeper gone | an unfinished line (at most 16 KiB per stream) is lost | unknown: 255 |
//!
//! The keeper does not live in the container's control group and has no part in its namespaces.

mod chunk;
pub mod client;
mod field;
pub mod log;
mod output;
pub mod record;
pub mod serve;
mod spec;
pub mod wire;

use std::path::PathBuf;

/// Where a container's keeper is found and what it leaves behind. All absolute, in directories of mode 0700 that exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// The keeper's listening socket, below the run directory. Any length: it is reached through its directory.
    pub socket: PathBuf,
    /// The exit record, below the data root. `<exit_record>.new` beside it is used while writing.
    pub exit_record: PathBuf,
}
