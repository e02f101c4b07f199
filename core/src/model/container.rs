//! Containers: configuration, state, and what the list and inspect calls show.

use alloc::{collections::BTreeMap, string::String, vec::Vec};
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Timestamp,
    network::{NetworkSettings, NetworkSummary, PortBinding},
    null,
};

/// What runs in a container: the part of a create body that is portable between hosts, and the `Config` of an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// Host name inside; empty means the first 12 digits of the id.
    #[serde(deserialize_with = "null::as_default")]
    pub hostname: String,
    /// NIS domain name inside.
    #[serde(deserialize_with = "null::as_default")]
    pub domainname: String,
    /// `user`, `uid`, `user:group` or `uid:gid`; empty is root.
    #[serde(deserialize_with = "null::as_default")]
    pub user: String,
    /// The creating client means to attach to standard input.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stdin: bool,
    /// The creating client means to attach to standard output.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stdout: bool,
    /// The creating client means to attach to standard error.
    #[serde(deserialize_with = "null::as_default")]
    pub attach_stderr: bool,
    /// Ports (`80/tcp`) the program listens on.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// Standard streams are a terminal.
    #[serde(deserialize_with = "null::as_default")]
    pub tty: bool,
    /// Keep standard input open while nobody is attached.
    #[serde(deserialize_with = "null::as_default")]
    pub open_stdin: bool,
    /// Close standard input when the first attached client ends its own.
    #[serde(deserialize_with = "null::as_default")]
    pub stdin_once: bool,
    /// `NAME=value` lines.
    #[serde(deserialize_with = "null::as_default")]
    pub env: Vec<String>,
    /// Arguments, or the program itself when there is no entry point. `None` (not sent) takes the image's.
    #[serde(deserialize_with = "null::one_or_many")]
    pub cmd: Option<Vec<String>>,
    /// Health check.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Image reference or id, as the client wrote it.
    #[serde(deserialize_with = "null::as_default")]
    pub image: String,
    /// Mount points of anonymous volumes.
    #[serde(deserialize_with = "null::as_default")]
    pub volumes: Option<BTreeMap<String, Empty>>,
    /// Directory the program starts in; empty is `/`.
    #[serde(deserialize_with = "null::as_default")]
    pub working_dir: String,
    /// Program to run with `cmd` as arguments. `None` takes the image's.
    #[serde(deserialize_with = "null::one_or_many")]
    pub entrypoint: Option<Vec<String>>,
    /// Give no network at all.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "Option::is_none")]
    pub network_disabled: Option<bool>,
    /// Hardware address, `02:42:…`.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "String::is_empty")]
    pub mac_address: String,
    /// Instructions for builds on this image.
    #[serde(deserialize_with = "null::as_default")]
    pub on_build: Option<Vec<String>>,
    /// Free names and values.
    #[serde(deserialize_with = "null::as_default")]
    pub labels: BTreeMap<String, String>,
    /// Signal that asks the program to stop; empty is SIGTERM.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Shell of the Dockerfile's shell form (v1.24).
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
}

/// The empty object `{}`. `null` is read as one, and so is an object with members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Empty {}

impl<'de> Deserialize<'de> for Empty {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<BTreeMap<String, serde::de::IgnoredAny>>::deserialize(deserializer).map(|_| Self {})
    }
}

/// A health check. Durations are nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthConfig {
    /// `NONE`, or `CMD` / `CMD-SHELL` and the words.
    #[serde(deserialize_with = "null::as_default")]
    pub test: Vec<String>,
    /// Time between two checks.
    pub interval: i64,
    /// Time after which a check has failed.
    pub timeout: i64,
    /// Failures in a row that make the container unhealthy.
    pub retries: i64,
}

