//! From a container's record to the keeper's [`Spec`]. Nothing is done here.

use std::path::PathBuf;

use gantry_core::{
    grammar::environment,
    model::{ContainerConfig, HostConfig},
};

use super::{ContainerPaths, Record, configure};
use crate::{
    process::{Bind, Cgroup, NetworkNamespace, Rlimit, Rootfs, Spec, capability, defaults},
    shared::Shared,
};

/// What to run, in the order and with the defaults of dockerd.
pub(super) fn spec(
    shared: &Shared,
    record: &Record,
    paths: &ContainerPaths,
    layers: Vec<PathBuf>,
) -> Result<Spec, String> {
    let (config, host) = (&record.config, &record.host_config);
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let available = capability::available();
    let capabilities =
        capability::plan_capabilities(&list(&host.cap_add), &list(&host.cap_drop), host.privileged, available)
            .map_err(|error| error.to_string())?;
    let security = Security::parse(&list(&host.security_opt))?;
    let network = if host.network_mode == "host" {
        NetworkNamespace::Host
    } else {
        NetworkNamespace::New
    };
    let own_names = network == NetworkNamespace::New && host.uts_mode != "host";
    let bind = |source: PathBuf, target: &str| Bind {
        source,
        target: target.to_owned(),
        read_only: false,
    };
    Ok(Spec {
        id: record.id.clone(),
        argv: record.argv(),
        env: environment(config),
        working_dir: if config.working_dir.is_empty() {
            "/".to_owned()
        } else {
            config.working_dir.clone()
        },
        user: config.user.clone(),
        group_add: list(&host.group_add),
        tty: config.tty,
        open_stdin: config.open_stdin,
        hostname: (own_names || !config.hostname.is_empty()).then(|| config.hostname.clone()),
        domainname: (!config.domainname.is_empty()).then(|| config.domainname.clone()),
        rootfs: Rootfs {
            lower: layers,
            upper: paths.upper(),
            work: paths.work(),
            read_only: host.readonly_rootfs,
        },
        binds: vec![
            bind(paths.resolv_conf(), "/etc/resolv.conf"),
            bind(paths.hostname(), "/etc/hostname"),
            bind(paths.hosts(), "/etc/hosts"),
        ],
        shm_size: u64::try_from(host.shm_size).unwrap_or(defaults::SHM_BYTES),
        sysctls: defaults::sysctls(&network),
        network,
        cgroup: cgroup(host, shared.cgroup_path(&record.id)),
        capabilities,
        seccomp: if security.unconfined {
            Vec::new()
        } else {
            shared.seccomp_filter(capabilities)
        },
        masked_paths: defaults::masked_paths(shared.processor_last()),
        readonly_paths: defaults::readonly_paths(),
        no_new_privileges: security.no_new_privileges,
        oom_score_adj: i32::try_from(host.oom_score_adj).unwrap_or_default(),
        rlimits: rlimits(host, shared.config.descriptors),
        log: (host.log_config.driver != "none").then(|| paths.log()),
    })
}

/// PATH, HOSTNAME and TERM, each unless given.
fn environment(config: &ContainerConfig) -> Vec<String> {
    let mut env = vec![format!("PATH={}", defaults::PATH)];
    if !config.hostname.is_empty() {
        env.push(format!("HOSTNAME={}", config.hostname));
    }
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    environment::overlay(&env, &config.env)
}

fn cgroup(host: &HostConfig, path: String) -> Cgroup {
    let positive = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let memory = positive(host.memory);
    Cgroup {
        path,
        memory,
        // Docker's default is as much swap as memory.
        memory_swap: match host.memory_swap {
            -1 => memory.map(|_| u64::MAX),
            0 => memory.map(|memory| memory.saturating_mul(2)),
            swap => positive(swap),
        },
        memory_reservation: positive(host.memory_reservation),
        memory_swappiness: host.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        oom_kill_disable: host.oom_kill_disable == Some(true),
        cpu_shares: positive(host.cpu_shares),
        cpu_period: positive(host.cpu_period),
        cpu_quota: (host.cpu_quota != 0).then_some(host.cpu_quota),
        cpuset_cpus: text(&host.cpuset_cpus),
        cpuset_mems: text(&host.cpuset_mems),
        pids: positive(host.pids_limit),
        blkio_weight: positive(i64::from(host.blkio_weight)),
    }
}

