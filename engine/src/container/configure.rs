//! From a create request and an image's defaults to the configuration of a container. Pure.
//!
//! The rules are dockerd's (`runconfig` and the daemon's checks): what the client leaves out is taken from the image,
//! environment variables are merged by name, and a command given by the client displaces the image's command but a new
//! entry point displaces both. What gantry cannot do (yet) is refused by name rather than ignored.

use std::net::IpAddr;

use gantry_core::{
    Refusal,
    grammar::{
        bind::Bind,
        environment,
        link::Link,
        port::{Port, PortRange},
        restart::RestartPolicy,
        signal,
    },
    model::{ContainerConfig, HostConfig},
};

use super::plan::Security;
use crate::{cgroup::Support, network::ExtraHost, process::capability};

/// What the machine and the daemon offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What control groups can limit.
    pub cgroup: Support,
    /// Processors that are there.
    pub cpus: u64,
}

/// Fills `config` with the image's defaults.
pub(super) fn merge_image(config: &mut ContainerConfig, image: &ContainerConfig) {
    if config.user.is_empty() {
        config.user.clone_from(&image.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&image.working_dir);
    }
    if config.stop_signal.is_empty() {
        config.stop_signal.clone_from(&image.stop_signal);
    }
    let named = |list: &[String], line: &str| {
        let name = line.split('=').next();
        list.iter().any(|other| other.split('=').next() == name)
    };
    let inherited: Vec<String> = image
        .env
        .iter()
        .filter(|line| !named(&config.env, line))
        .cloned()
        .collect();
    config.env.extend(inherited);
    for (port, empty) in &image.exposed_ports {
        config.exposed_ports.entry(port.clone()).or_insert(*empty);
    }
    for (name, value) in &image.labels {
        config.labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if let Some(volumes) = &image.volumes {
        config
            .volumes
            .get_or_insert_default()
            .extend(volumes.iter().map(|(path, empty)| (path.clone(), *empty)));
    }
    if config.healthcheck.is_none() {
        config.healthcheck.clone_from(&image.healthcheck);
    }
    // An empty entry point (docker 0.6 sends `[]`) means the image's; one with a single empty word means none.
    let entrypoint_given = config.entrypoint.as_ref().is_some_and(|words| !words.is_empty());
    if !entrypoint_given {
        if config.cmd.as_ref().is_none_or(Vec::is_empty) {
            config.cmd.clone_from(&image.cmd);
        }
        config.entrypoint.clone_from(&image.entrypoint);
    }
    if config
        .entrypoint
        .as_ref()
        .is_some_and(|words| words.len() == 1 && words[0].is_empty())
    {
        config.entrypoint = None;
    }
}

/// Checks the merged configuration, fills in defaults, and returns warnings for people.
pub(super) fn check(config: &ContainerConfig, host: &mut HostConfig, facts: &Facts) -> Result<Vec<String>, Refusal> {
    if config
        .cmd
        .iter()
        .flatten()
        .chain(config.entrypoint.iter().flatten())
        .next()
        .is_none()
    {
        return Err(Refusal::NoCommand);
    }
    check_config(config)?;
    check_texts(host).map_err(Refusal::BadParameter)?;
    let mut warnings = Vec::new();
    refuse_unsupported(config, host)?;
    check_security(host)?;
    check_resources(host, facts, &mut warnings)?;
    if host.network_mode.is_empty() {
        "default".clone_into(&mut host.network_mode);
    }
    if config.network_disabled == Some(true) {
        "none".clone_into(&mut host.network_mode);
    }
    if host.shm_size == 0 {
        host.shm_size = SHM_BYTES;
    }
    if host.log_config.driver.is_empty() {
        "json-file".clone_into(&mut host.log_config.driver);
    }
    for path in config.volumes.iter().flatten().map(|(path, _)| path) {
        warnings.push(format!(
            "volume {path} is kept in the container's own writable layer: gantry has no volumes yet"
        ));
    }
    Ok(warnings)
}

fn check_config(config: &ContainerConfig) -> Result<(), Refusal> {
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        return Err(Refusal::BadParameter(format!(
            "The working directory '{}' is invalid. It needs to be an absolute path.",
            config.working_dir
        )));
    }
    if !config.stop_signal.is_empty() && signal::parse(&config.stop_signal).is_none() {
        return Err(Refusal::BadSignal {
            signal: config.stop_signal.clone(),
        });
    }
    // Both names are written into /etc/hosts, where a blank would begin another name and a line feed another line.
    for (what, name) in [("hostname", &config.hostname), ("domainname", &config.domainname)] {
        if name.len() > 64 || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
            return Err(Refusal::BadParameter(format!(
                "invalid {what} format: {}",
                name.escape_debug()
            )));
        }
    }
    for variable in &config.env {
        environment::check(variable).map_err(Refusal::BadParameter)?;
    }
    let words = config.cmd.iter().chain(config.entrypoint.iter()).flatten();
    for (what, text) in words.map(|word| ("an argument", word)).chain([
        ("the user", &config.user),
        ("the working directory", &config.working_dir),
    ]) {
        if text.contains('\0') {
            return Err(Refusal::BadParameter(format!(
                "{what} holds a NUL byte: {}",
                text.escape_debug()
            )));
        }
    }
    if let Some(path) = config
        .volumes
        .iter()
        .flatten()
        .map(|(path, _)| path)
        .find(|path| !path.starts_with('/'))
    {
        return Err(Refusal::BadParameter(format!(
            "invalid volume {path}: not an absolute path"
        )));
    }
    Ok(())
}

