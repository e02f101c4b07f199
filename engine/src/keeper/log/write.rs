//! The only writer of a log: whole entries, appended in large writes, and cut back when the disk is full.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use gantry_core::model::Timestamp;

use super::{ENTRY_MAX, STREAMS, encode};

/// Entries are written together when they fill this many bytes.
const BATCH_BYTES: usize = 64 * 1024;

/// An open log.
#[derive(Debug)]
pub(in crate::keeper) struct LogFile {
    file: File,
    /// Bytes of whole entries in the file: where the next one begins.
    offset: u64,
    /// Whole entries not yet written.
    batch: Vec<u8>,
    /// Raw bytes of output in `batch`, by stream.
    batched: [u64; 2],
    /// Raw bytes that could not be written and that the log does not mention yet, by stream.
    lost: [u64; 2],
    /// Raw bytes that could not be written, ever.
    lost_total: u64,
    time: String,
}

impl LogFile {
    /// Opens a log to append to. A torn entry at its end, left by a keeper that was killed, is cut off.
    pub(in crate::keeper) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .mode(0o640)
            .open(path)?;
        let offset = end_whole(&file)?;
        // The mode of a new file went through a umask that leaves nothing to the group.
        file.set_permissions(std::fs::Permissions::from_mode(0o640))?;
        Ok(Self {
            file,
            offset,
            batch: Vec::with_capacity(BATCH_BYTES + ENTRY_MAX),
            batched: [0; 2],
            lost: [0; 2],
            lost_total: 0,
            time: String::new(),
        })
    }

    /// Length of the file, up to the last entry written.
    pub(in crate::keeper) fn offset(&self) -> u64 {
        self.offset
    }

    /// Raw bytes that stand after `offset` in the program's output but will not come as entries, by stream.
    pub(in crate::keeper) fn lost(&self) -> [u64; 2] {
        self.lost
    }

    /// Raw bytes of output that the log does not hold.
    pub(in crate::keeper) fn lost_total(&self) -> u64 {
        self.lost_total
    }

    /// The time of the entries to come, in nanoseconds since the Unix epoch.
    pub(in crate::keeper) fn set_time(&mut self, now_ns: i64) {
        use std::fmt::Write as _;

        self.time.clear();
        // Writing to a string does not fail.
        let _ = write!(self.time, "{}", Timestamp::from_nanos(i128::from(now_ns)).fixed_width());
    }

    /// Adds one entry. Nothing is in the file for sure until [`flush`](Self::flush).
    pub(in crate::keeper) fn append(&mut self, stream: usize, line: &[u8]) {
        if self.batch.len() >= BATCH_BYTES {
            self.flush();
        }
        encode::entry(&mut self.batch, line, STREAMS[stream], &self.time);
        self.batched[stream] += line.len() as u64;
    }

    /// Writes what was added. A failure is not an error of the container: what does not fit is counted, and the log says
    /// so when it can be written again.
    pub(in crate::keeper) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if self.lost != [0; 2] {
            self.mention_loss();
        }
        if self.lost == [0; 2] && write_whole(&mut self.file, &self.batch, self.offset).is_ok() {
            self.offset += self.batch.len() as u64;
        } else {
            for (lost, batched) in self.lost.iter_mut().zip(self.batched) {
                *lost += batched;
                self.lost_total += batched;
            }
        }
        self.batch.clear();
        self.batched = [0; 2];
    }

    fn mention_loss(&mut self) {
        let mut entries = Vec::with_capacity(256);
        for (stream, &lost) in self.lost.iter().enumerate().filter(|&(_, &lost)| lost > 0) {
            encode::loss(&mut entries, lost, STREAMS[stream], &self.time);
        }
        if write_whole(&mut self.file, &entries, self.offset).is_ok() {
            self.offset += entries.len() as u64;
            self.lost = [0; 2];
        }
    }
}

