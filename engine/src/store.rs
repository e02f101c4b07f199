//! What the daemon remembers across its own death: one transactional file.
//!
//! Every `put`, `remove` and [`Store::commit_images`] is one durable transaction: when it returns, the change survives
//! `kill -9` and loss of power, and a crash before that leaves the former state whole. The values are the owners'
//! business (JSON of their records); this file knows keys and bytes. Reads at run time come from the owners' snapshots,
//! so the cache is tiny.
//!
//! ```text
//!   meta        name -> bytes            format version, daemon id, one-time notes
//!   images      image id (hex) -> bytes
//!   references  repo:tag or repo@digest -> image id (hex)
//!   containers  container id (hex) -> bytes
//! ```

use std::{
    fmt, fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, backends::FileBackend};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const IMAGES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("images");
const REFERENCES: TableDefinition<'_, &str, &str> = TableDefinition::new("references");
const CONTAINERS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("containers");

/// Version of the tables and of the records in them. A newer file is refused, never guessed at.
const FORMAT: u32 = 1;
const FORMAT_KEY: &str = "format";
/// Bytes of pages kept in memory.
const CACHE: usize = 512 * 1024;

/// The daemon's state on disk.
pub struct Store {
    database: Database,
    path: PathBuf,
}

/// Changes to images and their references that happen together or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageChanges {
    /// Image id (hex) and record, to add or replace.
    pub put: Vec<(String, Vec<u8>)>,
    /// Image ids (hex) to forget.
    pub remove: Vec<String>,
    /// Reference and image id (hex), to add or move.
    pub tag: Vec<(String, String)>,
    /// References to forget.
    pub untag: Vec<String>,
    /// Meta name and value to set.
    pub meta: Option<(String, Vec<u8>)>,
}

impl Store {
    /// Opens the store at `path`, making it (mode 0600) when there is none.
    ///
    /// # Errors
    /// The file is damaged, newer than this program, in use by another process, or cannot be opened; the error names it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |cause| StoreError {
            path: path.to_owned(),
            cause,
        };
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|e| failed(Cause::Io(e)))?;
        let fresh = file.metadata().map_err(|e| failed(Cause::Io(e)))?.len() == 0;
        // The check on opening reads the whole file, a few megabytes at most; without it a damaged page may surface as
        // a panic much later.
        let backend = FileBackend::new(file).map_err(|e| failed(Cause::of(e.into())))?;
        let database = Builder::new()
            .set_cache_size(CACHE)
            .set_check_integrity_on_open(!fresh)
            .create_with_backend(backend)
            .map_err(|e| failed(Cause::of(e.into())))?;
        let store = Self {
            database,
            path: path.to_owned(),
        };
        store.check_format(fresh)?;
        if fresh && let Some(parent) = path.parent() {
            // The file's own name must survive a crash as well.
            fs::File::open(parent)
                .and_then(|directory| directory.sync_all())
                .map_err(|e| failed(Cause::Io(e)))?;
        }
        Ok(store)
    }

    fn check_format(&self, fresh: bool) -> Result<(), StoreError> {
        if let Some(found) = self.meta(FORMAT_KEY)? {
            let text = String::from_utf8_lossy(&found).into_owned();
            return match text.parse() {
                Ok(FORMAT) => Ok(()),
                Ok(found) => Err(self.error(Cause::Newer { found })),
                Err(_) => Err(self.error(Cause::Damaged(format!("format version {text:?}")))),
            };
        }
        if !fresh && self.has_tables()? {
            return Err(self.error(Cause::Damaged("no format version".into())));
        }
        self.write(|txn| {
            txn.open_table(META)?
                .insert(FORMAT_KEY, FORMAT.to_string().as_bytes())?;
            txn.open_table(IMAGES)?;
            txn.open_table(REFERENCES)?;
            txn.open_table(CONTAINERS)?;
            Ok(())
        })
    }

    fn has_tables(&self) -> Result<bool, StoreError> {
        self.read(|txn| Ok(txn.list_tables()?.next().is_some()))
    }

    /// The value of a meta name.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn meta(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|txn| match txn.open_table(META) {
            Ok(table) => Ok(table.get(name)?.map(|value| value.value().to_vec())),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        })
    }

    /// Sets the value of a meta name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_meta(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.open_table(META)?.insert(name, value)?;
            Ok(())
        })
    }

    /// Adds or replaces a container's record.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn put_container(&self, id: &str, record: &[u8]) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.open_table(CONTAINERS)?.insert(id, record)?;
            Ok(())
        })
    }

    /// Forgets a container. Nothing happens when there is none of this id.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn remove_container(&self, id: &str) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.open_table(CONTAINERS)?.remove(id)?;
            Ok(())
        })
    }

    /// All containers: id and record, in the order of their ids.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn containers(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.records(CONTAINERS)
    }

    /// All images: id (hex) and record, in the order of their ids.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn images(&self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.records(IMAGES)
    }

    /// The record of one image, by its id (hex).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn image(&self, id: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(|txn| Ok(txn.open_table(IMAGES)?.get(id)?.map(|record| record.value().to_vec())))
    }

    /// All references and the image ids (hex) they name, in the order of the references.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn references(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|txn| {
            let table = txn.open_table(REFERENCES)?;
            let rows = table.iter()?.map(|row| {
                let (name, id) = row?;
                Ok((name.value().to_owned(), id.value().to_owned()))
            });
            rows.collect()
        })
    }

    /// Carries out changes to images in one transaction.
    ///
    /// # Errors
    /// The file cannot be written; nothing has changed.
    pub fn commit_images(&self, changes: &ImageChanges) -> Result<(), StoreError> {
        self.write(|txn| {
            let mut images = txn.open_table(IMAGES)?;
            for id in &changes.remove {
                images.remove(id.as_str())?;
            }
            for (id, record) in &changes.put {
                images.insert(id.as_str(), record.as_slice())?;
            }
            let mut references = txn.open_table(REFERENCES)?;
            for name in &changes.untag {
                references.remove(name.as_str())?;
            }
            for (name, id) in &changes.tag {
                references.insert(name.as_str(), id.as_str())?;
            }
            if let Some((name, value)) = &changes.meta {
                txn.open_table(META)?.insert(name.as_str(), value.as_slice())?;
            }
            Ok(())
        })
    }

    fn records(&self, table: TableDefinition<'_, &str, &[u8]>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.read(|txn| {
            let table = txn.open_table(table)?;
            let rows = table.iter()?.map(|row| {
                let (id, record) = row?;
                Ok((id.value().to_owned(), record.value().to_vec()))
            });
            rows.collect()
        })
    }

    fn read<T>(&self, work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>) -> Result<T, StoreError> {
        let run = || work(&self.database.begin_read()?);
        run().map_err(|error| self.error(Cause::of(error)))
    }

    fn write(&self, work: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>) -> Result<(), StoreError> {
        let run = || {
            let txn = self.database.begin_write()?;
            work(&txn)?;
            txn.commit()?;
            Ok(())
        };
        run().map_err(|error| self.error(Cause::of(error)))
    }

    fn error(&self, cause: Cause) -> StoreError {
        StoreError {
            path: self.path.clone(),
            cause,
        }
    }
}

