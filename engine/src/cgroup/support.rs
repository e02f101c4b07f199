//! What the control groups of this host can limit: said by `info`, and what cannot be limited is discarded with a warning.

use std::{fs, path::Path};

use super::Hierarchies;

/// One flag for each thing a client may ask to be limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Support {
    pub(crate) memory: bool,
    /// Memory and swap together.
    pub(crate) swap: bool,
    pub(crate) swappiness: bool,
    pub(crate) oom_kill_disable: bool,
    pub(crate) cpu_shares: bool,
    /// Period and quota.
    pub(crate) cpu_quota: bool,
    pub(crate) cpuset: bool,
}

impl Support {
    /// Looks at what is mounted. What cannot be read cannot be limited.
    pub(crate) fn of(hierarchies: &Hierarchies) -> Self {
        match hierarchies.unified() {
            Some(unified) if hierarchies.is_unified() => {
                let controllers = fs::read_to_string(unified.mount().join("cgroup.controllers")).unwrap_or_default();
                // The root has none of the files that limit, so they cannot be looked for. A kernel that can swap has both.
                Self::of_controllers(&controllers, Path::new("/proc/swaps").exists())
            }
            _ => Self::of_files(hierarchies),
        }
    }

    /// v2, by the names in `cgroup.controllers`.
    fn of_controllers(names: &str, swap: bool) -> Self {
        let has = |name| names.split_whitespace().any(|other| other == name);
        Self {
            memory: has("memory"),
            swap: has("memory") && swap,
            // v2 has no such thing.
            swappiness: false,
            oom_kill_disable: false,
            cpu_shares: has("cpu"),
            cpu_quota: has("cpu"),
            cpuset: has("cpuset"),
        }
    }

    /// v1, by the files at the roots.
    fn of_files(hierarchies: &Hierarchies) -> Self {
        let has = |controller, file| {
            let hierarchy = hierarchies.of(controller);
            hierarchy.is_some_and(|hierarchy| hierarchy.mount().join(file).exists())
        };
        Self {
            memory: has("memory", "memory.limit_in_bytes"),
            swap: has("memory", "memory.memsw.limit_in_bytes"),
            swappiness: has("memory", "memory.swappiness"),
            oom_kill_disable: has("memory", "memory.oom_control"),
            cpu_shares: has("cpu", "cpu.shares"),
            cpu_quota: has("cpu", "cpu.cfs_quota_us"),
            cpuset: has("cpuset", "cpuset.cpus"),
        }
    }

    /// Everything.
    #[cfg(test)]
    pub(crate) const ALL: Self = Self {
        memory: true,
        swap: true,
        swappiness: true,
        oom_kill_disable: true,
        cpu_shares: true,
        cpu_quota: true,
        cpuset: true,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controllers_of_v2_are_names() {
        let none = Support::default();
        let memory = Support { memory: true, ..none };
        let cpu = Support {
            cpu_shares: true,
            cpu_quota: true,
            ..none
        };
        let cases = [
            ("no controller", "", true, none),
            ("another name", "memoryx io pids\n", true, none),
            ("memory without swap", "memory\n", false, memory),
            ("memory", "io memory pids\n", true, Support { swap: true, ..memory }),
            ("cpu", "cpu\n", true, cpu),
            ("cpuset", "cpuset\n", true, Support { cpuset: true, ..none }),
        ];
        for (name, controllers, swap, expected) in cases {
            assert_eq!(Support::of_controllers(controllers, swap), expected, "{name}");
        }
    }

    #[test]
    fn files_of_v1_are_looked_for() {
        let base = std::env::temp_dir().join(format!("gantry-support-{}", std::process::id()));
        fs::create_dir_all(&base).unwrap();
        fs::write(base.join("memory.limit_in_bytes"), "").unwrap();
        fs::write(base.join("cpu.shares"), "").unwrap();
        let mountinfo = format!("1 2 0:1 / {} rw - cgroup cgroup rw,memory\n", base.display());
        let seen = Support::of(&Hierarchies::parse(mountinfo.as_bytes()));
        fs::remove_dir_all(&base).unwrap();
        let expected = Support {
            memory: true,
            ..Support::default()
        };
        assert_eq!(seen, expected);
        assert_eq!(Support::of(&Hierarchies::default()), Support::default());
    }
}
