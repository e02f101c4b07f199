//! The stage for tests: a daemon, containers and a world outside, each in a network namespace of its own.
//!
//! A namespace lives as long as a descriptor of it, so nothing needs to be cleaned up, however a test ends.

use std::{
    collections::HashSet,
    fs::{self, File},
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    panic::resume_unwind,
    process::Command,
    thread,
};

use nix::{
    sched::{CloneFlags, unshare},
    unistd::geteuid,
};

use crate::sys::netns::inside;

/// A network namespace.
pub(super) struct Namespace(File);

impl Namespace {
    pub(super) fn new() -> Self {
        let make = || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            Self(File::open("/proc/thread-self/ns/net").unwrap())
        };
        thread::spawn(make).join().unwrap()
    }

    /// Runs `call` on a thread inside.
    pub(super) fn run<T: Send>(&self, call: impl FnOnce() -> T + Send) -> T {
        inside(self.0.as_fd(), call).unwrap()
    }

    /// What names it to the kernel.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// A path that other processes can open.
    pub(super) fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }
}

/// Runs a test on a thread in a network namespace of its own, which is the daemon's.
pub(super) fn as_daemon(test: impl FnOnce() + Send) {
    if !geteuid().is_root() {
        crate::skip::say("needs root");
        return;
    }
    let outcome = thread::scope(|scope| {
        let daemon = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            test();
        });
        daemon.join()
    });
    outcome.unwrap_or_else(|panic| resume_unwind(panic));
}

/// Runs a program in the calling thread's namespace.
pub(super) fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Names of the calling thread's namespace's interfaces.
pub(super) fn interfaces() -> HashSet<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

pub(super) fn veths() -> usize {
    interfaces().iter().filter(|name| name.starts_with("veth")).count()
}

/// Names of the interfaces with an IPv6 address.
pub(super) fn ipv6_interfaces() -> HashSet<String> {
    let table = fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap();
    table
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .map(str::to_owned)
        .collect()
}

pub(super) fn sysctl(path: &str) -> String {
    fs::read_to_string(format!("/proc/sys/net/{path}"))
        .unwrap()
        .trim()
        .to_owned()
}

/// Another host, 198.51.100.2, on an interface `wan` of the calling thread's namespace, 198.51.100.1.
pub(super) fn outside() -> Namespace {
    let outside = Namespace::new();
    run(&format!(
        "ip link add wan type veth peer name wan netns {}",
        outside.path()
    ));
    run("ip addr add 198.51.100.1/24 dev wan");
    run("ip link set wan up");
    outside.run(|| {
        run("ip addr add 198.51.100.2/24 dev wan");
        run("ip link set wan up");
    });
    outside
}
