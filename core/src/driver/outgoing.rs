//! What waits to be written to a pipe.

use alloc::collections::VecDeque;

use bytes::{Buf, Bytes};

/// Pieces in the order in which they are written.
#[derive(Debug, Default)]
pub struct Outgoing {
    /// Not empty pieces only.
    pieces: VecDeque<Bytes>,
    /// The sum of their lengths.
    len: usize,
}

impl Outgoing {
    /// Queues a piece; an empty one is nothing.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len();
            self.pieces.push_back(piece);
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces, the next one first.
    pub fn pieces(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// The first `len` bytes have been written.
    pub fn advance(&mut self, len: usize) {
        let mut left = len;
        while let Some(piece) = self.pieces.front_mut() {
            if left < piece.len() {
                piece.advance(left);
                break;
            }
            left -= piece.len();
            self.pieces.pop_front();
        }
        self.len = self.len.saturating_sub(len);
        if self.len == 0 {
            // A burst may have made the list long.
            self.pieces = VecDeque::new();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle is one row of bytes.
        #[test]
        fn pieces_come_out_as_they_went_in(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 0..20), cuts in prop::collection::vec(1usize..30, 400)) {
            let mut oracle = pieces.concat();
            let mut outgoing = Outgoing::default();
            pieces.into_iter().for_each(|piece| outgoing.push(piece.into()));
            for cut in cuts {
                prop_assert_eq!(outgoing.len(), oracle.len());
                prop_assert_eq!(outgoing.is_empty(), oracle.is_empty());
                prop_assert!(outgoing.pieces().all(|piece| !piece.is_empty()));
                prop_assert_eq!(&outgoing.pieces().flatten().copied().collect::<Vec<u8>>(), &oracle);
                let written = cut.min(oracle.len());
                oracle.drain(..written);
                outgoing.advance(written);
            }
            prop_assert!(outgoing.is_empty());
        }
    }
}