fn rlimits(host: &HostConfig, descriptors: Option<(u64, u64)>) -> Vec<Rlimit> {
    let value = |value: i64| u64::try_from(value).unwrap_or(u64::MAX);
    let descriptors = descriptors.map(|(soft, hard)| Rlimit {
        resource: libc::RLIMIT_NOFILE,
        soft,
        hard,
    });
    let limits = host.ulimits.iter().flatten();
    let asked = limits.filter_map(|limit| {
        let resource = configure::rlimit_number(&limit.name)?;
        Some(Rlimit {
            resource,
            soft: value(limit.soft),
            hard: value(limit.hard),
        })
    });
    // The last one of a kind counts.
    descriptors.into_iter().chain(asked).collect()
}

/// `SecurityOpt`, as far as it is there: `no-new-privileges`, `seccomp=unconfined`.
#[derive(Debug, PartialEq, Eq, Default)]
pub(super) struct Security {
    unconfined: bool,
    no_new_privileges: bool,
}

impl Security {
    /// Both spellings of old and new clients: `seccomp:unconfined` and `seccomp=unconfined`.
    pub(super) fn parse(options: &[String]) -> Result<Self, String> {
        let mut security = Self::default();
        for option in options {
            let (name, value) = option.split_once(['=', ':']).unwrap_or((option, ""));
            match (name, value) {
                ("no-new-privileges", "" | "true") => security.no_new_privileges = true,
                ("no-new-privileges", "false") => security.no_new_privileges = false,
                ("seccomp", "unconfined") => security.unconfined = true,
                ("seccomp", "builtin" | "default") => security.unconfined = false,
                // No security module that these concern is there to be switched off.
                ("apparmor", "unconfined" | "docker-default") | ("label", "disable") => {}
                _ => return Err(format!("security option {option} is not supported by gantry yet")),
            }
        }
        Ok(security)
    }
}

#[cfg(test)]
mod tests {
    use gantry_core::model::Ulimit;

    use super::*;

    #[test]
    fn environments() {
        let config = |env: &[&str], tty| ContainerConfig {
            env: env.iter().map(|line| (*line).to_owned()).collect(),
            hostname: "h".into(),
            tty,
            ..ContainerConfig::default()
        };
        let path = format!("PATH={}", defaults::PATH);
        assert_eq!(
            environment(&config(&["A=1"], false)),
            [path.as_str(), "HOSTNAME=h", "A=1"]
        );
        assert_eq!(
            environment(&config(&["PATH=/x", "HOSTNAME=y", "B"], true)),
            ["PATH=/x", "HOSTNAME=y", "TERM=xterm"]
        );
    }

    #[test]
    fn descriptors_are_limited_as_before_we_raised_our_own() {
        let limits = |inherited, asked: &[(&str, i64, i64)]| -> Vec<_> {
            let ulimits = asked.iter().map(|(name, soft, hard)| Ulimit {
                name: (*name).to_owned(),
                soft: *soft,
                hard: *hard,
            });
            let host = HostConfig {
                ulimits: Some(ulimits.collect()),
                ..HostConfig::default()
            };
            let limits = rlimits(&host, inherited).into_iter();
            limits.map(|limit| (limit.resource, limit.soft, limit.hard)).collect()
        };
        let (files, core) = (libc::RLIMIT_NOFILE, libc::RLIMIT_CORE);
        assert_eq!(limits(None, &[]), []);
        assert_eq!(limits(Some((1, 2)), &[]), [(files, 1, 2)]);
        assert_eq!(
            limits(Some((1, 2)), &[("core", 0, -1)]),
            [(files, 1, 2), (core, 0, u64::MAX)]
        );
        assert_eq!(limits(Some((1, 2)), &[("nofile", 3, 4)]).last(), Some(&(files, 3, 4)));
    }

    #[test]
    fn memory_and_swap() {
        let rows = [
            ((0, 0), (None, None)),
            ((8, 0), (Some(8), Some(16))),
            ((8, -1), (Some(8), Some(u64::MAX))),
            ((8, 9), (Some(8), Some(9))),
        ];
        for ((memory, memory_swap), wanted) in rows {
            let host = HostConfig {
                memory,
                memory_swap,
                ..HostConfig::default()
            };
            let limits = cgroup(&host, String::new());
            assert_eq!((limits.memory, limits.memory_swap), wanted, "{memory} {memory_swap}");
        }
    }

    #[test]
    fn security_options() {
        let parse = |text: &str| Security::parse(&[text.to_owned()]);
        assert!(parse("no-new-privileges").unwrap().no_new_privileges);
        assert!(parse("no-new-privileges:true").unwrap().no_new_privileges);
        assert!(parse("seccomp=unconfined").unwrap().unconfined);
        assert!(parse("seccomp:unconfined").unwrap().unconfined);
        for text in ["seccomp={}", "seccomp=", "bogus", "no-new-privileges=maybe"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
