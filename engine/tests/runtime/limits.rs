//! Control groups: membership, limits, and their end.

use std::{
    fs,
    io::{Read, Seek},
    path::Path,
};

use gantry_engine::{
    cgroup::{self, Hierarchies},
    process::prepare,
};

use crate::{
    Case,
    fixture::{Box, wait},
};

pub(crate) const CASES: &[Case] = &[
    ("it_is_in_its_groups", it_is_in_its_groups),
    ("it_has_a_cgroup_namespace", it_has_a_cgroup_namespace),
    ("limits_are_written", limits_are_written),
    ("block_io_is_weighed", block_io_is_weighed),
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

/// With v2 a container sees its own group as the root, and nothing above it; with v1 it is shown its own directories.
fn it_has_a_cgroup_namespace() {
    if !Hierarchies::discover().unwrap().is_unified() {
        println!("skipped: needs cgroup v2 alone");
        return;
    }
    let container = Box::script("readlink /proc/self/ns/cgroup; cat /sys/fs/cgroup/cgroup.procs; cat; exit 0");
    let (stdio, mut out, _) = container.stdio();
    let prepared = prepare(&container.spec, Some(stdio)).unwrap();
    let host_view = fs::read_to_string(format!("/proc/{}/cgroup", prepared.pid())).unwrap();
    assert_eq!(host_view, format!("0::{}\n", container.spec.cgroup.path));
    assert_eq!(wait(&prepared.run().unwrap().pidfd), 0);
    let mut seen = String::new();
    out.rewind().unwrap();
    out.read_to_string(&mut seen).unwrap();
    let (namespace, processes) = seen.split_once('\n').unwrap();
    assert_ne!(Path::new(namespace), fs::read_link("/proc/self/ns/cgroup").unwrap());
    // The shell and the cat that reads. The host's group would have many, none of them known in here.
    assert!(
        processes.starts_with("1\n") && processes.lines().count() == 2,
        "{processes}"
    );
}

fn limits_are_written() {
    let unified = Hierarchies::discover().unwrap().is_unified();
    // The files below /sys/fs/cgroup in the container, and what they hold.
    let expected: &[(&str, &str)] = if unified {
        &[
            ("memory.max", "67108864"),
            ("memory.low", "33554432"),
            ("memory.swap.max", "16777216"),
            ("cpu.weight", "20"),
            ("cpu.max", "25000 50000"),
            ("cpuset.cpus", "0"),
            ("cpuset.cpus.effective", "0"),
            ("cpuset.mems", "0"),
            ("pids.max", "64"),
        ]
    } else {
        &[
            ("memory/memory.limit_in_bytes", "67108864"),
            ("memory/memory.soft_limit_in_bytes", "33554432"),
            ("cpu/cpu.shares", "512"),
            ("cpu/cpu.cfs_period_us", "50000"),
            ("cpu/cpu.cfs_quota_us", "25000"),
            ("cpuset/cpuset.cpus", "0"),
            ("cpuset/cpuset.mems", "0"),
            ("pids/pids.max", "64"),
        ]
    };
    let mut container = Box::new(&["cat"]);
    let files = expected.iter().map(|(file, _)| format!("/sys/fs/cgroup/{file}"));
    container.spec.argv.extend(files);
    let limits = &mut container.spec.cgroup;
    limits.memory = Some(64 << 20);
    // v1 has a limit of swap only if the host was booted so.
    limits.memory_swap = unified.then_some(80 << 20);
    limits.memory_reservation = Some(32 << 20);
    limits.cpu_shares = Some(512);
    limits.cpu_period = Some(50_000);
    limits.cpu_quota = Some(25_000);
    limits.cpuset_cpus = Some("0".into());
    limits.cpuset_mems = Some("0".into());
    limits.pids = Some(64);
    let seen = container.output();
    for ((file, value), line) in expected.iter().zip(seen.lines()) {
        assert_eq!(line, *value, "{file}");
    }
    assert_eq!(seen.lines().count(), expected.len(), "{seen}");
}

fn block_io_is_weighed() {
    let (file, expected) = if Hierarchies::discover().unwrap().is_unified() {
        ("io.weight", "default 4950\n")
    } else {
        ("blkio/blkio.weight", "500\n")
    };
    let mut container = Box::script(&format!("cat /sys/fs/cgroup/{file}"));
    container.spec.cgroup.blkio_weight = Some(500);
    match container.start() {
        Ok((started, ..)) => assert_eq!(wait(&started.pidfd), 0),
        // It depends on the kernel's I/O schedulers.
        Err(error) => {
            assert_eq!(error.errno, libc::ENOENT, "{error}");
            println!("skipped: {error}");
            return;
        }
    }
    assert_eq!(fs::read_to_string(container.base.join("out")).unwrap(), expected);
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
    let hierarchies = Hierarchies::discover().unwrap();
    let memory = hierarchies.of("memory");
    if memory.is_some_and(|memory| !memory.directory("/").join("memory.memsw.limit_in_bytes").exists()) {
        container.spec.cgroup.memory_swap = None;
    }
    assert_eq!(cgroup::oom_kills(&container.spec.cgroup.path), 0);
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
