//! `multipart/form-data` in a stream: parts and their bytes, while they come (RFC 2046 §5.1, RFC 7578).
//!
//! Nothing is gathered but the head of a part, which is bounded; payload is handed on without a copy, except the few bytes at
//! the end of a piece that may begin a delimiter. What the parts mean is the caller's business.

use alloc::{borrow::ToOwned, string::String, vec::Vec};

use bytes::Bytes;

use crate::limits;

/// A reader of one body.
#[derive(Debug)]
pub(crate) struct Multipart {
    /// CRLF, two dashes and the boundary. Only its first byte is a carriage return.
    delimiter: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// In a part, or before the first one, whose bytes are nobody's. The end of what came is the first `matched` bytes of the
    /// delimiter, and is held back. 0 <= matched < delimiter.len().
    Payload { matched: usize, is_part: bool },
    /// After a delimiter: the rest of its line and the head of a part up to its empty line.
    Head(Vec<u8>),
    /// After the last delimiter. What follows is nobody's.
    End,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// A part begins.
    Part(Disposition),
    /// Its next bytes. Never empty.
    Bytes(Bytes),
}

/// What a part is called.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Disposition {
    /// Name of the field.
    pub(crate) name: String,
    /// Name of the file, if it is one.
    pub(crate) file_name: Option<String>,
}

/// The body breaks the grammar, or ends before it is complete, or the head of a part is longer than
/// [`limits::PART_HEAD_BYTES_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadForm;

/// Whether a Content-Type is that of a form.
pub(crate) fn is_form(content_type: &str) -> bool {
    let (media_type, _) = content_type.split_once(';').unwrap_or((content_type, ""));
    media_type.trim().eq_ignore_ascii_case("multipart/form-data")
}

impl Multipart {
    /// A reader for a body with this Content-Type; `None` when it has no usable boundary.
    pub(crate) fn new(content_type: &str) -> Option<Self> {
        let boundary = parameter(content_type, "boundary")?;
        let is_boundary = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        if boundary.is_empty() || boundary.len() > 70 || !boundary.bytes().all(is_boundary) {
            return None;
        }
        Some(Self {
            delimiter: [b"\r\n--", boundary.as_bytes()].concat(),
            // The first delimiter may begin the body, and then nothing ends a line before it.
            state: State::Payload {
                matched: 2,
                is_part: false,
            },
        })
    }

    /// Reads the next bytes.
    pub(crate) fn push(&mut self, mut bytes: Bytes, mut out: impl FnMut(Piece)) -> Result<(), BadForm> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Payload { matched, is_part } => {
                    let before = *matched;
                    let (scanned, after) = search(&self.delimiter, before, &bytes);
                    if *is_part {
                        let payload = before + scanned - after;
                        let held = before.min(payload);
                        let held = Bytes::copy_from_slice(self.delimiter.get(..held).unwrap_or_default());
                        let fresh = bytes.slice(..payload - held.len());
                        [held, fresh]
                            .into_iter()
                            .filter(|bytes| !bytes.is_empty())
                            .for_each(|bytes| out(Piece::Bytes(bytes)));
                    }
                    *matched = after;
                    if after == self.delimiter.len() {
                        self.state = State::Head(Vec::new());
                    }
                    bytes = bytes.slice(scanned..);
                }
                State::Head(head) => {
                    let [byte, ..] = *bytes else { break };
                    bytes = bytes.slice(1..);
                    head.push(byte);
                    if head == b"--" {
                        self.state = State::End;
                    } else if head.ends_with(b"\r\n\r\n") {
                        out(Piece::Part(disposition(head).ok_or(BadForm)?));
                        self.state = State::Payload {
                            matched: 0,
                            is_part: true,
                        };
                    } else if head.len() > limits::PART_HEAD_BYTES_MAX {
                        return Err(BadForm);
                    }
                }
                State::End => break,
            }
        }
        Ok(())
    }

    /// There are no more bytes.
    pub(crate) fn finish(&self) -> Result<(), BadForm> {
        match self.state {
            State::End => Ok(()),
            State::Payload { .. } | State::Head(_) => Err(BadForm),
        }
    }
}

