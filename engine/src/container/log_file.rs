//! Reading a container's log in pieces, for clients: see [`keeper::log`](crate::keeper::log) for the format.
//!
//! All functions block and belong on a worker thread. A missing file is an empty log: the container has not run yet.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::Path,
};

use bytes::Bytes;
use gantry_core::{framing::StreamKind, model::Timestamp};

use crate::keeper::{
    log::{CatchUp, Reader},
    wire::Position,
};

/// Output that was logged at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which standard stream.
    pub stream: StreamKind,
    /// What was written. Ends with a line feed unless the line was longer than 16 KiB or the stream ended without one.
    pub bytes: Bytes,
    /// When.
    pub time: Timestamp,
}

/// Some entries in a row.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// In the order of the file.
    pub entries: Vec<Entry>,
    /// Where to read on.
    pub next: Position,
    /// There was nothing more at the time.
    pub at_end: bool,
}

/// Reads whole entries from `offset` on, about `bytes_max` bytes of output.
pub(crate) fn read(path: &Path, offset: u64, bytes_max: usize) -> io::Result<Piece> {
    let Some(file) = open(path)? else {
        return Ok(nothing(Position {
            log_offset: offset,
            skip: [0; 2],
        }));
    };
    let mut reader = Reader::new(file, offset);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut at_end = false;
    while bytes < bytes_max {
        let Some(entry) = reader.read_entry()? else {
            at_end = true;
            break;
        };
        bytes += entry.bytes.len() + ENTRY_OVERHEAD;
        let time = entry.time.parse().unwrap_or(Timestamp::ZERO);
        entries.push(Entry {
            stream: entry.stream,
            bytes: Bytes::copy_from_slice(entry.bytes),
            time,
        });
    }
    Ok(Piece {
        entries,
        next: Position {
            log_offset: reader.offset(),
            skip: [0; 2],
        },
        at_end,
    })
}

/// As [`read`], from a place inside entries, and without their times.
pub(crate) fn catch_up(path: &Path, position: Position, bytes_max: usize) -> io::Result<Piece> {
    let Some(file) = open(path)? else {
        return Ok(nothing(position));
    };
    let mut log = CatchUp::new(file, position);
    let (mut entries, mut bytes) = (Vec::new(), 0);
    let mut at_end = false;
    while bytes < bytes_max {
        let Some((stream, output)) = log.read_output()? else {
            at_end = true;
            break;
        };
        bytes += output.len() + ENTRY_OVERHEAD;
        entries.push(Entry {
            stream,
            bytes: Bytes::copy_from_slice(output),
            time: Timestamp::ZERO,
        });
    }
    Ok(Piece {
        entries,
        next: log.position(),
        at_end,
    })
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn nothing(next: Position) -> Piece {
    Piece {
        entries: Vec::new(),
        next,
        at_end: true,
    }
}

/// Where the last `lines` entries begin.
pub(crate) fn tail(path: &Path, lines: u64) -> io::Result<u64> {
    let Some(file) = open(path)? else { return Ok(0) };
    let len = file.metadata()?.len();
    if lines == 0 {
        return Ok(len);
    }
    let (mut end, mut left) = (len, lines);
    let mut block = vec![0; TAIL_BLOCK];
    while end > 0 {
        let start = end.saturating_sub(TAIL_BLOCK as u64);
        let size = usize::try_from(end - start).unwrap_or(TAIL_BLOCK);
        let got = read_full(&file, &mut block[..size], start)?;
        for index in (0..got).rev().filter(|&index| block[index] == b'\n') {
            let line_start = start + index as u64 + 1;
            // The line feed that ends the file begins no entry.
            if line_start < len {
                left -= 1;
                if left == 0 {
                    return Ok(line_start);
                }
            }
        }
        end = start;
    }
    Ok(0)
}

fn read_full(file: &File, out: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < out.len() {
        match file.read_at(&mut out[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// What an entry costs beside its bytes; many empty lines are bounded by it.
const ENTRY_OVERHEAD: usize = 64;
const TAIL_BLOCK: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    fn line(text: &str, stream: &str) -> String {
        format!(
            "{{\"log\":{},\"stream\":\"{stream}\",\"time\":\"2014-05-13T16:53:20.500000000Z\"}}\n",
            serde_json::json!(text)
        )
    }

    fn file(name: &str, content: &str) -> std::path::PathBuf {
        let path = env::temp_dir().join(format!("gantry-log-{}-{name}", process::id()));
        fs::write(&path, content).unwrap();
        path
    }

    #[test]
    fn reads_whole_entries_in_pieces() {
        let content = [
            line("one\n", "stdout"),
            line("two\n", "stderr"),
            line("three", "stdout"),
        ]
        .concat();
        let path = file("pieces", &(content.clone() + "{\"log\":\"half"));
        for bytes_max in [1, 64, 200, 1 << 20] {
            let (mut offset, mut texts) = (0, Vec::new());
            loop {
                let piece = read(&path, offset, bytes_max).unwrap();
                texts.extend(
                    piece
                        .entries
                        .iter()
                        .map(|e| (e.stream, String::from_utf8(e.bytes.to_vec()).unwrap())),
                );
                offset = piece.next.log_offset;
                if piece.at_end {
                    break;
                }
            }
            let wanted = [
                (StreamKind::Stdout, "one\n"),
                (StreamKind::Stderr, "two\n"),
                (StreamKind::Stdout, "three"),
            ];
            assert_eq!(texts, wanted.map(|(kind, text)| (kind, text.to_owned())), "{bytes_max}");
            assert_eq!(offset, content.len() as u64, "{bytes_max}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn finds_the_last_entries() {
        let lines: Vec<String> = (0..3000)
            .map(|n| line(&format!("line {n} {}\n", "x".repeat(n % 90)), "stdout"))
            .collect();
        let path = file("tail", &lines.concat());
        for count in [0, 1, 2, 10, 999, 2999, 3000, 5000] {
            let kept = lines.len().saturating_sub(count);
            let wanted: usize = lines[..kept].iter().map(String::len).sum();
            assert_eq!(tail(&path, count as u64).unwrap(), wanted as u64, "{count}");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_missing_file_is_empty_and_damage_is_passed_over() {
        let missing = Path::new("/nonexistent/log");
        let position = Position {
            log_offset: 7,
            skip: [0; 2],
        };
        assert_eq!(read(missing, 7, 10).unwrap(), nothing(position));
        assert_eq!(catch_up(missing, position, 10).unwrap(), nothing(position));
        assert_eq!(tail(missing, 7).unwrap(), 0);
        let path = file(
            "damage",
            &(line("a\n", "stdout") + "garbage\n{\"time\":1}\n" + &line("b\n", "stdout")),
        );
        let piece = read(&path, 0, 1 << 20).unwrap();
        assert_eq!(
            piece.entries.iter().map(|entry| &entry.bytes[..]).collect::<Vec<_>>(),
            [b"a\n", b"b\n"]
        );
        fs::remove_file(path).unwrap();
    }
}
