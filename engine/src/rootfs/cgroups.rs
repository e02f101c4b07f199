//! `/sys/fs/cgroup`: the container's own control groups, read-only, laid out as the host has them.
//!
//! With cgroup v1 a tmpfs with one directory for each hierarchy, into which the container's part of it is bound, and
//! links for controllers that share one. With v2 the unified hierarchy, seen from the container's own cgroup namespace.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
};

use nix::{
    sys::stat::{Mode, mkdirat},
    unistd::symlinkat,
};

use super::mounts::{self, SECURE};
use crate::{
    cgroup::{Hierarchies, Hierarchy},
    process::error::{At, StartError, Step},
    sys::{
        mount::{self, attr},
        open,
    },
};

pub(super) fn mount_cgroups(sys: &OwnedFd, hierarchies: &Hierarchies, cgroup: &str) -> Result<(), StartError> {
    let target = match open::openat2(sys.as_fd(), c"fs/cgroup", libc::O_PATH | libc::O_DIRECTORY, 0, RESOLVE) {
        // A kernel without control groups.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.at(Step::Mounts, "open /sys/fs/cgroup")?,
    };
    if hierarchies.legacy().next().is_none() {
        if hierarchies.unified().is_none() {
            return Ok(());
        }
        let unified =
            mounts::new(c"cgroup2", c"cgroup", &[], SECURE | attr::RDONLY).at(Step::Mounts, "mount /sys/fs/cgroup")?;
        return mount::attach(unified.as_fd(), target.as_fd()).at(Step::Mounts, "mount /sys/fs/cgroup");
    }
    let tree =
        mounts::new(c"tmpfs", c"tmpfs", &[(c"mode", c"755")], SECURE).at(Step::Mounts, "mount /sys/fs/cgroup")?;
    mount::attach(tree.as_fd(), target.as_fd()).at(Step::Mounts, "mount /sys/fs/cgroup")?;
    for hierarchy in hierarchies.legacy() {
        bind_hierarchy(&tree, hierarchy, cgroup).at(
            Step::Mounts,
            format_args!("mount /sys/fs/cgroup/{}", hierarchy.name().display()),
        )?;
    }
    mount::set_attributes(tree.as_fd(), attr::RDONLY, false).at(Step::Mounts, "make /sys/fs/cgroup read-only")
}

fn bind_hierarchy(tree: &OwnedFd, hierarchy: &Hierarchy, cgroup: &str) -> io::Result<()> {
    let own = hierarchy.open(cgroup)?;
    let bound = mount::open_tree(own.as_fd(), c"", false)?;
    mount::set_attributes(bound.as_fd(), SECURE | attr::RDONLY, false)?;
    let name = CString::new(hierarchy.name().as_bytes())?;
    mkdirat(tree, name.as_c_str(), Mode::from_bits_truncate(0o755))?;
    let target = open::openat2(tree.as_fd(), &name, libc::O_PATH | libc::O_DIRECTORY, 0, RESOLVE)?;
    mount::attach(bound.as_fd(), target.as_fd())?;
    for controller in hierarchy.controllers() {
        // `name=systemd` is no controller, and its directory already bears the name.
        if !controller.contains('=') && controller.as_bytes() != hierarchy.name().as_bytes() {
            symlinkat(hierarchy.name(), tree, controller.as_str())?;
        }
    }
    Ok(())
}

const RESOLVE: u64 = open::resolve::BENEATH | open::resolve::NO_SYMLINKS;
