//! Tar members, written.
//!
//! Format: POSIX.1-2017, pax, "ustar Interchange Format"; what does not fit there goes into an extended header before it
//! ("pax Extended Header"), extended attributes as `SCHILY.xattr.` records. Every reader since 2001 takes both, and
//! [`Members`](super::Members) reads back what is written here.

use super::{
    header::BLOCK,
    members::{Kind, Member},
};

/// The blocks before the data of `member`. Its path is written as it is, a directory's with a slash behind it.
pub(crate) fn header(member: &Member) -> Vec<u8> {
    let mut records = Vec::new();
    let mut path = member.path.clone();
    if member.kind == Kind::Directory {
        path.push(b'/');
    }
    let (flag, link, (major, minor)) = match &member.kind {
        Kind::File => (b'0', &[][..], (0, 0)),
        Kind::HardLink { target } => (b'1', target.as_slice(), (0, 0)),
        Kind::Symlink { target } => (b'2', target.as_slice(), (0, 0)),
        Kind::CharDevice { major, minor } => (b'3', &[][..], (*major, *minor)),
        Kind::BlockDevice { major, minor } => (b'4', &[][..], (*major, *minor)),
        Kind::Directory => (b'5', &[][..], (0, 0)),
        Kind::Fifo => (b'6', &[][..], (0, 0)),
    };
    let mut block = [0; BLOCK];
    match split(&path) {
        Some((prefix, name)) => {
            put(&mut block, 0, name);
            put(&mut block, 345, prefix);
        }
        None => {
            put(&mut block, 0, &path[..NAME_MAX]);
            record(&mut records, b"path", &path);
        }
    }
    if link.len() > NAME_MAX {
        record(&mut records, b"linkpath", link);
    }
    put(&mut block, 157, &link[..link.len().min(NAME_MAX)]);
    octal(&mut block[100..108], u64::from(member.mode));
    for (field, key, value) in [
        (108..116, &b"uid"[..], u64::from(member.uid)),
        (116..124, b"gid", u64::from(member.gid)),
        (124..136, b"size", member.size),
    ] {
        if !octal(&mut block[field], value) {
            record(&mut records, key, value.to_string().as_bytes());
        }
    }
    let secs = member.mtime.secs;
    if !u64::try_from(secs).is_ok_and(|secs| octal(&mut block[136..148], secs)) {
        octal(&mut block[136..148], 0);
        record(&mut records, b"mtime", secs.to_string().as_bytes());
    }
    octal(&mut block[329..337], u64::from(major));
    octal(&mut block[337..345], u64::from(minor));
    for (name, value) in &member.xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    let mut blocks = Vec::with_capacity(BLOCK);
    if !records.is_empty() {
        let mut extended = [0; BLOCK];
        put(&mut extended, 0, b"pax");
        octal(&mut extended[100..108], 0o644);
        for field in [108..116, 116..124, 136..148, 329..337, 337..345] {
            octal(&mut extended[field], 0);
        }
        octal(&mut extended[124..136], records.len() as u64);
        seal(&mut extended, b'x');
        blocks.extend_from_slice(&extended);
        blocks.extend_from_slice(&records);
        blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    }
    seal(&mut block, flag);
    blocks.extend_from_slice(&block);
    blocks
}

/// A path as the header's prefix and name, which a reader joins with a slash; `None` if it is too long for that.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= NAME_MAX {
        return Some((b"", path));
    }
    // The name of a directory ends with a slash and is not empty.
    let last = path.len() - 1;
    let slashes = path[..last].iter().enumerate().filter(|&(_, &b)| b == b'/');
    let mut fitting = slashes.map(|(at, _)| (&path[..at], &path[at + 1..]));
    fitting.find(|(prefix, name)| !prefix.is_empty() && prefix.len() <= PREFIX_MAX && name.len() <= NAME_MAX)
}

fn put(block: &mut [u8; BLOCK], at: usize, text: &[u8]) {
    block[at..at + text.len()].copy_from_slice(text);
}

/// Digits and a NUL; zeros and `false` if there is no room for the number.
fn octal(field: &mut [u8], number: u64) -> bool {
    let digits = field.len() - 1;
    let fits = number >> (3 * digits) == 0;
    let number = if fits { number } else { 0 };
    for (place, digit) in field[..digits].iter_mut().rev().enumerate() {
        *digit = b'0' + (number >> (3 * place) & 7) as u8;
    }
    field[digits] = 0;
    fits
}