/// What the host grants a container. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HostConfig {
    /// `source:target[:options]`.
    #[serde(deserialize_with = "null::as_default")]
    pub binds: Option<Vec<String>>,
    /// File that the client writes the id to; kept for inspect only.
    #[serde(rename = "ContainerIDFile", deserialize_with = "null::as_default")]
    pub container_id_file: String,
    /// Where output is logged.
    #[serde(deserialize_with = "null::as_default")]
    pub log_config: LogConfig,
    /// `default`, `bridge`, `none`, `host`, `container:<id>` or a network's name.
    #[serde(deserialize_with = "null::as_default")]
    pub network_mode: String,
    /// Container port (`80/tcp`) → host addresses and ports.
    #[serde(deserialize_with = "null::as_default")]
    pub port_bindings: BTreeMap<String, Option<Vec<PortBinding>>>,
    /// When to start it again.
    #[serde(deserialize_with = "null::as_default")]
    pub restart_policy: RestartPolicy,
    /// Remove it when it ends (v1.25).
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "core::ops::Not::not")]
    pub auto_remove: bool,
    /// Volume driver of the binds.
    #[serde(deserialize_with = "null::as_default")]
    pub volume_driver: String,
    /// Containers to take volumes from.
    #[serde(deserialize_with = "null::as_default")]
    pub volumes_from: Option<Vec<String>>,
    /// Capabilities to add, without `CAP_`.
    #[serde(deserialize_with = "null::as_default")]
    pub cap_add: Option<Vec<String>>,
    /// Capabilities to take away.
    #[serde(deserialize_with = "null::as_default")]
    pub cap_drop: Option<Vec<String>>,
    /// Name servers.
    #[serde(deserialize_with = "null::as_default")]
    pub dns: Option<Vec<String>>,
    /// Resolver options.
    #[serde(deserialize_with = "null::as_default")]
    pub dns_options: Option<Vec<String>>,
    /// Resolver search domains.
    #[serde(deserialize_with = "null::as_default")]
    pub dns_search: Option<Vec<String>>,
    /// `host:address` lines for `/etc/hosts`.
    #[serde(deserialize_with = "null::as_default")]
    pub extra_hosts: Option<Vec<String>>,
    /// Additional groups.
    #[serde(deserialize_with = "null::as_default")]
    pub group_add: Option<Vec<String>>,
    /// `""`, `host` or `container:<id>`.
    #[serde(deserialize_with = "null::as_default")]
    pub ipc_mode: String,
    /// Cgroup namespace to join.
    #[serde(deserialize_with = "null::as_default")]
    pub cgroup: String,
    /// `container:alias`.
    #[serde(deserialize_with = "null::as_default")]
    pub links: Option<Vec<String>>,
    /// -1000 … 1000.
    #[serde(deserialize_with = "null::as_default")]
    pub oom_score_adj: i64,
    /// `""`, `host` or `container:<id>`.
    #[serde(deserialize_with = "null::as_default")]
    pub pid_mode: String,
    /// All capabilities, all devices, no confinement.
    #[serde(deserialize_with = "null::as_default")]
    pub privileged: bool,
    /// Publish all exposed ports.
    #[serde(deserialize_with = "null::as_default")]
    pub publish_all_ports: bool,
    /// Mount the root read-only.
    #[serde(deserialize_with = "null::as_default")]
    pub readonly_rootfs: bool,
    /// `seccomp=…`, `no-new-privileges`, …
    #[serde(deserialize_with = "null::as_default")]
    pub security_opt: Option<Vec<String>>,
    /// Storage driver options.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub storage_opt: BTreeMap<String, String>,
    /// Mount point → tmpfs options.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub tmpfs: BTreeMap<String, String>,
    /// `""` or `host`.
    #[serde(rename = "UTSMode", deserialize_with = "null::as_default")]
    pub uts_mode: String,
    /// `""` or `host`.
    #[serde(deserialize_with = "null::as_default")]
    pub userns_mode: String,
    /// Size of `/dev/shm`; 0 is 64 MiB.
    #[serde(deserialize_with = "null::as_default")]
    pub shm_size: i64,
    /// Kernel parameters.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub sysctls: BTreeMap<String, String>,
    /// OCI runtime.
    #[serde(deserialize_with = "null::as_default", skip_serializing_if = "String::is_empty")]
    pub runtime: String,
    /// Rows and columns of a Windows console; kept for inspect only.
    #[serde(deserialize_with = "null::as_default")]
    pub console_size: [u32; 2],
    /// Windows isolation; kept for inspect only.
    #[serde(deserialize_with = "null::as_default")]
    pub isolation: String,
    /// CPU weight; 0 is the kernel's default.
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_shares: i64,
    /// Memory limit; 0 is none.
    #[serde(deserialize_with = "null::as_default")]
    pub memory: i64,
    /// Parent control group.
    #[serde(deserialize_with = "null::as_default")]
    pub cgroup_parent: String,
    /// Block I/O weight, 10 … 1000; 0 is the kernel's default.
    #[serde(deserialize_with = "null::as_default")]
    pub blkio_weight: u16,
    /// Block I/O weight per device.
    #[serde(deserialize_with = "null::as_default")]
    pub blkio_weight_device: Option<Vec<BlkioWeight>>,
    /// Read limits, bytes per second.
    #[serde(deserialize_with = "null::as_default")]
    pub blkio_device_read_bps: Option<Vec<ThrottleRate>>,
    /// Write limits, bytes per second.
    #[serde(deserialize_with = "null::as_default")]
    pub blkio_device_write_bps: Option<Vec<ThrottleRate>>,
    /// Read limits, operations per second.
    #[serde(rename = "BlkioDeviceReadIOps", deserialize_with = "null::as_default")]
    pub blkio_device_read_iops: Option<Vec<ThrottleRate>>,
    /// Write limits, operations per second.
    #[serde(rename = "BlkioDeviceWriteIOps", deserialize_with = "null::as_default")]
    pub blkio_device_write_iops: Option<Vec<ThrottleRate>>,
    /// CFS period, microseconds; 0 is the default of 100,000.
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_period: i64,
    /// CFS quota, microseconds per period; 0 is none.
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_quota: i64,
    /// Processors, `0-2,7`.
    #[serde(deserialize_with = "null::as_default")]
    pub cpuset_cpus: String,
    /// Memory nodes.
    #[serde(deserialize_with = "null::as_default")]
    pub cpuset_mems: String,
    /// Devices to make.
    #[serde(deserialize_with = "null::as_default")]
    pub devices: Option<Vec<DeviceMapping>>,
    /// Disk quota; kept for inspect only.
    #[serde(deserialize_with = "null::as_default")]
    pub disk_quota: i64,
    /// Kernel memory limit.
    #[serde(deserialize_with = "null::as_default")]
    pub kernel_memory: i64,
    /// Soft memory limit.
    #[serde(deserialize_with = "null::as_default")]
    pub memory_reservation: i64,
    /// Memory and swap together; -1 is no limit, 0 is twice `memory`.
    #[serde(deserialize_with = "null::as_default")]
    pub memory_swap: i64,
    /// 0 … 100; `None` and -1 are the kernel's default.
    #[serde(deserialize_with = "null::as_default")]
    pub memory_swappiness: Option<i64>,
    /// Do not kill it when memory runs out.
    #[serde(deserialize_with = "null::as_default")]
    pub oom_kill_disable: Option<bool>,
    /// At most this many processes; 0 and -1 are no limit.
    #[serde(deserialize_with = "null::as_default")]
    pub pids_limit: i64,
    /// Resource limits.
    #[serde(deserialize_with = "null::as_default")]
    pub ulimits: Option<Vec<Ulimit>>,
}

