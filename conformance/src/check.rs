//! Wanted and got: patterns over JSON, and names in braces that stand for values of the run.
//!
//! A pattern is JSON itself. Objects may hold more than the pattern names (the API is open to new fields), lists have
//! to be of the same length, everything else has to be equal. A string in angle brackets stands for a kind of value,
//! see [`KINDS`]; the object `{ "<some>" = p }` for a list with an element like `p`, `{ "<every>" = p }` for one
//! with no other, `{ "<none>" = p }` for one without it.

use std::collections::BTreeMap;

use serde_json::Value;

/// Whether a value is of a kind.
pub type IsKind = fn(&Value) -> bool;

/// The kinds of value that a pattern can name.
pub const KINDS: &[(&str, IsKind)] = &[
    ("<any>", |_| true),
    ("<array>", Value::is_array),
    ("<array or null>", |v| v.is_array() || v.is_null()),
    ("<bool>", Value::is_boolean),
    ("<id>", |v| v.as_str().is_some_and(is_id)),
    ("<image id>", |v| {
        v.as_str()
            .is_some_and(|s| is_id(s.strip_prefix("sha256:").unwrap_or(s)))
    }),
    ("<int>", |v| v.is_i64() || v.is_u64()),
    ("<null>", Value::is_null),
    ("<object>", Value::is_object),
    ("<object or null>", |v| v.is_object() || v.is_null()),
    ("<positive>", |v| v.as_i64().is_some_and(|n| n > 0)),
    ("<string>", Value::is_string),
    ("<text>", |v| v.as_str().is_some_and(|s| !s.is_empty())),
    ("<time>", |v| v.as_str().is_some_and(is_time)),
    ("<version>", |v| {
        v.as_str()
            .is_some_and(|s| s.parse::<crate::version::ApiVersion>().is_ok())
    }),
];

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// `2014-05-13T16:53:20.123456789Z` (RFC 3339 with `T`, any fraction, any offset).
fn is_time(text: &str) -> bool {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text
                .bytes()
                .zip(shape.bytes())
                .all(|(b, s)| if s == b'0' { b.is_ascii_digit() } else { b == s })
    };
    let Some((seconds, rest)) = text.split_at_checked(19) else {
        return false;
    };
    let rest = rest.strip_prefix('.').map_or(rest, |fraction| {
        fraction.trim_start_matches(|c: char| c.is_ascii_digit())
    });
    shape(seconds, "0000-00-00T00:00:00") && (rest == "Z" || shape(rest, "+00:00") || shape(rest, "-00:00"))
}

/// Compares; the place and the difference where it does not fit.
///
/// # Errors
/// One sentence.
pub fn fits(wanted: &Value, got: &Value) -> Result<(), String> {
    fits_at(wanted, got, "")
}

fn fits_at(wanted: &Value, got: &Value, at: &str) -> Result<(), String> {
    let here = if at.is_empty() { "the answer" } else { at };
    match wanted {
        Value::String(kind) if kind.starts_with('<') && kind.ends_with('>') => {
            match KINDS.iter().find(|(name, _)| name == kind) {
                Some((_, is)) if is(got) => Ok(()),
                Some(_) => Err(format!("{here} is {}, wanted {kind}", short(got))),
                None => Err(format!("the case names an unknown kind of value {kind}")),
            }
        }
        Value::Object(fields) if fields.len() == 1 && fields.keys().all(|key| QUANTIFIERS.contains(&key.as_str())) => {
            fields
                .iter()
                .try_for_each(|(quantifier, element)| fits_elements(quantifier, element, got, here))
        }
        Value::Object(fields) => {
            let Value::Object(has) = got else {
                return Err(format!("{here} is {}, wanted an object", short(got)));
            };
            for (key, wanted) in fields {
                let below = format!("{at}/{key}");
                match (wanted.as_str(), has.get(key)) {
                    (Some("<absent>"), None) => {}
                    (Some("<absent>"), Some(got)) => return Err(format!("{below} is {}, wanted none", short(got))),
                    (_, None) => return Err(format!("{below} is missing")),
                    (_, Some(got)) => fits_at(wanted, got, &below)?,
                }
            }
            Ok(())
        }
        Value::Array(elements) => match got {
            Value::Array(has) if has.len() == elements.len() => {
                let mut pairs = elements.iter().zip(has).enumerate();
                pairs.try_for_each(|(number, (wanted, got))| fits_at(wanted, got, &format!("{at}/{number}")))
            }
            _ => Err(format!("{here} is {}, wanted a list of {}", short(got), elements.len())),
        },
        _ if wanted == got => Ok(()),
        _ => Err(format!("{here} is {}, wanted {}", short(got), short(wanted))),
    }
}

const QUANTIFIERS: [&str; 3] = ["<some>", "<every>", "<none>"];

