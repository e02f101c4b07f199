//! Reading a log: entries with the exact bytes the program wrote, from any entry's beginning.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use gantry_core::framing::StreamKind;

use super::{ENTRY_MAX, LINE_MAX};
use crate::keeper::wire::Position;

/// Bytes read at a time, at least.
const READ_BYTES: usize = 64 * 1024;

/// Reads a log's entries. Bounded memory (about 200 KiB); blocks on the disk only.
#[derive(Debug)]
pub struct Reader {
    file: File,
    /// Where in the file `buffer[at..]` begins: the beginning of the next entry.
    offset: u64,
    buffer: Vec<u8>,
    /// `0 <= at <= buffer.len()`
    at: usize,
    /// Up to where `buffer` is known to hold no newline, from `at`. `at <= searched <= buffer.len()`
    searched: usize,
    raw: Vec<u8>,
    time: String,
    damaged: u64,
}

/// One entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Stdout or stderr.
    pub stream: StreamKind,
    /// RFC 3339 with nanoseconds, UTC.
    pub time: &'a str,
    /// What the program wrote, byte for byte; with its newline, if it has one.
    pub bytes: &'a [u8],
    /// Bytes of this stream that are missing from the log before this place; `bytes` is empty then.
    pub lost: u64,
}

impl Reader {
    /// Opens the log to read from `offset`, which must be 0 or the end of an entry.
    ///
    /// # Errors
    ///
    /// The file cannot be opened.
    pub fn open(path: &Path, offset: u64) -> io::Result<Self> {
        Ok(Self::new(File::open(path)?, offset))
    }

    /// Reads from an open log.
    #[must_use]
    pub fn new(file: File, offset: u64) -> Self {
        Self {
            file,
            offset,
            buffer: Vec::new(),
            at: 0,
            searched: 0,
            raw: Vec::new(),
            time: String::new(),
            damaged: 0,
        }
    }