/// Type, magic and checksum.
fn seal(block: &mut [u8; BLOCK], flag: u8) {
    block[156] = flag;
    put(block, 257, b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum: u64 = block.iter().map(|&b| u64::from(b)).sum();
    octal(&mut block[148..155], sum);
}

/// Adds a record, whose length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let digits = |number: usize| number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut len = rest + digits(rest);
    if digits(len) > len - rest {
        len += 1;
    }
    records.extend_from_slice(len.to_string().as_bytes());
    records.push(b' ');
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

const NAME_MAX: usize = 100;
const PREFIX_MAX: usize = 155;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Members, Mtime};

    #[test]
    fn what_is_written_is_read_back() {
        let member = |path: Vec<u8>, kind| Member {
            path,
            kind,
            mode: 0o4751,
            uid: 1000,
            gid: 100,
            size: 0,
            mtime: Mtime {
                secs: 1_400_000_000,
                nanos: 0,
            },
            xattrs: Vec::new(),
        };
        let plain = || member(b"a".to_vec(), Kind::File);
        let long = |len: usize| vec![b'n'; len];
        let deep = |len: usize| b"directory/".repeat(len);
        let path = |path: Vec<u8>| member(path, Kind::File);
        let rows = [
            ("plain", plain(), 1),
            ("name of 100", path(long(100)), 1),
            ("name of 101", path(long(101)), 3),
            ("prefix and name", path([deep(12), long(60)].concat()), 1),
            ("prefix of 155", path([long(155), b"/x".to_vec()].concat()), 1),
            ("prefix of 156", path([long(156), b"/x".to_vec()].concat()), 3),
            ("deeper than the prefix", path([deep(50), long(20)].concat()), 4),
            ("not UTF-8", path(b"\xff\xfe".to_vec()), 1),
            ("directory", member(b"d".to_vec(), Kind::Directory), 1),
            ("directory of 99", member(long(99), Kind::Directory), 1),
            ("directory of 100", member(long(100), Kind::Directory), 3),
            (
                "directory in a long one",
                member([long(120), b"/d".to_vec()].concat(), Kind::Directory),
                1,
            ),
            ("fifo", member(b"f".to_vec(), Kind::Fifo), 1),
            (
                "link",
                member(
                    b"l".to_vec(),
                    Kind::Symlink {
                        target: b"/../x".to_vec(),
                    },
                ),
                1,
            ),
            (
                "long link",
                member(b"l".to_vec(), Kind::Symlink { target: long(4000) }),
                10,
            ),
            (
                "hard link",
                member(
                    b"h".to_vec(),
                    Kind::HardLink {
                        target: b"a/b".to_vec(),
                    },
                ),
                1,
            ),
            (
                "tty",
                member(
                    b"t".to_vec(),
                    Kind::CharDevice {
                        major: 5,
                        minor: 0o777_777,
                    },
                ),
                1,
            ),
            (
                "disk",
                member(b"t".to_vec(), Kind::BlockDevice { major: 4095, minor: 1 }),
                1,
            ),
            (
                "large owner",
                Member {
                    uid: 0o10_000_000,
                    gid: u32::MAX - 1,
                    ..plain()
                },
                3,
            ),
            (
                "largest in the header",
                Member {
                    size: 0o77_777_777_777,
                    ..plain()
                },
                1,
            ),
            (
                "large",
                Member {
                    size: 0o100_000_000_000,
                    ..plain()
                },
                3,
            ),
            (
                "before 1970",
                Member {
                    mtime: Mtime { secs: -5, nanos: 0 },
                    ..plain()
                },
                3,
            ),
            (
                "far future",
                Member {
                    mtime: Mtime {
                        secs: 0o100_000_000_000,
                        nanos: 0,
                    },
                    ..plain()
                },
                3,
            ),
            (
                "attributes",
                Member {
                    xattrs: vec![(b"user.a".to_vec(), b"x\n\0=".to_vec())],
                    ..plain()
                },
                3,
            ),
        ];
        for (name, member, blocks) in rows {
            let bytes = header(&member);
            assert_eq!(bytes.len(), blocks * BLOCK, "{name}");
            let read = Members::new(bytes.as_slice()).next_member().expect(name);
            assert_eq!(read, Some(member), "{name}");
        }
    }

    /// Lengths where counting the digits adds one.
    #[test]
    fn records_count_themselves() {
        for len in 0..1200 {
            let mut records = Vec::new();
            record(&mut records, b"k", &vec![b'v'; len]);
            let blank = records.iter().position(|&b| b == b' ').expect("a blank");
            let said: usize = std::str::from_utf8(&records[..blank])
                .expect("digits")
                .parse()
                .expect("a number");
            assert_eq!(said, records.len(), "{len}");
        }
    }
}
