//! Who a process is: user and groups, capability sets, seccomp, session keyring, `prctl(2)`.
//!
//! The calls act on the calling thread alone; they are made in a process with one thread.

use std::{ffi::CStr, io};

/// Sets the supplementary groups.
pub(crate) fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and count describe `groups`. The raw call, because libc's would signal other threads.
    super::check(unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets real, effective and saved group.
pub(crate) fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) }).map(drop)
}

/// Sets real, effective and saved user.
pub(crate) fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: takes no pointer.
    super::check(unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) }).map(drop)
}

/// The capabilities this process may ever hold, bit `n` for capability `n`.
pub(crate) fn bounding_set() -> u64 {
    (0..64)
        .filter(|&n| prctl(libc::PR_CAPBSET_READ, n, 0) == Ok(1))
        .fold(0, |set, n| set | 1 << n)
}

/// Gives up every capability outside `keep`, for this process and all it will execute.
pub(crate) fn limit_bounding_set(keep: u64) -> io::Result<()> {
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_READ, capability, 0) {
            Ok(1) if keep & 1 << capability == 0 => {
                prctl(libc::PR_CAPBSET_DROP, capability, 0)?;
            }
            Ok(_) => {}
            // The kernel's last capability lies behind us.
            Err(_) => break,
        }
    }
    Ok(())
}

/// Sets permitted and effective to `held`, inheritable and ambient to nothing.
pub(crate) fn set_capabilities(held: u64) -> io::Result<()> {
    match prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0) {
        Ok(_) => {}
        // A kernel without the ambient set (before 4.3).
        Err(errno) if errno == Errno(libc::EINVAL) => {}
        Err(errno) => return Err(errno.into()),
    }
    let header = Header {
        version: CAPABILITY_VERSION_3,
        pid: 0,
    };
    let (low, high) = (held as u32, (held >> 32) as u32);
    let data = [
        Data {
            effective: low,
            permitted: low,
            inheritable: 0,
        },
        Data {
            effective: high,
            permitted: high,
            inheritable: 0,
        },
    ];
    // SAFETY: version 3 takes a header and two data structures, laid out as in <linux/capability.h>.
    super::check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// Forbids to gain privileges by executing a file.
pub(crate) fn set_no_new_privileges() -> io::Result<()> {
    Ok(prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)?)
}

/// Whether other processes of the user may trace and inspect this one; an exec makes it so again.
pub(crate) fn set_dumpable(dumpable: bool) -> io::Result<()> {
    Ok(prctl(libc::PR_SET_DUMPABLE, dumpable.into(), 0).map(drop)?)
}

/// Loads a seccomp filter: `struct sock_filter` each as 8 bytes in native order.
///
/// # Errors
/// `EINVAL` when the length is no multiple of 8, is 0, or exceeds 4096 instructions, or the kernel finds a flaw;
/// `EACCES` without `no_new_privs` and CAP_SYS_ADMIN.
pub(crate) fn load_filter(filter: &[u8]) -> io::Result<()> {
    let (instructions, rest) = filter.as_chunks::<8>();
    if !rest.is_empty() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let len = instructions
        .len()
        .try_into()
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|&[a, b, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([a, b]),
            jt,
            jf,
            k: u32::from_ne_bytes([k0, k1, k2, k3]),
        })
        .collect();
    let program = libc::sock_fprog {
        len,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: `len` instructions lie at `filter`; the kernel copies and does not write them.
    super::check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// Joins a new session keyring of this name, which only its possessors may use.
pub(crate) fn join_session_keyring(name: &CStr) -> io::Result<()> {
    // SAFETY: the name ends in NUL and lives through the call.
    let keyring =
        super::check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) })?;
    // SAFETY: takes no pointer.
    super::check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, keyring, KEY_POSSESSOR_ALL) }).map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Errno(i32);

impl From<Errno> for io::Error {
    fn from(errno: Errno) -> Self {
        Self::from_raw_os_error(errno.0)
    }
}

fn prctl(option: i32, first: u64, second: u64) -> Result<i32, Errno> {
    // SAFETY: every option used in this file takes integers only.
    super::check(unsafe { libc::prctl(option, first, second, 0u64, 0u64) }.into())
        .map(|value| value as i32)
        .map_err(|error| Errno(error.raw_os_error().unwrap_or(libc::EIO)))
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
/// `KEY_POS_ALL`: the six rights of a possessor, none for user, group and others.
const KEY_POSSESSOR_ALL: u32 = 0x3f00_0000;
