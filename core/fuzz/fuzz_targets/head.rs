//! The head of a request: scanning never depends on the cut, and what was parsed has one framing.
#![no_main]

use gantry_core::{
    Limits,
    http::{BodyLength, HeadScanner, HttpVersion, Scan, parse_head},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        request_line_bytes_max: 64,
        header_bytes_max: 64,
        headers_bytes_max: 256,
        headers_max: 8,
        ..Limits::default()
    };
    let whole = HeadScanner::default().scan(bytes, 0, &limits);
    let mut scanner = HeadScanner::default();
    let mut scan = Ok(Scan::More);
    for at in 0..bytes.len() {
        scan = scanner.scan(&bytes[..=at], at, &limits);
        if scan != Ok(Scan::More) {
            break;
        }
    }
    assert_eq!(scan, whole, "byte by byte");
    let Ok(Scan::Complete { len, headers }) = whole else {
        return;
    };
    assert!(len <= HeadScanner::head_bytes_max(&limits));
    let Ok(parsed) = parse_head(&bytes[..len], headers) else {
        return;
    };
    let count = |name: &str| parsed.head.headers.get_all(name).count();
    let framings = (count("content-length"), count("transfer-encoding"));
    match parsed.body {
        BodyLength::Chunked => assert_eq!((framings, parsed.head.version), ((0, 1), HttpVersion::Http11)),
        BodyLength::Known(_) => assert_eq!(framings, (1, 0)),
        BodyLength::None => assert!(framings == (0, 0) || framings == (1, 0)),
    }
    assert!(count("host") <= 1);
    assert!(parsed.head.target.starts_with('/') || parsed.head.target == "*");
});
