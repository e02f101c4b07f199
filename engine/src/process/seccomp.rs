//! Seccomp: which system calls a container may make, as data, and the compiler from that to a filter.
//!
//! A filter decides by architecture and number through a binary tree over ranges of equal verdict: the kernel runs it for
//! every number when it is loaded, and a chain of comparisons costs six times as much there. Whatever no rule allows is
//! refused; i386 and x32 programs are filtered like native ones, and any other architecture is killed.
//! Source: seccomp(2), Documentation/userspace-api/seccomp_filter.rst.

mod bpf;
mod profile;

use self::bpf::Instruction;
pub use self::profile::DEFAULT;
use super::capability::Capability;

/// What a container may call.
#[derive(Debug, Clone, Copy)]
pub struct Profile {
    /// The first rule that names a call and whose condition holds decides.
    pub rules: &'static [Rule],
    /// The error of a call that no rule names.
    pub otherwise: u16,
    /// The error of a number above all that were known.
    pub unknown: u16,
}

/// A verdict on some calls.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The calls by name. A name that an architecture lacks means nothing there.
    pub calls: &'static [&'static str],
    /// When the rule counts.
    pub when: When,
    /// What happens.
    pub verdict: Verdict,
}

/// When a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Always.
    Always,
    /// For a container that has the capability.
    Holding(Capability),
    /// For a container that does not.
    Lacking(Capability),
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is made.
    Allow,
    /// It fails with this error number.
    Errno(u16),
    /// It is made if the check holds, else fails with the profile's `otherwise`.
    AllowIf(Check),
}

/// A condition on an argument, of which the low 32 bits count: the calls concerned take an `int` there, so the kernel
/// does not see the others either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// None of the bits is set.
    Without {
        /// Index of the argument, 0 … 5.
        argument: u8,
        /// The bits.
        bits: u32,
    },
    /// The value lies in one of the ranges, both ends included.
    Between {
        /// Index of the argument, 0 … 5.
        argument: u8,
        /// The ranges, ascending.
        ranges: &'static [(u32, u32)],
    },
}

/// A processor architecture, with those others whose programs its kernel runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// x86-64, with i386 and x32.
    X86_64,
}

impl Architecture {
    /// The one this program was built for; `None` if there is no table for it.
    #[must_use]
    pub const fn native() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else {
            None
        }
    }
}

/// Compiles a profile for a container with these capabilities (bit `n` is capability `n`): `struct sock_filter` each as 8
/// bytes in native order, ready for [`Spec::seccomp`](super::Spec::seccomp). Worth
/// keeping by capability set: every name of three tables is looked up.
#[must_use]
pub fn compile(profile: &Profile, capabilities: u64, architecture: Architecture) -> Vec<u8> {
    let Architecture::X86_64 = architecture;
    let tree = |table: &Table| table.tree(profile, capabilities);
    let native = bpf::choose(bpf::JUMP_GREATER_EQUAL, X32_BIT, tree(&X32), tree(&X86_64));
    let native = [vec![bpf::load(NUMBER_OFFSET)], native].concat();
    let i386 = [vec![bpf::load(NUMBER_OFFSET)], tree(&I386)].concat();
    let other = vec![bpf::give(libc::SECCOMP_RET_KILL_PROCESS)];
    let not_native = bpf::choose(bpf::JUMP_EQUAL, AUDIT_ARCH_I386, i386, other);
    let program = bpf::choose(bpf::JUMP_EQUAL, AUDIT_ARCH_X86_64, native, not_native);
    let program = [vec![bpf::load(ARCHITECTURE_OFFSET)], program].concat();
    debug_assert!(
        program.len() <= bpf::INSTRUCTIONS_MAX,
        "the kernel would refuse the filter"
    );
    program.iter().flat_map(|instruction| instruction.encode()).collect()
}

/// The numbers of one architecture's calls.
struct Table {
    /// Lines `number name`, ascending; `#` begins a comment.
    text: &'static str,
    /// Added to each number.
    base: u32,
}

