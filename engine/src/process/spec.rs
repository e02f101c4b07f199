//! What to run and how, decided before the first system call.
//!
//! A [`Spec`] is made by the daemon, sent to the keeper, and carried out by the child that becomes the container. It
//! holds finished decisions only: no policy is left to the keeper. Paths on the host are absolute and were made by the
//! daemon itself; paths in the container come from the client or the image and are resolved inside the root
//! (`openat2(RESOLVE_IN_ROOT)`), never by the host.

use std::path::PathBuf;

/// Everything the keeper needs to run one container once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spec {
    /// Container id, 64 hexadecimal digits.
    pub id: String,
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// `NAME=value`; HOME is added from the user's passwd entry when missing.
    pub env: Vec<String>,
    /// Directory to start in, in the container; made when missing.
    pub working_dir: String,
    /// `user[:group]` as the client wrote it; empty is `0:0`. Resolved in the container's root by the child.
    pub user: String,
    /// Additional groups, names or numbers.
    pub group_add: Vec<String>,
    /// Standard streams are a terminal.
    pub tty: bool,
    /// Standard input is a pipe; otherwise `/dev/null`. Ignored with a terminal.
    pub open_stdin: bool,
    /// Host name; `None` with the host's UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// The root file system.
    pub rootfs: Rootfs,
    /// Host files bound into the container after the default mounts, in order.
    pub binds: Vec<Bind>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// Network namespace.
    pub network: NetworkNamespace,
    /// Control groups and limits.
    pub cgroup: Cgroup,
    /// Capability sets for uid 0 (bit `n` is capability `n`); others get none but the bounding set.
    pub capabilities: u64,
    /// Compiled seccomp filter (`struct sock_filter` each as 8 bytes, native order); empty is no filter.
    pub seccomp: Vec<u8>,
    /// Paths hidden from the container.
    pub masked_paths: Vec<String>,
    /// Paths made read-only.
    pub readonly_paths: Vec<String>,
    /// Set `no_new_privs`.
    pub no_new_privileges: bool,
    /// `oom_score_adj` of the container's processes.
    pub oom_score_adj: i32,
    /// Resource limits, by `RLIMIT_…` number.
    pub rlimits: Vec<Rlimit>,
    /// Kernel parameters to set in the container's own namespaces (`net.ipv4.ip_unprivileged_port_start`).
    pub sysctls: Vec<(String, String)>,
    /// Where output is logged; `None` logs nowhere.
    pub log: Option<PathBuf>,
}

/// The root file system of a container: an overlay of layers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rootfs {
    /// Unpacked layers on the host, top first; never empty.
    pub lower: Vec<PathBuf>,
    /// The writable layer.
    pub upper: PathBuf,
    /// Overlay's work directory, on the file system of `upper`.
    pub work: PathBuf,
    /// Mount the root read-only.
    pub read_only: bool,
}

/// A host file or directory bound into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// In the container; made when missing.
    pub target: String,
    /// Read-only.
    pub read_only: bool,
}

/// Which network namespace the container lives in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum NetworkNamespace {
    /// The daemon's own.
    Host,
    /// A new one; the launcher sets it up before the program runs.
    #[default]
    New,
}

/// Control groups and limits. A value of `None` leaves the kernel's default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cgroup {
    /// Path below each hierarchy's root, `/gantry/<id>`.
    pub path: String,
    /// Memory limit in bytes.
    pub memory: Option<u64>,
    /// Memory and swap in bytes; `Some(u64::MAX)` is no limit.
    pub memory_swap: Option<u64>,
    /// Soft memory limit in bytes.
    pub memory_reservation: Option<u64>,
    /// 0 … 100 (cgroup v1).
    pub memory_swappiness: Option<u64>,
    /// Switch the OOM killer off (cgroup v1).
    pub oom_kill_disable: bool,
    /// CPU weight in cgroup v1's scale, 2 … 262144.
    pub cpu_shares: Option<u64>,
    /// CFS period in microseconds.
    pub cpu_period: Option<u64>,
    /// CFS quota in microseconds per period.
    pub cpu_quota: Option<i64>,
    /// Processors.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Most processes.
    pub pids: Option<u64>,
    /// Block I/O weight, 10 … 1000.
    pub blkio_weight: Option<u64>,
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    /// `RLIMIT_…` of `<sys/resource.h>`.
    pub resource: u32,
    /// Soft limit; `u64::MAX` is none.
    pub soft: u64,
    /// Hard limit; `u64::MAX` is none.
    pub hard: u64,
}
