//! `GET /version` and `GET /info`.

use std::{collections::BTreeMap, fs};

use gantry_core::model::{Info, PluginNames, Version};
use nix::sys::utsname::uname;

use crate::{
    Engine, clock,
    container::{Phase, STORAGE_DRIVER},
    shared::Shared,
};

impl Shared {
    pub(crate) fn version(&self) -> Version {
        Version {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            api_version: gantry_core::API_VERSION_NEWEST.to_owned(),
            min_api_version: gantry_core::API_VERSION_OLDEST.to_owned(),
            git_commit: option_env!("GANTRY_COMMIT").unwrap_or("unknown").to_owned(),
            go_version: "none (Rust)".to_owned(),
            os: std::env::consts::OS.to_owned(),
            arch: go_architecture().to_owned(),
            kernel_version: kernel_release(),
            build_time: option_env!("GANTRY_BUILD_TIME").unwrap_or_default().to_owned(),
        }
    }
}

impl Engine {
    pub(crate) fn info(&self) -> Info {
        let count = |phase: Phase| {
            self.containers
                .iter()
                .filter(|container| container.record.phase == phase)
                .count()
        };
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let (containers, running) = (self.containers.iter().count(), count(Phase::Running));
        let shared = &self.shared;
        let facts = &shared.facts;
        let limits = &facts.cgroup;
        let flag = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
        Info {
            id: shared.daemon_id.clone(),
            containers: number(containers),
            containers_running: number(running),
            containers_paused: 0,
            containers_stopped: number(containers - running),
            images: number(shared.images.count()),
            driver: STORAGE_DRIVER.to_owned(),
            driver_status: vec![["Supports d_type".to_owned(), "true".to_owned()]],
            plugins: PluginNames {
                volume: Vec::new(),
                network: ["bridge", "host", "null"].map(str::to_owned).to_vec(),
                authorization: None,
            },
            memory_limit: limits.memory,
            swap_limit: limits.swap,
            kernel_memory: false,
            cpu_cfs_period: limits.cpu_quota,
            cpu_cfs_quota: limits.cpu_quota,
            cpu_shares: limits.cpu_shares,
            cpu_set: limits.cpuset,
            ipv4_forwarding: flag("/proc/sys/net/ipv4/ip_forward"),
            bridge_nf_iptables: flag("/proc/sys/net/bridge/bridge-nf-call-iptables"),
            bridge_nf_ip6tables: flag("/proc/sys/net/bridge/bridge-nf-call-ip6tables"),
            debug: shared.config.debug,
            n_fd: number(open_descriptors()),
            oom_kill_disable: limits.oom_kill_disable,
            n_goroutines: number(fs::read_dir("/proc/self/task").map_or(0, Iterator::count)),
            system_time: clock::now().to_string(),
            execution_driver: format!("gantry-{}", env!("CARGO_PKG_VERSION")),
            logging_driver: "json-file".to_owned(),
            cgroup_driver: "cgroupfs".to_owned(),
            n_events_listener: number(self.events_followed()),
            kernel_version: kernel_release(),
            operating_system: operating_system(),
            os_type: std::env::consts::OS.to_owned(),
            architecture: uname().map_or_else(
                |_| String::new(),
                |names| names.machine().to_string_lossy().into_owned(),
            ),
            index_server_address: String::new(),
            registry_config: gantry_core::model::RegistryConfig::default(),
            n_cpu: i64::try_from(facts.cpus).unwrap_or(i64::MAX),
            mem_total: memory_total(),
            docker_root_dir: shared.data_root.display().to_string(),
            http_proxy: String::new(),
            https_proxy: String::new(),
            no_proxy: String::new(),
            name: uname().map_or_else(
                |_| String::new(),
                |names| names.nodename().to_string_lossy().into_owned(),
            ),
            labels: shared.config.labels.clone(),
            experimental_build: false,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_store: String::new(),
            cluster_advertise: String::new(),
            security_options: vec!["seccomp".to_owned()],
            runtimes: BTreeMap::from([(
                "gantry".to_owned(),
                BTreeMap::from([("path".to_owned(), "built in".to_owned())]),
            )]),
            default_runtime: "gantry".to_owned(),
            live_restore_enabled: true,
        }
    }
}

/// The architecture as Go names it, which is what clients compare.
pub(crate) fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// Descriptors of this process. Since Linux 6.2 the kernel tells their number as the size of the directory; before, it is 0
/// and they have to be counted, which takes the longer the more clients there are.
fn open_descriptors() -> usize {
    let told = fs::metadata("/proc/self/fd").map_or(0, |directory| directory.len());
    match usize::try_from(told) {
        Ok(told @ 1..) => told,
        _ => fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
    }
}

fn kernel_release() -> String {
    uname().map_or_else(
        |_| String::new(),
        |names| names.release().to_string_lossy().into_owned(),
    )
}

fn operating_system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    value.map_or_else(|| "Linux".to_owned(), |value| value.trim_matches('"').to_owned())
}

fn memory_total() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<i64>().unwrap_or(0) * 1024
}