/// Looks for `delimiter`, whose first `matched` bytes have come. Returns how many bytes were looked at and how many of the
/// delimiter match their end; all of them when it was found, and then nothing after it was looked at.
fn search(delimiter: &[u8], mut matched: usize, bytes: &[u8]) -> (usize, usize) {
    for (at, &byte) in bytes.iter().enumerate() {
        matched = match delimiter.get(matched) {
            Some(&next) if next == byte => matched + 1,
            // What matched does not hold a second beginning.
            _ => usize::from(byte == b'\r'),
        };
        if matched == delimiter.len() {
            return (at + 1, matched);
        }
    }
    (bytes.len(), matched)
}

/// The name of a part, out of the rest of the delimiter's line and its header lines.
fn disposition(head: &[u8]) -> Option<Disposition> {
    let head = core::str::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    if !lines.next()?.bytes().all(|byte| matches!(byte, b' ' | b'\t')) {
        return None;
    }
    let value = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-disposition").then_some(value)
    });
    let Some(value) = value else {
        return Some(Disposition::default());
    };
    Some(Disposition {
        name: parameter(value, "name").unwrap_or_default(),
        file_name: parameter(value, "filename"),
    })
}

/// A parameter of a header value: a token, or a quoted string with `\` before what it escapes (RFC 9110 §5.6.6).
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let (_, mut rest) = value.split_once(';')?;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (text, after) = match after.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after.get(..end)?.trim_end().to_owned(), after.get(end..)?)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(text);
        }
        rest = after.trim_start().strip_prefix(';')?;
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((text, quoted.get(at + 1..)?)),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use alloc::{format, string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    /// Name, file name and payload of each part.
    type Parts = Vec<(String, Option<String>, Vec<u8>)>;

    /// Reads a body in pieces of `len` bytes.
    fn read(boundary: &str, body: &[u8], len: usize) -> Result<Parts, BadForm> {
        let mut form = Multipart::new(&format!("multipart/form-data; boundary={boundary}")).expect(boundary);
        let mut parts = Parts::new();
        for piece in body.chunks(len) {
            form.push(Bytes::copy_from_slice(piece), |piece| match piece {
                Piece::Part(part) => parts.push((part.name, part.file_name, Vec::new())),
                Piece::Bytes(bytes) => {
                    assert!(!bytes.is_empty());
                    parts.last_mut().expect("a part").2.extend_from_slice(&bytes);
                }
            })?;
        }
        form.finish().map(|()| parts)
    }

    fn part(name: &str, payload: &str) -> (String, Option<String>, Vec<u8>) {
        (name.to_string(), None, payload.into())
    }

    #[test]
    fn reads_parts_however_they_are_cut() {
        let head = |name: &str| format!("Content-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        let (a, b) = (head("a"), head("b"));
        let rows: Vec<(&str, String, Result<Parts, BadForm>)> = vec![
            ("one", format!("--B\r\n{a}x\r\n--B--\r\n"), Ok(vec![part("a", "x")])),
            (
                "two",
                format!("--B\r\n{a}x\r\n--B\r\n{b}y\r\n--B--"),
                Ok(vec![part("a", "x"), part("b", "y")]),
            ),
            ("empty payload", format!("--B\r\n{a}\r\n--B--"), Ok(vec![part("a", "")])),
            ("no part", "--B--\r\n".into(), Ok(vec![])),
            (
                "preamble and epilogue",
                format!("hello --B\r\n--B\r\n{a}x\r\n--B--\r\n--B\r\nbye"),
                Ok(vec![part("a", "x")]),
            ),
            (
                "blanks after the boundary",
                format!("--B \t\r\n{a}x\r\n--B--"),
                Ok(vec![part("a", "x")]),
            ),
            ("no header", "--B\r\n\r\nx\r\n--B--".into(), Ok(vec![part("", "x")])),
            (
                "another header",
                "--B\r\nContent-Type: x\r\ncontent-disposition:form-data;name=a\r\n\r\nx\r\n--B--".into(),
                Ok(vec![part("a", "x")]),
            ),
            (
                "file",
                "--B\r\nContent-Disposition: form-data; name=a; filename=\"q\\\"; x=y\"\r\n\r\nx\r\n--B--".into(),
                Ok(vec![("a".into(), Some("q\"; x=y".into()), b"x".to_vec())]),
            ),
            (
                "almost delimiters",
                format!("--B\r\n{a}\r\r\n\r\n-\r\n--\r\n--A\r\n\r\r\n--B--"),
                Ok(vec![part("a", "\r\r\n\r\n-\r\n--\r\n--A\r\n\r")]),
            ),
            (
                "a boundary inside a line",
                format!("--B\r\n{a}x--B--\r\n--B--"),
                Ok(vec![part("a", "x--B--")]),
            ),
            ("nothing", String::new(), Err(BadForm)),
            ("no last delimiter", format!("--B\r\n{a}x\r\n--B\r\n"), Err(BadForm)),
            ("cut", format!("--B\r\n{a}x"), Err(BadForm)),
            ("no delimiter", "FROM busybox\n".into(), Err(BadForm)),
            ("longer boundary", format!("--BB\r\n{a}x\r\n--BB--"), Err(BadForm)),
            (
                "long head",
                format!("--B\r\nX: {}\r\n\r\n", "x".repeat(limits::PART_HEAD_BYTES_MAX)),
                Err(BadForm),
            ),
        ];
        for (name, body, expected) in rows {
            for len in [1, 2, 3, 7, 100_000] {
                assert_eq!(read("B", body.as_bytes(), len), expected, "{name}, {len}");
            }
        }
        assert_eq!(
            read("B", b"--B\r\nContent-Disposition: form-data; name=\xff\r\n\r\n", 9),
            Err(BadForm)
        );
    }

    #[test]
    fn finds_the_boundary() {
        let rows = [
            ("multipart/form-data; boundary=abc", Some("abc")),
            ("Multipart/Form-Data;x=y; Boundary=\"a b\" ; z=1", Some("a b")),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"a", None),
            ("multipart/form-data; boundary=a\u{e9}", None),
            ("multipart/form-data; boundary=\"a\\\rb\"", None),
        ];
        for (value, expected) in rows {
            let found = Multipart::new(value).map(|form| form.delimiter);
            let expected = expected.map(|boundary| format!("\r\n--{boundary}").into_bytes());
            assert_eq!(found, expected, "{value}");
            assert!(is_form(value), "{value}");
        }
        let long = |len| Multipart::new(&format!("multipart/form-data; boundary={}", "x".repeat(len))).is_some();
        assert!(long(70) && !long(71));
        assert!(!is_form("application/x-tar") && !is_form(""));
    }

    proptest! {
        /// Whatever the payload and the cuts, what was put in comes out.
        #[test]
        fn round_trip(payloads in prop::collection::vec("[\r\n\\-Bx]{0,24}", 0..4), len in 1_usize..9) {
            let parts: Parts = payloads
                .iter()
                .filter(|payload| !format!("\r\n{payload}\r\n").contains("\r\n--B"))
                .map(|payload| part("a", payload))
                .collect();
            let mut body = Vec::new();
            for (_, _, payload) in &parts {
                body.extend_from_slice(b"--B\r\nContent-Disposition: form-data; name=a\r\n\r\n");
                body.extend_from_slice(payload);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"--B--\r\n");
            prop_assert_eq!(read("B", &body, len), Ok(parts));
        }

        #[test]
        fn any_cut_of_anything_gives_the_same(body in "(\r\n|--|B|x|Content-Disposition: form-data|; name=a|:){0,20}", len in 1_usize..9) {
            prop_assert_eq!(read("B", body.as_bytes(), len), read("B", body.as_bytes(), 1000));
        }
    }
}