/// Where output is logged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogConfig {
    /// Log driver; empty is the daemon's default.
    #[serde(rename = "Type", deserialize_with = "null::as_default")]
    pub driver: String,
    /// Driver options.
    #[serde(deserialize_with = "null::as_default")]
    pub config: BTreeMap<String, String>,
}

/// When to start a container again.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RestartPolicy {
    /// `""`, `no`, `always`, `unless-stopped` or `on-failure`.
    #[serde(deserialize_with = "null::as_default")]
    pub name: String,
    /// Attempts of `on-failure`; 0 is no limit.
    #[serde(deserialize_with = "null::as_default")]
    pub maximum_retry_count: i64,
}

/// A block device's weight.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct BlkioWeight {
    /// Device on the host.
    pub path: String,
    /// 10 … 1000.
    pub weight: u16,
}

/// A block device's limit.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ThrottleRate {
    /// Device on the host.
    pub path: String,
    /// Bytes or operations per second.
    pub rate: u64,
}

/// A host device made available.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceMapping {
    /// Path on the host.
    pub path_on_host: String,
    /// Path in the container.
    pub path_in_container: String,
    /// Any of `r`, `w`, `m`.
    pub cgroup_permissions: String,
}

/// A resource limit (`setrlimit(2)`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Ulimit {
    /// `nofile`, `nproc`, …
    pub name: String,
    /// Soft limit; -1 is none.
    pub soft: i64,
    /// Hard limit; -1 is none.
    pub hard: i64,
}

