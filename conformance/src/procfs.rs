//! What the kernel says about a daemon's processes: CPU time, memory, where they listen. Source: proc_pid_stat(5),
//! clock_getcpuclockid(3), proc_pid_smaps_rollup (kernel documentation, filesystems/proc.rst), proc_net(5).

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use nix::time::ClockId;
use nix::unistd::Pid;

/// CPU time that `pids` have used, all their threads together, in nanoseconds.
pub fn cpu_nanos(pids: &[i32]) -> Option<u64> {
    let of = |pid: &i32| {
        let used = ClockId::pid_cpu_clock_id(Pid::from_raw(*pid))
            .and_then(ClockId::now)
            .ok()?;
        u64::try_from(Duration::from(used).as_nanos()).ok()
    };
    pids.iter().map(of).sum()
}

/// CPU time of the children of `pids` that have ended and were waited for, in nanoseconds; in steps of 10 ms.
pub fn cpu_nanos_of_children(pids: &[i32]) -> Option<u64> {
    let stats = pids
        .iter()
        .map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    stats
        .map(|text| children_ticks(&text?))
        .sum::<Option<u64>>()
        .map(|ticks| ticks * TICK_NANOS)
}

/// `cutime` and `cstime`, numbers 16 and 17 of proc_pid_stat(5), together. The second field is a name in parentheses,
/// which may itself hold blanks and parentheses.
fn children_ticks(stat: &str) -> Option<u64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    let mut fields = behind_name.split_whitespace().skip(13);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// What the kernel counts in where user space looks: USER_HZ is 100 everywhere.
const TICK_NANOS: u64 = 10_000_000;

/// The processes of this network namespace's listeners at a TCP address, or at any address with its port.
pub fn tcp_listeners(address: SocketAddr) -> Vec<i32> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let links: Vec<String> = tables
        .iter()
        .flat_map(|table| listening_inodes(table, address))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let holds = |pid: &i32| {
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        let mut targets = descriptors.filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| links.iter().any(|link| Path::new(link) == target))
    };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<i32> = pids.filter(holds).collect();
    found.sort_unstable();
    found
}

/// Inodes of listening sockets in a table of proc_net(5). An address is hexadecimal there, each 32 bits of it in the
/// order of the machine.
fn listening_inodes(table: &str, address: SocketAddr) -> Vec<u64> {
    const LISTEN: &str = "0A";
    let words = match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let word = |four: &[u8]| format!("{:08X}", u32::from_ne_bytes([four[0], four[1], four[2], four[3]]));
    let host: String = words.chunks(4).map(word).collect();
    let port = format!("{:04X}", address.port());
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (at, at_port) = fields.get(1)?.split_once(':')?;
        let here = at == host || at.bytes().all(|digit| digit == b'0');
        (here && at_port == port && *fields.get(3)? == LISTEN).then_some(())?;
        fields.get(9)?.parse().ok()
    };
    table.lines().filter_map(inode).collect()
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
        let before = cpu_nanos(&[me]).expect("a clock");
        let mut sum = 0u64;
        while cpu_nanos(&[me]).expect("a clock") <= before + 1_000_000 {
            sum = sum.wrapping_add(std::hint::black_box(1));
        }
        let memory = memory(me).expect("smaps_rollup");
        assert!(
            memory.rss_kib >= memory.pss_kib && memory.pss_kib > 0,
            "{memory:?}, {sum}"
        );
    }

    #[test]
    fn threads_that_have_ended_still_count() {
        let me = std::process::id().cast_signed();
        let before = cpu_nanos(&[me]).expect("a clock");
        let work = std::thread::spawn(|| {
            let (begin, mut sum) = (std::time::Instant::now(), 0u64);
            while begin.elapsed() < Duration::from_millis(20) {
                sum = sum.wrapping_add(std::hint::black_box(1));
            }
            sum
        });
        let sum = work.join().expect("a thread");
        assert!(cpu_nanos(&[me]).expect("a clock") > before, "{sum}");
        // Above any PID_MAX_LIMIT (2^22).
        assert_eq!(cpu_nanos(&[1 << 24]), None);
    }

    #[test]
    fn our_own_listener_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let me = std::process::id().cast_signed();
        assert!(tcp_listeners(address).contains(&me), "{address}");
    }

    #[test]
    fn only_listeners_at_the_address_count() {
        let [a, b, c, d] = u32::from_ne_bytes([127, 0, 0, 1]).to_be_bytes();
        let local = format!("{a:02X}{b:02X}{c:02X}{d:02X}");
        let line = |address: &str, state: &str, inode: u32| {
            format!(" 0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1 0\n")
        };
        let table = [
            "  sl  local_address rem_address st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n".to_owned(),
            line(&format!("{local}:0947"), "0A", 1),
            line("00000000:0947", "0A", 2),
            line(&format!("{local}:0947"), "01", 3),
            line(&format!("{local}:0948"), "0A", 4),
            line("0100000A:0947", "0A", 5),
            "cut off\n".to_owned(),
        ]
        .concat();
        let address = "127.0.0.1:2375".parse().expect("address");
        assert_eq!(listening_inodes(&table, address), [1, 2]);
    }

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 11 12 30 12 15 16";
        assert_eq!(children_ticks(stat), Some(42));
        assert_eq!(children_ticks("7 (a) S 1 2"), None);
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
