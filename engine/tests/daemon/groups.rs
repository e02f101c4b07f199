//! Control groups as the host sees them: limits given through the API, and a daemon that is itself in one or another.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use gantry_engine::cgroup::Hierarchies;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};
use serde_json::{Value, json};

use crate::harness::{Daemon, cgroups, is_root, json_of, skip, status, text};

/// Each on the scale of the kernel's files below.
fn limits() -> Value {
    json!({"HostConfig": {
        "Memory": 64 << 20, "MemorySwap": -1, "MemoryReservation": 32 << 20, "CpuShares": 512, "CpuPeriod": 50_000,
        "CpuQuota": 25_000, "CpusetCpus": "0", "PidsLimit": 50,
    }})
}

const V1: &[(&str, &str)] = &[
    ("memory.limit_in_bytes", "67108864"),
    ("memory.soft_limit_in_bytes", "33554432"),
    ("cpu.shares", "512"),
    ("cpu.cfs_period_us", "50000"),
    ("cpu.cfs_quota_us", "25000"),
    ("cpuset.cpus", "0"),
    ("pids.max", "50"),
];

const V2: &[(&str, &str)] = &[
    ("memory.max", "67108864"),
    ("memory.swap.max", "max"),
    ("memory.low", "33554432"),
    ("cpu.weight", "20"),
    ("cpu.max", "25000 50000"),
    ("cpuset.cpus", "0"),
    ("pids.max", "50"),
];

/// The v2 hierarchy, if it is the only one; else says that the test is passed over.
fn unified() -> Option<PathBuf> {
    let hierarchies = Hierarchies::discover().expect("mountinfo");
    if hierarchies.is_unified() {
        return hierarchies.unified().map(|unified| unified.mount().to_owned());
    }
    skip("needs cgroup v2 alone");
    None
}

/// Runs a container with limits, and looks for them in its groups.
fn assert_limits_hold(daemon: &Daemon, name: &str) {
    let id = daemon.create(&["stay"], limits());
    daemon.start_container(&id);
    let groups = cgroups(&id);
    let content = |file: &str| {
        let found = groups
            .iter()
            .find_map(|group| fs::read_to_string(group.join(file)).ok());
        found.unwrap_or_else(|| panic!("{name}: no {file} in {groups:?}"))
    };
    let v2 = Hierarchies::discover().expect("mountinfo").is_unified();
    for (file, expected) in if v2 { V2 } else { V1 } {
        assert_eq!(content(file).trim_end(), *expected, "{name}: {file}");
    }
    let pid = daemon.inspect(&id)["State"]["Pid"].to_string();
    assert!(
        content("cgroup.procs").lines().any(|line| line == pid),
        "{name}: the container's process is in its group"
    );
    assert_eq!(status(&daemon.delete(&format!("/v1.24/containers/{id}?force=1"))), 204);
    assert_eq!(cgroups(&id), Vec::<PathBuf>::new(), "{name}");
}

#[test]
fn limits_reach_the_kernel() {
    if !is_root() {
        return;
    }
    assert_limits_hold(&Daemon::start(), "where the tests are");
}

#[test]
fn info_says_what_can_be_limited() {
    if !is_root() {
        return;
    }
    let hierarchies = Hierarchies::discover().expect("mountinfo");
    let v2 = hierarchies.is_unified();
    let info = json_of(&Daemon::start().get("/v1.24/info"));
    let there = |controller: &str| match hierarchies.unified() {
        Some(unified) if v2 => fs::read_to_string(unified.mount().join("cgroup.controllers"))
            .expect("its controllers")
            .split_whitespace()
            .any(|name| name == controller),
        _ => hierarchies.of(controller).is_some(),
    };
    let cases = [
        ("MemoryLimit", there("memory")),
        ("CpuCfsPeriod", there("cpu")),
        ("CpuCfsQuota", there("cpu")),
        ("CPUShares", there("cpu")),
        ("CPUSet", there("cpuset")),
        ("OomKillDisable", there("memory") && !v2),
    ];
    for (field, expected) in cases {
        assert_eq!(info[field], expected, "{field}: {info}");
    }
}

