//! Names below a directory descriptor: resolution that cannot leave a root, and what `nix` does not wrap (xattrs).
//!
//! Paths that an archive, an image or a client can influence never reach the kernel as host paths. They are resolved by
//! [`open_in_root`] below a held descriptor, and acted on through the descriptor it returns. Facts: openat2(2), xattr(7),
//! proc_pid_fd(5).

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    fcntl::{OFlag, OpenHow, ResolveFlag, openat2},
    sys::stat::{FchmodatFlags, Mode, fchmodat},
};

/// Opens `path` below `root` as a process whose root directory is `root` would: absolute names and `..` stay inside, and
/// so do symbolic links. Magic links (`/proc/self/fd/…`) are refused. `O_CLOEXEC` is added.
///
/// An empty path is `root` itself.
///
/// # Errors
/// Those of openat2(2). `EAGAIN`, a `..` raced by a rename, is retried a few times.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &[u8], flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    let path: &[u8] = if path.is_empty() { b"." } else { path };
    for _ in 0..8 {
        match openat2(root, path, how) {
            Err(Errno::EAGAIN) => {}
            done => return done,
        }
    }
    Err(Errno::EAGAIN)
}

/// Opens the directory `path` below `root` (see [`open_in_root`]) as an `O_PATH` descriptor.
///
/// # Errors
/// Those of openat2(2).
pub(crate) fn open_dir_in_root(root: BorrowedFd<'_>, path: &[u8]) -> nix::Result<OwnedFd> {
    open_in_root(root, path, OFlag::O_PATH | OFlag::O_DIRECTORY, Mode::empty())
}

/// Changes the mode of what `fd` stands for, also when it is an `O_PATH` descriptor (of a device, say), which fchmod(2)
/// does not take. Must not be used on a symbolic link, which has no mode.
///
/// # Errors
/// Those of chmod(2).
pub(crate) fn chmod(fd: BorrowedFd<'_>, mode: Mode) -> nix::Result<()> {
    fchmodat(
        nix::fcntl::AT_FDCWD,
        link_of(fd).as_c_str(),
        mode,
        FchmodatFlags::FollowSymlink,
    )
}

/// Sets an extended attribute of what `fd` stands for, also when it is an `O_PATH` descriptor (of a symbolic link, say).
///
/// # Errors
/// Those of setxattr(2).
pub(crate) fn set_xattr(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let path = link_of(fd);
    // SAFETY: both strings end with NUL and live until the call is over; `value` is readable for the length given.
    let result = unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// The names of all extended attributes of an open file or directory (not of an `O_PATH` descriptor); none on a file system
/// that has no such thing.
///
/// # Errors
/// Those of flistxattr(2).
pub(crate) fn xattr_names(fd: BorrowedFd<'_>) -> nix::Result<Vec<CString>> {
    let mut names = [0_u8; 1024];
    // SAFETY: `names` is writable for the length given.
    let len = unsafe { libc::flistxattr(fd.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    let split = |names: &[u8]| {
        let names = names.split_inclusive(|&byte| byte == 0);
        names
            .filter_map(|name| CStr::from_bytes_with_nul(name).ok().map(CStr::to_owned))
            .collect()
    };
    match Errno::result(len) {
        Ok(len) => Ok(split(&names[..usize::try_from(len).unwrap_or(0)])),
        Err(Errno::ENOTSUP) => Ok(Vec::new()),
        Err(Errno::ERANGE) => {
            // The kernel's own bound.
            let mut names = vec![0_u8; 64 * 1024];
            // SAFETY: as above.
            let len = unsafe { libc::flistxattr(fd.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
            Errno::result(len).map(|len| split(&names[..usize::try_from(len).unwrap_or(0)]))
        }
        Err(errno) => Err(errno),
    }
}

/// Reads an extended attribute of what `fd` stands for; `None` when it has none of this name.
///
/// # Errors
/// Those of getxattr(2). `ERANGE`: the value is longer than 64 KiB, which is the kernel's own bound.
pub(crate) fn xattr(fd: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<Vec<u8>>> {
    let path = link_of(fd);
    let mut value = vec![0_u8; 64 * 1024];
    // SAFETY: both strings end with NUL and live until the call is over; `value` is writable for the length given.
    let len = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    match Errno::result(len) {
        Ok(len) => {
            value.truncate(usize::try_from(len).unwrap_or(0));
            Ok(Some(value))
        }
        Err(Errno::ENODATA) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// The daemon's own magic link to `fd`. Following it leads to the very file, without a walk that could be led astray,
/// and stops there even when the file is itself a symbolic link.
fn link_of(fd: BorrowedFd<'_>) -> CString {
    let text = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    CString::new(text).expect("a number holds no NUL")
}
