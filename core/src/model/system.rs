//! The daemon itself.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use serde::{Deserialize, Serialize};

/// `GET /version`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    /// gantry's version.
    pub version: String,
    /// Newest API version served.
    pub api_version: String,
    /// Oldest API version served.
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: String,
    /// Commit it was built from; empty when unknown.
    pub git_commit: String,
    /// What it is written in. The key is Docker's.
    pub go_version: String,
    /// `linux`.
    pub os: String,
    /// `amd64`, …
    pub arch: String,
    /// Kernel release.
    pub kernel_version: String,
    /// When it was built; empty when unknown.
    pub build_time: String,
}

/// `GET /info`. Sizes are bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    /// Id of this daemon.
    #[serde(rename = "ID")]
    pub id: String,
    /// Containers in all.
    pub containers: i64,
    /// Containers that run.
    pub containers_running: i64,
    /// Containers that are paused.
    pub containers_paused: i64,
    /// Containers that do not run.
    pub containers_stopped: i64,
    /// Images.
    pub images: i64,
    /// Storage driver.
    pub driver: String,
    /// Pairs of name and value.
    pub driver_status: Vec<[String; 2]>,
    /// Kinds of plug-ins.
    pub plugins: PluginNames,
    /// The kernel can limit memory.
    pub memory_limit: bool,
    /// The kernel can limit swap.
    pub swap_limit: bool,
    /// The kernel can limit kernel memory.
    pub kernel_memory: bool,
    /// The kernel has a CFS period.
    pub cpu_cfs_period: bool,
    /// The kernel has a CFS quota.
    pub cpu_cfs_quota: bool,
    /// The kernel has CPU shares.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// The kernel has CPU sets.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// `net.ipv4.ip_forward` is on.
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    /// Bridged packets pass the IPv4 filter.
    pub bridge_nf_iptables: bool,
    /// Bridged packets pass the IPv6 filter.
    pub bridge_nf_ip6tables: bool,
    /// Debug logging is on.
    pub debug: bool,
    /// Open descriptors.
    #[serde(rename = "NFd")]
    pub n_fd: i64,
    /// The kernel can switch the OOM killer off.
    pub oom_kill_disable: bool,
    /// Threads. The key is Docker's.
    pub n_goroutines: i64,
    /// The daemon's clock.
    pub system_time: String,
    /// Version of the execution driver.
    pub execution_driver: String,
    /// Default log driver.
    pub logging_driver: String,
    /// `cgroupfs`.
    pub cgroup_driver: String,
    /// Clients that follow events.
    pub n_events_listener: i64,
    /// Kernel release.
    pub kernel_version: String,
    /// Name of the distribution.
    pub operating_system: String,
    /// `linux`.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// Machine, `x86_64`.
    pub architecture: String,
    /// Registry that references without a host mean.
    pub index_server_address: String,
    /// What is known of registries.
    pub registry_config: RegistryConfig,
    /// Processors.
    #[serde(rename = "NCPU")]
    pub n_cpu: i64,
    /// Memory.
    pub mem_total: i64,
    /// Data root.
    pub docker_root_dir: String,
    /// Proxy.
    pub http_proxy: String,
    /// Proxy.
    pub https_proxy: String,
    /// Hosts without proxy.
    pub no_proxy: String,
    /// Host name.
    pub name: String,
    /// `name=value` labels of the daemon.
    pub labels: Vec<String>,
    /// Experimental features are on.
    pub experimental_build: bool,
    /// gantry's version.
    pub server_version: String,
    /// Cluster store.
    pub cluster_store: String,
    /// Cluster address.
    pub cluster_advertise: String,
    /// `apparmor`, `seccomp`, …
    pub security_options: Vec<String>,
    /// Runtimes, by name.
    pub runtimes: BTreeMap<String, BTreeMap<String, String>>,
    /// The runtime that is used.
    pub default_runtime: String,
    /// Containers outlive the daemon.
    pub live_restore_enabled: bool,
}

/// Kinds of plug-ins, each with the names at hand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PluginNames {
    /// Volume drivers.
    pub volume: Vec<String>,
    /// Network drivers.
    pub network: Vec<String>,
    /// Authorization plug-ins.
    pub authorization: Option<Vec<String>>,
}

/// What the daemon knows of registries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RegistryConfig {
    /// Networks (`127.0.0.0/8`) whose registries need no TLS.
    #[serde(rename = "InsecureRegistryCIDRs")]
    pub insecure_registry_cidrs: Vec<String>,
    /// Registry → settings.
    pub index_configs: BTreeMap<String, IndexConfig>,
    /// Mirrors of the official registry.
    pub mirrors: Vec<String>,
}

/// The settings of one registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IndexConfig {
    /// Its name, `docker.io`.
    pub name: String,
    /// Its mirrors.
    pub mirrors: Vec<String>,
    /// TLS is needed and verified.
    pub secure: bool,
    /// It is the one that references without a host mean.
    pub official: bool,
}
