//! What the kernel says about a daemon's processes: CPU time and memory. Source: proc_pid_schedstat,
//! proc_pid_status(5), proc_pid_smaps_rollup (kernel documentation, filesystems/proc.rst).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// CPU time that the threads of `pids` have used, in nanoseconds; threads that have ended are not in it.
pub fn cpu_nanos(pids: &[i32]) -> Option<u64> {
    let mut sum = 0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
            // A thread may end between the listing and the reading.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else {
                continue;
            };
            sum += text.split_whitespace().next()?.parse::<u64>().ok()?;
        }
    }
    Some(sum)
}

/// Memory of one process in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Resident set: every page that is mapped and present.
    pub rss_kib: u64,
    /// Proportional set: shared pages counted in parts.
    pub pss_kib: u64,
}

/// Memory of a process; nothing if it is gone or not ours to see.
pub fn memory(pid: i32) -> Option<Memory> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    Some(Memory {
        rss_kib: kib(&text, "Rss:")?,
        pss_kib: kib(&text, "Pss:")?,
    })
}

fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `pid` and everything below it, in ascending order.
pub fn tree(pid: i32) -> Vec<i32> {
    let mut found = BTreeSet::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        if !found.insert(pid) {
            continue;
        }
        let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            open.extend(
                children
                    .split_whitespace()
                    .filter_map(|child| child.parse::<i32>().ok()),
            );
        }
    }
    found.into_iter().collect()
}

/// Name of a process's program, for messages.
pub fn program(pid: i32) -> String {
    let name = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("comm"));
    name.map_or_else(|_| format!("pid {pid}"), |name| name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_process_is_seen() {
        let me = std::process::id().cast_signed();
        let before = cpu_nanos(&[me]).expect("schedstat");
        let mut sum = 0u64;
        while cpu_nanos(&[me]).expect("schedstat") <= before + 1_000_000 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let memory = memory(me).expect("smaps_rollup");
        assert!(
            memory.rss_kib >= memory.pss_kib && memory.pss_kib > 0,
            "{memory:?}, {sum}"
        );
    }

    #[test]
    fn children_belong_to_the_tree() {
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("cat");
        let tree = tree(std::process::id().cast_signed());
        drop(child.stdin.take());
        child.wait().expect("wait");
        assert!(tree.contains(&child.id().cast_signed()), "{tree:?}");
    }
}
