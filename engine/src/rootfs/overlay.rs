//! The overlay that becomes the root, made from descriptors of its layers.
//!
//! From Linux 6.13 on the layers are passed as descriptors, from 6.7 on one by one as paths, which the daemon has made
//! itself (`lowerdir+`), before that in one option, which has room for about 13 of them. Source:
//! Documentation/filesystems/overlayfs.rst.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use nix::{
    fcntl::{OFlag, open},
    sys::stat::Mode,
};

use super::Root;
use crate::{
    process::{
        Rootfs, StartErrorKind,
        error::{At, StartError, Step, words},
    },
    sys::mount::{self, Context},
};

/// Mounts the overlay and attaches it over the root of this mount namespace, which stays what the process sees as `/`.
pub(crate) fn mount_overlay(rootfs: &Rootfs) -> Result<Root, StartError> {
    let host_root = directory(Path::new("/"))?;
    mount::make_private(host_root.as_fd()).at(Step::Root, "make the mount namespace private")?;
    if rootfs.lower.is_empty() {
        return Err(StartError::other(Step::Root, "the root file system has no layer"));
    }
    let overlay = Context::open(c"overlay").at(Step::Root, "open overlay")?;
    overlay
        .set(c"source", Some(c"overlay"))
        .at(Step::Root, "open overlay")?;
    lower_layers(&overlay, &rootfs.lower)?;
    layer(&overlay, c"upperdir", &rootfs.upper)?;
    layer(&overlay, c"workdir", &rootfs.work)?;
    let messages = overlay.as_fd().try_clone_to_owned().at(Step::Root, "mount overlay")?;
    let root = match overlay.mount(0) {
        Ok(root) => root,
        Err(error) => {
            let said = Context::from(messages).message().unwrap_or_default();
            return Err(StartError::kernel(Step::Root, format!("mount overlay: {said}"), &error));
        }
    };
    mount::attach(root.as_fd(), host_root.as_fd()).at(Step::Root, "attach overlay")?;
    Ok(Root::new(root))
}

fn lower_layers(overlay: &Context, paths: &[PathBuf]) -> Result<(), StartError> {
    for (number, path) in paths.iter().enumerate() {
        match layer(overlay, c"lowerdir+", path) {
            // This kernel does not know the option.
            Err(error) if number == 0 && error.errno == libc::EINVAL => return all_lower_layers(overlay, paths),
            set => set?,
        }
    }
    Ok(())
}

/// All in one option, by descriptors: a path could hold a colon, and is longer.
fn all_lower_layers(overlay: &Context, paths: &[PathBuf]) -> Result<(), StartError> {
    let layers = paths
        .iter()
        .map(|path| directory(path))
        .collect::<Result<Vec<_>, _>>()?;
    let names: Vec<String> = layers
        .iter()
        .map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd()))
        .collect();
    let value = CString::new(names.join(":")).map_err(io::Error::from);
    let set = value.and_then(|value| overlay.set(c"lowerdir", Some(&value)));
    set.at(Step::Root, format_args!("overlay of {} layers", paths.len()))
}

fn layer(overlay: &Context, key: &CStr, path: &Path) -> Result<(), StartError> {
    let fd = directory(path)?;
    let set = match overlay.set_fd(key, fd.as_fd()) {
        // Before 6.13 these options were paths only.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => CString::new(path.as_os_str().as_bytes())
            .map_err(io::Error::from)
            .and_then(|path| overlay.set(key, Some(&path))),
        set => set,
    };
    set.map_err(|error| {
        let reason = overlay.message().unwrap_or_else(|| words(&error));
        let what = format!("overlay {} {}: {reason}", key.to_string_lossy(), path.display());
        StartError::new(
            StartErrorKind::Other,
            Step::Root,
            error.raw_os_error().unwrap_or(0),
            what,
        )
    })
}

fn directory(path: &Path) -> Result<OwnedFd, StartError> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = open(path, flags, Mode::empty()).map_err(io::Error::from);
    let fd = opened.at(Step::Root, format_args!("open layer {}", path.display()))?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use nix::fcntl::openat;

    use super::*;

    type Method = fn(&Context, &[PathBuf]) -> Result<(), StartError>;

    /// The mounts are attached nowhere, so they end with their descriptors.
    #[test]
    fn layers_lie_over_each_other_in_every_way() {
        if !nix::unistd::geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        let methods: [(&str, Method); 2] = [("one by one", lower_layers), ("in one option", all_lower_layers)];
        for (name, method) in methods {
            let base = std::env::temp_dir().join(format!("gantry-overlay-{}", std::process::id()));
            for directory in ["top:layer", "bottom", "upper", "work"] {
                fs::create_dir_all(base.join(directory)).unwrap();
            }
            fs::write(base.join("top:layer/both"), "top").unwrap();
            fs::write(base.join("bottom/both"), "bottom").unwrap();
            fs::write(base.join("bottom/below"), "below").unwrap();
            let overlay = Context::open(c"overlay").unwrap();
            method(&overlay, &[base.join("top:layer"), base.join("bottom")]).unwrap();
            layer(&overlay, c"upperdir", &base.join("upper")).unwrap();
            layer(&overlay, c"workdir", &base.join("work")).unwrap();
            let root = overlay.mount(0).unwrap();
            for (file, expected) in [("both", "top"), ("below", "below")] {
                let opened = openat(&root, file, OFlag::O_RDONLY, Mode::empty()).unwrap();
                let content = io::read_to_string(fs::File::from(opened)).unwrap();
                assert_eq!(content, expected, "{name}: {file}");
            }
            drop(root);
            fs::remove_dir_all(&base).unwrap();
        }
    }
}
