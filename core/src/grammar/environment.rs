//! Environment variables: `NAME=value`, or `NAME` alone.
//!
//! Source: Engine API, "Create a container", `Env`: "A variable without `=` is removed from the environment, rather than
//! to have an empty value". environ(7).

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

/// The name of a variable: what stands before the first `=`.
pub fn name(variable: &str) -> &str {
    variable.split('=').next().unwrap_or_default()
}

/// Checks one variable.
///
/// # Errors
/// It has no name, or holds a NUL byte, where the kernel would end it.
pub fn check(variable: &str) -> Result<(), String> {
    if name(variable).is_empty() {
        return Err(format!("invalid environment variable: {variable}"));
    }
    if variable.contains('\0') {
        let shown = variable.escape_debug();
        return Err(format!("an environment variable holds a NUL byte: {shown}"));
    }
    Ok(())
}

/// Lays variables over those of an image: a name that both have takes the new value in the old one's place, further ones
/// follow in their order. A name alone takes the variable away.
pub fn overlay(image: &[String], given: &[String]) -> Vec<String> {
    // Of several with one name the last counts, as in a shell.
    let last = |wanted: &str| given.iter().rev().find(|variable| name(variable) == wanted);
    let of_image = image.iter().map(|old| last(name(old)).unwrap_or(old));
    let is_new = |variable: &&String| !image.iter().any(|old| name(old) == name(variable));
    let mut laid: Vec<String> = Vec::new();
    for variable in of_image.chain(given.iter().filter(is_new).filter_map(|new| last(name(new)))) {
        if variable.contains('=') && !laid.iter().any(|known| name(known) == name(variable)) {
            laid.push(variable.to_owned());
        }
    }
    laid
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn checks() {
        let rows = [
            ("A=b", true),
            ("A=", true),
            ("A", true),
            ("a b=c=d", true),
            ("=b", false),
            ("", false),
            ("A=b\0c", false),
        ];
        for (variable, good) in rows {
            assert_eq!(check(variable).is_ok(), good, "{variable:?}");
        }
        assert_eq!(check("=b"), Err("invalid environment variable: =b".to_string()));
    }

    #[test]
    fn overlays() {
        let rows: [(&str, &[&str], &[&str], &[&str]); 8] = [
            ("nothing given", &["A=1", "B=2"], &[], &["A=1", "B=2"]),
            ("nothing there", &[], &["A=1"], &["A=1"]),
            ("in its place", &["A=1", "B=2"], &["C=3", "A=x"], &["A=x", "B=2", "C=3"]),
            ("taken away", &["A=1", "B=2"], &["A"], &["B=2"]),
            ("empty stays", &["A=1"], &["A="], &["A="]),
            ("a name alone that nobody has", &["A=1"], &["B"], &["A=1"]),
            (
                "the last counts",
                &["A=1"],
                &["A=2", "A=3", "N=1", "N=2"],
                &["A=3", "N=2"],
            ),
            ("a prefix is another name", &["AB=1"], &["A=2"], &["AB=1", "A=2"]),
        ];
        let owned = |list: &[&str]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        for (what, image, given, expected) in rows {
            assert_eq!(overlay(&owned(image), &owned(given)), owned(expected), "{what}");
        }
    }
}
