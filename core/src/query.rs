//! The query part of a target: percent-decoding and typed parameters.
//!
//! The grammar is that of `application/x-www-form-urlencoded` as the daemons of the time read it: pairs are separated by
//! `&` or `;`, `+` is a blank, the first of several equal names counts. What a parameter means, and which version has
//! it, is decided elsewhere.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

use crate::model::{Filters, Timestamp};

/// Decoded parameters in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Query(Vec<(String, String)>);

/// Why a path or query cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum QueryError {
    /// `%` is not followed by two hexadecimal digits. Holds the piece.
    BadEscape(String),
    /// The decoded text is not UTF-8. Holds what it would replace.
    NotUtf8(String),
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadEscape(piece) => write!(f, "invalid URL escape {piece:?}"),
            Self::NotUtf8(text) => write!(f, "invalid UTF-8 in URL: {text:?}"),
        }
    }
}

/// A parameter whose value is no number (of the allowed range).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadNumber {
    /// Name of the parameter.
    pub(crate) parameter: &'static str,
    /// Its value.
    pub(crate) value: String,
}

impl Query {
    /// Reads the text after `?`.
    pub(crate) fn parse(text: &str) -> Result<Self, QueryError> {
        text.split(['&', ';'])
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((decode(name, true)?, decode(value, true)?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The first value of `name`, unless it is empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(ToOwned::to_owned)
    }

    /// Every value of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<String> {
        let values = self.0.iter().filter(|(n, _)| n == name);
        values.map(|(_, value)| value.clone()).collect()
    }

    /// A switch. Empty, `0`, `no`, `false` and `none` in any case are off, everything else is on.
    ///
    /// The documents say `1/True/true` and `0/False/false`; daemons of different years took more or less than that, and
    /// this reading (Docker 1.6 and later) holds all that any of them took as a yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.get(name).unwrap_or_default().trim();
        !["", "0", "no", "false", "none"]
            .iter()
            .any(|off| value.eq_ignore_ascii_case(off))
    }

    /// A decimal number with optional sign; `None` when it is missing or empty.
    pub(crate) fn number(&self, parameter: &'static str) -> Result<Option<i64>, BadNumber> {
        let Some(value) = self.get(parameter).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        number(value).map(Some).ok_or_else(|| BadNumber {
            parameter,
            value: value.to_owned(),
        })
    }

    /// A number that must be there and fit.
    pub(crate) fn size(&self, parameter: &'static str) -> Result<u16, BadNumber> {
        let bad = || BadNumber {
            parameter,
            value: self.get(parameter).unwrap_or_default().to_owned(),
        };
        let value = self.number(parameter)?.ok_or_else(bad)?;
        u16::try_from(value).map_err(|_| bad())
    }

    /// A time: seconds since 1970 with an optional fraction (`1374067924`, `1374067924.5`), or RFC 3339. `None` when it
    /// is missing or empty.
    pub(crate) fn time(&self, parameter: &'static str) -> Result<Option<Timestamp>, BadNumber> {
        let Some(value) = self.get(parameter).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let time = seconds(value).or_else(|| value.parse().ok());
        time.map(Some).ok_or_else(|| BadNumber {
            parameter,
            value: value.to_owned(),
        })
    }

    /// The `filters` parameter: a JSON map of name to list of values, or of name to map of value to anything.
    /// Empty and missing are the same.
    pub(crate) fn filters(&self) -> Result<Filters, String> {
        let Some(text) = self.get("filters").filter(|text| !text.is_empty()) else {
            return Ok(Filters::default());
        };
        filters(text)
    }

    /// Takes a parameter away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.0.retain(|(n, _)| n != name);
    }

    /// Gives a parameter one more value.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// The text after `?`: what [`parse`](Self::parse) reads. Everything but letters, digits and a few marks is encoded.
    pub(crate) fn encode(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            if !text.is_empty() {
                text.push('&');
            }
            encode(name, "", &mut text);
            text.push('=');
            encode(value, "", &mut text);
        }
        text
    }

    /// Gives a parameter a value, in place of those it has.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_owned()));
    }
}

