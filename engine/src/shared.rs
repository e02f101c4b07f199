//! What worker threads and the engine share: stores, the bridge, paths, and facts about the machine.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use gantry_core::Refusal;

use crate::{
    cgroup::{Hierarchies, Support},
    config::Config,
    container::{Facts, Record},
    image::{ImageId, ImageRecord, Images},
    keeper::{self, client::KeeperExe},
    network::{Attachment, Bridge, BridgeConfig},
    open::{OpenError, lock},
    process::seccomp::{self, Architecture},
    store::Store,
    trash::Trash,
};

/// Shared by all threads; every part does its own locking.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) images: Images,
    pub(crate) keeper: KeeperExe,
    pub(crate) facts: Facts,
    pub(crate) daemon_id: String,
    trash: Arc<Trash>,
    /// Opened by the first container that needs it, and kept from then on.
    bridge: OnceLock<Bridge>,
    opening_bridge: Mutex<()>,
    /// The highest possible processor.
    processor_last: u32,
    /// Compiled seccomp filters by capability set.
    filters: Mutex<HashMap<u64, Vec<u8>>>,
    /// Keeps other daemons off the data root.
    _lock: nix::fcntl::Flock<fs::File>,
}

impl Shared {
    /// Opens stores and directories. Blocks.
    pub(crate) fn open(config: Config) -> Result<Self, OpenError> {
        let io = |what: &'static str| move |source| OpenError::Io { what, source };
        let absolute = |path: &Path| std::path::absolute(path).map_err(io("data root"));
        let (data_root, exec_root) = (absolute(&config.data_root)?, absolute(&config.exec_root)?);
        crate::container::make_roots(&data_root, &exec_root).map_err(io("making directories"))?;
        let lock = lock(&data_root)?;
        let store = Arc::new(Store::open(&data_root.join("state.redb"))?);
        let daemon_id = daemon_id(&store)?;
        let trash = Arc::new(Trash::open(&data_root.join("trash")).map_err(io("opening the trash"))?);
        let images = Images::open(&data_root, Arc::clone(&store), Arc::clone(&trash))?;
        for warning in images.warnings() {
            log::warn!("images: {warning}");
        }
        let program = fs::read(&config.keeper).map_err(|source| OpenError::Keeper {
            path: config.keeper.clone(),
            source,
        })?;
        let keeper = KeeperExe::seal(&program).map_err(io("sealing gantry-keeper"))?;
        if let Some(hello) = &config.hello {
            let program = fs::read(hello).map_err(io("reading gantry-hello"))?;
            images.ensure_builtin("gantry/hello", "/hello", &program, crate::clock::now())?;
        }
        let hierarchies = Hierarchies::discover().map_err(io("reading /proc/self/mountinfo"))?;
        let facts = Facts {
            cgroup: Support::of(&hierarchies),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        };
        Ok(Self {
            config,
            data_root,
            exec_root,
            store,
            images,
            keeper,
            facts,
            daemon_id,
            trash,
            bridge: OnceLock::new(),
            opening_bridge: Mutex::new(()),
            processor_last: processor_last(),
            filters: Mutex::default(),
            _lock: lock,
        })
    }

    /// Stores a container.
    pub(crate) fn put_record(&self, record: &Record) -> Result<(), Refusal> {
        let failed =
            |error: &dyn std::fmt::Display| Refusal::Internal(format!("storing the container failed: {error}"));
        let bytes = serde_json::to_vec(record).map_err(|error| failed(&error))?;
        self.store
            .put_container(&record.id, &bytes)
            .map_err(|error| failed(&error))
    }

    /// The image that a container was made of, also when it has been removed by force since.
    pub(crate) fn image_of(&self, record: &Record) -> Option<Arc<ImageRecord>> {
        self.images
            .by_id(&ImageId::from_hex(record.image.strip_prefix("sha256:")?)?)
    }

    /// Forgets a container.
    pub(crate) fn remove_record(&self, id: &str) -> Result<(), Refusal> {
        let failed = |error| Refusal::Internal(format!("removing the container from the store failed: {error}"));
        self.store.remove_container(id).map_err(failed)
    }

    /// Throws a directory tree away; it is gone from its place when this returns.
    pub(crate) fn discard(&self, path: &Path) {
        if let Err(error) = self.trash.throw(path) {
            log::error!("{} cannot be thrown away: {error}", path.display());
        }
    }

