//! Control groups: membership, limits, and their end.

use std::{fs, io::Read};

use gantry_engine::cgroup::{self, Hierarchies};

use crate::{
    Case,
    fixture::{Box, wait},
};

pub(crate) const CASES: &[Case] = &[
    ("it_is_in_its_groups", it_is_in_its_groups),
    ("limits_are_written", limits_are_written),
    ("a_fork_bomb_is_bounded", a_fork_bomb_is_bounded),
    (
        "memory_is_bounded_and_kills_are_counted",
        memory_is_bounded_and_kills_are_counted,
    ),
    ("the_end_is_complete", the_end_is_complete),
];

fn it_is_in_its_groups() {
    let container = Box::new(&["cat", "/proc/self/cgroup"]);
    let seen = container.output();
    let path = &container.spec.cgroup.path;
    let unified = Hierarchies::discover().unwrap().is_unified();
    for line in seen.lines() {
        let expected = if unified { "/" } else { path.as_str() };
        assert_eq!(line.splitn(3, ':').nth(2), Some(expected), "{line}");
    }
    assert!(!seen.is_empty());
}

fn limits_are_written() {
    let hierarchies = Hierarchies::discover().unwrap();
    if hierarchies.is_unified() {
        println!("skipped: reads the files of cgroup v1");
        return;
    }
    let script = "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes memory/memory.soft_limit_in_bytes cpu/cpu.shares \
                  cpu/cpu.cfs_quota_us cpuset/cpuset.cpus pids/pids.max";
    let mut container = Box::script(script);
    let limits = &mut container.spec.cgroup;
    limits.memory = Some(64 << 20);
    limits.memory_reservation = Some(32 << 20);
    limits.cpu_shares = Some(512);
    limits.cpu_period = Some(50_000);
    limits.cpu_quota = Some(25_000);
    limits.cpuset_cpus = Some("0".into());
    limits.pids = Some(64);
    assert_eq!(container.output(), "67108864\n33554432\n512\n25000\n0\n64\n");
}

fn a_fork_bomb_is_bounded() {
    let mut container = Box::script("for i in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; echo started");
    container.spec.cgroup.pids = Some(5);
    let outcome = container.run();
    assert_ne!(outcome.code, 0, "{outcome:?}");
    assert!(outcome.err.contains("can't fork"), "{outcome:?}");
}

fn memory_is_bounded_and_kills_are_counted() {
    let mut container = Box::new(&["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
    container.spec.cgroup.memory = Some(8 << 20);
    container.spec.cgroup.memory_swap = Some(8 << 20);
    if !Hierarchies::discover()
        .unwrap()
        .of("memory")
        .is_some_and(|memory| memory.directory("/").join("memory.memsw.limit_in_bytes").exists())
    {
        container.spec.cgroup.memory_swap = None;
    }
    let (started, _, _) = container.start().unwrap();
    assert_eq!(wait(&started.pidfd), 128 + libc::SIGKILL);
    assert!(cgroup::oom_kills(&container.spec.cgroup.path) > 0);
}

fn the_end_is_complete() {
    let container = Box::script("sleep 600 & sleep 600 & echo ready; wait");
    let (started, _, _) = container.start().unwrap();
    let path = &container.spec.cgroup.path;
    cgroup::destroy(path).unwrap();
    assert_eq!(wait(&started.pidfd), 128 + libc::SIGKILL);
    for hierarchy in Hierarchies::discover().unwrap().iter() {
        assert!(!hierarchy.directory(path).exists(), "{hierarchy:?}");
    }
    // A second time, and for what never was.
    cgroup::destroy(path).unwrap();
    let mut mounts = String::new();
    fs::File::open("/proc/self/mountinfo")
        .unwrap()
        .read_to_string(&mut mounts)
        .unwrap();
    assert!(!mounts.contains(container.base.to_str().unwrap()));
}
