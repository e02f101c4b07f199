//! Where a container's files lie.
//!
//! ```text
//! <data-root>/containers/<id>/   0700
//!     diff/  work/               the writable layer and overlay's work directory
//!     hosts  hostname  resolv.conf   bound into the container
//!     <id>-json.log              written by the keeper alone
//!     exit                       written by the keeper, once, before it tells anyone
//! <exec-root>/<id>/              0700, gone after a reboot
//!     keeper.sock                the keeper listens here
//! ```

use std::path::{Path, PathBuf};

/// The files of one container below the data root.
#[derive(Debug, Clone)]
pub(crate) struct ContainerPaths {
    dir: PathBuf,
    id: String,
}

impl ContainerPaths {
    /// Of the container `id`, which is made of hexadecimal digits and so cannot leave the directory.
    pub(crate) fn new(data_root: &Path, id: &str) -> Self {
        Self {
            dir: data_root.join("containers").join(id),
            id: id.to_owned(),
        }
    }

    /// The directory of all of them.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The writable layer.
    pub(crate) fn upper(&self) -> PathBuf {
        self.dir.join("diff")
    }

    /// Overlay's work directory.
    pub(crate) fn work(&self) -> PathBuf {
        self.dir.join("work")
    }

    /// `/etc/hosts`.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.dir.join("hosts")
    }

    /// `/etc/hostname`.
    pub(crate) fn hostname(&self) -> PathBuf {
        self.dir.join("hostname")
    }

    /// `/etc/resolv.conf`.
    pub(crate) fn resolv_conf(&self) -> PathBuf {
        self.dir.join("resolv.conf")
    }

    /// The log.
    pub(crate) fn log(&self) -> PathBuf {
        self.dir.join(format!("{}-json.log", self.id))
    }

    /// The exit record of the last run.
    pub(crate) fn exit(&self) -> PathBuf {
        self.dir.join("exit")
    }
}
