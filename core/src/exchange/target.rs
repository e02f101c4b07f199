//! The path of a request: its version, its clean form, and how it is written.

use alloc::{format, string::String, vec::Vec};

/// Takes `/v1.24` off a path.
pub(super) fn split_version(path: &str) -> (Option<&str>, &str) {
    let split = path.strip_prefix("/v").and_then(|rest| {
        let end = rest.find('/')?;
        let version = rest.get(..end)?;
        let digits = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        digits.then_some((Some(version), rest.get(end..)?))
    });
    split.unwrap_or((None, path))
}

/// The path without empty, `.` and `..` segments, if it has any. A slash at the end stays.
pub(crate) fn clean(path: &str) -> Option<String> {
    let inner = path.strip_prefix('/')?;
    let last = inner.matches('/').count();
    let dirty = |(i, segment): (usize, &str)| matches!(segment, "." | "..") || (segment.is_empty() && i < last);
    if !inner.split('/').enumerate().any(dirty) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in inner.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            _ => kept.push(segment),
        }
    }
    let slash = if inner.ends_with('/') && !kept.is_empty() {
        "/"
    } else {
        ""
    };
    Some(format!("/{}{slash}", kept.join("/")))
}

/// Percent-encodes what may not stand in a target. `?` of the query is there already.
pub(super) fn escape(target: &str) -> String {
    let mut text = String::with_capacity(target.len());
    for byte in target.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
