//! The exit record: how a container ended, on disk before anyone is told.
//!
//! One file of [`RECORD_BYTES`] bytes with a checksum. It is written under another name, synced, and renamed to a name
//! that does not exist yet (renaming over an existing file would make ext4 flush, ~1 ms). So after a `kill -9` or a power
//! failure there is either no record or a whole one; a torn one is recognised by its checksum and counts as none.
//!
//! ```text
//! 0   "gantryXR"                    40  bytes of output that could not be logged  u64
//! 8   layout, 1             u32     48  length of the log file                    u64
//! 12  exit code             i32     56  pid in the daemon's namespace             i32
//! 16  flags                 u32     60  checksum of bytes 0..60                   u32
//! 20  0                     u32
//! 24  started at, ns        i64     flags: 1 killed for memory, 2 something could not be cleaned up
//! 32  finished at, ns       i64
//! ```

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub use super::field::DecodeError;
use super::field::{Append, Fields, checksum};

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ExitRecord {
    /// The program's exit status, or 128 plus the number of the signal that ended it.
    pub exit_code: i32,
    /// The kernel's OOM killer ended a process of the container.
    pub oom_killed: bool,
    /// Something of the container (a process, a control group) outlived it; the daemon must clean up.
    pub remains: bool,
    /// When the program began, in nanoseconds since the Unix epoch. Tells this run from an earlier one.
    pub started_at_ns: i64,
    /// When it ended, in nanoseconds since the Unix epoch.
    pub finished_at_ns: i64,
    /// Bytes of output that could not be written to the log (a full disk).
    pub log_lost_bytes: u64,
    /// Length of the log file at the end; 0 without a log.
    pub log_offset: u64,
    /// The container's first process, as the daemon numbered it.
    pub pid: i32,
}

/// Size of an encoded record.
pub const RECORD_BYTES: usize = 64;

const MAGIC: &[u8; 8] = b"gantryXR";
const LAYOUT: u32 = 1;
const OOM_KILLED: u32 = 1;
const REMAINS: u32 = 2;

impl ExitRecord {
    /// The record as it stands in the file.
    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        bytes.put(MAGIC);
        bytes.put_u32(LAYOUT);
        bytes.put_i32(self.exit_code);
        bytes.put_u32(if self.oom_killed { OOM_KILLED } else { 0 } | if self.remains { REMAINS } else { 0 });
        bytes.put_u32(0);
        bytes.put_i64(self.started_at_ns);
        bytes.put_i64(self.finished_at_ns);
        bytes.put_u64(self.log_lost_bytes);
        bytes.put_u64(self.log_offset);
        bytes.put_i32(self.pid);
        bytes.put_u32(checksum(&bytes));
        let mut record = [0; RECORD_BYTES];
        record.copy_from_slice(&bytes);
        record
    }

    /// The record in `bytes`, which must be exactly one.
    ///
    /// # Errors
    ///
    /// A wrong length, magic, layout or checksum.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let record: &[u8; RECORD_BYTES] = match bytes.try_into() {
            Ok(record) => record,
            Err(_) if bytes.len() < RECORD_BYTES => return Err(DecodeError::Truncated { field: "exit record" }),
            Err(_) => {
                return Err(DecodeError::TooLong {
                    field: "exit record",
                    max: RECORD_BYTES as u32,
                });
            }
        };
        let mut fields = Fields(record);
        if fields.take("magic", MAGIC.len())? != MAGIC {
            return Err(DecodeError::Invalid { field: "magic" });
        }
        let (covered, _) = record.split_at(RECORD_BYTES - 4);
        if fields.u32("layout")? != LAYOUT {
            return Err(DecodeError::Invalid { field: "layout" });
        }
        let exit_code = fields.i32("exit code")?;
        let flags = fields.u32("flags")?;
        let _ = fields.u32("unused")?;
        let record = Self {
            exit_code,
            oom_killed: flags & OOM_KILLED != 0,
            remains: flags & REMAINS != 0,
            started_at_ns: fields.i64("start")?,
            finished_at_ns: fields.i64("end")?,
            log_lost_bytes: fields.u64("lost bytes")?,
            log_offset: fields.u64("log length")?,
            pid: fields.i32("pid")?,
        };
        if fields.u32("checksum")? == checksum(covered) {
            Ok(record)
        } else {
            Err(DecodeError::Damaged)
        }
    }

    /// Reads the record at `path`; `None` when there is none or only a torn one. A whole record that has not been given its
    /// name yet (a keeper killed just then) counts.
    ///
    /// # Errors
    ///
    /// The file exists and cannot be read.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        for path in [path, &unfinished(path)] {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened?,
            };
            let mut bytes = Vec::with_capacity(RECORD_BYTES + 1);
            file.take(RECORD_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            if let Ok(record) = Self::decode(&bytes) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// A record to come: its file is made when the container starts, so that an end on a full disk can still be written.
#[derive(Debug)]
pub(super) struct Pending {
    file: File,
    path: PathBuf,
    new_path: PathBuf,
}

impl Pending {
    /// Makes `<path>.new` with its space taken, and removes the record of an earlier run.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let new_path = unfinished(path);
        remove(path)?;
        remove(&new_path)?;
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new_path)?;
        file.write_all(&[0; RECORD_BYTES])?;
        Ok(Self {
            file,
            path: path.to_owned(),
            new_path,
        })
    }

    /// Writes the record and makes it durable.
    pub(super) fn write(&self, record: &ExitRecord) -> io::Result<()> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, &record.encode(), 0)?;
        self.file.sync_data()?;
        fs::rename(&self.new_path, &self.path)
    }

    /// The container never ran: leaves nothing.
    pub(super) fn discard(&self) {
        // Nothing can be done about a failure here, and the file holds no record: it is replaced by the next start.
        let _ = fs::remove_file(&self.new_path);
    }
}

