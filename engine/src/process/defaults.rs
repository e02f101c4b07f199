//! What every container gets unless its client says otherwise, beside capabilities and seccomp. Source: Docker's defaults.

use super::NetworkNamespace;

/// Paths hidden from a container. `processors` is the highest possible processor, for files that exist per processor.
#[must_use]
pub fn masked_paths(processors: u32) -> Vec<String> {
    let throttle = (0..=processors).map(|number| format!("/sys/devices/system/cpu/cpu{number}/thermal_throttle"));
    MASKED.into_iter().map(str::to_owned).chain(throttle).collect()
}

/// Paths a container may only read.
#[must_use]
pub fn readonly_paths() -> Vec<String> {
    READ_ONLY.into_iter().map(str::to_owned).collect()
}

/// Kernel parameters of a container with its own network: ports below 1024 and `ping` need no capability there.
#[must_use]
pub fn sysctls(network: &NetworkNamespace) -> Vec<(String, String)> {
    let set = match network {
        NetworkNamespace::Host => &[][..],
        NetworkNamespace::New => &OWN_NETWORK[..],
    };
    set.iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Size of `/dev/shm` in bytes.
pub const SHM_BYTES: u64 = 64 << 20;

/// The search path of a container whose image names none.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

const OWN_NETWORK: [(&str, &str); 2] = [
    ("net.ipv4.ip_unprivileged_port_start", "0"),
    ("net.ipv4.ping_group_range", "0 2147483647"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_processor_has_its_mask() {
        let paths = masked_paths(1);
        assert_eq!(paths.len(), MASKED.len() + 2);
        assert_eq!(paths.last().unwrap(), "/sys/devices/system/cpu/cpu1/thermal_throttle");
    }

    #[test]
    fn the_hosts_network_is_left_alone() {
        assert!(sysctls(&NetworkNamespace::Host).is_empty());
        assert_eq!(sysctls(&NetworkNamespace::New).len(), 2);
    }
}
