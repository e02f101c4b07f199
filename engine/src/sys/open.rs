//! Opening and looking at files below a descriptor: `openat2(2)`, `fstatfs(2)`.

use std::{
    ffi::CStr,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

/// Resolution flags of `openat2(2)`.
pub(crate) mod resolve {
    /// Treat the directory as the root: absolute links and `..` stay below it.
    pub(crate) const IN_ROOT: u64 = libc::RESOLVE_IN_ROOT;
    /// Refuse the links of procfs that jump anywhere.
    pub(crate) const NO_MAGICLINKS: u64 = libc::RESOLVE_NO_MAGICLINKS;
    /// Refuse every symbolic link, also at the end.
    pub(crate) const NO_SYMLINKS: u64 = libc::RESOLVE_NO_SYMLINKS;
    /// Refuse to leave the directory.
    pub(crate) const BENEATH: u64 = libc::RESOLVE_BENEATH;
    /// Refuse to cross a mount.
    pub(crate) const NO_XDEV: u64 = libc::RESOLVE_NO_XDEV;
}

/// `openat2(2)`, always close-on-exec. `mode` counts with `O_CREAT` alone.
pub(crate) fn openat2(at: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> io::Result<OwnedFd> {
    // SAFETY: open_how is a plain structure of integers; all zeroes is valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = u64::from(mode);
    how.resolve = resolve;
    // SAFETY: path ends in NUL, `how` is as large as said, both live through the call.
    let fd = super::check(unsafe {
        libc::syscall(
            libc::SYS_openat2,
            at.as_raw_fd(),
            path.as_ptr(),
            &raw const how,
            size_of_val(&how),
        )
    })?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// The type of the file system below a descriptor, a `…_SUPER_MAGIC`.
pub(crate) fn file_system(fd: BorrowedFd<'_>) -> io::Result<i64> {
    // SAFETY: statfs is a plain structure of integers; all zeroes is valid.
    let mut stat: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `stat` is writable and of the type the call fills.
    super::check(unsafe { libc::fstatfs(fd.as_raw_fd(), &raw mut stat) }.into())?;
    Ok(stat.f_type as i64)
}
