//! One entry as JSON: escaping as Docker does, and the list of bytes that are not UTF-8.

use std::io::Write;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends one entry. `time` is RFC 3339; `stream` and `time` need no escapes.
pub(super) fn entry(out: &mut Vec<u8>, line: &[u8], stream: &str, time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    if let Ok(text) = std::str::from_utf8(line) {
        escape(out, text);
        tail(out, stream, time);
        out.extend_from_slice(b"}\n");
        return;
    }
    let mut invalid = Vec::new();
    for chunk in line.utf8_chunks() {
        escape(out, chunk.valid());
        for &byte in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
            invalid.extend_from_slice(&hex(byte));
        }
    }
    tail(out, stream, time);
    out.extend_from_slice(b",\"invalid\":\"");
    out.extend_from_slice(&invalid);
    out.extend_from_slice(b"\"}\n");
}

/// Appends an entry that says that `lost` bytes are missing.
pub(super) fn loss(out: &mut Vec<u8>, lost: u64, stream: &str, time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    tail(out, stream, time);
    // Writing to a vector does not fail.
    let _ = writeln!(out, ",\"lost\":{lost}}}");
}

fn tail(out: &mut Vec<u8>, stream: &str, time: &str) {
    for part in ["\",\"stream\":\"", stream, "\",\"time\":\"", time, "\""] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Plain bytes are found and copied, and control characters widened, by the block: a program that writes zeros would
/// otherwise cost several times what one of text does.
fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let (head, tail) = rest.split_at(plain_len(rest));
        out.extend_from_slice(head);
        rest = tail;
        while let Some((block, tail)) = rest.split_first_chunk::<BLOCK>()
            && is_long(block[BLOCK - 1])
            && block.iter().fold(true, |all, &byte| all & is_long(byte))
        {
            out.extend_from_slice(block.map(long).as_flattened());
            rest = tail;
        }
        rest = match rest {
            [] => return,
            [b'\n', rest @ ..] => {
                out.extend_from_slice(b"\\n");
                rest
            }
            [b'\r', rest @ ..] => {
                out.extend_from_slice(b"\\r");
                rest
            }
            [byte @ (b'"' | b'\\'), rest @ ..] => {
                out.extend_from_slice(&[b'\\', *byte]);
                rest
            }
            // U+2028 and U+2029: line ends in JavaScript, not in JSON.
            [0xe2, 0x80, last @ (0xa8 | 0xa9), rest @ ..] => {
                out.extend_from_slice(if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                rest
            }
            [byte, rest @ ..] => {
                if is_long(*byte) {
                    out.extend_from_slice(&long(*byte));
                } else {
                    out.push(*byte);
                }
                rest
            }
        };
    }
}

/// Near special bytes are found one by one: where there are many, a block would be looked at again and again.
fn plain_len(bytes: &[u8]) -> usize {
    let special = |&byte: &u8| SPECIAL[usize::from(byte)];
    let (near, far) = bytes.split_at(bytes.len().min(BLOCK));
    near.iter().position(special).unwrap_or_else(|| {
        let clean = clean_blocks(far, is_special);
        let rest = far.get(clean..).unwrap_or_default();
        near.len() + clean + rest.iter().position(special).unwrap_or(rest.len())
    })
}

/// Bytes of valid UTF-8 that may not stand for themselves (0xe2 only as the beginning of two characters).
const fn is_special(byte: u8) -> bool {
    is_long(byte) | (byte == b'\n') | (byte == b'\r') | (byte == b'"') | (byte == b'\\') | (byte == 0xe2)
}

static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < special.len() {
        special[byte] = is_special(byte as u8);
        byte += 1;
    }
    special
};

/// Bytes that are escaped by their number.
const fn is_long(byte: u8) -> bool {
    ((byte < 0x20) & (byte != b'\n') & (byte != b'\r')) | (byte == b'<') | (byte == b'>') | (byte == b'&')
}

fn long(byte: u8) -> [u8; 6] {
    let [high, low] = hex(byte);
    [b'\\', b'u', b'0', b'0', high, low]
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)])
}