impl Table {
    fn calls(&self) -> impl Iterator<Item = (u32, &'static str)> {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        // A test holds that every line is well-formed.
        lines.filter_map(|line| {
            let (number, name) = line.split_once(' ')?;
            Some((number.parse().ok()?, name))
        })
    }

    /// The ranges of numbers that share a verdict: first number, verdict; the first range starts at `base`.
    fn ranges(&self, profile: &Profile, capabilities: u64) -> Vec<(u32, Verdict)> {
        let mut ranges: Vec<(u32, Verdict)> = Vec::new();
        let mut add = |number: u32, verdict| {
            if ranges.last().is_none_or(|&(_, last)| last != verdict) {
                ranges.push((self.base + number, verdict));
            }
        };
        let mut next = 0;
        for (number, name) in self.calls() {
            if number > next {
                add(next, Verdict::Errno(profile.otherwise));
            }
            add(number, profile.verdict(name, capabilities));
            next = number + 1;
        }
        add(next, Verdict::Errno(profile.unknown));
        ranges
    }

    fn tree(&self, profile: &Profile, capabilities: u64) -> Vec<Instruction> {
        tree(&self.ranges(profile, capabilities), profile.otherwise)
    }
}

impl Profile {
    fn verdict(&self, call: &str, capabilities: u64) -> Verdict {
        let holds = |rule: &&Rule| match rule.when {
            When::Always => true,
            When::Holding(capability) => capabilities & capability.bit() != 0,
            When::Lacking(capability) => capabilities & capability.bit() == 0,
        };
        let rule = self.rules.iter().filter(holds).find(|rule| rule.calls.contains(&call));
        rule.map_or(Verdict::Errno(self.otherwise), |rule| rule.verdict)
    }
}

/// The number is in the accumulator and at or above the first range's start.
fn tree(ranges: &[(u32, Verdict)], otherwise: u16) -> Vec<Instruction> {
    match ranges {
        [] => vec![bpf::give(errno(otherwise))],
        [(_, verdict)] => leaf(*verdict, otherwise),
        _ => {
            let (left, right) = ranges.split_at(ranges.len() / 2);
            bpf::choose(
                bpf::JUMP_GREATER_EQUAL,
                right[0].0,
                tree(right, otherwise),
                tree(left, otherwise),
            )
        }
    }
}

fn leaf(verdict: Verdict, otherwise: u16) -> Vec<Instruction> {
    let allow = || vec![bpf::give(libc::SECCOMP_RET_ALLOW)];
    let refuse = || vec![bpf::give(errno(otherwise))];
    match verdict {
        Verdict::Allow => allow(),
        Verdict::Errno(number) => vec![bpf::give(errno(number))],
        Verdict::AllowIf(Check::Without { argument, bits }) => {
            let test = bpf::choose(bpf::JUMP_ANY_BIT, bits, refuse(), allow());
            [vec![bpf::load(argument_offset(argument))], test].concat()
        }
        Verdict::AllowIf(Check::Between { argument, ranges }) => {
            let mut test = refuse();
            for &(first, last) in ranges.iter().rev() {
                // Above `last`: what the next ranges say. Below `first`: refused, since they ascend.
                let inside = match last.checked_add(1) {
                    Some(above) => bpf::choose(bpf::JUMP_GREATER_EQUAL, above, test, allow()),
                    None => allow(),
                };
                test = bpf::choose(bpf::JUMP_GREATER_EQUAL, first, inside, refuse());
            }
            [vec![bpf::load(argument_offset(argument))], test].concat()
        }
    }
}

const fn errno(number: u16) -> u32 {
    libc::SECCOMP_RET_ERRNO | number as u32
}

/// The low half of an argument in `struct seccomp_data`, on a little-endian machine.
const fn argument_offset(argument: u8) -> u32 {
    16 + 8 * argument as u32
}

const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;
/// `AUDIT_ARCH_X86_64`, for x32 as well.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// `__X32_SYSCALL_BIT`.
const X32_BIT: u32 = 0x4000_0000;

