//! Image references against the grammar as the distribution project publishes it, in regular expressions.
#![no_main]

use std::sync::LazyLock;

use gantry_core::grammar::reference::{Reference, ReferenceError};
use libfuzzer_sys::fuzz_target;
use regex::Regex;

/// `reference.go`, package comment, with the only digest algorithm that is taken.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    let label = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
    let domain = format!(r"(?:{label}(?:\.{label})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?");
    let component = "[a-z0-9]+(?:(?:[._]|__|[-]+)[a-z0-9]+)*";
    let path = format!("{component}(?:/{component})*");
    let tag = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}";
    let whole = format!(r"\A(?:({domain})/)?({path})(?::({tag}))?(?:@(sha256:[0-9a-f]{{64}}))?\z");
    Regex::new(&whole).expect("the grammar")
});

/// What the regular expression takes the text for: domain, path, tag, digest.
fn expected(text: &str) -> Option<[Option<String>; 4]> {
    // `normalize.go`: the first part is a domain if it looks like one.
    let first = text.split_once('/').map(|(first, _)| first);
    let is_domain = first.is_some_and(|first| {
        first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|byte| byte.is_ascii_uppercase())
    });
    let with_domain = if is_domain { text.to_owned() } else { format!("docker.io/{text}") };
    let found = REFERENCE.captures(&with_domain)?;
    let part = |i| found.get(i).map(|part| part.as_str().to_owned());
    let parts = [part(1), part(2), part(3), part(4)];
    let len = parts[0].as_ref().map_or(0, String::len) + 1 + parts[1].as_ref().map_or(0, String::len);
    (len <= 255).then_some(parts)
}

fuzz_target!(|text: &str| {
    let parsed = Reference::parse(text);
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return assert_eq!(parsed, Err(ReferenceError::IsId));
    }
    match (parsed, expected(text)) {
        (Ok(reference), Some([domain, path, tag, digest])) => {
            assert_eq!((reference.tag(), reference.digest()), (tag.as_deref(), digest.as_deref()));
            let shown = reference.to_string();
            // The familiar form is short, and means the same.
            assert!(shown.len() <= text.len());
            assert_eq!(Reference::parse(&shown).as_ref(), Ok(&reference));
            let domain = domain.filter(|domain| domain != "docker.io" && domain != "index.docker.io");
            let (domain, path) = (domain.unwrap_or_default(), path.unwrap_or_default());
            let plain = path.strip_prefix("library/").unwrap_or(&path);
            assert!(shown.starts_with(&domain) && shown.contains(plain));
        }
        // `library/` is added to a short name, which may make it too long.
        (Err(ReferenceError::TooLong), _) => assert!(text.len() > 200),
        (Err(_), None) => {}
        (parsed, expected) => panic!("{text:?}: {parsed:?}, {expected:?}"),
    }
});
