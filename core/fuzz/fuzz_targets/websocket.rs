//! Frames of a client. The first byte says how they are cut; any cut has to give the same payload, the same control frames
//! and the same end.
#![no_main]

use gantry_core::websocket::{Control, Decoder, Violation};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&cut, wire)) = bytes.split_first() else { return };
    assert_eq!(run(wire, usize::from(cut).max(1)), run(wire, usize::MAX));
});

fn run(wire: &[u8], cut: usize) -> (Vec<u8>, Vec<Control>, Option<Violation>) {
    let (mut decoder, mut data, mut controls) = (Decoder::default(), Vec::new(), Vec::new());
    for mut input in wire.chunks(cut) {
        loop {
            match decoder.decode(&mut input, &mut data) {
                Ok(Some(control)) => controls.push(control),
                Ok(None) => break assert!(input.is_empty()),
                Err(violation) => return (data, controls, Some(violation)),
            }
            assert!(data.len() <= wire.len());
        }
    }
    (data, controls, None)
}