/// `GET /containers/{id}/json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was created.
    pub created: Timestamp,
    /// The program.
    pub path: String,
    /// Its arguments.
    pub args: Vec<String>,
    /// How it is doing.
    pub state: ContainerState,
    /// Image id, `sha256:` and 64 hexadecimal digits.
    pub image: String,
    /// Host path of the container's `/etc/resolv.conf`.
    pub resolv_conf_path: String,
    /// Host path of the container's `/etc/hostname`.
    pub hostname_path: String,
    /// Host path of the container's `/etc/hosts`.
    pub hosts_path: String,
    /// Host path of its log.
    pub log_path: String,
    /// Name with a leading slash.
    pub name: String,
    /// How often the restart policy started it.
    pub restart_count: i64,
    /// Storage driver.
    pub driver: String,
    /// SELinux label of its mounts.
    pub mount_label: String,
    /// SELinux label of its processes.
    pub process_label: String,
    /// AppArmor profile.
    pub app_armor_profile: String,
    /// Execs that exist, `null` when there is none.
    #[serde(rename = "ExecIDs")]
    pub exec_ids: Option<Vec<String>>,
    /// What the host grants.
    pub host_config: HostConfig,
    /// The storage driver's own facts.
    pub graph_driver: super::GraphDriver,
    /// Bytes in the writable layer, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    /// Bytes of all layers, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    /// What is mounted.
    pub mounts: Vec<MountPoint>,
    /// What runs.
    pub config: ContainerConfig,
    /// Its network.
    pub network_settings: NetworkSettings,
}

/// How a container is doing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerState {
    /// `created`, `running`, `paused`, `restarting`, `exited` or `dead`.
    pub status: String,
    /// It has a process (also while paused).
    pub running: bool,
    /// It is frozen.
    pub paused: bool,
    /// It waits for its restart policy.
    pub restarting: bool,
    /// Its last end was a kill for want of memory.
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    /// It could not be removed wholly.
    pub dead: bool,
    /// Process id on the host; 0 when it does not run.
    pub pid: i64,
    /// Exit code of the last run.
    pub exit_code: i64,
    /// Why the last start failed.
    pub error: String,
    /// Start of the last run; year 1 when there was none.
    pub started_at: Timestamp,
    /// End of the last run; year 1 when there was none.
    pub finished_at: Timestamp,
}

/// Something mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct MountPoint {
    /// Volume name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    /// Volume driver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// Options as given.
    pub mode: String,
    /// Writable.
    #[serde(rename = "RW")]
    pub rw: bool,
    /// `rprivate`, `rshared`, …
    pub propagation: String,
}

/// An entry of `GET /containers/json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerSummary {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Names, each with a leading slash.
    pub names: Vec<String>,
    /// Image as the creating client wrote it, or its id when that name now means another image.
    pub image: String,
    /// Image id, `sha256:` and 64 hexadecimal digits.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// Program and arguments, for people.
    pub command: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Ports.
    pub ports: Vec<PortSummary>,
    /// Bytes in the writable layer, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    /// Bytes of all layers, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    /// Free names and values.
    pub labels: BTreeMap<String, String>,
    /// As [`ContainerState::status`].
    pub state: String,
    /// For people: `Up 5 minutes`, `Exited (0) 2 hours ago`.
    pub status: String,
    /// Only its network mode.
    pub host_config: NetworkModeOnly,
    /// Its networks.
    pub network_settings: NetworkSummary,
    /// What is mounted.
    pub mounts: Vec<MountPoint>,
}

/// The part of the host configuration that a list shows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkModeOnly {
    /// As [`HostConfig::network_mode`].
    pub network_mode: String,
}

