//! Base64 (RFC 4648 §4 and §5), as the header fields of the API carry JSON.
//!
//! Docker's documents say base64, its clients send the URL-safe alphabet with padding, and others leave the padding out. All of
//! that is read.

use alloc::{string::String, vec::Vec};

/// The digits of RFC 4648 §4.
pub(crate) const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// The digits of RFC 4648 §5.
pub(crate) const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The text for `bytes`, with padding.
pub(crate) fn encode(bytes: &[u8], digits: &[u8; 64]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |at| group.get(at).copied().map_or(0, u32::from);
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let digit = digits.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=');
            text.push(char::from(if at <= group.len() { digit } else { b'=' }));
        }
    }
    text
}

/// The bytes that `text` stands for; `None` when it is no base64.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if text.len() - digits.len() > 2 || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3 + 2);
    let (mut bits, mut held) = (0_u32, 0);
    for &byte in digits {
        bits = bits << 6 | u32::from(digit(byte)?);
        held += 6;
        if held >= 8 {
            held -= 8;
            let [.., low] = (bits >> held).to_be_bytes();
            bytes.push(low);
        }
    }
    Some(bytes)
}

/// The six bits of a digit of either alphabet.
fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decodes() {
        // The first seven are the test vectors of RFC 4648 §10.
        let rows: &[(&str, Option<&[u8]>)] = &[
            ("", Some(b"")),
            ("Zg==", Some(b"f")),
            ("Zm8=", Some(b"fo")),
            ("Zm9v", Some(b"foo")),
            ("Zm9vYg==", Some(b"foob")),
            ("Zm9vYmE=", Some(b"fooba")),
            ("Zm9vYmFy", Some(b"foobar")),
            ("Zm9vYg", Some(b"foob")),
            ("+/+/", Some(b"\xfb\xff\xbf")),
            ("-_-_", Some(b"\xfb\xff\xbf")),
            ("Z", None),
            ("Zm9vY", None),
            ("Zg===", None),
            ("=", Some(b"")),
            ("Zg==Zg==", None),
            ("Zm 9v", None),
            ("!!!", None),
            ("Zm9\u{e9}", None),
        ];
        for (text, expected) in rows {
            assert_eq!(decode(text).as_deref(), *expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(bytes in prop::collection::vec(any::<u8>(), 0..20), digits in prop::sample::select(&[STANDARD, URL_SAFE])) {
            let text = encode(&bytes, digits);
            prop_assert_eq!(text.len() % 4, 0);
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn any_text_decodes_to_three_quarters_or_not_at_all(text in "[A-Za-z0-9+/_=-]{0,40}|.{0,20}") {
            if let Some(bytes) = decode(&text) {
                let digits = text.trim_end_matches('=').len();
                prop_assert_eq!(bytes.len(), digits * 6 / 8);
            }
        }
    }
}