/// Percent-encodes all but letters, digits, `-._~` and what is in `kept`.
pub(crate) fn encode(text: &str, kept: &str, out: &mut String) {
    for byte in text.bytes() {
        let letter = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(letter) || byte.is_ascii() && kept.contains(letter) {
            out.push(letter);
        } else {
            let digit = |value: u8| {
                char::from_digit(u32::from(value), 16)
                    .unwrap_or('0')
                    .to_ascii_uppercase()
            };
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

/// Undoes percent-encoding; with `plus`, `+` is a blank.
pub(crate) fn decode(text: &str, plus: bool) -> Result<String, QueryError> {
    if !text.contains(['%', '+']) {
        return Ok(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let digits = after.first_chunk::<2>().and_then(|&[high, low]| {
                    let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
                    Some(digit(high)? << 4 | digit(low)?)
                });
                let Some(decoded) = digits else {
                    let piece = after.get(..after.len().min(2)).unwrap_or_default();
                    let mut shown = String::from("%");
                    shown.push_str(&String::from_utf8_lossy(piece));
                    return Err(QueryError::BadEscape(shown));
                };
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            b'+' if plus => bytes.push(b' '),
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|e| QueryError::NotUtf8(String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

/// A decimal number with optional sign, nothing around it.
pub(crate) fn number(text: &str) -> Option<i64> {
    // `i64::from_str` takes exactly what Go's ParseInt takes in base 10: an optional sign and digits.
    text.parse().ok()
}

/// `secs` or `secs.fraction`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (secs, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let secs = number(secs)?;
    if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_u32.pow(9 - u32::try_from(fraction.len()).ok()?);
    let nanos = fraction.parse::<u32>().ok()? * scale;
    Some(Timestamp { secs, nanos })
}

/// Reads both forms of `filters`; the error is for people.
fn filters(text: &str) -> Result<Filters, String> {
    use serde_json::Value;
    let value = crate::json::parse(text.as_bytes()).map_err(|e| alloc::format!("{e}"))?;
    let Value::Object(map) = value else {
        return Err(alloc::format!("filters: expected a map of lists, got {value}"));
    };
    let mut filters = Filters::default();
    for (name, values) in map {
        let values = match values {
            Value::Array(list) => list
                .into_iter()
                .map(|value| match value {
                    Value::String(text) => Ok(text),
                    other => Err(alloc::format!("filters: {name}: expected a string, got {other}")),
                })
                .collect::<Result<Vec<_>, _>>()?,
            Value::Object(map) => map.into_iter().map(|(value, _)| value).collect(),
            Value::Null => Vec::new(),
            other => return Err(alloc::format!("filters: {name}: expected a list, got {other}")),
        };
        filters.0.insert(name, values);
    }
    Ok(filters)
}

#[cfg(test)]
mod tests {
    use alloc::{string::ToString, vec};

    use proptest::prelude::*;

    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(text).expect(text)
    }

    #[test]
    fn parses() {
        type Pairs = &'static [(&'static str, &'static str)];
        let rows: &[(&str, &str, Pairs)] = &[
            ("empty", "", &[]),
            ("pairs", "a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("semicolon", "a=1;b=2", &[("a", "1"), ("b", "2")]),
            ("no value", "a&b=", &[("a", ""), ("b", "")]),
            ("escapes", "a=%2Fx%20y+z", &[("a", "/x y z")]),
            ("escaped separators", "a=%26%3D", &[("a", "&=")]),
            ("value with equals", "a=b=c", &[("a", "b=c")]),
            ("empty pairs", "&&a=1&", &[("a", "1")]),
            ("utf-8", "a=%C3%A9", &[("a", "é")]),
        ];
        for (name, text, expected) in rows {
            let expected = expected.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            assert_eq!(query(text), Query(expected), "{name}");
        }
    }

    #[test]
    fn refuses_escapes() {
        let rows = [
            ("cut", "a=%4", QueryError::BadEscape("%4".into())),
            ("bare", "a=%", QueryError::BadEscape("%".into())),
            ("no hex", "a=%zz", QueryError::BadEscape("%zz".into())),
            ("sign", "a=%+1", QueryError::BadEscape("%+1".into())),
            ("not utf-8", "a=%ff", QueryError::NotUtf8("\u{fffd}".into())),
        ];
        for (name, text, expected) in rows {
            assert_eq!(Query::parse(text), Err(expected), "{name}");
        }
    }

    #[test]
    fn reads_flags() {
        let rows = [
            ("a=1", true),
            ("a=true", true),
            ("a=True", true),
            ("a=yes", true),
            ("a=maybe", true),
            ("a=0", false),
            ("a=false", false),
            ("a=False", false),
            ("a=No", false),
            ("a=none", false),
            ("a=", false),
            ("a", false),
            ("b=1", false),
            ("a=0&a=1", false),
        ];
        for (text, expected) in rows {
            assert_eq!(query(text).flag("a"), expected, "{text}");
        }
    }

    #[test]
    fn reads_numbers_and_times() {
        let rows = [
            ("a=5", Ok(Some(5))),
            ("a=-1", Ok(Some(-1))),
            ("a=", Ok(None)),
            ("", Ok(None)),
        ];
        for (text, expected) in rows {
            assert_eq!(query(text).number("a"), expected, "{text}");
        }
        for text in ["a=abc", "a=5x", "a=%205", "a=99999999999999999999"] {
            assert!(query(text).number("a").is_err(), "{text}");
        }
        for (text, fits) in [
            ("a=80", true),
            ("a=0", true),
            ("a=65536", false),
            ("a=-1", false),
            ("", false),
        ] {
            assert_eq!(query(text).size("a").is_ok(), fits, "{text}");
        }
        let time = |secs, nanos| Ok(Some(Timestamp { secs, nanos }));
        let rows = [
            ("a=1374067924", time(1_374_067_924, 0)),
            ("a=1374067924.5", time(1_374_067_924, 500_000_000)),
            ("a=1.000000001", time(1, 1)),
            ("a=1970-01-01T00:00:01Z", time(1, 0)),
            ("a=", Ok(None)),
        ];
        for (text, expected) in rows {
            assert_eq!(query(text).time("a"), expected, "{text}");
        }
        for text in ["a=abc", "a=1.", "a=1.+5", "a=1.0000000001", "a=1e5"] {
            assert!(query(text).time("a").is_err(), "{text}");
        }
    }

    #[test]
    fn reads_filters() {
        let label = |values: &[&str]| {
            let values = values.iter().map(ToString::to_string).collect();
            Ok(Filters([("label".to_string(), values)].into()))
        };
        let rows = [
            ("nothing", "", Ok(Filters::default())),
            ("list", r#"{"label":["a=b","c"]}"#, label(&["a=b", "c"])),
            ("map", r#"{"label":{"a=b":true}}"#, label(&["a=b"])),
            ("null", r#"{"label":null}"#, label(&[])),
        ];
        for (name, text, expected) in rows {
            let mut query = Query::default();
            query.set("filters", text);
            assert_eq!(query.filters(), expected, "{name}");
        }
        for text in ["nope", "[]", "5", r#"{"a":5}"#, r#"{"a":[5]}"#, r#"{"a":"#] {
            assert!(
                Query(vec![("filters".into(), text.into())]).filters().is_err(),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn decode_undoes_encoding(text in ".*") {
            let encoded: String = text.bytes().map(|b| alloc::format!("%{b:02X}")).collect();
            prop_assert_eq!(decode(&encoded, true), Ok(text));
        }

        #[test]
        fn parse_undoes_encode(pairs in prop::collection::vec((".*", ".*"), 0..4)) {
            let query = Query(pairs);
            prop_assert_eq!(Query::parse(&query.encode()), Ok(query));
        }

        #[test]
        fn nothing_panics(text in ".*") {
            if let Ok(query) = Query::parse(&text) {
                let _ = (query.flag("a"), query.number("a"), query.time("a"), query.filters());
            }
        }
    }
}
