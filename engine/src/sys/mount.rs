//! The mount calls that work on descriptors: `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`, `open_tree(2)`,
//! `move_mount(2)`, `mount_setattr(2)`, `pivot_root(2)`.

use std::{
    ffi::CStr,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// Attributes of a mount, `MOUNT_ATTR_…`.
pub(crate) mod attr {
    /// Read-only.
    pub(crate) const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;
    /// Ignore set-user-id bits and file capabilities.
    pub(crate) const NOSUID: u64 = libc::MOUNT_ATTR_NOSUID;
    /// Device nodes cannot be opened.
    pub(crate) const NODEV: u64 = libc::MOUNT_ATTR_NODEV;
    /// Nothing can be executed.
    pub(crate) const NOEXEC: u64 = libc::MOUNT_ATTR_NOEXEC;
    /// Access times are always updated.
    pub(crate) const STRICTATIME: u64 = libc::MOUNT_ATTR_STRICTATIME;
}

/// A file system that is being configured.
#[derive(Debug)]
pub(crate) struct Context(OwnedFd);

impl Context {
    /// Starts to configure a file system of the named type.
    pub(crate) fn open(file_system: &CStr) -> io::Result<Self> {
        // SAFETY: the name ends in NUL and lives through the call.
        let fd = super::check(unsafe { libc::syscall(libc::SYS_fsopen, file_system.as_ptr(), FSOPEN_CLOEXEC) })?;
        Ok(Self(own(fd)))
    }

    /// Sets a parameter to a string; `None` sets a flag without value.
    pub(crate) fn set(&self, key: &CStr, value: Option<&CStr>) -> io::Result<()> {
        let (command, value) = match value {
            Some(value) => (FSCONFIG_SET_STRING, value.as_ptr()),
            None => (FSCONFIG_SET_FLAG, ptr::null()),
        };
        // SAFETY: key and value end in NUL (a flag has a null value, as required) and live through the call.
        super::check(unsafe { libc::syscall(libc::SYS_fsconfig, self.0.as_raw_fd(), command, key.as_ptr(), value, 0) })
            .map(drop)
    }

    /// Sets a parameter to a descriptor.
    pub(crate) fn set_fd(&self, key: &CStr, value: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: key ends in NUL and lives through the call; this command takes no value pointer.
        super::check(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                FSCONFIG_SET_FD,
                key.as_ptr(),
                ptr::null::<u8>(),
                value.as_raw_fd(),
            )
        })
        .map(drop)
    }

    /// Makes the file system and a mount of it that is attached nowhere yet.
    pub(crate) fn mount(self, attributes: u64) -> io::Result<OwnedFd> {
        // SAFETY: this command takes neither key nor value.
        super::check(unsafe {
            libc::syscall(
                libc::SYS_fsconfig,
                self.0.as_raw_fd(),
                FSCONFIG_CMD_CREATE,
                ptr::null::<u8>(),
                ptr::null::<u8>(),
                0,
            )
        })?;
        // SAFETY: takes no pointer.
        let fd =
            super::check(unsafe { libc::syscall(libc::SYS_fsmount, self.0.as_raw_fd(), FSMOUNT_CLOEXEC, attributes) })?;
        Ok(own(fd))
    }

    /// What the file system said about the failure, at most one message: `overlay: …`.
    pub(crate) fn message(&self) -> Option<String> {
        let mut text = [0; 256];
        let length = std::fs::File::from(self.0.try_clone().ok()?).read(&mut text).ok()?;
        // The first two bytes are the level, `e `.
        Some(String::from_utf8_lossy(text.get(2..length)?).trim().to_owned())
    }
}

impl From<OwnedFd> for Context {
    /// `fd` comes from `fsopen(2)`; with any other, every call fails.
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Context {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A detached copy of the mount below `at`/`path` (`path` may be empty), of those below it too if `recursive`.
pub(crate) fn open_tree(at: BorrowedFd<'_>, path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as u32;
    if recursive {
        flags |= libc::AT_RECURSIVE as u32;
    }
    // SAFETY: the path ends in NUL and lives through the call.
    let fd = super::check(unsafe { libc::syscall(libc::SYS_open_tree, at.as_raw_fd(), path.as_ptr(), flags) })?;
    Ok(own(fd))
}

/// Attaches a detached mount onto what `target` refers to; neither is looked up by name.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are empty C strings.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    })
    .map(drop)
}

/// Adds attributes to a mount.
pub(crate) fn set_attributes(mount: BorrowedFd<'_>, attributes: u64, recursive: bool) -> io::Result<()> {
    let how = libc::mount_attr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    setattr(mount, &how, recursive)
}

/// Makes a mount and all below it private: nothing mounted here is seen elsewhere, nor the other way round.
pub(crate) fn make_private(mount: BorrowedFd<'_>) -> io::Result<()> {
    let how = libc::mount_attr {
        attr_set: 0,
        attr_clr: 0,
        propagation: libc::MS_PRIVATE,
        userns_fd: 0,
    };
    setattr(mount, &how, true)
}

fn setattr(mount: BorrowedFd<'_>, how: &libc::mount_attr, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, `how` is as large as said, and both live through the call.
    super::check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(how),
            size_of_val(how),
        )
    })
    .map(drop)
}

/// Makes the working directory the root, and what was the root a mount over it, which is then detached.
pub(crate) fn pivot_into_working_directory() -> io::Result<()> {
    // SAFETY: both paths are C strings.
    super::check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })?;
    // The old root lies on top of the new one, and a path that ends there names the topmost mount.
    // SAFETY: the path is a C string.
    super::check(unsafe { libc::umount2(c".".as_ptr(), libc::MNT_DETACH) }.into())?;
    // SAFETY: the path is a C string.
    super::check(unsafe { libc::chdir(c"/".as_ptr()) }.into()).map(drop)
}

fn own(fd: libc::c_long) -> OwnedFd {
    // SAFETY: every caller passes a descriptor that a system call has just made for it alone.
    unsafe { OwnedFd::from_raw_fd(fd as RawFd) }
}

// `<linux/mount.h>`; libc has no names for them.
const FSOPEN_CLOEXEC: u32 = 1;
const FSMOUNT_CLOEXEC: u32 = 1;
const FSCONFIG_SET_FLAG: u32 = 0;
const FSCONFIG_SET_STRING: u32 = 1;
const FSCONFIG_SET_FD: u32 = 5;
const FSCONFIG_CMD_CREATE: u32 = 6;
