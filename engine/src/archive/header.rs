//! One 512-byte tar header block, decoded strictly.
//!
//! Fields and offsets: POSIX.1-2017, pax, "ustar Interchange Format"; base-256 numbers and the GNU magic: the GNU tar
//! manual, "Basic Tar Format". Stricter than either: a number holds digits and nothing else, nothing follows the NUL
//! that ends a name, and unknown magic is refused, because readers differ there.
//!
//! ```text
//!   0 name 100 | 100 mode 8 | 108 uid 8 | 116 gid 8 | 124 size 12 | 136 mtime 12 | 148 chksum 8 | 156 typeflag
//!   157 linkname 100 | 257 magic 6 | 263 version 2 | 265 uname 32 | 297 gname 32 | 329 devmajor 8 | 337 devminor 8
//!   345 prefix 155 | 500 unused 12
//! ```

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// A header block whose checksum is right.
pub(crate) struct Header<'a>(&'a [u8; BLOCK]);

/// Which dialect the magic names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// No magic: the tar of Version 7, without prefix, owner names and devices.
    V7,
    Ustar,
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks the checksum and the magic.
    pub(crate) fn decode(block: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        let stated = number(&block[148..156])?.ok_or("a header has no checksum")?;
        let field = 148..156;
        let bytes = || {
            block
                .iter()
                .enumerate()
                .map(|(i, &b)| if field.contains(&i) { b' ' } else { b })
        };
        let unsigned: u64 = bytes().map(u64::from).sum();
        // Ancient tars summed signed characters; every reader takes both.
        let signed: i64 = bytes().map(|b| i64::from(b.cast_signed())).sum();
        if stated != unsigned && i64::try_from(stated) != Ok(signed) {
            return Err("a header's checksum is wrong");
        }
        let header = Self(block);
        header.dialect()?;
        Ok(header)
    }

    fn dialect(&self) -> Result<Dialect, &'static str> {
        match &self.0[257..263] {
            b"ustar\0" => Ok(Dialect::Ustar),
            b"ustar " => Ok(Dialect::Gnu),
            [0, 0, 0, 0, 0, 0] => Ok(Dialect::V7),
            _ => Err("a header's magic is unknown"),
        }
    }

    /// The type flag.
    pub(crate) fn kind(&self) -> u8 {
        self.0[156]
    }

    /// The name, with its prefix.
    pub(crate) fn name(&self) -> Result<Vec<u8>, &'static str> {
        let name = text(&self.0[..100])?;
        if self.dialect()? != Dialect::Ustar {
            return Ok(name.to_vec());
        }
        let prefix = text(&self.0[345..500])?;
        if prefix.is_empty() {
            return Ok(name.to_vec());
        }
        Ok([prefix, b"/", name].concat())
    }

    /// The target of a link.
    pub(crate) fn link_name(&self) -> Result<Vec<u8>, &'static str> {
        text(&self.0[157..257]).map(<[u8]>::to_vec)
    }

    /// Permission bits; file-type bits that some writers add are dropped.
    pub(crate) fn mode(&self) -> Result<u32, &'static str> {
        let mode = number(&self.0[100..108])?.unwrap_or(0);
        Ok(u32::try_from(mode & 0o7777).unwrap_or(0))
    }

    /// Owner.
    pub(crate) fn uid(&self) -> Result<u64, &'static str> {
        Ok(number(&self.0[108..116])?.unwrap_or(0))
    }

    /// Group.
    pub(crate) fn gid(&self) -> Result<u64, &'static str> {
        Ok(number(&self.0[116..124])?.unwrap_or(0))
    }

    /// Bytes of data that follow.
    pub(crate) fn size(&self) -> Result<u64, &'static str> {
        number(&self.0[124..136])?.ok_or("a header has no size")
    }

    /// Seconds since 1970. The one number that may be negative: GNU tar writes so what is older than 1970.
    pub(crate) fn mtime(&self) -> Result<i64, &'static str> {
        let field = &self.0[136..148];
        if field[0] == 0xff {
            let low = i64::from_be_bytes(field[4..12].try_into().expect("eight bytes"));
            return match field[1..4] {
                [0xff, 0xff, 0xff] if low < 0 => Ok(low),
                _ => Err(OVERFLOW),
            };
        }
        i64::try_from(number(field)?.unwrap_or(0)).map_err(|_| OVERFLOW)
    }

    /// Device number.
    pub(crate) fn device(&self) -> Result<(u32, u32), &'static str> {
        let major = number(&self.0[329..337])?.unwrap_or(0);
        let minor = number(&self.0[337..345])?.unwrap_or(0);
        // The kernel keeps 12 and 20 bits.
        if major >= 1 << 12 || minor >= 1 << 20 {
            return Err("a device number is out of range");
        }
        Ok((u32::try_from(major).unwrap_or(0), u32::try_from(minor).unwrap_or(0)))
    }
}

