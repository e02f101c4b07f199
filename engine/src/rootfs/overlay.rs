//! The overlay that becomes the root, made from descriptors of its layers.
//!
//! From Linux 6.13 on the layers are passed as descriptors, from 6.7 on one by one as paths (`lowerdir+`), which the daemon
//! has made itself. Before that they are one option among all, which `mount(2)` takes in a page of text and fsconfig(2) only
//! up to 255 bytes, some 13 layers. Source: Documentation/filesystems/overlayfs.rst, fs/fs_context.c.

use std::{
    ffi::{CStr, CString},
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    thread,
};

use nix::{
    fcntl::{OFlag, open},
    mount::{MntFlags, MsFlags, umount2},
    sched::{CloneFlags, unshare},
    sys::stat::Mode,
};

use super::Root;
use crate::{
    process::{
        Rootfs, StartErrorKind,
        error::{At, StartError, Step, words},
    },
    sys::mount::{self, Context, attr},
};

/// Mounts the overlay and attaches it over the root of this mount namespace, which stays what the process sees as `/`.
pub(crate) fn mount_overlay(rootfs: &Rootfs) -> Result<Root, StartError> {
    let host_root = directory(Path::new("/"))?;
    mount::make_private(host_root.as_fd()).at(Step::Root, "make the mount namespace private")?;
    if rootfs.lower.is_empty() {
        return Err(StartError::other(Step::Root, "the root file system has no layer"));
    }
    let writable = Some((rootfs.upper.as_path(), rootfs.work.as_path()));
    let root = match mount_layer_by_layer(&rootfs.lower, writable)? {
        Some(root) => root,
        None => mount_at_once(&rootfs.lower, writable)?,
    };
    mount::attach(root.as_fd(), host_root.as_fd()).at(Step::Root, "attach overlay")?;
    Ok(Root::new(root))
}

/// What a container made of these layers (top first, the writable one too) has below its root: an overlay that nobody can
/// write to or start a program from, and on which opening a device fails. It is attached nowhere, and gone with its
/// descriptor.
///
/// The writable layer may be in use by a running container. The kernel says of changes under a mounted overlay that it is not
/// defined what is seen of them, and that they do no harm otherwise (overlayfs.rst, "Changes to underlying filesystems").
pub(crate) fn mount_view(layers: &[PathBuf]) -> Result<OwnedFd, StartError> {
    let root = match layers {
        // An overlay without a writable layer has two others at least.
        [only] => {
            let only = directory(only)?;
            mount::open_tree(only.as_fd(), c"", false).at(Step::Root, "copy the mount of a layer")?
        }
        layers => match mount_layer_by_layer(layers, None)? {
            Some(root) => root,
            None => mount_apart(layers)?,
        },
    };
    let attributes = attr::RDONLY | attr::NOSUID | attr::NODEV | attr::NOEXEC;
    mount::set_attributes(root.as_fd(), attributes, false).at(Step::Root, "make a view read-only")?;
    Ok(root)
}

/// As [`mount_at_once`] without a writable layer, in a mount namespace that is gone afterwards.
fn mount_apart(layers: &[PathBuf]) -> Result<OwnedFd, StartError> {
    let apart = || {
        unshare(CloneFlags::CLONE_NEWNS)
            .map_err(io::Error::from)
            .at(Step::Root, "unshare the mount namespace")?;
        let host_root = directory(Path::new("/"))?;
        mount::make_private(host_root.as_fd()).at(Step::Root, "make the mount namespace private")?;
        mount_at_once(layers, None)
    };
    thread::scope(|scope| scope.spawn(apart).join())
        .unwrap_or_else(|_| Err(StartError::other(Step::Root, "the thread that mounts panicked")))
}

/// The writable layer, and overlay's work directory.
type Writable<'a> = Option<(&'a Path, &'a Path)>;

/// `None` if this kernel cannot take lower layers one by one.
fn mount_layer_by_layer(lower: &[PathBuf], writable: Writable<'_>) -> Result<Option<OwnedFd>, StartError> {
    let overlay = Context::open(c"overlay").at(Step::Root, "open overlay")?;
    overlay
        .set(c"source", Some(c"overlay"))
        .at(Step::Root, "open overlay")?;
    for (number, path) in lower.iter().enumerate() {
        match layer(&overlay, c"lowerdir+", path) {
            // From 6.5 on an unknown option is refused; before that no descriptor is taken, and any text as it comes.
            Err(error) if number == 0 && matches!(error.errno, libc::EINVAL | libc::EOPNOTSUPP) => return Ok(None),
            set => set?,
        }
    }
    match writable {
        Some((upper, work)) => {
            layer(&overlay, c"upperdir", upper)?;
            layer(&overlay, c"workdir", work)?;
        }
        // Otherwise a layer that is in use by another overlay may be refused.
        None => overlay.set(c"index", Some(c"off")).at(Step::Root, "overlay index")?,
    }
    let messages = overlay.as_fd().try_clone_to_owned().at(Step::Root, "mount overlay")?;
    overlay.mount(0).map(Some).map_err(|error| {
        let said = Context::from(messages).message().unwrap_or_default();
        StartError::kernel(Step::Root, format!("mount overlay: {said}"), &error)
    })
}

