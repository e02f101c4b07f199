//! The mounts every container has: `/proc`, `/dev` and what lies below it, `/sys`, the control groups.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::sys::stat::{Mode, mkdirat};

use super::{Root, cgroups, device};
use crate::{
    cgroup::Hierarchies,
    process::error::{At, StartError, Step},
    sys::{
        mount::{self, Context, attr},
        open,
    },
};

/// Descriptors of mounts that later steps work on.
#[derive(Debug)]
pub(crate) struct Mounts {
    /// The container's procfs, genuine: made here, not found.
    pub(crate) proc: OwnedFd,
    /// Its `/dev`.
    pub(crate) dev: OwnedFd,
    /// Its terminals.
    pub(crate) pts: OwnedFd,
}

/// Mounts them below `root`. The caller's umask must be 0.
pub(crate) fn mount_defaults(
    root: &Root,
    shm_size: u64,
    hierarchies: &Hierarchies,
    cgroup: &str,
) -> Result<Mounts, StartError> {
    let at = |what: &'static str| move |error: io::Error| StartError::kernel(Step::Mounts, what, &error);

    let proc = new(c"proc", c"proc", &[], SECURE).map_err(at("mount /proc"))?;
    let target = root
        .genuine_directory("proc")
        .map_err(at("/proc of the image is not a directory"))?;
    mount::attach(proc.as_fd(), target.as_fd()).map_err(at("mount /proc"))?;

    let options = [(c"mode", c"755"), (c"size", c"65536k")];
    let dev = new(c"tmpfs", c"tmpfs", &options, attr::NOSUID | attr::STRICTATIME).map_err(at("mount /dev"))?;
    let kcore = open::openat2(
        proc.as_fd(),
        c"kcore",
        libc::O_PATH | libc::O_NOFOLLOW,
        0,
        open::resolve::BENEATH,
    );
    device::make_nodes(&dev, kcore.is_ok()).map_err(at("make the devices of /dev"))?;
    let target = root
        .genuine_directory("dev")
        .map_err(at("/dev of the image is not a directory"))?;
    mount::attach(dev.as_fd(), target.as_fd()).map_err(at("mount /dev"))?;

    let options = [(c"ptmxmode", c"0666"), (c"mode", c"0620"), (c"gid", c"5")];
    let pts = below(&dev, c"pts", c"devpts", &options, attr::NOSUID | attr::NOEXEC).map_err(at("mount /dev/pts"))?;
    let size = CString::new(shm_size.to_string())
        .map_err(io::Error::from)
        .at(Step::Mounts, "mount /dev/shm")?;
    let options = [(c"mode", c"1777"), (c"size", size.as_c_str())];
    below(&dev, c"shm", c"tmpfs", &options, SECURE).map_err(at("mount /dev/shm"))?;
    below(&dev, c"mqueue", c"mqueue", &[], SECURE).map_err(at("mount /dev/mqueue"))?;

    let sys = new(c"sysfs", c"sysfs", &[], SECURE | attr::RDONLY).map_err(at("mount /sys"))?;
    let target = root
        .genuine_directory("sys")
        .map_err(at("/sys of the image is not a directory"))?;
    mount::attach(sys.as_fd(), target.as_fd()).map_err(at("mount /sys"))?;
    cgroups::mount_cgroups(&sys, hierarchies, cgroup)?;
    Ok(Mounts { proc, dev, pts })
}

/// A mount of a new file system that is attached nowhere yet. Programs show `source` as the device.
pub(super) fn new(
    file_system: &CStr,
    source: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> io::Result<OwnedFd> {
    let context = Context::open(file_system)?;
    context.set(c"source", Some(source))?;
    for (key, value) in options {
        context.set(key, Some(value))?;
    }
    context.mount(attributes)
}

/// A new file system mounted on a directory made for it.
fn below(
    parent: &OwnedFd,
    name: &CStr,
    file_system: &CStr,
    options: &[(&CStr, &CStr)],
    attributes: u64,
) -> io::Result<OwnedFd> {
    // Docker calls the tmpfs of /dev/shm shm, the others as their file system.
    let source = if name == c"shm" { name } else { file_system };
    let fd = new(file_system, source, options, attributes)?;
    mkdirat(parent, name, Mode::from_bits_truncate(0o755))?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let target = open::openat2(parent.as_fd(), name, flags, 0, open::resolve::BENEATH)?;
    mount::attach(fd.as_fd(), target.as_fd())?;
    Ok(fd)
}

/// No set-user-id, no devices, no programs.
pub(super) const SECURE: u64 = attr::NOSUID | attr::NOEXEC | attr::NODEV;
