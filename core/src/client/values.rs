//! JSON objects in a row, out of bytes in any cuts.
//!
//! Events and progress come as one object after the other. What stands between them differs from version to version and daemon
//! to daemon: nothing, CR LF, LF. Chunks are no help either, as proxies join and cut them.

use alloc::vec::Vec;

use crate::error::AnswerError;

/// Finds the objects of a stream. Each byte is looked at once; what is held is one object at most.
#[derive(Debug, Default)]
pub(super) struct Values {
    /// The object that is not complete.
    held: Vec<u8>,
    /// Brackets that are open.
    depth: u32,
    quoted: bool,
    escaped: bool,
}

impl Values {
    /// Hands every object that `bytes` completes to `each`.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        value_bytes_max: usize,
        mut each: impl FnMut(&[u8]) -> Result<(), AnswerError>,
    ) -> Result<(), AnswerError> {
        for &byte in bytes {
            if self.depth == 0 {
                match byte {
                    b' ' | b'\t' | b'\r' | b'\n' => continue,
                    b'{' => {}
                    _ => {
                        let why = alloc::format!("a stream of JSON objects holds {:?}", char::from(byte));
                        return Err(AnswerError::BadJson(why));
                    }
                }
            }
            if self.held.len() >= value_bytes_max {
                return Err(AnswerError::TooLarge);
            }
            self.held.push(byte);
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.quoted => self.escaped = true,
                b'"' => self.quoted = !self.quoted,
                b'{' | b'[' if !self.quoted => self.depth += 1,
                b'}' | b']' if !self.quoted => self.depth -= 1,
                _ => {}
            }
            if self.depth == 0 {
                each(&self.held)?;
                self.held.clear();
            }
        }
        Ok(())
    }

    /// Whether the stream may end here.
    pub(super) fn is_between(&self) -> bool {
        self.depth == 0
    }
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec};

    use proptest::prelude::*;

    use super::*;

    /// The objects, and whether the stream may end.
    fn read(wire: &[u8], cut: usize) -> (Vec<String>, Result<bool, AnswerError>) {
        let (mut values, mut found) = (Values::default(), vec![]);
        for piece in wire.chunks(cut) {
            let each = |value: &[u8]| {
                found.push(String::from_utf8_lossy(value).into_owned());
                Ok(())
            };
            if let Err(error) = values.read(piece, 16, each) {
                return (found, Err(error));
            }
        }
        (found, Ok(values.is_between()))
    }

    #[test]
    fn streams() {
        type Expected = (&'static [&'static str], Option<Result<bool, AnswerError>>);
        let table: &[(&str, &str, Expected)] = &[
            ("nothing", "", (&[], Some(Ok(true)))),
            ("blanks", " \r\n\t", (&[], Some(Ok(true)))),
            ("in a row", "{}{}", (&["{}", "{}"], Some(Ok(true)))),
            ("separated", "{}\r\n{}\n {}\n", (&["{}", "{}", "{}"], Some(Ok(true)))),
            ("nested", r#"{"a":[{}]}{}"#, (&[r#"{"a":[{}]}"#, "{}"], Some(Ok(true)))),
            (
                "brackets in a text",
                r#"{"a":"}]\"{"}"#,
                (&[r#"{"a":"}]\"{"}"#], Some(Ok(true))),
            ),
            (
                "a backslash at the end",
                r#"{"a":"\\"}{}"#,
                (&[r#"{"a":"\\"}"#, "{}"], Some(Ok(true))),
            ),
            ("cut", r#"{}{"a":"#, (&["{}"], Some(Ok(false)))),
            (
                "too large",
                r#"{}{"a":"0123456789"}"#,
                (&["{}"], Some(Err(AnswerError::TooLarge))),
            ),
            ("a text", r#"{}"x""#, (&["{}"], None)),
            ("a list", "[{}]", (&[], None)),
            ("a comma", "{},{}", (&["{}"], None)),
        ];
        for (name, wire, (objects, end)) in table {
            for cut in [1, 2, 3, usize::MAX] {
                let (found, ended) = read(wire.as_bytes(), cut);
                assert_eq!(found, *objects, "{name}, cut {cut}");
                match end {
                    Some(end) => assert_eq!(ended, *end, "{name}, cut {cut}"),
                    None => assert!(matches!(ended, Err(AnswerError::BadJson(_))), "{name}, cut {cut}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_cut_does_not_matter(wire in "[{}\\[\\]\"\\\\a ]{0,30}", cut in 1usize..30) {
            prop_assert_eq!(read(wire.as_bytes(), cut), read(wire.as_bytes(), 30));
        }
    }
}