/// Appends all of `bytes` or nothing: what was written of a failed write is cut off.
fn write_whole(file: &mut File, bytes: &[u8], offset: u64) -> io::Result<()> {
    file.write_all(bytes).inspect_err(|_| {
        // If this fails too, the next run or the next reader drops the torn entry: it does not end in a newline or is
        // no JSON.
        let _ = file.set_len(offset);
    })
}

/// Makes the file end in a whole entry, and says where that is.
///
/// What stands behind the last newline is a torn entry and is cut off. Only the end is searched: no entry is longer than
/// [`ENTRY_MAX`]. If there is no newline that near, the file is not ours; what follows then begins on a line of its own.
fn end_whole(mut file: &File) -> io::Result<u64> {
    let len = file.metadata()?.len();
    let mut at = len.saturating_sub(ENTRY_MAX as u64);
    let mut end = if at == 0 { Some(0) } else { None };
    let mut buffer = [0; 4096];
    while at < len {
        let read = file.read_at(&mut buffer, at)?;
        let piece = buffer.get(..read).unwrap_or_default();
        if let Some(newline) = piece.iter().rposition(|&byte| byte == b'\n') {
            end = Some(at + newline as u64 + 1);
        }
        if read == 0 {
            break;
        }
        at += read as u64;
    }
    match end {
        Some(end) if end == len => {}
        Some(end) => file.set_len(end)?,
        None => file.write_all(b"\n")?,
    }
    Ok(end.unwrap_or(len + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_end_is_cut_off() {
        let foreign = vec![b'x'; ENTRY_MAX * 2];
        let mut foreign_ended = foreign.clone();
        foreign_ended.push(b'\n');
        let table: [(&str, &[u8], &[u8]); 5] = [
            ("empty", b"", b""),
            ("whole", b"{}\n{}\n", b"{}\n{}\n"),
            ("torn", b"{}\n{\"log\":\"", b"{}\n"),
            ("torn at once", b"{\"log\":\"", b""),
            ("not ours", &foreign, &foreign_ended),
        ];
        let path = std::env::temp_dir().join(format!("gantry-torn-{}", std::process::id()));
        for (name, before, after) in table {
            std::fs::write(&path, before).unwrap();
            let log = LogFile::open(&path).unwrap();
            assert_eq!(
                (log.offset(), std::fs::read(&path).unwrap() == after),
                (after.len() as u64, true),
                "{name}"
            );
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn what_a_full_disk_swallowed_is_counted_and_said() {
        let path = std::env::temp_dir().join(format!("gantry-full-{}", std::process::id()));
        let mut log = LogFile::open(&path).unwrap();
        log.set_time(0);
        log.append(0, b"before\n");
        log.flush();
        let good = std::mem::replace(
            &mut log.file,
            OpenOptions::new().append(true).open("/dev/full").unwrap(),
        );
        log.append(0, b"lost\n");
        log.append(1, b"gone\n");
        log.flush();
        log.append(1, b"too\n");
        log.flush();
        assert_eq!((log.lost(), log.lost_total()), ([5, 9], 14));
        log.file = good;
        log.append(0, b"after\n");
        log.flush();
        assert_eq!((log.lost(), log.lost_total()), ([0, 0], 14));
        assert_eq!(log.offset(), std::fs::metadata(&path).unwrap().len());
        let mut reader = super::super::Reader::open(&path, 0).unwrap();
        let mut entries = Vec::new();
        while let Some(entry) = reader.read_entry().unwrap() {
            entries.push((entry.stream as u8, entry.lost, entry.bytes.to_vec()));
        }
        let expected: [(u8, u64, &[u8]); 4] = [(1, 0, b"before\n"), (1, 5, b""), (2, 9, b""), (1, 0, b"after\n")];
        assert!(
            entries.iter().map(|(s, l, b)| (*s, *l, &b[..])).eq(expected),
            "{entries:?}"
        );
        std::fs::remove_file(&path).unwrap();
    }
}