/// The texts that follow a grammar, also those of what is refused afterwards: who wrote nonsense is to hear that.
fn check_texts(host: &HostConfig) -> Result<(), String> {
    for port in host.port_bindings.keys() {
        Port::parse(port)?;
    }
    for binding in host.port_bindings.values().flatten().flatten() {
        if !binding.host_port.is_empty() && PortRange::parse(&binding.host_port).is_none() {
            return Err(format!("invalid port specification: {:?}", binding.host_port));
        }
        if !binding.host_ip.is_empty() && binding.host_ip.parse::<IpAddr>().is_err() {
            return Err(format!("invalid IP address: {}", binding.host_ip));
        }
    }
    for bind in host.binds.iter().flatten() {
        Bind::parse(bind)?;
    }
    for link in host.links.iter().flatten() {
        Link::parse(link)?;
    }
    let policy = &host.restart_policy;
    RestartPolicy::parse(&policy.name, policy.maximum_retry_count).map(|_| ())
}

fn check_security(host: &HostConfig) -> Result<(), Refusal> {
    let none = Vec::new();
    let list = |list: &'_ Option<Vec<String>>| list.clone().unwrap_or_default();
    capability::plan_capabilities(&list(&host.cap_add), &list(&host.cap_drop), false, u64::MAX)
        .map_err(|error| Refusal::BadParameter(error.to_string()))?;
    Security::parse(host.security_opt.as_ref().unwrap_or(&none)).map_err(Refusal::BadParameter)?;
    // The gateway is not known yet; any address does for the check.
    let gateway = Some(std::net::Ipv4Addr::LOCALHOST);
    for text in host.extra_hosts.iter().flatten() {
        ExtraHost::parse(text, gateway).map_err(|error| Refusal::BadParameter(error.to_string()))?;
    }
    Ok(())
}

