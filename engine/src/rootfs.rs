//! The file system a container sees: an overlay of layers, the kernel's own file systems, and binds.
//!
//! Everything here but `mount_view` runs in the child, in a mount namespace of its own, before the overlay becomes the root:
//! nothing is ever mounted on the host. The image is not trusted: its paths are walked below a descriptor of the root, and
//! file systems are mounted onto descriptors, never onto names. What a default container gets is in the table of
//! default mounts, devices and masks of the Docker runtime.

mod bind;
mod cgroups;
mod device;
mod mask;
mod mounts;
mod overlay;
mod root;

pub(crate) use self::{
    bind::bind,
    mask::{hide, make_read_only},
    mounts::{Mounts, mount_defaults},
    overlay::{mount_overlay, mount_view},
    root::{Root, is},
};
