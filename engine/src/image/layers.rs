//! Unpacked layers on disk, shared between images.
//!
//! ```text
//!   layers/<diff id>/diff   one layer, complete; made visible by one rename
//!   layers/<diff id>/tar    what else its archive held, see archive/skeleton.rs; missing when it replaced its own files
//!   tmp/<n>/diff            one layer being unpacked
//! ```
//!
//! A layer's directory depends on nothing but its own archive, so layers are found by their `diff_id` alone and the same
//! layer in two images, at whatever place, is there once. A layer lives as long as somebody holds it ([`LayerHold`]):
//! the record of an image, or a load that is about to make one. Directories are 0700 down to `diff`, which is the root
//! of the layer and has the mode its archive gives it.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    os::{
        fd::AsFd,
        unix::fs::{DirBuilderExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use super::error::ImageError;
use crate::{
    archive::{Digest, Limits, Recorder, Unpacked, unpack_and_record},
    trash::Trash,
};

pub(crate) struct Layers {
    layers: PathBuf,
    tmp: PathBuf,
    trash: Arc<Trash>,
    limits: Limits,
    table: Mutex<HashMap<Digest, Entry>>,
    next: AtomicU64,
    /// The daemon ends: holds are dropped without meaning anything.
    closed: AtomicBool,
}

struct Entry {
    size: u64,
    holds: usize,
}

impl Layers {
    /// Opens the layers below `root`; what a former run left unfinished is thrown away.
    pub(crate) fn open(root: &Path, trash: Arc<Trash>, limits: Limits) -> Result<Self, ImageError> {
        let (layers, tmp) = (root.join("layers"), root.join("tmp"));
        for path in [root, &layers, &tmp] {
            private_dir(path)?;
        }
        for entry in fs::read_dir(&tmp).map_err(ImageError::host("list", &tmp))? {
            let path = entry.map_err(ImageError::host("list", &tmp))?.path();
            trash.throw(&path).map_err(ImageError::host("remove", &path))?;
        }
        Ok(Self {
            layers,
            tmp,
            trash,
            limits,
            table: Mutex::default(),
            next: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        })
    }

    /// Throws away the layers that nobody holds, and whatever else lies among them.
    pub(crate) fn sweep(&self) -> Result<usize, ImageError> {
        let table = self.lock();
        let mut thrown = 0;
        for entry in fs::read_dir(&self.layers).map_err(ImageError::host("list", &self.layers))? {
            let entry = entry.map_err(ImageError::host("list", &self.layers))?;
            let held = entry
                .file_name()
                .to_str()
                .and_then(Digest::from_hex)
                .is_some_and(|id| table.contains_key(&id));
            if !held {
                let path = entry.path();
                self.trash.throw(&path).map_err(ImageError::host("remove", &path))?;
                thrown += 1;
            }
        }
        Ok(thrown)
    }

    /// Unpacks a layer beside the others, visible to nobody yet.
    pub(crate) fn unpack(self: &Arc<Self>, source: impl Read) -> Result<Fresh, ImageError> {
        let fresh = self.scratch()?;
        let root = fresh.path.join("diff");
        fs::create_dir(&root).map_err(ImageError::host("mkdir", &root))?;
        // The mode of a layer's root that its archive does not mention, whatever the umask.
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).map_err(ImageError::host("chmod", &root))?;
        let directory = File::open(&root).map_err(ImageError::host("open", &root))?;
        let skeleton = fresh.path.join(SKELETON);
        let recorder = File::create_new(&skeleton).and_then(Recorder::new);
        let mut recorder = recorder.map_err(ImageError::host("create", &skeleton))?;
        let unpacked = unpack_and_record(source, directory.as_fd(), &self.limits, Some(&mut recorder))?;
        if unpacked.replaced {
            drop(recorder);
            fs::remove_file(&skeleton).map_err(ImageError::host("remove", &skeleton))?;
        } else {
            recorder.finish().map_err(ImageError::host("write", &skeleton))?;
        }
        Ok(Fresh {
            scratch: fresh,
            unpacked,
        })
    }

    /// A directory of the caller's own, thrown away when dropped.
    pub(crate) fn scratch(self: &Arc<Self>) -> Result<ScratchDir, ImageError> {
        let path = self.tmp.join(self.next.fetch_add(1, Ordering::Relaxed).to_string());
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(ImageError::host("mkdir", &path))?;
        Ok(ScratchDir {
            layers: Arc::clone(self),
            path,
        })
    }

    /// Makes unpacked layers permanent and visible: everything is on the disk before the first name appears.
    pub(crate) fn publish(self: &Arc<Self>, fresh: Vec<Fresh>) -> Result<Vec<LayerHold>, ImageError> {
        let directory = File::open(&self.layers).map_err(ImageError::host("open", &self.layers))?;
        let known = |fresh: &Fresh| self.lock().contains_key(&fresh.unpacked.diff_id);
        if !fresh.iter().all(known) {
            nix::unistd::syncfs(&directory).map_err(|e| ImageError::host("sync", &self.layers)(e.into()))?;
        }
        let mut holds = Vec::with_capacity(fresh.len());
        for fresh in fresh {
            let Unpacked { diff_id, size, .. } = fresh.unpacked;
            let mut table = self.lock();
            if let Some(entry) = table.get_mut(&diff_id) {
                // Somebody else was faster; ours is thrown away.
                entry.holds += 1;
            } else {
                let path = self.layers.join(diff_id.hex());
                if path.exists() {
                    // Left by a removal that failed; nobody holds it.
                    self.trash.throw(&path).map_err(ImageError::host("remove", &path))?;
                }
                fs::rename(&fresh.scratch.path, &path).map_err(ImageError::host("rename", &path))?;
                table.insert(diff_id, Entry { size, holds: 1 });
            }
            let size = table[&diff_id].size;
            drop(table);
            holds.push(self.held(diff_id, size));
        }
        directory.sync_all().map_err(ImageError::host("sync", &self.layers))?;
        Ok(holds)
    }

    /// Holds a layer that is there.
    pub(crate) fn hold(self: &Arc<Self>, diff_id: Digest) -> Option<LayerHold> {
        let mut table = self.lock();
        let entry = table.get_mut(&diff_id)?;
        entry.holds += 1;
        let size = entry.size;
        drop(table);
        Some(self.held(diff_id, size))
    }

    /// Holds a layer of a stored image; `None` when its directory is gone.
    pub(crate) fn hold_stored(self: &Arc<Self>, diff_id: Digest, size: u64) -> Option<LayerHold> {
        if let Some(hold) = self.hold(diff_id) {
            return Some(hold);
        }
        if !self.path(&diff_id).is_dir() {
            return None;
        }
        self.lock().insert(diff_id, Entry { size, holds: 1 });
        Some(self.held(diff_id, size))
    }

    /// The root directory of a layer.
    pub(crate) fn path(&self, diff_id: &Digest) -> PathBuf {
        self.layers.join(diff_id.hex()).join("diff")
    }

    /// From now on, holds that are dropped leave their layers alone.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    fn held(self: &Arc<Self>, diff_id: Digest, size: u64) -> LayerHold {
        LayerHold {
            layers: Arc::clone(self),
            diff_id,
            size,
        }
    }

    /// The table is consistent at every step, so a panic elsewhere does not spoil it.
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, Entry>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A layer that was unpacked and is not visible yet. Thrown away when dropped.
pub(crate) struct Fresh {
    scratch: ScratchDir,
    pub(crate) unpacked: Unpacked,
}

