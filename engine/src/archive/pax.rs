//! Records of a pax extended header.
//!
//! Format: POSIX.1-2017, pax, "pax Extended Header": `length SP keyword=value LF`, the length in decimal and counting
//! itself. Extended attributes: the `SCHILY.xattr.` keywords of star, which Docker and GNU tar write. Refused: doubled
//! keywords, lengths that do not end at a line feed, NULs, empty values of what matters, and everything sparse.

use super::members::Mtime;

/// What an extended header says about the member after it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link_path: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Mtime>,
    /// Name (`user.x`, NUL excluded) and value.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Pax {
    /// Reads the data of an `x` member.
    pub(crate) fn decode(data: &[u8]) -> Result<Self, &'static str> {
        let mut pax = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        for record in Records(data) {
            let (key, value) = record?;
            if !seen.insert(key) {
                return Err("a pax keyword is there twice");
            }
            pax.set(key, value)?;
        }
        Ok(pax)
    }

    /// Checks the data of a `g` member. Readers disagree on whether global records apply, so only those that change
    /// nothing are taken (git writes its commit as `comment`).
    pub(crate) fn check_global(data: &[u8]) -> Result<(), &'static str> {
        for record in Records(data) {
            let (key, _) = record?;
            if key != b"comment" {
                return Err("a global pax header changes members");
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"path" => self.path = Some(name(value)?),
            b"linkpath" => self.link_path = Some(name(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"SCHILY.realsize" => return Err("a sparse file is not supported"),
            _ => {
                if let Some(xattr) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name(xattr)?, value.to_vec()));
                } else if key.starts_with(b"GNU.sparse.") {
                    return Err("a sparse file is not supported");
                }
                // Everything else (atime, ctime, owner names, charset, vendors' notes) has no meaning for a layer.
            }
        }
        Ok(())
    }
}

struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let record = self.split();
        if record.is_none() {
            self.0 = &[];
        }
        Some(record.ok_or("a pax record is malformed"))
    }
}

impl<'a> Records<'a> {
    fn split(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        // 20 digits are more than any length that fits in memory.
        let blank = self.0.iter().take(20).position(|&b| b == b' ')?;
        if self.0[0] == b'0' {
            return None;
        }
        let len = usize::try_from(decimal(&self.0[..blank]).ok()?).ok()?;
        let (record, rest) = self.0.split_at_checked(len)?;
        let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
        let equals = record.iter().position(|&b| b == b'=')?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        if key.is_empty() || key.contains(&0) {
            return None;
        }
        self.0 = rest;
        Some((key, value))
    }
}

fn name(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() {
        return Err("a pax name is empty");
    }
    if value.contains(&0) {
        return Err("a name holds a NUL");
    }
    Ok(value.to_vec())
}

/// Digits and nothing else: no sign, no blanks.
fn decimal(digits: &[u8]) -> Result<u64, &'static str> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err("a pax number is malformed");
    }
    let add = |n: u64, d: &u8| n.checked_mul(10)?.checked_add(u64::from(d - b'0'));
    digits.iter().try_fold(0, add).ok_or("a pax number is out of range")
}

/// `[-]seconds[.fraction]`. The sign is part of the format here: files may be older than 1970.
fn time(value: &[u8]) -> Result<Mtime, &'static str> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let (whole, fraction) = match value.iter().position(|&b| b == b'.') {
        Some(dot) => (&value[..dot], &value[dot + 1..]),
        None => (value, &b""[..]),
    };
    let secs = i64::try_from(decimal(whole)?).map_err(|_| "a pax number is out of range")?;
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err("a pax number is malformed");
    }
    // Digits beyond the ninth are finer than any file system.
    let digit = |i: usize| fraction.get(i).map_or(0, |d| u32::from(d - b'0'));
    let nanos = (0..9).fold(0, |n, i| n * 10 + digit(i));
    Ok(match (negative, nanos) {
        (false, _) => Mtime { secs, nanos },
        (true, 0) => Mtime { secs: -secs, nanos },
        (true, _) => Mtime {
            secs: -secs - 1,
            nanos: 1_000_000_000 - nanos,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record of the right length.
    fn record(text: &str) -> Vec<u8> {
        let mut len = text.len() + 3;
        while len != len.to_string().len() + 1 + text.len() + 1 {
            len += 1;
        }
        format!("{len} {text}\n").into_bytes()
    }

    #[test]
    fn refuses() {
        const MALFORMED: &str = "a pax record is malformed";
        let rows: [(&str, Vec<u8>, &str); 17] = [
            ("no length", b"path=a\n".to_vec(), MALFORMED),
            ("length zero", b"0 path=a\n".to_vec(), MALFORMED),
            ("leading zero", b"010 path=a\n".to_vec(), MALFORMED),
            ("sign", b"+10 path=a\n".to_vec(), MALFORMED),
            ("too long", b"99 path=a\n".to_vec(), MALFORMED),
            ("too short", b"8 path=a\n".to_vec(), MALFORMED),
            ("shorter than itself", b"1 path=a\n".to_vec(), MALFORMED),
            ("no equals sign", record("patha"), MALFORMED),
            ("no keyword", record("=a"), MALFORMED),
            ("overflow", b"99999999999999999999999 path=a\n".to_vec(), MALFORMED),
            (
                "twice",
                [record("path=a"), record("path=b")].concat(),
                "a pax keyword is there twice",
            ),
            ("NUL in name", record("path=a\0"), "a name holds a NUL"),
            ("empty name", record("path="), "a pax name is empty"),
            ("negative size", record("size=-1"), "a pax number is malformed"),
            ("signed size", record("size=+1"), "a pax number is malformed"),
            (
                "huge size",
                record("size=99999999999999999999"),
                "a pax number is out of range",
            ),
            ("sparse", record("GNU.sparse.major=1"), "a sparse file is not supported"),
        ];
        for (name, data, expected) in rows {
            assert_eq!(Pax::decode(&data), Err(expected), "{name}");
        }
    }

    #[test]
    fn reads() {
        let rows = [
            "path=a",
            "size=42",
            "mtime=-1.25",
            "SCHILY.xattr.user.n=a\nb\0",
            "uname=someone",
        ];
        let data: Vec<u8> = rows.iter().flat_map(|row| record(row)).collect();
        let expected = Pax {
            path: Some(b"a".to_vec()),
            size: Some(42),
            mtime: Some(Mtime {
                secs: -2,
                nanos: 750_000_000,
            }),
            xattrs: vec![(b"user.n".to_vec(), b"a\nb\0".to_vec())],
            ..Pax::default()
        };
        assert_eq!(Pax::decode(&data), Ok(expected));
        assert_eq!(Pax::check_global(&record("comment=ab")), Ok(()));
        assert!(Pax::check_global(&record("path=a")).is_err());
    }
}