/// Removes a record (also an unfinished one) once the daemon has stored what it says. Missing files are fine.
pub(super) fn remove_all(path: &Path) -> io::Result<()> {
    remove(path)?;
    remove(&unfinished(path))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_record() -> impl Strategy<Value = ExitRecord> {
        (any::<(i32, bool, bool, i64)>(), any::<(i64, u64, u64, i32)>()).prop_map(|(a, b)| ExitRecord {
            exit_code: a.0,
            oom_killed: a.1,
            remains: a.2,
            started_at_ns: a.3,
            finished_at_ns: b.0,
            log_lost_bytes: b.1,
            log_offset: b.2,
            pid: b.3,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(record in any_record()) {
            prop_assert_eq!(ExitRecord::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn a_torn_record_is_none(record in any_record(), cut in 0..RECORD_BYTES, bit in 0..RECORD_BYTES * 8) {
            let whole = record.encode();
            prop_assert!(ExitRecord::decode(&whole[..cut]).is_err());
            // What a preallocated file holds when only its first bytes have reached the disk.
            let mut torn = whole;
            torn[cut..].fill(0);
            prop_assert!(torn == whole || ExitRecord::decode(&torn).is_err());
            // The bytes nobody gives a meaning are covered too.
            let mut flipped = whole;
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ExitRecord::decode(&flipped).is_err());
        }
    }

    #[test]
    fn a_record_appears_only_when_written() {
        let dir = std::env::temp_dir().join(format!("gantry-record-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("exit");
        fs::write(
            &path,
            ExitRecord {
                exit_code: 9,
                ..ExitRecord::default()
            }
            .encode(),
        )
        .unwrap();
        let pending = Pending::create(&path).unwrap();
        assert_eq!(
            ExitRecord::read(&path).unwrap(),
            None,
            "the earlier run's record is gone"
        );
        let record = ExitRecord {
            exit_code: 137,
            finished_at_ns: 5,
            ..ExitRecord::default()
        };
        fs::write(dir.join("exit.new"), record.encode()).unwrap();
        assert_eq!(
            ExitRecord::read(&path).unwrap(),
            Some(record),
            "synced, but not renamed"
        );
        pending.write(&record).unwrap();
        assert_eq!(ExitRecord::read(&path).unwrap(), Some(record));
        remove_all(&path).unwrap();
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0, "nothing is left");
        fs::remove_dir(&dir).unwrap();
    }
}
