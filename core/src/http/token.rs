//! Byte classes and numbers of HTTP (RFC 9110 §5.5, §5.6; RFC 9112 §7.1).

/// `tchar`: what methods and field names are made of.
pub(crate) const fn is_token(byte: u8) -> bool {
    matches!(byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// What a line of a head, a chunk extension or a trailer may hold: visible bytes, obs-text, blank and tab.
pub(crate) const fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}

/// The value of a hexadecimal digit.
pub(crate) const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

/// Digits only (Rust's own parser would take a sign), and no overflow.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    let value = |digit: &u8| digit.is_ascii_digit().then(|| u64::from(digit - b'0'));
    (!digits.is_empty()).then_some(())?;
    digits
        .iter()
        .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(value(digit)?))
}

/// Whether a comma-separated list of tokens holds `token`, in any case.
pub(crate) fn list_holds(list: &str, token: &str) -> bool {
    list.split(',')
        .any(|element| element.trim_matches([' ', '\t']).eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        let table: [(&str, Option<u64>); 11] = [
            ("0", Some(0)),
            ("007", Some(7)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("+1", None),
            ("-1", None),
            ("1 ", None),
            ("0x1", None),
            ("1,1", None),
        ];
        for (digits, expected) in table {
            assert_eq!(decimal(digits.as_bytes()), expected, "{digits:?}");
        }
    }

    #[test]
    fn byte_classes() {
        assert_eq!(
            (0..=u8::MAX).filter(|&byte| is_token(byte)).count(),
            77,
            "15 marks, 10 digits, 52 letters"
        );
        assert_eq!((0..=u8::MAX).filter(|&byte| is_text(byte)).count(), 1 + 95 + 128);
        assert_eq!((0..=u8::MAX).filter(|&byte| hex(byte).is_some()).count(), 22);
    }

    #[test]
    fn lists() {
        assert!(list_holds("keep-alive , UPGRADE", "upgrade"));
        assert!(!list_holds("upgraded", "upgrade"));
        assert!(!list_holds("", "close"));
    }
}
