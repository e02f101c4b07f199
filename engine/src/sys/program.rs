//! The last steps before a new program: signals, descriptors, limits, host name, `execve(2)`.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

/// Gives every signal its default action and unblocks all: what a program may expect to find.
pub(crate) fn reset_signals() -> io::Result<()> {
    // `struct kernel_sigaction`: no handler is SIG_DFL. The raw call, because libc keeps two signals to itself.
    let default = [0u64; 4];
    for signal in 1..=SIGNALS {
        // SAFETY: the structure is as large as the kernel's, and the old one is not asked for. SIGKILL and SIGSTOP refuse,
        // and are at their default anyway.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                ptr::null::<u64>(),
                size_of::<u64>(),
            )
        };
    }
    let none = 0u64;
    // SAFETY: the kernel's signal set is 8 bytes; the old one is not asked for.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            ptr::null::<u64>(),
            size_of::<u64>(),
        )
    })
    .map(drop)
}

/// Makes `fd` one of the three standard descriptors; it stays open over an exec.
pub(crate) fn make_standard(fd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    assert!((0..=2).contains(&number), "only standard descriptors are replaced");
    // dup2 of a descriptor onto itself would leave close-on-exec set.
    if fd.as_raw_fd() == number {
        // SAFETY: takes no pointer.
        return super::check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: replaces a standard descriptor, which nothing in this process owns as an OwnedFd.
    super::check(unsafe { libc::dup2(fd.as_raw_fd(), number) }.into()).map(drop)
}

/// Marks every descriptor from 3 on close-on-exec.
pub(crate) fn close_on_exec_from_3() -> io::Result<()> {
    // SAFETY: closes nothing now, so no OwnedFd loses its descriptor.
    super::check(unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Sets a resource limit (`RLIMIT_…`).
pub(crate) fn set_limit(resource: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit64 {
        rlim_cur: soft,
        rlim_max: hard,
    };
    // SAFETY: prlimit64 reads one structure; the old limit is not asked for.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            ptr::null::<libc::rlimit64>(),
        )
    })
    .map(drop)
}

/// Sets the host name of the UTS namespace.
pub(crate) fn set_host_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    super::check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// Sets the NIS domain name of the UTS namespace.
pub(crate) fn set_domain_name(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`.
    super::check(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }.into()).map(drop)
}

/// The working directory as the kernel sees it, `(unreachable)/…` included, which libc's `getcwd` would hide.
pub(crate) fn working_directory() -> io::Result<Vec<u8>> {
    let mut path = vec![0u8; libc::PATH_MAX as usize];
    // SAFETY: pointer and length describe `path`.
    let length = super::check(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    path.truncate((length as usize).saturating_sub(1));
    Ok(path)
}

/// Replaces the program of this process; returns only on failure.
pub(crate) fn execute(path: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings
            .iter()
            .map(|string| string.as_ptr())
            .chain([ptr::null()])
            .collect()
    };
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: both arrays end in a null pointer, their strings in NUL, and all outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends the process at once, running no destructor and no exit handler: those belong to the parent's copy.
pub(crate) fn exit(code: i32) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(code) }
}

/// The highest signal number.
const SIGNALS: i32 = 64;
