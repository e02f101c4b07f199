//! Parameters of a request, percent-encoded: what the daemon is told is what `form_urlencoded` reads.
#![no_main]

use std::time::Duration;

use gantry_core::{
    Call, Connection, Event, Instant, Limits,
    driver::{Output, Protocol},
};
use libfuzzer_sys::fuzz_target;

/// The name and `ps`-like texts that a container is to be created, or an image imported with.
fn asked(query: &str) -> Option<[String; 3]> {
    let request = format!("POST /v1.24/images/create?fromSrc=x&{query} HTTP/1.1\r\nHost: docker\r\n\r\n");
    let now = Instant(Duration::ZERO);
    let mut connection = Connection::new(Limits::default(), now);
    assert_eq!(connection.handle_input(now, request.as_bytes()), request.len());
    match connection.poll_output(now, &mut [0; 1024]) {
        Output::Event(Event::Call { call: Call::ImageImport(import), .. }) => {
            Some([import.repository, import.tag, import.message])
        }
        Output::Transmit(_) => None,
        other => panic!("{other:?}"),
    }
}

/// Whether each `%` begins two hexadecimal digits, and the decoded text is UTF-8: what other readers are lenient about.
fn is_strict(query: &str) -> bool {
    let pairs = query.split(['&', ';']);
    pairs.filter(|pair| !pair.is_empty()).flat_map(|pair| pair.splitn(2, '=')).all(|text| {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = rest.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
            let Some(decoded) = digits
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok())
            else {
                return false;
            };
            bytes.push(decoded);
            rest = &rest[2..];
        }
        String::from_utf8(bytes).is_ok()
    })
}

fuzz_target!(|query: &str| {
    let printable = query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if query.len() > 2000 || !printable {
        return;
    }
    let pairs: Vec<_> = form_urlencoded::parse(query.replace(';', "&").as_bytes()).into_owned().collect();
    if !is_strict(query) {
        return assert_eq!(asked(query), None, "{query:?}");
    }
    let value = |wanted: &str| {
        let found = pairs.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    // Another call, or its source given again after ours, which counts.
    if pairs.iter().any(|(name, value)| name == "fromImage" && !value.is_empty()) {
        return;
    }
    assert_eq!(asked(query), Some([value("repo"), value("tag"), value("message")]), "{query:?}");
});