/// A NUL-terminated (or full) field.
fn text(field: &[u8]) -> Result<&[u8], &'static str> {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    let (text, rest) = field.split_at(end);
    if rest.iter().any(|&b| b != 0) {
        return Err("a name holds a NUL");
    }
    Ok(text)
}

/// An octal number with blanks before and blanks or NULs after, or a positive base-256 one. `None`: the field is blank.
fn number(field: &[u8]) -> Result<Option<u64>, &'static str> {
    match field[0] {
        0x80 => {
            let shift = |n: u64, b: &u8| n.checked_mul(256).map(|n| n | u64::from(*b));
            return field[1..].iter().try_fold(0, shift).map(Some).ok_or(OVERFLOW);
        }
        0xff => return Err("a number is negative"),
        _ => {}
    }
    let blanks = field.iter().take_while(|&&b| b == b' ').count();
    let digits = field[blanks..].iter().take_while(|b| matches!(b, b'0'..=b'7')).count();
    let (number, rest) = field[blanks..].split_at(digits);
    if rest.iter().any(|&b| b != b' ' && b != 0) {
        return Err("a number is malformed");
    }
    if number.is_empty() {
        return Ok(None);
    }
    let shift = |n: u64, b: &u8| n.checked_mul(8).map(|n| n | u64::from(b - b'0'));
    number.iter().try_fold(0, shift).map(Some).ok_or(OVERFLOW)
}

const OVERFLOW: &str = "a number is out of range";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        type Row<'a> = (&'a str, &'a [u8], Result<Option<u64>, &'a str>);
        let rows: [Row<'_>; 14] = [
            ("plain", b"0000644\0", Ok(Some(0o644))),
            ("full field", b"00000644", Ok(Some(0o644))),
            ("blanks before", b"   644 \0", Ok(Some(0o644))),
            ("blank", b"        ", Ok(None)),
            ("nothing", b"\0\0\0\0\0\0\0\0", Ok(None)),
            ("sign", b"+000644\0", Err("a number is malformed")),
            ("minus", b"-000644\0", Err("a number is malformed")),
            ("decimal digit", b"0000689\0", Err("a number is malformed")),
            ("hexadecimal", b"0x00644\0", Err("a number is malformed")),
            ("digits after the end", b"644\0 644", Err("a number is malformed")),
            ("base 256", b"\x80\0\0\0\0\0\x01\0", Ok(Some(256))),
            (
                "base 256, negative",
                b"\xff\xff\xff\xff\xff\xff\xff\xff",
                Err("a number is negative"),
            ),
            (
                "base 256, largest",
                b"\x80\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
                Ok(Some(u64::MAX)),
            ),
            ("base 256, too large", b"\x80\0\0\x01\0\0\0\0\0\0\0\0", Err(OVERFLOW)),
        ];
        for (name, field, expected) in rows {
            assert_eq!(number(field), expected, "{name}");
        }
    }

    #[test]
    fn names_end_once() {
        assert_eq!(text(b"abc\0\0"), Ok(&b"abc"[..]));
        assert_eq!(text(b"abcde"), Ok(&b"abcde"[..]));
        assert_eq!(text(b"abc\0d"), Err("a name holds a NUL"));
    }
}