/// The state file could not be used.
#[derive(Debug)]
pub struct StoreError {
    path: PathBuf,
    cause: Cause,
}

#[derive(Debug)]
enum Cause {
    Damaged(String),
    Database(Box<redb::Error>),
    InUse,
    Io(io::Error),
    Newer { found: u32 },
}

impl Cause {
    fn of(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            redb::Error::Corrupted(what) => Self::Damaged(what),
            // The library says so of a file that does not begin as its own do.
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => Self::Damaged(error.to_string()),
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::UpgradeRequired(version) => Self::Damaged(format!("container format {version}")),
            error => Self::Database(Box::new(error)),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.cause {
            Cause::Damaged(what) => write!(f, "state file is damaged: {path}: {what}"),
            Cause::Database(error) => write!(f, "state file failed: {path}: {error}"),
            Cause::InUse => write!(f, "state file is in use by another process: {path}"),
            Cause::Io(error) => write!(f, "state file failed: {path}: {error}"),
            Cause::Newer { found } => write!(
                f,
                "state file was written by another gantry: {path}: format {found}, this one reads {FORMAT}"
            ),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Database(error) => Some(error.as_ref()),
            Cause::Io(error) => Some(error),
            Cause::Damaged(_) | Cause::InUse | Cause::Newer { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        os::unix::fs::PermissionsExt,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::image::scratch::Scratch;

    #[test]
    fn keeps_what_was_put() {
        let scratch = Scratch::new("store");
        let path = scratch.path().join("state");
        let store = Store::open(&path).expect("open");
        store.put_meta("daemon", b"id").expect("put");
        store.put_container("b", b"two").expect("put");
        store.put_container("a", b"old").expect("put");
        store.put_container("a", b"one").expect("put");
        store.put_container("c", b"gone").expect("put");
        store.remove_container("c").expect("remove");
        store.remove_container("never").expect("remove");
        let changes = ImageChanges {
            put: vec![("i".into(), b"image".to_vec()), ("j".into(), b"image".to_vec())],
            tag: vec![("x:1".into(), "i".into()), ("x:2".into(), "j".into())],
            ..ImageChanges::default()
        };
        store.commit_images(&changes).expect("commit");
        let changes = ImageChanges {
            remove: vec!["j".into()],
            untag: vec!["x:2".into()],
            meta: Some(("note".into(), b"!".to_vec())),
            ..ImageChanges::default()
        };
        store.commit_images(&changes).expect("commit");
        assert_eq!(fs::metadata(&path).expect("stat").permissions().mode() & 0o777, 0o600);
        let in_use = Store::open(&path).err().expect("in use").to_string();
        assert!(in_use.contains("in use") && in_use.contains("state"), "{in_use}");
        drop(store);
        let store = Store::open(&path).expect("again");
        let rows = store.containers().expect("read");
        assert_eq!(rows, [("a".into(), b"one".to_vec()), ("b".into(), b"two".to_vec())]);
        assert_eq!(store.images().expect("read"), [("i".into(), b"image".to_vec())]);
        assert_eq!(store.image("i").expect("read").as_deref(), Some(&b"image"[..]));
        assert_eq!(store.references().expect("read"), [("x:1".into(), "i".into())]);
        assert_eq!(store.meta("daemon").expect("read").as_deref(), Some(&b"id"[..]));
        assert_eq!(store.meta("note").expect("read").as_deref(), Some(&b"!"[..]));
        assert_eq!(store.meta("none").expect("read"), None);
    }

    #[test]
    fn newer_and_damaged_files_are_refused_by_name() {
        let scratch = Scratch::new("store-bad");
        let newer = scratch.path().join("newer");
        let store = Store::open(&newer).expect("open");
        store.put_meta(FORMAT_KEY, b"2").expect("put");
        drop(store);
        let text = Store::open(&newer).err().expect("newer").to_string();
        assert!(text.contains("format 2") && text.contains("newer"), "{text}");
        let foreign = scratch.path().join("foreign");
        fs::write(
            &foreign,
            "not a database at all, but long enough to look at".repeat(400),
        )
        .expect("write");
        let text = Store::open(&foreign).err().expect("foreign").to_string();
        assert!(text.contains("damaged") && text.contains("foreign"), "{text}");
        let whole = scratch.path().join("whole");
        let store = Store::open(&whole).expect("open");
        for n in 0..50_u8 {
            store.put_container(&n.to_string(), &[n; 3000]).expect("put");
        }
        let expected = store.containers().expect("read");
        drop(store);
        let bytes = fs::read(&whole).expect("read");
        let path = scratch.path().join("damaged");
        // Wherever a block is overwritten: refused, or what is read is what was written.
        for at in (0..bytes.len()).step_by(bytes.len() / 40) {
            let mut damaged = bytes.clone();
            let end = (at + 64).min(damaged.len());
            damaged[at..end].fill(0xa5);
            fs::write(&path, damaged).expect("write");
            match Store::open(&path).and_then(|store| store.containers()) {
                Ok(rows) => assert!(rows == expected, "damage at {at} was taken for data"),
                Err(error) => assert!(error.to_string().contains("damaged"), "{error}"),
            }
        }
    }

    /// Run as a child by the test below: writes for ever and says what is acknowledged.
    #[test]
    fn writer_for_kill() {
        let Ok(path) = std::env::var("GANTRY_TEST_STORE") else {
            return;
        };
        let store = Store::open(Path::new(&path)).expect("open");
        let mut out = io::stdout().lock();
        let first = store.containers().expect("read").len();
        for n in first.. {
            store.put_container(&format!("{n:08}"), &[7; 500]).expect("put");
            writeln!(out, "ack {n}").expect("the parent listens");
        }
    }

    #[test]
    fn acknowledged_writes_survive_kill() {
        let scratch = Scratch::new("store-kill");
        let path = scratch.path().join("state");
        let mut acknowledged = 0;
        for round in 0..5 {
            let mut child = Command::new(std::env::current_exe().expect("this test"))
                .args(["--exact", "store::tests::writer_for_kill", "--nocapture"])
                .env("GANTRY_TEST_STORE", &path)
                .stdout(Stdio::piped())
                .spawn()
                .expect("spawn");
            let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
            let mut seen = 0;
            for line in lines {
                let line = line.expect("line");
                let Some((_, number)) = line.split_once("ack ") else {
                    continue;
                };
                acknowledged = number.parse::<usize>().expect("number") + 1;
                seen += 1;
                if seen == 20 + round * 7 {
                    child.kill().expect("kill");
                }
            }
            child.wait().expect("wait");
            let store = Store::open(&path).expect("opens after a kill");
            let rows = store.containers().expect("read");
            assert!(rows.len() >= acknowledged, "{} of {acknowledged}", rows.len());
            assert!(
                rows.iter()
                    .enumerate()
                    .all(|(n, row)| row.0 == format!("{n:08}") && row.1 == [7; 500])
            );
        }
    }
}
