//! Chunked bodies: the cut (the first byte) never matters, and a portion lies within what was offered.
#![no_main]

use gantry_core::{Limits, PeerError, http::ChunkedDecoder};
use libfuzzer_sys::fuzz_target;

/// The payload, where the body ended if it did, and what was wrong.
fn decode(wire: &[u8], cut: usize) -> (Vec<u8>, Option<usize>, Option<PeerError>) {
    let mut decoder = ChunkedDecoder::new(&Limits {
        chunk_extension_bytes_max: 8,
        trailer_bytes_max: 16,
        ..Limits::default()
    });
    let (mut payload, mut start, mut end) = (vec![], 0, 0);
    while end < wire.len() {
        end = wire.len().min(end + cut);
        loop {
            let portion = match decoder.next_portion(&wire[start..end]) {
                Ok(portion) => portion,
                Err(error) => return (payload, None, Some(error)),
            };
            start += portion.skip;
            payload.extend_from_slice(&wire[start..start + portion.payload]);
            start += portion.payload;
            assert!(start <= end);
            if portion.is_end {
                return (payload, Some(start), None);
            }
            if portion.payload == 0 {
                assert_eq!(start, end);
                break;
            }
        }
    }
    (payload, None, None)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, wire)) = bytes.split_first() else {
        return;
    };
    assert_eq!(decode(wire, 1 + usize::from(cut)), decode(wire, usize::MAX / 2));
});