fn fits_elements(quantifier: &str, wanted: &Value, got: &Value, here: &str) -> Result<(), String> {
    let Value::Array(has) = got else {
        return Err(format!("{here} is {}, wanted a list", short(got)));
    };
    let misfit = has.iter().map(|got| fits_at(wanted, got, here)).find(Result::is_err);
    let any = has.iter().any(|got| fits_at(wanted, got, here).is_ok());
    match (quantifier, misfit) {
        ("<every>", Some(misfit)) => misfit,
        ("<some>", _) if !any => Err(format!("{here} has no element like {}: {}", short(wanted), short(got))),
        ("<none>", _) if any => Err(format!("{here} has an element like {}", short(wanted))),
        _ => Ok(()),
    }
}

/// A value for a message: cut at 400 characters.
fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 400 {
        text
    } else {
        text.chars().take(400).chain("…".chars()).collect()
    }
}

/// Values of the run by name.
pub type Names = BTreeMap<String, String>;

/// Puts values for `{name}`. Only lower-case words in braces are names.
///
/// # Errors
/// When there is no such name.
pub fn fill(text: &str, names: &Names) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let name = rest[1..].split_once('}').map(|(name, _)| name);
        match name.filter(|name| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
        }) {
            Some(name) => {
                out.push_str(
                    names
                        .get(name)
                        .ok_or_else(|| format!("the case has no value for {{{name}}}"))?,
                );
                rest = &rest[name.len() + 2..];
            }
            None => {
                out.push('{');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// [`fill`] for every string in `value`, keys included.
///
/// # Errors
/// When there is no such name.
pub fn fill_json(value: &Value, names: &Names) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text, names)?),
        Value::Array(elements) => Value::Array(
            elements
                .iter()
                .map(|element| fill_json(element, names))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(fields) => {
            let filled = |(key, value): (&String, &Value)| Ok((fill(key, names)?, fill_json(value, names)?));
            Value::Object(fields.iter().map(filled).collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn patterns_fit_or_say_where_not() {
        let id = "a".repeat(64);
        let table: &[(&str, Value, Value, Option<&str>)] = &[
            ("more fields", json!({"A": 1}), json!({"A": 1, "B": 2}), None),
            (
                "missing",
                json!({"A": {"B": 1}}),
                json!({"A": {}}),
                Some("/A/B is missing"),
            ),
            (
                "absent",
                json!({"A": "<absent>"}),
                json!({"A": 1}),
                Some("/A is 1, wanted none"),
            ),
            ("absent and so it is", json!({"A": "<absent>"}), json!({}), None),
            (
                "null is there",
                json!({"A": "<absent>"}),
                json!({"A": null}),
                Some("/A is null, wanted none"),
            ),
            ("id", json!("<id>"), json!(id), None),
            ("image id", json!("<image id>"), json!(format!("sha256:{id}")), None),
            (
                "no id",
                json!("<id>"),
                json!("abc"),
                Some("the answer is \"abc\", wanted <id>"),
            ),
            ("time", json!("<time>"), json!("2014-05-13T16:53:20.1Z"), None),
            (
                "time with offset",
                json!("<time>"),
                json!("2014-05-13T16:53:20.123456789+02:00"),
                None,
            ),
            (
                "no time",
                json!("<time>"),
                json!("2014-05-13 16:53:20Z"),
                Some("the answer is \"2014-05-13 16:53:20Z\", wanted <time>"),
            ),
            (
                "unknown kind",
                json!("<idd>"),
                json!(1),
                Some("the case names an unknown kind of value <idd>"),
            ),
            ("list", json!([1, "<int>"]), json!([1, 2]), None),
            (
                "longer list",
                json!([1]),
                json!([1, 2]),
                Some("the answer is [1,2], wanted a list of 1"),
            ),
            ("some", json!({"<some>": {"A": 1}}), json!([{"A": 0}, {"A": 1}]), None),
            (
                "none of some",
                json!({"<some>": 3}),
                json!([1]),
                Some("the answer has no element like 3: [1]"),
            ),
            (
                "every",
                json!({"<every>": "<int>"}),
                json!([1, "x"]),
                Some("the answer is \"x\", wanted <int>"),
            ),
            (
                "none",
                json!({"<none>": 1}),
                json!([1]),
                Some("the answer has an element like 1"),
            ),
            (
                "number and text differ",
                json!(1),
                json!("1"),
                Some("the answer is \"1\", wanted 1"),
            ),
        ];
        for (name, wanted, got, expected) in table {
            assert_eq!(fits(wanted, got).err().as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn names_are_filled_in() {
        let names: Names = [("id".to_owned(), "abc".to_owned())].into();
        let table = [
            ("/containers/{id}/json", Ok("/containers/abc/json")),
            ("{id}{id}", Ok("abcabc")),
            ("{\"all\":[\"{id}\"]}", Ok("{\"all\":[\"abc\"]}")),
            ("{Id} {} {", Ok("{Id} {} {")),
            ("{nothing}", Err("the case has no value for {nothing}")),
        ];
        for (text, expected) in table {
            assert_eq!(
                fill(text, &names).as_deref().map_err(String::as_str),
                expected,
                "{text}"
            );
        }
        let filled = fill_json(&json!({"{id}": ["{id}", 1]}), &names);
        assert_eq!(filled, Ok(json!({"abc": ["abc", 1]})));
    }
}
