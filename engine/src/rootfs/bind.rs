//! Host files and directories bound into the container.

use std::{
    ffi::CString,
    io,
    os::{fd::AsFd, unix::ffi::OsStrExt},
};

use nix::{errno::Errno, fcntl::AT_FDCWD, sys::stat::SFlag};

use super::{Root, root::is};
use crate::{
    process::{
        Bind,
        error::{At, StartError, Step},
    },
    sys::{
        mount::{self, attr},
        open,
    },
};

/// Binds one: rprivate, with the mounts below it; the target is made when missing, with the type of the source.
///
/// # Errors
/// Also when the target lies in `/proc`: a file there that the container believes to be the kernel's would make every
/// later write for its protection void.
pub(crate) fn bind(root: &Root, bind: &Bind) -> Result<(), StartError> {
    let what = format!("bind {} to {}", bind.source.display(), bind.target);
    let attached = || -> io::Result<()> {
        let source = CString::new(bind.source.as_os_str().as_bytes())?;
        if !bind.source.is_absolute() {
            return Err(Errno::EINVAL.into());
        }
        let tree = mount::open_tree(AT_FDCWD, &source, true)?;
        mount::make_private(tree.as_fd())?;
        if bind.read_only {
            mount::set_attributes(tree.as_fd(), attr::RDONLY, false)?;
        }
        let target = if is(&tree, SFlag::S_IFDIR)? {
            root.directory(&bind.target)?
        } else {
            root.file(&bind.target)?
        };
        if open::file_system(target.as_fd())? == libc::PROC_SUPER_MAGIC {
            return Err(Errno::EPERM.into());
        }
        mount::attach(tree.as_fd(), target.as_fd())
    };
    attached().at(Step::Binds, what)
}
