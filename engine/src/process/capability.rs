//! Capabilities by name, and the rules by which a container gets its set. Source: capabilities(7); the rules are Docker's.

use std::fmt;

use crate::sys::credentials;

/// One capability, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// CAP_DAC_READ_SEARCH.
    pub const DAC_READ_SEARCH: Self = Self(2);
    /// CAP_SYS_MODULE.
    pub const SYS_MODULE: Self = Self(16);
    /// CAP_SYS_RAWIO.
    pub const SYS_RAWIO: Self = Self(17);
    /// CAP_SYS_CHROOT.
    pub const SYS_CHROOT: Self = Self(18);
    /// CAP_SYS_PTRACE.
    pub const SYS_PTRACE: Self = Self(19);
    /// CAP_SYS_PACCT.
    pub const SYS_PACCT: Self = Self(20);
    /// CAP_SYS_ADMIN.
    pub const SYS_ADMIN: Self = Self(21);
    /// CAP_SYS_BOOT.
    pub const SYS_BOOT: Self = Self(22);
    /// CAP_SYS_NICE.
    pub const SYS_NICE: Self = Self(23);
    /// CAP_SYS_TIME.
    pub const SYS_TIME: Self = Self(25);
    /// CAP_SYS_TTY_CONFIG.
    pub const SYS_TTY_CONFIG: Self = Self(26);
    /// CAP_SYSLOG.
    pub const SYSLOG: Self = Self(34);
    /// CAP_PERFMON.
    pub const PERFMON: Self = Self(38);
    /// CAP_BPF.
    pub const BPF: Self = Self(39);

    /// Finds a capability by its name, with or without `CAP_`, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let upper = name.to_ascii_uppercase();
        let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
        let number = NAMES.iter().position(|known| *known == name)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Its bit in a set.
    #[must_use]
    pub const fn bit(self) -> u64 {
        1 << self.0
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CAP_{}", NAMES[usize::from(self.0)])
    }
}

/// What a container gets when nothing else is asked.
pub const DEFAULT: u64 = 0xa804_25fb;

/// A name that is no capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownCapability {
    /// As it was written.
    pub name: String,
    /// The list it was in, Docker's field name.
    pub list: &'static str,
}

impl fmt::Display for UnknownCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid {}: unknown capability: {:?}", self.list, self.name)
    }
}

impl std::error::Error for UnknownCapability {}

/// The set for a container: the default one without `drop`, with `add`. `ALL` in `drop` leaves only `add`; `ALL` in `add`
/// is every capability without `drop`; `privileged` is every capability whatever else is said. Nothing outside of
/// `available` (the daemon's own [`available`] set) is ever given.
///
/// # Errors
/// For a name that is no capability.
pub fn plan_capabilities(
    add: &[String],
    drop: &[String],
    privileged: bool,
    available: u64,
) -> Result<u64, UnknownCapability> {
    let (add, drop) = (Asked::parse(add, "CapAdd")?, Asked::parse(drop, "CapDrop")?);
    let set = if privileged || add.all && drop.all {
        u64::MAX
    } else if drop.all {
        add.set
    } else if add.all {
        !drop.set
    } else {
        DEFAULT & !drop.set | add.set
    };
    Ok(set & available)
}

/// The capabilities the calling process can pass on: its bounding set.
#[must_use]
pub fn available() -> u64 {
    credentials::bounding_set()
}

struct Asked {
    all: bool,
    set: u64,
}

impl Asked {
    fn parse(names: &[String], list: &'static str) -> Result<Self, UnknownCapability> {
        let mut asked = Self { all: false, set: 0 };
        for name in names {
            if name.eq_ignore_ascii_case("ALL") || name.eq_ignore_ascii_case("CAP_ALL") {
                asked.all = true;
            } else {
                let unknown = || UnknownCapability {
                    name: name.clone(),
                    list,
                };
                asked.set |= Capability::parse(name).ok_or_else(unknown)?.bit();
            }
        }
        Ok(asked)
    }
}

/// Names by number, `<linux/capability.h>`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_has_its_fourteen() {
        let names = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT \
                     MKNOD AUDIT_WRITE SETFCAP";
        let set = names
            .split(' ')
            .map(|name| Capability::parse(name).unwrap().bit())
            .fold(0, |set, bit| set | bit);
        assert_eq!((set, set.count_ones()), (DEFAULT, 14));
    }

    #[test]
    fn constants_have_their_names() {
        let cases = [
            (Capability::DAC_READ_SEARCH, "DAC_READ_SEARCH"),
            (Capability::SYS_MODULE, "SYS_MODULE"),
            (Capability::SYS_RAWIO, "SYS_RAWIO"),
            (Capability::SYS_CHROOT, "SYS_CHROOT"),
            (Capability::SYS_PTRACE, "sys_ptrace"),
            (Capability::SYS_PACCT, "SYS_PACCT"),
            (Capability::SYS_ADMIN, "cap_sys_admin"),
            (Capability::SYS_BOOT, "SYS_BOOT"),
            (Capability::SYS_NICE, "SYS_NICE"),
            (Capability::SYS_TIME, "SYS_TIME"),
            (Capability::SYS_TTY_CONFIG, "SYS_TTY_CONFIG"),
            (Capability::SYSLOG, "SYSLOG"),
            (Capability::PERFMON, "PERFMON"),
            (Capability::BPF, "CAP_BPF"),
        ];
        for (capability, name) in cases {
            assert_eq!(Capability::parse(name), Some(capability), "{name}");
        }
        assert_eq!(Capability::SYS_ADMIN.to_string(), "CAP_SYS_ADMIN");
    }

    #[test]
    fn sets_follow_add_and_drop() {
        let all = (1 << 41) - 1;
        let without = all & !(1 << 24);
        let (chown, admin) = (1, 1 << 21);
        type Case = (
            &'static str,
            &'static [&'static str],
            &'static [&'static str],
            bool,
            u64,
            u64,
        );
        let cases: [Case; 10] = [
            ("default", &[], &[], false, all, DEFAULT),
            ("add", &["SYS_ADMIN"], &[], false, all, DEFAULT | admin),
            ("drop", &[], &["CAP_CHOWN"], false, all, DEFAULT & !chown),
            ("both", &["sys_admin"], &["chown"], false, all, DEFAULT & !chown | admin),
            ("only added", &["CHOWN"], &["ALL"], false, all, chown),
            ("everything", &["ALL"], &[], false, without, without),
            ("everything but", &["all"], &["CHOWN"], false, all, all & !chown),
            ("nothing", &[], &["ALL"], false, all, 0),
            ("privileged", &[], &["ALL"], true, without, without),
            ("not ours to give", &["SYS_RESOURCE"], &[], false, without, DEFAULT),
        ];
        for (name, add, drop, privileged, available, expected) in cases {
            let list = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
            assert_eq!(
                plan_capabilities(&list(add), &list(drop), privileged, available),
                Ok(expected),
                "{name}"
            );
        }
    }

    #[test]
    fn unknown_names_are_refused() {
        let error = plan_capabilities(&["NOSUCH".to_owned()], &[], false, u64::MAX).unwrap_err();
        assert_eq!(error.to_string(), "invalid CapAdd: unknown capability: \"NOSUCH\"");
    }

    #[test]
    fn the_available_set_is_the_kernels() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
        assert_eq!(available(), u64::from_str_radix(line.trim(), 16).unwrap());
    }
}
