//! One entry as JSON: escaping as Docker does, and the list of bytes that are not UTF-8.

use std::io::Write;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends one entry. `time` is RFC 3339; `stream` and `time` need no escapes.
pub(super) fn entry(out: &mut Vec<u8>, line: &[u8], stream: &str, time: &str) {
    out.extend_from_slice(b"{\"log\":\"");
    let valid = match std::str::from_utf8(line) {
        Ok(text) => {
            escape(out, text);
            true
        }
        Err(_) => {
            for chunk in line.utf8_chunks() {
                escape(out, chunk.valid());
                chunk.invalid().iter().for_each(|_| out.extend_from_slice(b"\\ufffd"));
            }
            false
        }
    };
    tail(out, stream, time);
    if !valid {
        out.extend_from_slice(b",\"invalid\":\"");
        for byte in line.utf8_chunks().flat_map(|chunk| chunk.invalid()) {
            out.extend_from_slice(&hex(*byte));
        }
        out.push(b'"');
    }
    out.extend_from_slice(b"}\n");
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

fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    loop {
        let plain = rest
            .iter()
            .position(|&byte| SPECIAL[usize::from(byte)])
            .unwrap_or(rest.len());
        let (head, tail) = rest.split_at(plain);
        out.extend_from_slice(head);
        rest = match tail {
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
            [byte @ 0xe2, rest @ ..] => {
                out.push(*byte);
                rest
            }
            [byte, rest @ ..] => {
                let [high, low] = hex(*byte);
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                rest
            }
        };
    }
}

fn hex(byte: u8) -> [u8; 2] {
    [byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)])
}

/// Bytes of valid UTF-8 that may not stand for themselves (0xe2 only as the beginning of two characters).
static SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special[b'<' as usize] = true;
    special[b'>' as usize] = true;
    special[b'&' as usize] = true;
    special[0xe2] = true;
    special
};

#[cfg(test)]
mod tests {
    use super::*;

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