fn refuse_unsupported(config: &ContainerConfig, host: &HostConfig) -> Result<(), Refusal> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let other = |mode: &str, known: &[&str]| !mode.is_empty() && !known.contains(&mode);
    let throttled = [
        &host.blkio_device_read_bps,
        &host.blkio_device_write_bps,
        &host.blkio_device_read_iops,
        &host.blkio_device_write_iops,
    ];
    let published = host
        .port_bindings
        .values()
        .flatten()
        .any(|bindings| !bindings.is_empty());
    let unsupported = [
        (given(&host.binds), "HostConfig.Binds (volumes and bind mounts)"),
        (given(&host.volumes_from), "HostConfig.VolumesFrom"),
        (given(&host.links), "HostConfig.Links"),
        (published, "HostConfig.PortBindings (published ports)"),
        (
            host.publish_all_ports && !config.exposed_ports.is_empty(),
            "HostConfig.PublishAllPorts",
        ),
        (other(&host.restart_policy.name, &["no"]), "HostConfig.RestartPolicy"),
        (
            other(&host.log_config.driver, &["json-file", "none"]),
            "this HostConfig.LogConfig.Type",
        ),
        (!host.log_config.config.is_empty(), "HostConfig.LogConfig.Config"),
        (other(&host.ipc_mode, &["private"]), "this HostConfig.IpcMode"),
        (!host.pid_mode.is_empty(), "this HostConfig.PidMode"),
        (other(&host.uts_mode, &["host"]), "this HostConfig.UTSMode"),
        (other(&host.userns_mode, &["host"]), "this HostConfig.UsernsMode"),
        (
            host.devices.as_ref().is_some_and(|list| !list.is_empty()),
            "HostConfig.Devices",
        ),
        (!host.tmpfs.is_empty(), "HostConfig.Tmpfs"),
        (!host.sysctls.is_empty(), "HostConfig.Sysctls"),
        (!host.storage_opt.is_empty(), "HostConfig.StorageOpt"),
        (!host.cgroup.is_empty(), "HostConfig.Cgroup"),
        (!host.cgroup_parent.is_empty(), "HostConfig.CgroupParent"),
        (host.privileged, "HostConfig.Privileged"),
        (host.auto_remove, "HostConfig.AutoRemove"),
        (host.kernel_memory != 0, "HostConfig.KernelMemory"),
        (other(&host.runtime, &["runc", "gantry"]), "this HostConfig.Runtime"),
        (
            host.blkio_weight_device.as_ref().is_some_and(|list| !list.is_empty()),
            "HostConfig.BlkioWeightDevice",
        ),
        (
            throttled.into_iter().flatten().any(|list| !list.is_empty()),
            "HostConfig.BlkioDevice… limits",
        ),
        (!config.mac_address.is_empty(), "MacAddress"),
    ];
    if let Some((_, what)) = unsupported.into_iter().find(|(given, _)| *given) {
        return Err(Refusal::NotSupported(what.to_owned()));
    }
    if !matches!(host.network_mode.as_str(), "" | "default" | "bridge" | "none" | "host") {
        return Err(Refusal::NotSupported(format!("network {}", host.network_mode)));
    }
    Ok(())
}