    /// Where the next entry begins: what was read before this is whole.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Lines that were no entries and have been passed over (a log damaged by a power failure).
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// The next entry; `None` at the end of the file, or when the file ends in an entry that is being written. Ask again
    /// later: reading goes on where it stopped.
    ///
    /// # Errors
    ///
    /// The file cannot be read.
    pub fn read_entry(&mut self) -> io::Result<Option<Entry<'_>>> {
        loop {
            let Some(end) = self.line_end()? else { return Ok(None) };
            let line = self.buffer.get(self.at..end).unwrap_or_default();
            let fields = parse(line, &mut self.raw, &mut self.time);
            self.offset += (end - self.at) as u64;
            self.at = end;
            self.searched = end;
            if let Some((stream, lost)) = fields {
                return Ok(Some(Entry {
                    stream,
                    time: &self.time,
                    bytes: &self.raw,
                    lost,
                }));
            }
            self.damaged += 1;
        }
    }

    /// Index behind the next newline.
    fn line_end(&mut self) -> io::Result<Option<usize>> {
        loop {
            let unsearched = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(newline) = unsearched.iter().position(|&byte| byte == b'\n') {
                return Ok(Some(self.searched + newline + 1));
            }
            self.searched = self.buffer.len();
            if self.buffer.len() - self.at > ENTRY_MAX {
                // Longer than any entry: damaged. Passed over in pieces, so that memory stays bounded.
                return Ok(Some(self.buffer.len()));
            }
            self.buffer.drain(..self.at);
            self.searched -= self.at;
            self.at = 0;
            let held = self.buffer.len();
            self.buffer.resize(held + READ_BYTES, 0);
            let read = self
                .file
                .read_at(self.buffer.split_at_mut(held).1, self.offset + held as u64);
            self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
            if read? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Reads what a subscriber has missed: from a [`Position`] to one at which it can subscribe again.
#[derive(Debug)]
pub struct CatchUp {
    reader: Reader,
    skip: [u64; 2],
}

impl CatchUp {
    /// Goes on from `position`, with `log` open for reading.
    #[must_use]
    pub fn new(log: File, position: Position) -> Self {
        Self {
            reader: Reader::new(log, position.log_offset),
            skip: position.skip,
        }
    }

    /// The next output that the subscriber has not got (never empty); `None` at the current end of the log. Subscribe from
    /// [`position`](Self::position) then, and after `Behind` go on here.
    ///
    /// # Errors
    ///
    /// The log cannot be read.
    pub fn read_output(&mut self) -> io::Result<Option<(StreamKind, &[u8])>> {
        loop {
            let Some(entry) = self.reader.read_entry()? else {
                return Ok(None);
            };
            let stream = entry.stream;
            let len = entry.bytes.len() as u64;
            let skip = &mut self.skip[usize::from(stream == StreamKind::Stderr)];
            let skipped = (*skip).min(entry.lost + len);
            *skip -= skipped;
            let rest = usize::try_from(skipped.saturating_sub(entry.lost)).unwrap_or(usize::MAX);
            if rest as u64 >= len {
                continue;
            }
            // The entry is borrowed from the reader's memory, which outlives the loop's turn.
            return Ok(Some((stream, self.reader.raw.get(rest..).unwrap_or_default())));
        }
    }

    /// Where the output not yet read begins.
    #[must_use]
    pub fn position(&self) -> Position {
        Position {
            log_offset: self.reader.offset,
            skip: self.skip,
        }
    }
}

/// Reads one line: a flat object of strings and numbers. Unknown members are passed over.
fn parse(line: &[u8], raw: &mut Vec<u8>, time: &mut String) -> Option<(StreamKind, u64)> {
    raw.clear();
    time.clear();
    let mut scan = Scan(line);
    let (mut stream, mut lost, mut invalid): (_, _, Option<&[u8]>) = (None, 0, None);
    let mut log: Option<&[u8]> = None;
    scan.expect(b'{')?;
    loop {
        let name = scan.string()?;
        scan.expect(b':')?;
        if let Some(digits) = scan.number() {
            if name == b"lost" {
                lost = digits
                    .iter()
                    .try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))?;
            }
        } else {
            let value = scan.string()?;
            match name {
                b"log" => log = Some(value),
                b"stream" if value == b"stdout" => stream = Some(StreamKind::Stdout),
                b"stream" if value == b"stderr" => stream = Some(StreamKind::Stderr),
                b"time" => time.push_str(std::str::from_utf8(value).ok()?),
                b"invalid" => invalid = Some(value),
                _ => {}
            }
        }
        match scan.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let ends = matches!(scan.0, b"\n" | b"\r\n");
    unescape(log?, invalid, raw)?;
    (ends && raw.len() <= LINE_MAX).then_some((stream?, lost))
}

struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn expect(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    /// A string's inside, still escaped.
    fn string(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let inside = self.0;
        let mut len = 0;
        loop {
            len += inside
                .get(len..)?
                .iter()
                .position(|&byte| byte == b'"' || byte == b'\\')?;
            if inside.get(len) == Some(&b'"') {
                break;
            }
            len += 2;
        }
        let (string, rest) = inside.split_at_checked(len)?;
        self.0 = rest;
        self.expect(b'"')?;
        Some(string)
    }

    fn number(&mut self) -> Option<&'a [u8]> {
        let len = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (digits, rest) = self.0.split_at(len);
        (len > 0).then(|| {
            self.0 = rest;
            digits
        })
    }
}