#[test]
fn what_v2_cannot_limit_is_discarded_with_a_warning() {
    if !is_root() || unified().is_none() {
        return;
    }
    let daemon = Daemon::start();
    let body = json!({"Image": "probe", "Cmd": ["/probe", "true"],
        "HostConfig": {"NetworkMode": "none", "MemorySwappiness": 60, "OomKillDisable": true}});
    let created = daemon.post_json("/v1.24/containers/create?name=asks", &body);
    assert_eq!(status(&created), 201, "{}", text(&created));
    let warnings = json_of(&created)["Warnings"].clone();
    assert_eq!(warnings.as_array().map(Vec::len), Some(2), "{warnings}");
    daemon.start_container("asks");
    assert_eq!(daemon.wait("asks"), 0);
}

/// The root may hold processes and groups with controllers at once, another group may not. Wherever the daemon is, its
/// containers are elsewhere.
#[test]
fn the_daemons_own_group_does_not_matter() {
    if !is_root() {
        return;
    }
    let Some(root) = unified() else { return };
    let daemon = Daemon::start();
    let child = root.join(format!("gantry-daemon-{}", std::process::id()));
    fs::create_dir(&child).expect("a new group");
    for (name, group) in [("in the root", &root), ("in a group below", &child)] {
        fs::write(group.join("cgroup.procs"), daemon.pid().to_string()).expect("the daemon moves");
        assert_limits_hold(&daemon, name);
    }
    drop(daemon);
    fs::remove_dir(&child).expect("nobody is left in it");
}

/// The root of a cgroup namespace is no real root: controllers cannot be enabled in it while the daemon itself is there.
#[test]
fn a_daemon_that_cannot_enable_controllers_says_so() {
    if !is_root() {
        return;
    }
    let Some(mount_point) = unified() else { return };
    let own = fs::read_to_string("/proc/self/cgroup").expect("this process's group");
    let own = own.trim_end().trim_start_matches("0::/");
    if own.is_empty() {
        skip("needs to be in a group below the root");
        return;
    }
    let containers = mount_point.join(own).join("gantry");
    let daemon = Daemon::start_after(move || enter_cgroup_namespace(&mount_point));
    let limited = daemon.create(&["true"], limits());
    let refused = daemon.post(&format!("/v1.24/containers/{limited}/start"));
    assert_eq!(status(&refused), 500);
    let reason =
        "cgroup controller memory is not available: memory.max: enable it in /sys/fs/cgroup: device or resource busy";
    assert!(text(&refused).contains(reason), "{}", text(&refused));
    // Who asks for no limit needs no controller; devices are confined all the same.
    let (code, _, err) = daemon.run(&["file", "/dev/null"], json!({}));
    assert_eq!(code, 0, "{err}");
    drop(daemon);
    let mut left = String::new();
    let procs = File::open(containers.join("cgroup.procs")).and_then(|mut file| file.read_to_string(&mut left));
    assert_eq!((procs.is_ok(), left.as_str()), (true, ""));
    fs::remove_dir(&containers).expect("no container's group is left in it");
}

/// Makes this process's group the root of what the calling thread and its children see, as in a container.
fn enter_cgroup_namespace(mount_point: &Path) {
    let none: Option<&str> = None;
    unshare(CloneFlags::CLONE_NEWCGROUP | CloneFlags::CLONE_NEWNS).expect("namespaces");
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
    // The kernel refuses a file system on top of itself.
    umount2(mount_point, MntFlags::MNT_DETACH).expect("the host's cgroup2 goes");
    mount(Some("cgroup2"), mount_point, Some("cgroup2"), MsFlags::empty(), none).expect("its own cgroup2");
}
