//! Making a process in new namespaces: `clone3(2)`, `unshare(2)`.

use std::{
    fs, io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::fs::MetadataExt,
    },
};

/// Which side of [`clone_process`] the caller is on.
#[derive(Debug)]
pub(crate) enum Side {
    /// The old process.
    Parent {
        /// The child in the caller's pid namespace.
        pid: i32,
        /// A descriptor of the child, close-on-exec.
        pidfd: OwnedFd,
    },
    /// The new process: a copy of the caller.
    Child,
}

/// Forks into the namespaces of `flags` (`CLONE_NEW…`), and into a cgroup of the unified hierarchy if one is given.
///
/// # Errors
/// What `clone3(2)` says, and `EBUSY` when the caller has more than one thread: the child would own locks (of the heap,
/// of standard output) that nobody in it can ever release.
pub(crate) fn clone_process(flags: i32, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Side> {
    // A directory has two links of its own and one for each sub-directory, here: for each thread.
    if fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut pidfd: RawFd = -1;
    // SAFETY: clone_args is a plain structure of integers; all zeroes asks for nothing.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (flags | libc::CLONE_PIDFD) as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child works on a copy of this memory and stack, so this is a fork: both sides return
    // here. The process has one thread (checked above), so no lock is held by a thread that the child lacks. `args` and
    // `pidfd` live through the call.
    let pid = super::check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of_val(&args)) })?;
    if pid == 0 {
        return Ok(Side::Child);
    }
    // SAFETY: the kernel stored a new descriptor there, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Side::Parent { pid: pid as i32, pidfd })
}

/// Moves the caller into new namespaces (`CLONE_NEW…`).
pub(crate) fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: takes no pointer; `flags` are namespaces only at every caller, so no memory or descriptor table changes.
    super::check(unsafe { libc::syscall(libc::SYS_unshare, flags) }).map(drop)
}

/// `<linux/sched.h>`; libc's constant is an overflowing `int`.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
