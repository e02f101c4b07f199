//! Opening the engine: directories, stores, and the containers of before.

use std::{
    fmt, fs, io,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use crate::{Config, Engine, Message, container, image::ImageError, shared::Shared, store::StoreError};

/// Why the engine cannot be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another daemon has the data root.
    InUse {
        /// The data root.
        data_root: PathBuf,
    },
    /// The operating system refuses.
    Io {
        /// What was tried.
        what: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// Images cannot be opened.
    Images(ImageError),
    /// The program `gantry-keeper` cannot be read.
    Keeper {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The store cannot be opened.
    Store(StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { data_root } => write!(f, "data root {} is in use by another gantryd", data_root.display()),
            Self::Io { what, source } => write!(f, "{what} failed: {source}"),
            Self::Images(source) => write!(f, "images: {source}"),
            Self::Keeper { path, source } => {
                write!(
                    f,
                    "gantry-keeper must stand beside gantryd: {}: {source}",
                    path.display()
                )
            }
            Self::Store(source) => write!(f, "store: {source}"),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::InUse { .. } => None,
            Self::Io { source, .. } | Self::Keeper { source, .. } => Some(source),
            Self::Images(source) => Some(source),
            Self::Store(source) => Some(source),
        }
    }
}

impl From<ImageError> for OpenError {
    fn from(source: ImageError) -> Self {
        Self::Images(source)
    }
}

impl From<StoreError> for OpenError {
    fn from(source: StoreError) -> Self {
        Self::Store(source)
    }
}

impl Engine {
    /// Opens (or makes) the data root and finds the containers of before. Blocks. `post` is called on worker threads; what
    /// it is given is to be handed to [`message`](Self::message).
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(config: Config, post: Arc<dyn Fn(Message) + Send + Sync>) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared::open(config)?);
        let booting = container::load(&shared).map_err(|source| OpenError::Io {
            what: "loading containers",
            source,
        })?;
        Ok(Self::new(shared, post, booting))
    }
}

/// Takes the data root for this process; the lock ends with it.
///
/// A keeper that was being started when the last gantryd was killed holds that one's lock until it is executed, a moment
/// later. So a lock that is held is asked for again for a while.
pub(crate) fn lock(data_root: &std::path::Path) -> Result<nix::fcntl::Flock<fs::File>, OpenError> {
    use nix::fcntl::{Flock, FlockArg};
    let path = data_root.join("lock");
    let file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let mut file = file.map_err(|source| OpenError::Io {
        what: "opening the lock of the data root",
        source,
    })?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((unlocked, _)) if Instant::now() < deadline => file = unlocked,
            Err(_) => {
                return Err(OpenError::InUse {
                    data_root: data_root.to_owned(),
                });
            }
        }
        thread::sleep(LOCK_PAUSE);
    }
}

/// How long a held lock is asked for.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