/// All options in one text. Layers are named by descriptors: their paths are longer, and could hold a colon or a comma.
fn mount_at_once(lower: &[PathBuf], writable: Writable<'_>) -> Result<OwnedFd, StartError> {
    let place = match (writable, lower) {
        (Some((upper, _)), _) => upper,
        (None, [first, ..]) => first,
        (None, []) => return Err(StartError::other(Step::Root, "the root file system has no layer")),
    };
    let lower = lower.iter().map(|path| directory(path));
    let lower = lower.collect::<Result<Vec<_>, _>>()?;
    let writable = match writable {
        Some((upper, work)) => Some((directory(upper)?, directory(work)?)),
        None => None,
    };
    let name = |layer: &OwnedFd| format!("/proc/self/fd/{}", layer.as_raw_fd());
    let lower_names = lower.iter().map(name).collect::<Vec<_>>().join(":");
    let options = match &writable {
        Some((upper, work)) => format!("lowerdir={lower_names},upperdir={},workdir={}", name(upper), name(work)),
        None => format!("lowerdir={lower_names},index=off"),
    };
    // This call has to attach what it makes. Any directory of this mount namespace will do, and only until it is copied.
    let target = directory(place)?;
    let target = name(&target);
    let flags = MsFlags::empty();
    nix::mount::mount(
        Some("overlay"),
        target.as_str(),
        Some("overlay"),
        flags,
        Some(options.as_str()),
    )
    .map_err(io::Error::from)
    .at(
        Step::Root,
        format_args!("mount overlay: mount(2) of {} layers", lower.len()),
    )?;
    // The descriptor still means what lies beneath, the path the mount.
    let attached = directory(place)?;
    let root = mount::open_tree(attached.as_fd(), c"", false).at(Step::Root, "copy the overlay's mount")?;
    drop(attached);
    umount2(place, MntFlags::MNT_DETACH)
        .map_err(io::Error::from)
        .at(Step::Root, "detach the overlay's first mount")?;
    Ok(root)
}

fn layer(overlay: &Context, key: &CStr, path: &Path) -> Result<(), StartError> {
    let fd = directory(path)?;
    let set = match overlay.set_fd(key, fd.as_fd()) {
        // Before 6.13 these options are paths only.
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

    type Method = fn(&Rootfs) -> Result<Option<OwnedFd>, StartError>;

    fn writable(rootfs: &Rootfs) -> Writable<'_> {
        Some((&rootfs.upper, &rootfs.work))
    }

    /// As many layers as an image may have, and one with a name that means something in an option.
    #[test]
    fn layers_lie_over_each_other_in_every_way() {
        if !nix::unistd::geteuid().is_root() {
            crate::skip::say("needs root");
            return;
        }
        let methods: [(&str, Method); 5] = [
            ("layer by layer", |rootfs| {
                mount_layer_by_layer(&rootfs.lower, writable(rootfs))
            }),
            ("at once", |rootfs| {
                mount_at_once(&rootfs.lower, writable(rootfs)).map(Some)
            }),
            ("as a view, layer by layer", |rootfs| {
                mount_layer_by_layer(&rootfs.lower, None)
            }),
            ("as a view, apart", |rootfs| mount_apart(&rootfs.lower).map(Some)),
            ("as a view", |rootfs| mount_view(&rootfs.lower).map(Some)),
        ];
        // A mount namespace belongs to a thread, and mounts made in it are nobody else's.
        let checked = thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount::make_private(directory(Path::new("/")).unwrap().as_fd()).unwrap();
            for (name, method) in methods {
                check(name, method);
            }
        });
        checked.join().unwrap();
    }

    fn check(name: &str, method: Method) {
        let base = std::env::temp_dir().join(format!("gantry-overlay-{}", std::process::id()));
        let middle = (1..LAYERS_MAX - 1).map(|number| base.join(number.to_string()));
        let lower = [base.join("top:layer,x")].into_iter().chain(middle);
        let rootfs = Rootfs {
            lower: lower.chain([base.join("bottom")]).collect(),
            upper: base.join("upper"),
            work: base.join("work"),
            read_only: false,
        };
        for directory in rootfs.lower.iter().chain([&rootfs.upper, &rootfs.work]) {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(base.join("top:layer,x/both"), "top").unwrap();
        fs::write(base.join("bottom/both"), "bottom").unwrap();
        fs::write(base.join("bottom/below"), "below").unwrap();
        match method(&rootfs).unwrap() {
            Some(root) => {
                for (file, expected) in [("both", "top"), ("below", "below")] {
                    let opened = openat(&root, file, OFlag::O_RDONLY, Mode::empty()).unwrap();
                    let content = io::read_to_string(fs::File::from(opened)).unwrap();
                    assert_eq!(content, expected, "{name}: {file}");
                }
            }
            None => crate::skip::say(&format!("this kernel does not take an overlay {name}")),
        }
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains(base.to_str().unwrap()), "{name}: attached nowhere");
        fs::remove_dir_all(&base).unwrap();
    }

    /// Docker's limit.
    const LAYERS_MAX: usize = 127;
}