/// Undoes the writer's escapes. Each `\ufffd` takes the next byte of the list, if there is one.
fn unescape(mut text: &[u8], invalid: Option<&[u8]>, out: &mut Vec<u8>) -> Option<()> {
    let (mut bytes, rest) = invalid.unwrap_or_default().as_chunks::<2>();
    rest.is_empty().then_some(())?;
    loop {
        let plain = text.iter().position(|&byte| byte == b'\\').unwrap_or(text.len());
        let (head, tail) = text.split_at(plain);
        out.extend_from_slice(head);
        let character = match tail {
            [] => return bytes.is_empty().then_some(()),
            [b'\\', b'u', a, b, c, d, rest @ ..] => {
                text = rest;
                let unit = hex(&[*a, *b])? << 8 | hex(&[*c, *d])?;
                match (unit, bytes) {
                    (0xfffd, [digits, others @ ..]) => {
                        bytes = others;
                        out.push(u8::try_from(hex(digits)?).ok()?);
                        continue;
                    }
                    // Half of a surrogate pair: other writers use them, we never do.
                    (unit, _) => char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
                }
            }
            [b'\\', escaped, rest @ ..] => {
                text = rest;
                match escaped {
                    b'"' | b'\\' | b'/' => char::from(*escaped),
                    b'b' => '\x08',
                    b'f' => '\x0c',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    _ => return None,
                }
            }
            _ => return None,
        };
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn hex(digits: &[u8; 2]) -> Option<u32> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    Some(digit(digits[0])? << 4 | digit(digits[1])?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode;
    use super::*;

    fn reader_of(name: &str, contents: &[u8]) -> (Reader, std::path::PathBuf) {
        let path = std::env::temp_dir().join(format!("gantry-read-{name}-{}", std::process::id()));
        std::fs::write(&path, contents).unwrap();
        (Reader::open(&path, 0).unwrap(), path)
    }

    proptest! {
        #[test]
        fn what_is_logged_is_read_byte_for_byte(line in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'\\'), Just(0xef), Just(0xbf), Just(0xbd), Just(b'"'), Just(0xe2), Just(0x80)],
            0..400,
        )) {
            let mut encoded = Vec::new();
            encode::entry(&mut encoded, &line, "stderr", "T");
            let (mut raw, mut time) = (Vec::new(), String::new());
            prop_assert_eq!(parse(&encoded, &mut raw, &mut time), Some((StreamKind::Stderr, 0)));
            prop_assert_eq!((raw, time.as_str()), (line, "T"));
            let json: serde_json::Value = serde_json::from_slice(&encoded).unwrap();
            prop_assert!(json["log"].is_string(), "any JSON reader takes it");
        }

        #[test]
        fn any_line_is_read_or_passed_over(line in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"{}\":,\\u0fd19logstream"[..])], 0..80,
        )) {
            let _ = parse(&line, &mut Vec::new(), &mut String::new());
        }
    }

    #[test]
    fn damaged_lines_are_passed_over_and_unfinished_ones_wait() {
        let mut contents = b"nonsense\n{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"T\"}\n".to_vec();
        contents.extend(vec![0; 3 * ENTRY_MAX]);
        contents.push(b'\n');
        contents.extend(b"{\"log\":\"\",\"stream\":\"stderr\",\"time\":\"T\",\"lost\":7}\n{\"log\":\"b");
        let (mut reader, path) = reader_of("damaged", &contents);
        let first = reader.read_entry().unwrap().unwrap();
        assert_eq!(
            (first.bytes, first.stream, first.lost),
            (&b"a\n"[..], StreamKind::Stdout, 0)
        );
        let second = reader.read_entry().unwrap().unwrap();
        assert_eq!(
            (second.bytes, second.stream, second.lost),
            (&b""[..], StreamKind::Stderr, 7)
        );
        assert_eq!(reader.read_entry().unwrap(), None);
        assert!(reader.damaged() >= 2 && reader.buffer.capacity() < 4 * ENTRY_MAX);
        contents.extend(b"c\",\"stream\":\"stdout\",\"time\":\"T\"}\n");
        std::fs::write(&path, &contents).unwrap();
        assert_eq!(reader.read_entry().unwrap().map(|entry| entry.bytes), Some(&b"bc"[..]));
        assert_eq!(reader.offset(), contents.len() as u64);
        std::fs::remove_file(path).unwrap();
    }
}
