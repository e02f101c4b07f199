//! Limits as files to write: pure.

use super::Hierarchies;
use crate::process::{Cgroup, StartError, error::Step};

/// One value to write into one file of a container's control group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The v1 controller whose hierarchy holds the file, or the v2 controller that must be enabled.
    pub controller: &'static str,
    /// The file: `memory.limit_in_bytes`, `memory.max`.
    pub file: &'static str,
    /// What to write.
    pub value: String,
}

/// A controller of the unified hierarchy, after the try to enable it on the way to a container's group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// `memory`, `cpu`, ….
    pub name: String,
    /// Why it could not be enabled: `enable it in /sys/fs/cgroup: device or resource busy`.
    pub refused: Option<String>,
}

/// The settings for `limits`, in the order to write them. `controllers` are those of the unified hierarchy, and count only
/// where it is the only one.
///
/// # Errors
/// When a limit is asked for that the kernel's hierarchies cannot hold: its controller is missing, or cgroup v2 has no
/// such thing.
pub fn plan_limits(
    limits: &Cgroup,
    hierarchies: &Hierarchies,
    controllers: &[Controller],
) -> Result<Vec<Setting>, StartError> {
    let unified = hierarchies.is_unified();
    let plan = if unified { plan_v2(limits)? } else { plan_v1(limits) };
    for setting in &plan {
        let found = controllers.iter().find(|found| found.name == setting.controller);
        let refused = found.and_then(|controller| controller.refused.as_deref());
        let present = if unified {
            found.is_some() && refused.is_none()
        } else {
            hierarchies.of(setting.controller).is_some()
        };
        if !present {
            let reason = refused.map(|reason| format!(": {reason}")).unwrap_or_default();
            let message = format!(
                "cgroup controller {} is not available: {}{reason}",
                setting.controller, setting.file
            );
            return Err(StartError::other(Step::Cgroup, message));
        }
    }
    Ok(plan)
}

fn plan_v1(limits: &Cgroup) -> Vec<Setting> {
    let mut plan = Vec::new();
    let mut set = |controller, file, value: Option<String>| {
        plan.extend(value.map(|value| Setting {
            controller,
            file,
            value,
        }));
    };
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let bytes = |value: Option<u64>| {
        value.map(|value| {
            if value == u64::MAX {
                "-1".to_owned()
            } else {
                value.to_string()
            }
        })
    };
    // Memory and swap together may never be less than memory: in a new group they are unlimited, so memory goes first.
    set("memory", "memory.limit_in_bytes", bytes(limits.memory));
    set("memory", "memory.memsw.limit_in_bytes", bytes(limits.memory_swap));
    set("memory", "memory.soft_limit_in_bytes", bytes(limits.memory_reservation));
    set("memory", "memory.swappiness", number(limits.memory_swappiness));
    set(
        "memory",
        "memory.oom_control",
        limits.oom_kill_disable.then(|| "1".to_owned()),
    );
    set("cpu", "cpu.shares", number(limits.cpu_shares));
    // The period first: a quota is checked against it.
    set("cpu", "cpu.cfs_period_us", number(limits.cpu_period));
    set(
        "cpu",
        "cpu.cfs_quota_us",
        limits.cpu_quota.map(|quota| quota.to_string()),
    );
    set("cpuset", "cpuset.cpus", limits.cpuset_cpus.clone());
    set("cpuset", "cpuset.mems", limits.cpuset_mems.clone());
    set("pids", "pids.max", limits.pids.map(most));
    set("blkio", "blkio.weight", number(limits.blkio_weight));
    plan
}

fn plan_v2(limits: &Cgroup) -> Result<Vec<Setting>, StartError> {
    if limits.memory_swappiness.is_some() {
        return Err(StartError::other(
            Step::Cgroup,
            "memory swappiness cannot be set with cgroup v2",
        ));
    }
    let mut plan = Vec::new();
    let mut set = |controller, file, value: Option<String>| {
        plan.extend(value.map(|value| Setting {
            controller,
            file,
            value,
        }));
    };
    set("memory", "memory.max", limits.memory.map(most));
    let swap = match (limits.memory, limits.memory_swap) {
        (_, None) => None,
        (_, Some(u64::MAX)) => Some(u64::MAX),
        (Some(memory), Some(both)) => match both.checked_sub(memory) {
            Some(swap) => Some(swap),
            None => {
                return Err(StartError::other(
                    Step::Cgroup,
                    "memory and swap together are less than memory",
                ));
            }
        },
        (None, Some(_)) => {
            return Err(StartError::other(
                Step::Cgroup,
                "a limit of memory and swap needs a limit of memory",
            ));
        }
    };
    set("memory", "memory.swap.max", swap.map(most));
    set("memory", "memory.low", limits.memory_reservation.map(most));
    set(
        "cpu",
        "cpu.weight",
        limits.cpu_shares.map(|shares| cpu_weight(shares).to_string()),
    );
    let quota = |quota: i64| {
        if quota <= 0 {
            "max".to_owned()
        } else {
            quota.to_string()
        }
    };
    set(
        "cpu",
        "cpu.max",
        match (limits.cpu_quota, limits.cpu_period) {
            (None, None) => None,
            (quota_us, None) => quota_us.map(quota),
            (quota_us, Some(period)) => Some(format!("{} {period}", quota(quota_us.unwrap_or(-1)))),
        },
    );
    set("cpuset", "cpuset.cpus", limits.cpuset_cpus.clone());
    set("cpuset", "cpuset.mems", limits.cpuset_mems.clone());
    set("pids", "pids.max", limits.pids.map(most));
    set(
        "io",
        "io.weight",
        limits
            .blkio_weight
            .map(|weight| format!("default {}", io_weight(weight))),
    );
    Ok(plan)
}

