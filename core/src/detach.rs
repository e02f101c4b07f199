//! The keys that take a client off a terminal without ending the container.
//!
//! A client that is attached to a terminal leaves with a sequence of keys, `ctrl-p,ctrl-q` unless `detachKeys` says
//! otherwise (Engine API v1.23, "Attach to a container"). The sequence is found however it is cut into reads; a part of
//! it that goes on differently reaches the container. Nothing here knows HTTP.

use alloc::{string::String, vec, vec::Vec};
use core::fmt;

/// The sequence when the request names none: ctrl-p, ctrl-q.
pub(crate) const DEFAULT_KEYS: &[u8] = &[0x10, 0x11];

/// Reads `detachKeys`: names separated by commas. A name is a single character for itself, `ctrl-` and one of
/// `@ a…z [ \ ] ^ _` for the control byte, or `DEL`.
///
/// # Errors
/// The first name that is none.
pub(crate) fn parse_keys(keys: &str) -> Result<Vec<u8>, UnknownKey> {
    keys.split(',')
        .map(|name| key(name).ok_or_else(|| UnknownKey(name.into())))
        .collect()
}

fn key(name: &str) -> Option<u8> {
    match name.as_bytes() {
        [byte] => Some(*byte),
        b"DEL" => Some(0x7f),
        [b'c', b't', b'r', b'l', b'-', letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [b'c', b't', b'r', b'l', b'-', mark @ (b'@' | b'['..=b'_')] => Some(mark - b'@'),
        _ => None,
    }
}

/// A name in `detachKeys` that stands for no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnknownKey(String);

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unknown character: '{}'", self.0)
    }
}

impl core::error::Error for UnknownKey {}

/// Looks for the sequence in a stream of input.
///
/// What was typed of it so far is held back. Like every string search that must not look twice at a byte, it knows for
/// each length that matched how much of it may be the beginning of another match.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    /// Never empty.
    keys: Vec<u8>,
    /// For each number of matched keys less one, how many of them still match when the next byte does not.
    fallback: Vec<usize>,
    /// Keys that match the end of the input. 0 <= matched < keys.len().
    matched: usize,
}

/// What a scan found. The input goes on as the first `held` keys of the sequence, then the first `input` bytes scanned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scanned {
    /// Bytes held back before, which turned out to be input.
    pub(crate) held: usize,
    /// Bytes of this input to pass on.
    pub(crate) input: usize,
    /// The sequence is complete; what follows it is nobody's.
    pub(crate) detached: bool,
}

impl Scanner {
    /// A scanner at the beginning of a stream; `None` when there are no keys to look for.
    pub(crate) fn new(keys: &[u8]) -> Option<Self> {
        if keys.is_empty() {
            return None;
        }
        let mut scanner = Self {
            keys: keys.to_vec(),
            fallback: vec![0],
            matched: 0,
        };
        for &key in keys.iter().skip(1) {
            scanner.matched = scanner.after(key);
            scanner.fallback.push(scanner.matched);
        }
        scanner.matched = 0;
        Some(scanner)
    }

    /// Scans the next input.
    pub(crate) fn scan(&mut self, input: &[u8]) -> Scanned {
        let before = self.matched;
        for (at, &byte) in input.iter().enumerate() {
            self.matched = self.after(byte);
            if self.matched == self.keys.len() {
                self.matched = 0;
                return Self::passed(before, before + at + 1 - self.keys.len(), true);
            }
        }
        Self::passed(before, before + input.len() - self.matched, false)
    }

    /// The first `len` keys of the sequence, which is what was held back.
    pub(crate) fn keys(&self, len: usize) -> &[u8] {
        self.keys.get(..len).unwrap_or(&self.keys)
    }

    /// The input is over: how many keys were held back and are input after all.
    pub(crate) fn finish(&mut self) -> usize {
        core::mem::take(&mut self.matched)
    }

    /// Of `held` keys and the input after them, the first `total` bytes pass.
    fn passed(held: usize, total: usize, detached: bool) -> Scanned {
        Scanned {
            held: held.min(total),
            input: total.saturating_sub(held),
            detached,
        }
    }

    /// How many keys match once `byte` has come.
    fn after(&self, byte: u8) -> usize {
        let mut matched = self.matched;
        loop {
            if self.keys.get(matched) == Some(&byte) {
                return matched + 1;
            }
            match matched.checked_sub(1).and_then(|last| self.fallback.get(last)) {
                Some(&shorter) => matched = shorter,
                None => return 0,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn key_names() {
        let table: &[(&str, Result<&[u8], &str>)] = &[
            ("ctrl-p,ctrl-q", Ok(DEFAULT_KEYS)),
            ("ctrl-@,ctrl-a,ctrl-z", Ok(&[0, 1, 26])),
            ("ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", Ok(&[27, 28, 29, 30, 31])),
            ("a,B,0,-", Ok(b"aB0-")),
            ("DEL", Ok(&[127])),
            ("", Err("Unknown character: ''")),
            ("a,", Err("Unknown character: ''")),
            ("ctrl-P", Err("Unknown character: 'ctrl-P'")),
            ("ctrl-", Err("Unknown character: 'ctrl-'")),
            ("ctrl-1", Err("Unknown character: 'ctrl-1'")),
            ("a,ctrl-ab,b", Err("Unknown character: 'ctrl-ab'")),
            ("del", Err("Unknown character: 'del'")),
            ("é", Err("Unknown character: 'é'")),
        ];
        for (names, expected) in table {
            let parsed = parse_keys(names).map_err(|error| error.to_string());
            assert_eq!(
                parsed,
                expected.map(<[u8]>::to_vec).map_err(ToString::to_string),
                "{names:?}"
            );
        }
    }

    /// What passes, and whether the keys were typed.
    fn run(keys: &[u8], input: &[u8], cut: usize) -> (Vec<u8>, bool) {
        let mut scanner = Scanner::new(keys).expect("keys");
        let mut passed = vec![];
        for read in input.chunks(cut) {
            let scanned = scanner.scan(read);
            passed.extend_from_slice(scanner.keys(scanned.held));
            passed.extend_from_slice(&read[..scanned.input]);
            if scanned.detached {
                return (passed, true);
            }
        }
        let held = scanner.finish();
        passed.extend_from_slice(scanner.keys(held));
        (passed, false)
    }

    #[test]
    fn sequences() {
        let table: &[(&str, &[u8], &[u8], bool)] = &[
            ("nothing", b"", b"", false),
            ("only the keys", b"\x10\x11", b"", true),
            ("keys after input, and more", b"ls\n\x10\x11rm\n", b"ls\n", true),
            ("first key at the end", b"a\x10", b"a\x10", false),
            ("first key, then another", b"\x10a", b"\x10a", false),
            ("first key twice", b"\x10\x10\x11", b"\x10", true),
            ("wrong order", b"\x11\x10", b"\x11\x10", false),
        ];
        for (name, input, passed, detached) in table {
            for cut in 1..4 {
                assert_eq!(
                    run(DEFAULT_KEYS, input, cut),
                    (passed.to_vec(), *detached),
                    "{name}, cut {cut}"
                );
            }
        }
        assert!(Scanner::new(b"").is_none());
    }

    proptest! {
        #[test]
        fn the_first_place_in_any_cut(keys in "[ab]{1,5}", input in "[abc]{0,40}", cut in 1usize..12) {
            let expected = match input.find(&keys) {
                Some(at) => (input.as_bytes()[..at].to_vec(), true),
                None => (input.clone().into_bytes(), false),
            };
            prop_assert_eq!(run(keys.as_bytes(), input.as_bytes(), cut), expected);
        }
    }
}