/// What a path in a container is, as the header `X-Docker-Container-Path-Stat` tells it: this as JSON, in Base64
/// (RFC 4648, section 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathStat {
    /// Its last name; `/` for the root.
    pub name: String,
    /// Bytes.
    pub size: i64,
    /// Permission bits, and what it is in the bits of Go's `os.FileMode`: 1 << 31 is a directory, 1 << 27 a symbolic link.
    pub mode: u32,
    /// Time of last modification.
    pub mtime: Timestamp,
    /// Where a symbolic link leads in the container; empty for everything else.
    pub link_target: String,
}

/// A port of a list entry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PortSummary {
    /// Host address, when published.
    #[serde(rename = "IP", skip_serializing_if = "String::is_empty", default)]
    pub ip: String,
    /// Port in the container.
    pub private_port: u16,
    /// Port on the host, when published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub public_port: Option<u16>,
    /// `tcp` or `udp`.
    #[serde(rename = "Type")]
    pub protocol: String,
}

/// The body of `POST /containers/{id}/update` (v1.22). Fields at their default (0, empty) leave what is set. Units are those of
/// [`HostConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateConfig {
    /// As [`HostConfig::blkio_weight`].
    #[serde(deserialize_with = "null::as_default")]
    pub blkio_weight: u16,
    /// As [`HostConfig::cpu_shares`].
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_shares: i64,
    /// As [`HostConfig::cpu_period`].
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_period: i64,
    /// As [`HostConfig::cpu_quota`].
    #[serde(deserialize_with = "null::as_default")]
    pub cpu_quota: i64,
    /// As [`HostConfig::cpuset_cpus`].
    #[serde(deserialize_with = "null::as_default")]
    pub cpuset_cpus: String,
    /// As [`HostConfig::cpuset_mems`].
    #[serde(deserialize_with = "null::as_default")]
    pub cpuset_mems: String,
    /// As [`HostConfig::memory`].
    #[serde(deserialize_with = "null::as_default")]
    pub memory: i64,
    /// As [`HostConfig::memory_swap`].
    #[serde(deserialize_with = "null::as_default")]
    pub memory_swap: i64,
    /// As [`HostConfig::memory_reservation`].
    #[serde(deserialize_with = "null::as_default")]
    pub memory_reservation: i64,
    /// As [`HostConfig::kernel_memory`].
    #[serde(deserialize_with = "null::as_default")]
    pub kernel_memory: i64,
    /// As [`HostConfig::restart_policy`] (v1.23); an empty name leaves it.
    #[serde(deserialize_with = "null::as_default")]
    pub restart_policy: RestartPolicy,
}

/// `GET /containers/{id}/top`: what `ps` shows of the container's processes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProcessList {
    /// Names of the columns, as `ps` writes them.
    pub titles: Vec<String>,
    /// A row for each process, as long as the titles; the last column takes what is left of the line.
    pub processes: Vec<Vec<String>>,
}

/// An entry of `GET /containers/{id}/changes`: a path that differs from the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FileChange {
    /// Path in the container.
    pub path: String,
    /// How it differs.
    pub kind: FileChangeKind,
}

/// How a path differs from the image; a number on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum FileChangeKind {
    /// 0: it is there in both and not the same, or something below it changed.
    Modified,
    /// 1: it is not in the image.
    Added,
    /// 2: it is in the image only.
    Deleted,
}

impl From<FileChangeKind> for u8 {
    fn from(kind: FileChangeKind) -> Self {
        match kind {
            FileChangeKind::Modified => 0,
            FileChangeKind::Added => 1,
            FileChangeKind::Deleted => 2,
        }
    }
}

impl TryFrom<u8> for FileChangeKind {
    type Error = UnknownFileChange;

    fn try_from(number: u8) -> Result<Self, Self::Error> {
        match number {
            0 => Ok(Self::Modified),
            1 => Ok(Self::Added),
            2 => Ok(Self::Deleted),
            _ => Err(UnknownFileChange(number)),
        }
    }
}

/// A number that stands for no [`FileChangeKind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownFileChange(pub u8);

impl fmt::Display for UnknownFileChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown kind of change: {}", self.0)
    }
}

impl core::error::Error for UnknownFileChange {}