const X86_64: Table = Table {
    text: include_str!("seccomp/x86_64.tbl"),
    base: 0,
};
const X32: Table = Table {
    text: include_str!("seccomp/x32.tbl"),
    base: X32_BIT,
};
const I386: Table = Table {
    text: include_str!("seccomp/i386.tbl"),
    base: 0,
};

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::process::capability;

    /// What the filter says of a call.
    fn run(filter: &[u8], architecture: u32, number: u32, first_argument: u64) -> u32 {
        let mut data = [0; 64];
        data[0..4].copy_from_slice(&number.to_ne_bytes());
        data[4..8].copy_from_slice(&architecture.to_ne_bytes());
        data[16..24].copy_from_slice(&first_argument.to_ne_bytes());
        bpf::interpret(filter, &data)
    }

    /// What the profile says, found without tree, ranges or numbers.
    fn expected(calls: &BTreeMap<u32, &str>, number: u32, first_argument: u64, capabilities: u64) -> u32 {
        let low = first_argument as u32;
        let has = |capability: &str| capabilities & Capability::parse(capability).unwrap().bit() != 0;
        let (allow, refuse, missing) = (
            libc::SECCOMP_RET_ALLOW,
            errno(libc::EPERM as u16),
            errno(libc::ENOSYS as u16),
        );
        let when = |allowed: bool| if allowed { allow } else { refuse };
        let Some(&name) = calls.get(&number) else {
            return if number > *calls.last_key_value().unwrap().0 {
                missing
            } else {
                refuse
            };
        };
        match name {
            "clone" => when(has("SYS_ADMIN") || low & 0x7e02_0000 == 0),
            "clone3" => {
                if has("SYS_ADMIN") {
                    allow
                } else {
                    missing
                }
            }
            "personality" => when([0, 8, 0x20000, 0x20008, 0xffff_ffff].contains(&low)),
            "socket" => when(low != 38 && low != 40),
            "syslog" => when(has("SYS_ADMIN") || has("SYSLOG")),
            "bpf" => when(has("SYS_ADMIN") || has("BPF")),
            "perf_event_open" => when(has("SYS_ADMIN") || has("PERFMON")),
            "mount" | "umount" | "umount2" | "mount_setattr" | "move_mount" | "open_tree" | "open_tree_attr"
            | "fsopen" | "fsconfig" | "fsmount" | "fspick" | "setns" | "unshare" | "sethostname" | "setdomainname"
            | "quotactl" | "quotactl_fd" | "fanotify_init" | "lookup_dcookie" | "lsm_get_self_attr"
            | "lsm_set_self_attr" | "lsm_list_modules" => when(has("SYS_ADMIN")),
            "kcmp" | "pidfd_getfd" | "process_madvise" => when(has("SYS_PTRACE")),
            "init_module" | "finit_module" | "delete_module" => when(has("SYS_MODULE")),
            "settimeofday" | "stime" | "clock_settime" | "clock_settime64" => when(has("SYS_TIME")),
            "get_mempolicy" | "set_mempolicy" | "mbind" | "set_mempolicy_home_node" => when(has("SYS_NICE")),
            "iopl" | "ioperm" => when(has("SYS_RAWIO")),
            "reboot" => when(has("SYS_BOOT")),
            "acct" => when(has("SYS_PACCT")),
            "chroot" => when(has("SYS_CHROOT")),
            "vhangup" => when(has("SYS_TTY_CONFIG")),
            "open_by_handle_at" => when(has("DAC_READ_SEARCH")),
            _ => when(!REFUSED_TO_ALL.split_whitespace().any(|refused| refused == name)),
        }
    }

    /// The calls that the default profile allows to no container, written down a second time.
    const REFUSED_TO_ALL: &str = "add_key keyctl request_key io_uring_setup io_uring_enter io_uring_register userfaultfd kexec_load kexec_file_load \
         swapon swapoff pivot_root uselib ustat sysfs _sysctl create_module get_kernel_syms query_module nfsservctl getpmsg \
         putpmsg afs_syscall tuxcall security vserver migrate_pages move_pages bdflush break ftime gtty idle lock mpx nice \
         oldfstat oldlstat oldolduname oldstat olduname prof profil readdir sgetmask sigaction signal sigpending sigsuspend \
         ssetmask stty ulimit vm86 vm86old";

    #[test]
    fn the_filter_says_what_the_profile_says() {
        let arguments = [
            0,
            8,
            17,
            37,
            38,
            39,
            40,
            41,
            0x20000,
            0x20008,
            0x0002_0000 << 8,
            0x7e02_0000,
            0xffff_ffff,
            38 | 1 << 32,
            u64::MAX,
        ];
        let sets = [
            0,
            capability::DEFAULT,
            1 << 21,
            u64::MAX,
            1 << 34 | 1 << 39,
            1 << 38 | 1 << 2,
            !(1 << 21),
        ];
        let tables = [
            ("x86-64", &X86_64, AUDIT_ARCH_X86_64),
            ("x32", &X32, AUDIT_ARCH_X86_64),
            ("i386", &I386, AUDIT_ARCH_I386),
        ];
        for set in sets {
            let filter = compile(&DEFAULT, set, Architecture::X86_64);
            for (name, table, architecture) in tables {
                let calls: BTreeMap<u32, &str> = table.calls().collect();
                for number in (0..600).chain([1000, 0x3fff_ffff]) {
                    for argument in arguments {
                        let said = run(&filter, architecture, table.base + number, argument);
                        let wanted = expected(&calls, number, argument, set);
                        assert_eq!(
                            said, wanted,
                            "{name} call {number}({argument:#x}), capabilities {set:#x}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn other_architectures_are_killed() {
        let filter = compile(&DEFAULT, u64::MAX, Architecture::X86_64);
        for architecture in [0, 0xc000_00b7, 0x4000_0028, u32::MAX] {
            assert_eq!(
                run(&filter, architecture, 0, 0),
                libc::SECCOMP_RET_KILL_PROCESS,
                "{architecture:#x}"
            );
        }
    }

    #[test]
    fn every_call_is_decided_by_name() {
        let named: BTreeSet<&str> = DEFAULT.rules.iter().flat_map(|rule| rule.calls).copied().collect();
        let mut known = BTreeSet::new();
        for table in [&X86_64, &X32, &I386] {
            let lines = table.text.lines().filter(|line| !line.starts_with('#')).count();
            let calls: Vec<(u32, &str)> = table.calls().collect();
            assert_eq!(calls.len(), lines, "a line is malformed");
            assert!(calls.is_sorted_by(|a, b| a.0 < b.0), "numbers ascend");
            let forgotten: Vec<_> = calls.iter().filter(|(_, name)| !named.contains(name)).collect();
            assert!(forgotten.is_empty(), "not decided: {forgotten:?}");
            known.extend(calls.iter().map(|(_, name)| *name));
        }
        let misspelt: Vec<_> = named.difference(&known).collect();
        assert!(misspelt.is_empty(), "no such call: {misspelt:?}");
    }

    /// The published count: 291 of the 362 calls of Linux 6.1 on x86-64 are for everyone.
    #[test]
    fn as_many_calls_are_allowed_as_should_be() {
        // 335 and 336 came later into a gap.
        let old: Vec<_> = X86_64
            .calls()
            .filter(|(number, _)| *number <= 450 && !(335..=336).contains(number))
            .collect();
        let always = |name: &str| DEFAULT.verdict(name, 0) == Verdict::Allow;
        assert_eq!(
            (old.len(), old.iter().filter(|(_, name)| always(name)).count()),
            (362, 291)
        );
    }

    #[test]
    fn the_filter_is_small_and_shallow() {
        let filter = compile(&DEFAULT, capability::DEFAULT, Architecture::X86_64);
        let instructions = filter.len() / 8;
        assert!(instructions < 700, "{instructions} instructions");
        for number in 0..470 {
            let steps = bpf::steps(&filter, number, AUDIT_ARCH_X86_64);
            assert!(steps <= 20, "call {number} takes {steps} steps");
        }
    }
}