/// See [`Layers::scratch`].
pub(crate) struct ScratchDir {
    layers: Arc<Layers>,
    pub(crate) path: PathBuf,
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Already renamed away when it was published. What cannot be removed now is swept at the next start.
        let _ = self.layers.trash.throw(&self.path);
    }
}

/// Keeps a layer from being removed. The last one to go removes it.
pub(crate) struct LayerHold {
    layers: Arc<Layers>,
    diff_id: Digest,
    size: u64,
}

impl LayerHold {
    pub(crate) fn diff_id(&self) -> &Digest {
        &self.diff_id
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.layers.path(&self.diff_id)
    }

    /// What is needed beside its files to write its archive again.
    pub(crate) fn skeleton(&self) -> PathBuf {
        self.path().with_file_name(SKELETON)
    }
}

impl std::fmt::Debug for LayerHold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(&self.diff_id, f)
    }
}

impl Drop for LayerHold {
    fn drop(&mut self) {
        if self.layers.closed.load(Ordering::Acquire) {
            return;
        }
        let mut table = self.layers.lock();
        let Some(entry) = table.get_mut(&self.diff_id) else {
            return;
        };
        entry.holds -= 1;
        if entry.holds == 0 {
            table.remove(&self.diff_id);
            // What cannot be removed now is swept at the next start.
            let _ = self.layers.trash.throw(&self.layers.layers.join(self.diff_id.hex()));
        }
    }
}

const SKELETON: &str = "tar";

/// Makes a directory of mode 0700, or checks that there is one.
fn private_dir(path: &Path) -> Result<(), ImageError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ImageError::host("mkdir", path))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(ImageError::host("chmod", path))
}
