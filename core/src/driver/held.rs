//! Bytes that somebody did not take.

use alloc::vec::Vec;

/// Bytes in a row that are used up from the front, without moving the rest. Holds no memory while it is empty.
#[derive(Debug, Default)]
pub struct Held {
    bytes: Vec<u8>,
    /// 0 <= from < bytes.len(), or both are 0.
    from: usize,
}

impl Held {
    /// Keeps a copy of `bytes`; only when nothing is held.
    pub fn keep(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "one piece at a time");
        *self = Self {
            bytes: bytes.to_vec(),
            from: 0,
        };
    }

    /// What is left.
    pub fn rest(&self) -> &[u8] {
        self.bytes.get(self.from..).unwrap_or_default()
    }

    /// Uses up the first `len` bytes of the rest.
    pub fn consume(&mut self, len: usize) {
        self.from += len;
        if self.from >= self.bytes.len() {
            *self = Self::default();
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_held_comes_out_in_order(bytes in prop::collection::vec(any::<u8>(), 1..100), cuts in prop::collection::vec(1usize..9, 100)) {
            let mut held = Held::default();
            held.keep(&bytes);
            let mut out = Vec::new();
            for cut in cuts {
                let piece = held.rest()[..cut.min(held.rest().len())].to_vec();
                held.consume(piece.len());
                out.extend(piece);
            }
            prop_assert_eq!(out, bytes);
            prop_assert!(held.is_empty());
            prop_assert_eq!(held.bytes.capacity(), 0);
        }
    }
}
