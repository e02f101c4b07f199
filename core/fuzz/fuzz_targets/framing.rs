//! The multiplexed stream: the cut (the first byte) never matters, and pieces add up to what their headers say.
#![no_main]

use gantry_core::framing::{FrameError, Splitter, StreamKind};
use libfuzzer_sys::fuzz_target;

fn split(wire: &[u8], cut: usize) -> (Vec<(StreamKind, Vec<u8>)>, Option<FrameError>, bool) {
    let mut splitter = Splitter::new(100);
    let (mut frames, mut payload) = (vec![], vec![]);
    for mut input in wire.chunks(cut) {
        loop {
            match splitter.next_piece(&mut input) {
                Ok(Some(piece)) => {
                    payload.extend_from_slice(piece.payload);
                    if piece.is_last {
                        assert_eq!(payload.len(), piece.header.payload_len as usize);
                        frames.push((piece.header.stream, std::mem::take(&mut payload)));
                    }
                }
                Ok(None) => break,
                Err(error) => return (frames, Some(error), splitter.is_between_frames()),
            }
        }
        assert!(input.is_empty());
    }
    (frames, None, splitter.is_between_frames())
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, wire)) = bytes.split_first() else {
        return;
    };
    assert_eq!(split(wire, 1 + usize::from(cut)), split(wire, usize::MAX));
});