fn check_resources(host: &mut HostConfig, facts: &Facts, warnings: &mut Vec<String>) -> Result<(), Refusal> {
    let bad = |text: &str| Err(Refusal::BadParameter(text.to_owned()));
    if host.memory < 0 || (host.memory != 0 && host.memory < MEMORY_BYTES_MIN) {
        return bad("Minimum memory limit allowed is 4MB");
    }
    if host.memory > 0 && !facts.cgroup.memory {
        warnings.push("Your kernel does not support memory limit capabilities. Limitation discarded.".to_owned());
        host.memory = 0;
        host.memory_swap = -1;
    }
    if host.memory > 0 && host.memory_swap != -1 && !facts.cgroup.swap {
        warnings.push("Your kernel does not support swap limit capabilities, memory limited without swap.".to_owned());
        host.memory_swap = -1;
    }
    if host.memory > 0 && host.memory_swap > 0 && host.memory_swap < host.memory {
        return bad("Minimum memoryswap limit should be larger than memory limit, see usage.");
    }
    if host.memory == 0 && host.memory_swap > 0 {
        return bad("You should always set the Memory limit when using Memoryswap limit, see usage.");
    }
    if host.memory_reservation < 0 || (host.memory > 0 && host.memory_reservation > host.memory) {
        return bad("Minimum memory limit should be larger than memory reservation limit, see usage.");
    }
    if let Some(swappiness) = host.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        return bad(&format!(
            "Invalid value: {swappiness}, valid memory swappiness range is 0-100."
        ));
    }
    if host.memory_swappiness.is_some_and(|value| value != -1) && !facts.cgroup.swappiness {
        warnings.push(
            "Your kernel does not support memory swappiness capabilities, memory swappiness discarded.".to_owned(),
        );
        host.memory_swappiness = None;
    }
    if host.oom_kill_disable == Some(true) && !facts.cgroup.oom_kill_disable {
        warnings.push("Your kernel does not support OomKillDisable, OomKillDisable discarded.".to_owned());
        host.oom_kill_disable = None;
    }
    if host.cpu_shares < 0 {
        return bad("invalid CPU shares: negative");
    }
    if host.cpu_period != 0 && !(1_000..=1_000_000).contains(&host.cpu_period) {
        return bad("CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
    }
    if host.cpu_quota > 0 && host.cpu_quota < 1_000 {
        return bad("CPU cfs quota can not be less than 1ms (i.e. 1000)");
    }
    if !cpuset_is_valid(&host.cpuset_cpus, facts.cpus) {
        return bad(&format!("Invalid value {} for cpuset cpus.", host.cpuset_cpus));
    }
    if !cpuset_is_valid(&host.cpuset_mems, MEMORY_NODES_MAX) {
        return bad(&format!("Invalid value {} for cpuset mems.", host.cpuset_mems));
    }
    if host.blkio_weight != 0 && !(10..=1000).contains(&host.blkio_weight) {
        return bad("Range of blkio weight is from 10 to 1000.");
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        let value = host.oom_score_adj;
        return bad(&format!(
            "Invalid value {value}, range for oom score adj is [-1000, 1000]."
        ));
    }
    if host.shm_size < 0 {
        return bad("SHM size must be greater than 0");
    }
    for limit in host.ulimits.iter().flatten() {
        if rlimit_number(&limit.name).is_none() {
            return bad(&format!("invalid ulimit type: {}", limit.name));
        }
        if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
            let (soft, hard) = (limit.soft, limit.hard);
            return bad(&format!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            ));
        }
    }
    Ok(())
}

/// `""`, or comma-separated numbers and ranges below `count` (security rule: checked before anything is sized by it).
fn cpuset_is_valid(text: &str, count: u64) -> bool {
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    text.is_empty()
        || text.split(',').all(|part| match part.split_once('-') {
            None => number(part).is_some_and(|n| n < count),
            Some((first, last)) => match (number(first), number(last)) {
                (Some(first), Some(last)) => first <= last && last < count,
                _ => false,
            },
        })
}

/// `RLIMIT_…` of `<asm-generic/resource.h>`.
pub(super) fn rlimit_number(name: &str) -> Option<u32> {
    let index = RLIMITS.iter().position(|known| *known == name)?;
    u32::try_from(index).ok()
}

