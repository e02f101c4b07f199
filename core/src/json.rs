//! JSON from outside, with bounds.
//!
//! The size of a body is bounded by HTTP before it comes here; here depth and number of values are, before anything
//! recurses or is built (a value takes many times the memory of its two bytes of text). As the daemons did, only the first value is read and what follows it is ignored. Keys are compared without regard to case,
//! as Go's decoder does; of equal keys the last one counts.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::fmt;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::limits;

/// Why a text is no JSON value that we take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum JsonError {
    /// There is nothing. The text is Go's.
    Empty,
    /// The value is not complete. The text is Go's.
    Cut,
    /// The text breaks the grammar; says how and where.
    Malformed(String),
    /// Nested deeper than [`limits::JSON_DEPTH_MAX`].
    TooDeep,
    /// More values than allowed.
    TooMany {
        /// How many are.
        values_max: usize,
    },
    /// A key has a value of the wrong type.
    WrongType {
        /// Path of the key, `HostConfig.Memory`.
        key: String,
        /// What was found and what was expected.
        why: String,
    },
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("EOF"),
            Self::Cut => f.write_str("unexpected EOF"),
            Self::Malformed(why) => write!(f, "invalid JSON: {why}"),
            Self::TooDeep => write!(f, "invalid JSON: nested deeper than {}", limits::JSON_DEPTH_MAX),
            Self::TooMany { values_max } => write!(f, "invalid JSON: more than {values_max} values"),
            Self::WrongType { key, why } => write!(f, "json: cannot unmarshal {key}: {why}"),
        }
    }
}

/// Reads the first value of `text`.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonError> {
    parse_within(text, limits::JSON_VALUES_MAX)
}

/// As [`parse`], with a bound of its own for the number of values.
pub(crate) fn parse_within(text: &[u8], values_max: usize) -> Result<Value, JsonError> {
    let (depth, values) = measure(text);
    if depth > limits::JSON_DEPTH_MAX {
        return Err(JsonError::TooDeep);
    }
    if values > values_max {
        return Err(JsonError::TooMany { values_max });
    }
    match serde_json::Deserializer::from_slice(text).into_iter().next() {
        None => Err(JsonError::Empty),
        Some(Ok(value)) => Ok(value),
        Some(Err(e)) if e.is_eof() => Err(JsonError::Cut),
        Some(Err(e)) => Err(JsonError::Malformed(e.to_string())),
    }
}

/// What a JSON value is, as Go calls it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The deepest nesting of `text`, and how many values it holds at most, whether it is well formed or not.
fn measure(text: &[u8]) -> (u32, usize) {
    let (mut now, mut deepest, mut values) = (0_u32, 0, 1);
    let (mut quoted, mut escaped) = (false, false);
    for &byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now = now.saturating_add(1);
                deepest = deepest.max(now);
                values += 1;
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            b',' if !quoted => values += 1,
            _ => {}
        }
    }
    (deepest, values)
}

/// Gives keys that differ from a known one only in case the known spelling. A key in the known spelling wins.
pub(crate) fn spell(map: &mut Map<String, Value>, known: &[&str]) {
    let foreign = map.keys().filter(|key| !known.contains(&key.as_str()));
    let renamed = foreign.filter_map(|key| {
        let name = known.iter().find(|name| name.eq_ignore_ascii_case(key))?;
        Some((key.clone(), *name))
    });
    for (key, name) in renamed.collect::<alloc::vec::Vec<_>>() {
        if let Some(value) = map.remove(&key) {
            map.entry(name).or_insert(value);
        }
    }
}

/// Makes a typed value. The error names the key, which `serde_json` does not; `at` is the path of `map` itself, empty or
/// ending in a dot.
pub(crate) fn typed<T: DeserializeOwned>(map: Map<String, Value>, at: &str) -> Result<T, JsonError> {
    let value = Value::Object(map);
    T::deserialize(&value).map_err(|e| {
        let (key, why) = blame::<T>(value).unwrap_or_else(|| (String::new(), e.to_string()));
        let key = format!("{at}{key}").trim_end_matches('.').to_owned();
        JsonError::WrongType { key, why }
    })
}

/// The first key that is wrong on its own, and why.
fn blame<T: DeserializeOwned>(value: Value) -> Option<(String, String)> {
    let Value::Object(map) = value else { return None };
    map.into_iter().find_map(|(key, value)| {
        let alone = Value::Object(Map::from_iter([(key.clone(), value)]));
        let error = T::deserialize(&alone).err()?;
        Some((key, error.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use serde_json::json;

    use super::*;
    use crate::model::HostConfig;

    #[test]
    fn reads() {
        let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
        let rows = [
            ("object", r#"{"a":1}"#.to_owned(), Ok(json!({"a": 1}))),
            ("blanks around", " \n{} \n".to_owned(), Ok(json!({}))),
            ("second value", "{}{".to_owned(), Ok(json!({}))),
            ("last key wins", r#"{"a":1,"a":2}"#.to_owned(), Ok(json!({"a": 2}))),
            ("nothing", String::new(), Err(JsonError::Empty)),
            ("blanks", "  \n".to_owned(), Err(JsonError::Empty)),
            ("cut", r#"{"a":"#.to_owned(), Err(JsonError::Cut)),
            ("too deep", nested(65), Err(JsonError::TooDeep)),
            (
                "too many",
                format!("[{}0]", "0,".repeat(limits::JSON_VALUES_MAX)),
                Err(JsonError::TooMany {
                    values_max: limits::JSON_VALUES_MAX,
                }),
            ),
            ("very deep and open", "[".repeat(1 << 20), Err(JsonError::TooDeep)),
            (
                "brackets in a string are flat",
                format!("\"{}\\\"{}\"", "[".repeat(99), "{".repeat(99)),
                Ok(Value::String(format!("{}\"{}", "[".repeat(99), "{".repeat(99)))),
            ),
        ];
        for (name, text, expected) in rows {
            assert_eq!(parse(text.as_bytes()), expected, "{name}");
        }
        assert!(parse(nested(64).as_bytes()).is_ok());
        for text in ["x", "{'a':1}", "{a:1}", "nul!", "\u{1}", "{\"a\" 1}"] {
            assert!(matches!(parse(text.as_bytes()), Err(JsonError::Malformed(_))), "{text}");
        }
        assert!(parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn spells() {
        let Value::Object(mut map) = json!({"memory": 1, "IMAGE": 2, "Image": 3, "other": 4}) else {
            unreachable!()
        };
        spell(&mut map, &["Memory", "Image"]);
        assert_eq!(Value::Object(map), json!({"Memory": 1, "Image": 3, "other": 4}));
    }

    #[test]
    fn names_the_wrong_key() {
        let Value::Object(map) = json!({"Binds": ["/a:/b"], "Memory": "lots"}) else {
            unreachable!()
        };
        let error = typed::<HostConfig>(map, "HostConfig.").expect_err("a string is no number");
        let JsonError::WrongType { key, why } = error else {
            panic!("{error}")
        };
        assert_eq!(key, "HostConfig.Memory");
        assert!(why.contains("lots"), "{why}");
    }

    #[test]
    fn escapes_do_not_hide_depth() {
        let rows: Vec<(&str, u32)> = [("[\"\\\\\",[", 2), ("\"\\\"[\"", 0), ("[[]][", 2), ("]]]][", 1)].into();
        for (text, expected) in rows {
            assert_eq!(measure(text.as_bytes()).0, expected, "{text}");
        }
    }
}
