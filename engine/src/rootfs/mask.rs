//! Paths of the kernel's file systems that a container may not read, or not change.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{fcntl::OFlag, sys::stat::SFlag};

use super::{
    Root, device,
    mounts::{self, SECURE},
    root::is,
};
use crate::{
    process::error::{At, StartError, Step},
    sys::mount::{self, attr},
};

/// Hides paths: a file behind the null device of `dev`, a directory behind an empty read-only one. A path that does not
/// exist is skipped.
pub(crate) fn hide(root: &Root, dev: &OwnedFd, paths: &[String]) -> Result<(), StartError> {
    if paths.is_empty() {
        return Ok(());
    }
    let null = device::null(dev).at(Step::Masks, "open /dev/null")?;
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let Some(target) = existing(root, path)? else { continue };
        let mut hidden = || -> io::Result<()> {
            if !is(&target, SFlag::S_IFDIR)? {
                return mount::attach(mount::open_tree(null.as_fd(), c"", false)?.as_fd(), target.as_fd());
            }
            // One empty file system serves all: the first directory gets its mount, the others copies of that.
            if let Some(attached) = &empty {
                return mount::attach(mount::open_tree(attached.as_fd(), c"", false)?.as_fd(), target.as_fd());
            }
            let first = mounts::new(c"tmpfs", c"tmpfs", &[(c"nr_inodes", c"1")], SECURE | attr::RDONLY)?;
            mount::attach(first.as_fd(), target.as_fd())?;
            empty = Some(first);
            Ok(())
        };
        hidden().at(Step::Masks, format_args!("mask {path}"))?;
    }
    Ok(())
}

/// Makes paths read-only, with the other attributes they have. A path that does not exist is skipped.
pub(crate) fn make_read_only(root: &Root, paths: &[String]) -> Result<(), StartError> {
    for path in paths {
        let Some(target) = existing(root, path)? else { continue };
        let made = || -> io::Result<()> {
            let tree = mount::open_tree(target.as_fd(), c"", true)?;
            mount::set_attributes(tree.as_fd(), attr::RDONLY, true)?;
            mount::attach(tree.as_fd(), target.as_fd())
        };
        made().at(Step::Masks, format_args!("make {path} read-only"))?;
    }
    Ok(())
}

fn existing(root: &Root, path: &str) -> Result<Option<OwnedFd>, StartError> {
    match root.open(path, OFlag::O_PATH) {
        Ok(target) => Ok(Some(target)),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(error) => Err(StartError::kernel(Step::Masks, format_args!("open {path}"), &error)),
    }
}