const RLIMITS: &[&str] = &[
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// Docker's default size of `/dev/shm`.
const SHM_BYTES: i64 = 64 << 20;
const MEMORY_BYTES_MIN: i64 = 4 << 20;
/// `MAX_NUMNODES` of common kernels.
const MEMORY_NODES_MAX: u64 = 1024;

/// Lays what a start request names over what the create request named. Versions below v1.24 may send a host
/// configuration with the start; fields it leaves at their empty value keep what the create said (old libraries send
/// `Memory` with the create and a start body without it).
pub(super) fn overlay_host_config(base: &HostConfig, start: &HostConfig) -> HostConfig {
    let empty = serde_json::to_value(HostConfig::default()).unwrap_or_default();
    let (Ok(mut merged), Ok(start)) = (serde_json::to_value(base), serde_json::to_value(start)) else {
        return base.clone();
    };
    if let (Some(merged), Some(start)) = (merged.as_object_mut(), start.as_object()) {
        for (name, value) in start {
            if empty.get(name) != Some(value) {
                merged.insert(name.clone(), value.clone());
            }
        }
    }
    serde_json::from_value(merged).unwrap_or_else(|_| base.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACTS: Facts = Facts {
        cgroup: Support::ALL,
        cpus: 4,
    };

    fn words(list: &[&str]) -> Option<Vec<String>> {
        Some(list.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn commands_and_entry_points() {
        type Words = Option<&'static [&'static str]>;
        type Pair = (Words, Words);
        // (name, client's entrypoint and cmd, image's entrypoint and cmd, merged entrypoint and cmd)
        let rows: &[(&str, Pair, Pair, Pair)] = &[
            (
                "all of the image",
                (None, None),
                (Some(&["e"]), Some(&["c"])),
                (Some(&["e"]), Some(&["c"])),
            ),
            (
                "own cmd",
                (None, Some(&["x"])),
                (Some(&["e"]), Some(&["c"])),
                (Some(&["e"]), Some(&["x"])),
            ),
            (
                "empty cmd",
                (None, Some(&[])),
                (None, Some(&["c"])),
                (None, Some(&["c"])),
            ),
            (
                "own entry point",
                (Some(&["x"]), None),
                (Some(&["e"]), Some(&["c"])),
                (Some(&["x"]), None),
            ),
            (
                "empty entry point",
                (Some(&[]), Some(&["x"])),
                (Some(&["e"]), None),
                (Some(&["e"]), Some(&["x"])),
            ),
            (
                "erased entry point",
                (Some(&[""]), Some(&["x"])),
                (Some(&["e"]), None),
                (None, Some(&["x"])),
            ),
        ];
        for (name, given, image, merged) in rows {
            let make = |(entrypoint, cmd): &Pair| ContainerConfig {
                entrypoint: entrypoint.and_then(words),
                cmd: cmd.and_then(words),
                ..ContainerConfig::default()
            };
            let mut config = make(given);
            merge_image(&mut config, &make(image));
            assert_eq!(config, make(merged), "{name}");
        }
    }

    #[test]
    fn environment_is_merged_by_name() {
        let mut config = ContainerConfig {
            env: vec!["A=1".into(), "B".into()],
            ..ContainerConfig::default()
        };
        let image = ContainerConfig {
            env: vec!["A=2".into(), "B=3".into(), "C=4".into()],
            ..ContainerConfig::default()
        };
        merge_image(&mut config, &image);
        assert_eq!(config.env, ["A=1", "B", "C=4"]);
    }

    #[test]
    fn refuses_what_is_wrong() {
        type Change = fn(&mut ContainerConfig, &mut HostConfig);
        let rows: &[(&str, Change, &str)] = &[
            (
                "low memory",
                |_, h| h.memory = 1000,
                "Minimum memory limit allowed is 4MB",
            ),
            (
                "swap below memory",
                |_, h| (h.memory, h.memory_swap) = (8 << 20, 4 << 20),
                "Minimum memoryswap",
            ),
            (
                "swap alone",
                |_, h| h.memory_swap = 4 << 20,
                "always set the Memory limit",
            ),
            (
                "relative directory",
                |c, _| c.working_dir = "a".into(),
                "working directory 'a' is invalid",
            ),
            ("cpuset", |_, h| h.cpuset_cpus = "0-4".into(), "cpuset cpus"),
            (
                "huge cpuset",
                |_, h| h.cpuset_cpus = "0-99999999999999999999".into(),
                "cpuset cpus",
            ),
            ("signed cpuset", |_, h| h.cpuset_cpus = "+1".into(), "cpuset cpus"),
            (
                "two host names",
                |c, _| c.hostname = "a\n1.2.3.4 b".into(),
                "invalid hostname",
            ),
            ("NUL", |c, _| c.user = "a\0b".into(), "NUL"),
            (
                "ulimit name",
                |_, h| h.ulimits = Some(vec![Default::default()]),
                "invalid ulimit type",
            ),
            ("quota", |_, h| h.cpu_quota = 10, "cfs quota"),
            (
                "nameless variable",
                |c, _| c.env = vec!["=b".into()],
                "invalid environment variable: =b",
            ),
            ("bind", |_, h| h.binds = words(&["/a:b"]), "mount path must be absolute"),
            (
                "link",
                |_, h| h.links = words(&["a:b:c"]),
                "bad format for links: a:b:c",
            ),
            (
                "port",
                |_, h| _ = h.port_bindings.insert("80-81".into(), None),
                "invalid port specification: \"80-81\"",
            ),
            (
                "policy",
                |_, h| h.restart_policy.name = "Always".into(),
                "invalid restart policy 'Always'",
            ),
        ];
        for (name, change, text) in rows {
            let mut config = ContainerConfig {
                cmd: words(&["true"]),
                ..ContainerConfig::default()
            };
            let mut host = HostConfig::default();
            change(&mut config, &mut host);
            match check(&config, &mut host, &FACTS) {
                Err(Refusal::BadParameter(message)) => assert!(message.contains(text), "{name}: {message}"),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn names_what_is_not_supported() {
        let config = ContainerConfig {
            cmd: words(&["true"]),
            ..ContainerConfig::default()
        };
        let mut host = HostConfig {
            binds: words(&["/a:/b"]),
            ..HostConfig::default()
        };
        let refusal = check(&config, &mut host, &FACTS).unwrap_err();
        assert_eq!(
            refusal,
            Refusal::NotSupported("HostConfig.Binds (volumes and bind mounts)".into())
        );
    }

    #[test]
    fn a_start_body_overrides_only_what_it_names() {
        let base = HostConfig {
            memory: 8 << 20,
            network_mode: "none".into(),
            ..HostConfig::default()
        };
        let start = HostConfig {
            network_mode: "host".into(),
            cpu_shares: 3,
            ..HostConfig::default()
        };
        let merged = overlay_host_config(&base, &start);
        assert_eq!(
            (merged.memory, merged.network_mode.as_str(), merged.cpu_shares),
            (8 << 20, "host", 3)
        );
    }

    #[test]
    fn warns_about_missing_kernel_features() {
        let config = ContainerConfig {
            cmd: words(&["true"]),
            ..ContainerConfig::default()
        };
        let without = |cgroup: Support| Facts { cgroup, ..FACTS };
        let all = Support::ALL;
        let asked = HostConfig {
            memory: 64 << 20,
            memory_swappiness: Some(60),
            oom_kill_disable: Some(true),
            ..HostConfig::default()
        };
        let no_swap = HostConfig {
            memory_swap: -1,
            ..asked.clone()
        };
        let no_swappiness = HostConfig {
            memory_swappiness: None,
            ..asked.clone()
        };
        let no_oom_kill_disable = HostConfig {
            oom_kill_disable: None,
            ..asked.clone()
        };
        let cases = [
            ("nothing", Support::ALL, 0, &asked),
            ("swap", Support { swap: false, ..all }, 1, &no_swap),
            (
                "swappiness",
                Support {
                    swappiness: false,
                    ..all
                },
                1,
                &no_swappiness,
            ),
            (
                "OOM kills",
                Support {
                    oom_kill_disable: false,
                    ..all
                },
                1,
                &no_oom_kill_disable,
            ),
        ];
        for (name, cgroup, count, expected) in cases {
            let mut host = asked.clone();
            let warnings = check(&config, &mut host, &without(cgroup)).unwrap();
            assert_eq!(warnings.len(), count, "{name}: {warnings:?}");
            let limits = |host: &HostConfig| (host.memory_swap, host.memory_swappiness, host.oom_kill_disable);
            assert_eq!(limits(&host), limits(expected), "{name}");
        }
    }
}