    /// The run directory of a container.
    pub(crate) fn run_dir(&self, id: &str) -> PathBuf {
        self.exec_root.join("containers").join(id)
    }

    /// Where a container's keeper is found.
    pub(crate) fn keeper_paths(&self, id: &str) -> keeper::Paths {
        keeper::Paths {
            socket: self.run_dir(id).join("keeper.sock"),
            exit_record: crate::container::ContainerPaths::new(&self.data_root, id).exit(),
        }
    }

    /// The control group of a container, below each hierarchy's root.
    pub(crate) fn cgroup_path(&self, id: &str) -> String {
        format!("/gantry/{id}")
    }

    /// The default bridge. The first call makes it.
    pub(crate) fn bridge(&self) -> Result<&Bridge, String> {
        if let Some(bridge) = self.bridge.get() {
            return Ok(bridge);
        }
        let _opening = self.opening_bridge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bridge) = self.bridge.get() {
            return Ok(bridge);
        }
        let config = BridgeConfig {
            name: self.config.bridge.clone(),
            address: match &self.config.bridge_address {
                Some(text) => Some(text.parse().map_err(|error| format!("--bip {text}: {error}"))?),
                None => None,
            },
            mtu: self.config.mtu,
            masquerade: self.config.firewall,
        };
        let bridge = Bridge::open(&config).map_err(|error| format!("bridge {}: {error}", config.name))?;
        for warning in bridge.warnings() {
            log::warn!("bridge {}: {warning}", config.name);
        }
        Ok(self.bridge.get_or_init(|| bridge))
    }

    /// Gives back a container's place on the bridge.
    pub(crate) fn release(&self, attachment: &Attachment) {
        if let Ok(bridge) = self.bridge() {
            bridge.detach(attachment);
        }
    }

    /// Notes in its run directory what place on the bridge a container has. Survives this process, and need not survive
    /// the machine: the place is gone with it.
    pub(crate) fn put_attachment(&self, id: &str, attachment: Option<&Attachment>) -> io::Result<()> {
        fs::write(self.attachment_path(id), serde_json::to_vec(&attachment)?)
    }

    /// What [`put_attachment`](Self::put_attachment) has noted.
    pub(crate) fn attachment(&self, id: &str) -> Option<Attachment> {
        let noted = || Ok::<_, io::Error>(serde_json::from_slice(&fs::read(self.attachment_path(id))?)?);
        noted().unwrap_or_else(|error| {
            log::error!("container {id}: its place on the bridge is not known: {error}");
            None
        })
    }

    fn attachment_path(&self, id: &str) -> PathBuf {
        self.run_dir(id).join("attachment")
    }

    /// Notes the place of a container that has run on.
    pub(crate) fn adopt(&self, id: &str, attachment: &Attachment) {
        let adopted = self
            .bridge()
            .and_then(|bridge| bridge.adopt(id, attachment).map_err(|error| error.to_string()));
        if let Err(error) = adopted {
            log::error!(
                "container {id}: its address {} cannot be kept: {error}",
                attachment.address
            );
        }
    }

    /// The number of the highest possible processor.
    pub(crate) fn processor_last(&self) -> u32 {
        self.processor_last
    }

    /// The seccomp filter for a capability set, compiled once.
    pub(crate) fn seccomp_filter(&self, capabilities: u64) -> Vec<u8> {
        let Some(architecture) = Architecture::native() else {
            return Vec::new();
        };
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        let compile = || seccomp::compile(&seccomp::DEFAULT, capabilities, architecture);
        filters.entry(capabilities).or_insert_with(compile).clone()
    }
}

/// The id of this daemon, made at the first start.
fn daemon_id(store: &Store) -> Result<String, OpenError> {
    if let Some(id) = store.meta("daemon-id")? {
        return Ok(String::from_utf8_lossy(&id).into_owned());
    }
    let id = crate::clock::random_id().map_err(|source| OpenError::Io {
        what: "making an id",
        source,
    })?;
    store.put_meta("daemon-id", id.as_bytes())?;
    Ok(id)
}

/// The end of the kernel's list of possible processors (`0-3`).
fn processor_last() -> u32 {
    let list = fs::read_to_string("/sys/devices/system/cpu/possible").unwrap_or_default();
    list.trim()
        .rsplit([',', '-'])
        .next()
        .and_then(|last| last.parse().ok())
        .unwrap_or(0)
}