/// Length of the whole blocks at the beginning in which no byte `matches`. If there is no branch in `matches`, a block is
/// looked at in a few instructions.
pub(in crate::keeper) fn clean_blocks(bytes: &[u8], matches: impl Fn(u8) -> bool) -> usize {
    let clean = |block: &&[u8; BLOCK]| !block.iter().fold(false, |any, &byte| any | matches(byte));
    bytes.as_chunks().0.iter().take_while(clean).count() * BLOCK
}

/// Bytes looked at together.
const BLOCK: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs of what is escaped in different ways, longer and shorter than a block.
    fn any_runs() -> impl Strategy<Value = Vec<u8>> {
        const VALID: [&str; 12] = [
            "a", "\0", "\x1f", "\n", "\r", "\"", "\\", "<", "\u{2028}", "\u{202a}", "ä", "\u{fffd}",
        ];
        const INVALID: [&[u8]; 3] = [b"\xff", b"\xe2", b"\xe2\x80"];
        let piece = prop_oneof![
            8 => proptest::sample::select(&VALID[..]).prop_map(str::as_bytes),
            1 => proptest::sample::select(&INVALID[..]),
        ];
        let runs = proptest::collection::vec((piece, prop_oneof![Just(1usize), 1..BLOCK * 3]), 0..12);
        runs.prop_map(|runs| runs.iter().flat_map(|(piece, times)| piece.repeat(*times)).collect())
    }

    proptest! {
        #[test]
        fn escapes_do_not_depend_on_what_stands_around(line in any_runs()) {
            let (mut log, mut invalid) = (String::new(), String::new());
            for chunk in line.utf8_chunks() {
                for char in chunk.valid().chars() {
                    match char {
                        '\n' => log += "\\n",
                        '\r' => log += "\\r",
                        '"' | '\\' => log.extend(['\\', char]),
                        '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => log += &format!("\\u{:04x}", u32::from(char)),
                        _ => log.push(char),
                    }
                }
                for byte in chunk.invalid() {
                    log += "\\ufffd";
                    invalid += &format!("{byte:02x}");
                }
            }
            if !invalid.is_empty() {
                invalid = format!(",\"invalid\":\"{invalid}\"");
            }
            let mut out = Vec::new();
            entry(&mut out, &line, "stdout", "T");
            let tail = r#"","stream":"stdout","time":"T""#;
            let expected = format!("{{\"log\":\"{log}{tail}{invalid}}}\n");
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn entries_are_docker_s() {
        let table: [(&str, &[u8], &str); 9] = [
            ("a line", b"hello\n", r#""hello\n","stream":"stdout","time":"T"}"#),
            ("no newline", b"hello", r#""hello","stream":"stdout","time":"T"}"#),
            ("quotes", b"a\"b\\c", r#""a\"b\\c","stream":"stdout","time":"T"}"#),
            (
                "controls",
                b"\0\t\r\x1b\x7f",
                "\"\\u0000\\u0009\\r\\u001b\x7f\",\"stream\":\"stdout\",\"time\":\"T\"}",
            ),
            ("html", b"<&>", r#""\u003c\u0026\u003e","stream":"stdout","time":"T"}"#),
            ("umlaut", "ä€😀".as_bytes(), r#""ä€😀","stream":"stdout","time":"T"}"#),
            (
                "separators",
                "\u{2028}\u{2029}\u{202a}".as_bytes(),
                "\"\\u2028\\u2029\u{202a}\",\"stream\":\"stdout\",\"time\":\"T\"}",
            ),
            (
                "invalid",
                b"a\xffb\xe2\x82c",
                r#""a\ufffdb\ufffd\ufffdc","stream":"stdout","time":"T","invalid":"ffe282"}"#,
            ),
            (
                "a real replacement character",
                "\u{fffd}".as_bytes(),
                "\"\u{fffd}\",\"stream\":\"stdout\",\"time\":\"T\"}",
            ),
        ];
        for (name, line, expected) in table {
            let mut out = Vec::new();
            entry(&mut out, line, "stdout", "T");
            assert_eq!(
                String::from_utf8(out).unwrap(),
                format!("{{\"log\":{expected}\n"),
                "{name}"
            );
        }
    }
}