fn most(value: u64) -> String {
    if value == u64::MAX {
        "max".to_owned()
    } else {
        value.to_string()
    }
}

/// v1's shares (2 … 262144) on v2's scale (1 … 10000), as the OCI runtimes convert them.
fn cpu_weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// v1's block I/O weight (10 … 1000) on v2's scale (1 … 10000), as the OCI runtimes convert it.
fn io_weight(weight: u64) -> u64 {
    1 + (weight.clamp(10, 1000) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "1 2 0:1 / /c/memory rw - cgroup cgroup rw,memory\n1 2 0:1 / /c/cpu rw - cgroup cgroup rw,cpu\n\
                      1 2 0:1 / /c/pids rw - cgroup cgroup rw,pids\n";
    const V2: &str = "1 2 0:1 / /c rw - cgroup2 cgroup2 rw\n";

    fn files(limits: &Cgroup, mountinfo: &str) -> Result<Vec<(&'static str, String)>, String> {
        let controller = |name: &str, refused: Option<&str>| Controller {
            name: name.to_owned(),
            refused: refused.map(str::to_owned),
        };
        let mut controllers = ["memory", "cpu", "pids", "io"]
            .map(|name| controller(name, None))
            .to_vec();
        controllers.push(controller("cpuset", Some("enable it in /c: busy")));
        plan_limits(limits, &Hierarchies::parse(mountinfo.as_bytes()), &controllers)
            .map(|plan| plan.into_iter().map(|setting| (setting.file, setting.value)).collect())
            .map_err(|error| error.message)
    }

    #[test]
    fn limits_become_files() {
        let memory = Cgroup {
            memory: Some(64),
            memory_swap: Some(100),
            ..Cgroup::default()
        };
        let endless = Cgroup {
            memory: Some(64),
            memory_swap: Some(u64::MAX),
            ..Cgroup::default()
        };
        let cpu = Cgroup {
            cpu_shares: Some(1024),
            cpu_period: Some(1000),
            cpu_quota: Some(500),
            ..Cgroup::default()
        };
        let pids = Cgroup {
            pids: Some(7),
            ..Cgroup::default()
        };
        let blkio = Cgroup {
            blkio_weight: Some(500),
            ..Cgroup::default()
        };
        let swappy = Cgroup {
            memory_swappiness: Some(60),
            ..Cgroup::default()
        };
        let cpuset = Cgroup {
            cpuset_cpus: Some("0".into()),
            ..Cgroup::default()
        };
        let less = Cgroup {
            memory: Some(64),
            memory_swap: Some(10),
            ..Cgroup::default()
        };
        let set =
            |list: &[(&'static str, &str)]| Ok(list.iter().map(|&(file, value)| (file, value.to_owned())).collect());
        let cases = [
            ("nothing", &Cgroup::default(), V1, set(&[])),
            (
                "memory v1",
                &memory,
                V1,
                set(&[("memory.limit_in_bytes", "64"), ("memory.memsw.limit_in_bytes", "100")]),
            ),
            (
                "memory v2",
                &memory,
                V2,
                set(&[("memory.max", "64"), ("memory.swap.max", "36")]),
            ),
            (
                "swap v1",
                &endless,
                V1,
                set(&[("memory.limit_in_bytes", "64"), ("memory.memsw.limit_in_bytes", "-1")]),
            ),
            (
                "swap v2",
                &endless,
                V2,
                set(&[("memory.max", "64"), ("memory.swap.max", "max")]),
            ),
            (
                "cpu v1",
                &cpu,
                V1,
                set(&[
                    ("cpu.shares", "1024"),
                    ("cpu.cfs_period_us", "1000"),
                    ("cpu.cfs_quota_us", "500"),
                ]),
            ),
            (
                "cpu v2",
                &cpu,
                V2,
                set(&[("cpu.weight", "39"), ("cpu.max", "500 1000")]),
            ),
            ("pids", &pids, V2, set(&[("pids.max", "7")])),
            ("blkio v2", &blkio, V2, set(&[("io.weight", "default 4950")])),
            (
                "no blkio",
                &blkio,
                V1,
                Err("cgroup controller blkio is not available: blkio.weight".to_owned()),
            ),
            (
                "a controller that could not be enabled",
                &cpuset,
                V2,
                Err("cgroup controller cpuset is not available: cpuset.cpus: enable it in /c: busy".to_owned()),
            ),
            (
                "swappiness v2",
                &swappy,
                V2,
                Err("memory swappiness cannot be set with cgroup v2".to_owned()),
            ),
            (
                "less",
                &less,
                V2,
                Err("memory and swap together are less than memory".to_owned()),
            ),
        ];
        for (name, limits, mountinfo, expected) in cases {
            assert_eq!(files(limits, mountinfo), expected, "{name}");
        }
    }

    #[test]
    fn scales_meet_at_their_ends() {
        for (shares, weight) in [(0, 1), (2, 1), (262_144, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(cpu_weight(shares), weight, "{shares} shares");
        }
        for (old, weight) in [(0, 1), (10, 1), (1000, 10_000), (u64::MAX, 10_000)] {
            assert_eq!(io_weight(old), weight, "weight {old}");
        }
    }
}
