//! Fixed-width, checked fields: the bytes under the keeper's messages and records.
//!
//! Numbers are little endian. Bytes and texts have a `u32` length in front, lists a `u32` count; every length has a bound
//! that the decoder names. Nothing here depends on the width of `usize`.

use std::fmt;

/// Why bytes from the other side are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// The bytes end inside this field.
    Truncated {
        /// The field.
        field: &'static str,
    },
    /// The field is larger than is allowed.
    TooLong {
        /// The field.
        field: &'static str,
        /// Largest length or count.
        max: u32,
    },
    /// The field's value has no meaning.
    Invalid {
        /// The field.
        field: &'static str,
    },
    /// A checksum does not match: the bytes were torn or damaged.
    Damaged,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { field } => write!(f, "ends inside {field}"),
            Self::TooLong { field, max } => write!(f, "{field} is longer than {max}"),
            Self::Invalid { field } => write!(f, "{field} has no valid value"),
            Self::Damaged => f.write_str("the checksum does not match"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Bytes not decoded yet.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn take(&mut self, field: &'static str, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(DecodeError::Truncated { field })?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    pub(super) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.array(field).map(i32::from_le_bytes)
    }

    pub(super) fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.array(field).map(i64::from_le_bytes)
    }

    /// 0 or 1.
    pub(super) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8(field)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Invalid { field }),
        }
    }

    /// A length or count of at most `max`.
    pub(super) fn count(&mut self, field: &'static str, max: u32) -> Result<u32, DecodeError> {
        let count = self.u32(field)?;
        if count <= max {
            Ok(count)
        } else {
            Err(DecodeError::TooLong { field, max })
        }
    }

    pub(super) fn bytes(&mut self, field: &'static str, max: u32) -> Result<&'a [u8], DecodeError> {
        let len = self.count(field, max)?;
        self.take(
            field,
            usize::try_from(len).map_err(|_| DecodeError::TooLong { field, max })?,
        )
    }

    pub(super) fn text(&mut self, field: &'static str, max: u32) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field, max)?).map_err(|_| DecodeError::Invalid { field })
    }

    /// A value that may be missing: a byte 0, or a byte 1 and the value.
    pub(super) fn option<T>(
        &mut self,
        field: &'static str,
        value: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        if self.bool(field)? {
            value(self).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A count and that many values. Memory grows with the values decoded, never with the count alone.
    pub(super) fn list<T>(
        &mut self,
        field: &'static str,
        max: u32,
        mut value: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(field, max)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(value(self)?);
        }
        Ok(values)
    }
}

/// Appends fields; the mirror of [`Fields`].
pub(super) trait Append {
    fn put(&mut self, bytes: &[u8]);

    fn put_u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn put_u16(&mut self, value: u16) {
        self.put(&value.to_le_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.put(&value.to_le_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.put(&value.to_le_bytes());
    }

    fn put_i32(&mut self, value: i32) {
        self.put(&value.to_le_bytes());
    }

    fn put_i64(&mut self, value: i64) {
        self.put(&value.to_le_bytes());
    }

    fn put_bool(&mut self, value: bool) {
        self.put_u8(u8::from(value));
    }

    /// A count saturates: the decoder refuses it by its bound.
    fn put_count(&mut self, count: usize) {
        self.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
    }

    fn put_bytes(&mut self, bytes: &[u8]) {
        self.put_count(bytes.len());
        self.put(bytes);
    }

    fn put_option<T>(&mut self, value: Option<T>, put: impl FnOnce(&mut Self, T)) {
        self.put_bool(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }
}

impl Append for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// CRC-32 as in IEEE 802.3 (reflected, polynomial 0xEDB88320): tells a torn record from a whole one.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_is_the_known_one() {
        for (name, input, expected) in [
            ("empty", &b""[..], 0),
            ("check value of the CRC catalogue", b"123456789", 0xCBF4_3926),
        ] {
            assert_eq!(checksum(input), expected, "{name}");
        }
    }

    #[test]
    fn a_count_beyond_its_bound_is_refused_before_any_value() {
        let mut bytes = Vec::new();
        bytes.put_count(usize::MAX);
        let list = Fields(&bytes).list("things", 8, |fields| fields.u8("thing"));
        assert_eq!(
            list,
            Err(DecodeError::TooLong {
                field: "things",
                max: 8
            })
        );
    }
}
