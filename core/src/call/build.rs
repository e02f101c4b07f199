//! `POST /build`.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use super::{Labels, Login};
use crate::model::Ulimit;

/// `POST /build`. The context follows as parts, each told by [`Event::ContextPart`](crate::Event::ContextPart) and followed by
/// its bytes; there may be none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// References to tag the result with, as the client wrote them.
    pub tags: Vec<String>,
    /// Path of the Dockerfile in the context; `None` means `Dockerfile`.
    pub dockerfile: Option<String>,
    /// URL of a git repository, an archive or a Dockerfile to use as context; what comes as body is for nothing then.
    pub remote: Option<String>,
    /// Tell no more than the id of the result (up to v1.18, daemons left out what the steps wrote).
    pub quiet: bool,
    /// Make every step anew.
    pub no_cache: bool,
    /// Look for a newer base image.
    pub pull: bool,
    /// Remove the containers of the steps after a success.
    pub remove: bool,
    /// Remove them after a failure as well.
    pub force_remove: bool,
    /// Limits of the containers of the steps.
    pub limits: BuildLimits,
    /// Network of the containers of the steps; empty is the default.
    pub network_mode: String,
    /// Isolation, for Windows; empty is the default.
    pub isolation: String,
    /// Values of the Dockerfile's `ARG`s, and those that every Dockerfile has.
    pub build_args: Labels,
    /// Labels of the result.
    pub labels: Labels,
    /// Registry, as the client names it, and the login to use there. Empty below v1.8.
    pub logins: BTreeMap<String, Login>,
}

/// Limits of the containers of a build's steps. 0 and empty are none. A number that is none is 0, as in every daemon.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuildLimits {
    /// Control group to put them below.
    pub cgroup_parent: String,
    /// Length of a CPU period, in microseconds.
    pub cpu_period: i64,
    /// Microseconds of CPU time in a period.
    pub cpu_quota: i64,
    /// Relative weight.
    pub cpu_shares: i64,
    /// CPUs to run on: `0-3`, `0,1`.
    pub cpuset_cpus: String,
    /// Memory nodes to use: `0-3`, `0,1`.
    pub cpuset_mems: String,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of memory and swap; -1 is without limit.
    pub memory_swap: i64,
    /// Bytes of `/dev/shm`.
    pub shm_size: i64,
    /// Resource limits.
    pub ulimits: Vec<Ulimit>,
}

/// What the bytes that follow are to the context of a build. The order is the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContextPart {
    /// A tar archive of the context, plain or compressed.
    Archive,
    /// The Dockerfile. It takes the place of one in the archive.
    Dockerfile,
    /// A file of the context.
    File {
        /// Its path, as the client wrote it; not checked in any way.
        name: String,
    },
}
