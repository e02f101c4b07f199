//! Bytes that wait to be sent.
//!
//! Payload is queued as it is, without a copy, and copied once into the memory the transport brings; of payload that is
//! in a pipe only the length is queued. Small pieces (heads, chunk lines, frame headers) are gathered, so that they cost
//! no allocation each.

use alloc::{collections::VecDeque, vec::Vec};
use core::fmt;

use bytes::{Buf, Bytes};

use crate::driver::SourceId;

/// A part of a message body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Bytes(Bytes),
    /// The next bytes of a pipe ([`Output::Splice`](crate::driver::Output::Splice)).
    Source {
        /// The pipe.
        source: SourceId,
        /// How many.
        len: usize,
    },
}

impl Part {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Source { len, .. } => *len,
        }
    }
}

/// A queue of bytes in order.
#[derive(Default)]
pub(crate) struct OutputQueue {
    pieces: VecDeque<Piece>,
    /// The sum of what the pieces hold.
    len: usize,
}

enum Piece {
    /// Ours; `sent` bytes at its front are out. `sent < bytes.len()`.
    Gathered { bytes: Vec<u8>, sent: usize },
    /// Shared with whoever queued it; never empty.
    Shared(Bytes),
    /// In a pipe; `len` is never 0.
    Source { source: SourceId, len: usize },
}

impl fmt::Debug for OutputQueue {
    /// How much there is; what it is may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputQueue").field("len", &self.len).finish()
    }
}

impl OutputQueue {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Queues a copy.
    pub(crate) fn push_slice(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        match self.gathering() {
            Some(gathered) => gathered.extend_from_slice(bytes),
            None => self.pieces.push_back(Piece::Gathered {
                bytes: bytes.to_vec(),
                sent: 0,
            }),
        }
    }

    /// Queues bytes of our own, without a copy if nothing is there that they could be added to. Small pieces that follow find
    /// room in their spare capacity.
    pub(crate) fn push_vec(&mut self, bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        self.len += bytes.len();
        match self.gathering() {
            Some(gathered) => gathered.extend_from_slice(&bytes),
            None => self.pieces.push_back(Piece::Gathered { bytes, sent: 0 }),
        }
    }

    /// The last piece, if more may be added to it.
    fn gathering(&mut self) -> Option<&mut Vec<u8>> {
        match self.pieces.back_mut()? {
            Piece::Gathered { bytes, .. } if bytes.len() < GATHERED_BYTES_MAX => Some(bytes),
            _ => None,
        }
    }

    /// Queues bytes, without a copy unless they are few.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if bytes.len() <= COPIED_BYTES_MAX {
            self.push_slice(&bytes);
        } else {
            self.len += bytes.len();
            self.pieces.push_back(Piece::Shared(bytes));
        }
    }

    /// Queues a part of a body.
    pub(crate) fn push_part(&mut self, part: Part) {
        match part {
            Part::Bytes(bytes) => self.push(bytes),
            Part::Source { len: 0, .. } => {}
            Part::Source { source, len } => {
                self.len += len;
                self.pieces.push_back(Piece::Source { source, len });
            }
        }
    }

    /// Takes the piece at the front if it is in a pipe.
    pub(crate) fn take_source(&mut self) -> Option<(SourceId, usize)> {
        let &Piece::Source { source, len } = self.pieces.front()? else {
            return None;
        };
        self.pieces.pop_front();
        self.len -= len;
        Some((source, len))
    }

    /// Moves as much as fits into `out`, from as many pieces as it takes, up to one that is in a pipe; returns how much
    /// that was.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(piece) = self.pieces.front_mut() {
            let Some(room) = out.get_mut(filled..).filter(|room| !room.is_empty()) else {
                break;
            };
            let waiting = match piece {
                Piece::Gathered { bytes, sent } => bytes.get(*sent..).unwrap_or_default(),
                Piece::Shared(bytes) => &bytes[..],
                Piece::Source { .. } => break,
            };
            let len = waiting.len().min(room.len());
            if let (Some(slot), Some(part)) = (room.get_mut(..len), waiting.get(..len)) {
                slot.copy_from_slice(part);
            }
            let is_over = len == waiting.len();
            filled += len;
            if is_over {
                self.pieces.pop_front();
            } else {
                match piece {
                    Piece::Gathered { sent, .. } => *sent += len,
                    Piece::Shared(bytes) => bytes.advance(len),
                    Piece::Source { .. } => {}
                }
            }
        }
        self.len -= filled;
        filled
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Pieces up to this size are copied: cheaper than a reference count and a queue entry.
const COPIED_BYTES_MAX: usize = 256;

/// A gathered piece of this size is not added to, so that memory is given back while a queue lives on.
const GATHERED_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle is one row of bytes; those of a pipe are all zero there.
        #[test]
        fn everything_comes_out_in_order(
            pieces in prop::collection::vec((0u8..4, 0usize..600), 0..30),
            room in 1usize..900,
        ) {
            const PIPE: SourceId = SourceId(1);
            let mut queue = OutputQueue::default();
            let (mut queued, mut sent) = (Vec::new(), Vec::new());
            let mut out = vec![0; room];
            let mut take = |queue: &mut OutputQueue, sent: &mut Vec<u8>| match queue.take_source() {
                Some((source, len)) => {
                    assert_eq!(source, PIPE);
                    assert!(len > 0);
                    sent.resize(sent.len() + len, 0);
                    room
                }
                None => {
                    let filled = queue.fill(&mut out);
                    sent.extend_from_slice(&out[..filled]);
                    filled
                }
            };
            for (at, (kind, len)) in pieces.into_iter().enumerate() {
                let bytes = vec![if kind == 3 { 0 } else { at as u8 + 1 }; len];
                queued.extend_from_slice(&bytes);
                match kind {
                    0 => queue.push_slice(&bytes),
                    1 => queue.push_vec(bytes),
                    2 => queue.push_part(Part::Bytes(bytes.into())),
                    _ => queue.push_part(Part::Source { source: PIPE, len }),
                }
                if at % 3 == 0 {
                    take(&mut queue, &mut sent);
                }
                prop_assert_eq!(queue.len(), queued.len() - sent.len());
            }
            while !queue.is_empty() {
                let filled = take(&mut queue, &mut sent);
                let pipe_next = matches!(queue.pieces.front(), Some(Piece::Source { .. }));
                prop_assert!(filled == room || pipe_next || queue.is_empty(), "the memory brought is used up");
            }
            prop_assert!(queue.pieces.is_empty());
            prop_assert_eq!(sent, queued);
        }
    }

    #[test]
    fn no_room_takes_nothing() {
        let mut queue = OutputQueue::default();
        queue.push_slice(b"x");
        assert_eq!((queue.fill(&mut []), queue.len()), (0, 1));
    }
}
