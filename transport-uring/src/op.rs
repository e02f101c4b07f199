//! Operations that the kernel works on: whose they are, and what it may still touch.
//!
//! An [`Op`] owns the memory and the descriptor of its operation. It stays in a slab until the operation's last completion
//! (the one without `IORING_CQE_F_MORE`) and is dropped never earlier, whatever has become of its owner meanwhile. The
//! kernel carries its [`OpId`], slot and generation, so a late completion is never mistaken for that of another.

use std::{os::fd::OwnedFd, sync::Arc};

use bytes::Bytes;
use gantry_core::driver::{ConnId, PipeId};

use crate::buffer::Size;

/// An operation under way. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpId(pub(crate) u64);

/// What the kernel may still touch.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) owner: Owner,
    pub(crate) kind: Kind,
    /// Open for as long as an entry that names it may still be submitted: its number must not become another file's.
    pub(crate) file: Arc<OwnedFd>,
    pub(crate) memory: Memory,
}

/// Whose operation it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    Conn(ConnId),
    Inbox,
    Listener(usize),
    Pipe(PipeId),
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Accept peers until told otherwise.
    Accept,
    /// Receive or read into a buffer that the kernel chooses.
    Read(Size),
    /// Report once that the socket has room.
    WatchRoom,
    Send,
    /// Report what happens to the descriptor, until told otherwise.
    Watch,
    Write,
}

/// Memory that an operation reads.
#[derive(Debug)]
pub(crate) enum Memory {
    None,
    Output(Output),
    Piece(Bytes),
}

impl Memory {
    /// What the kernel is to read now.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::None => &[],
            Self::Output(output) => output.rest(),
            Self::Piece(piece) => piece,
        }
    }
}

/// Output of a connection. It stays where it is in memory, however often this is moved.
#[derive(Debug)]
pub(crate) struct Output {
    bytes: Box<[u8]>,
    /// from <= len <= bytes.len()
    from: usize,
    len: usize,
}

impl Output {
    /// The first `len` bytes of `bytes`.
    pub(crate) fn new(bytes: Box<[u8]>, len: usize) -> Self {
        let len = len.min(bytes.len());
        Self { bytes, from: 0, len }
    }

    /// What has not been sent.
    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.from..self.len]
    }

    /// The first `len` bytes of the rest have been sent.
    pub(crate) fn advance(&mut self, len: usize) {
        self.from = (self.from + len).min(self.len);
    }

    /// The memory, to be used again.
    pub(crate) fn into_memory(self) -> Box<[u8]> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn output_goes_out_once_from_where_it_is(bytes in prop::collection::vec(any::<u8>(), 0..100), len in 0usize..120, cuts in prop::collection::vec(0usize..20, 0..20)) {
            let wanted = bytes[..len.min(bytes.len())].to_vec();
            let mut output = Output::new(bytes.into_boxed_slice(), len);
            let start = output.rest().as_ptr();
            let mut sent = Vec::new();
            for cut in cuts {
                // Moved, as the slab moves it when it grows.
                let mut moved = Box::new(output);
                prop_assert_eq!(moved.rest().as_ptr(), start.wrapping_add(sent.len()));
                let piece = moved.rest()[..cut.min(moved.rest().len())].to_vec();
                moved.advance(piece.len());
                sent.extend(piece);
                output = *moved;
            }
            sent.extend(output.rest());
            prop_assert_eq!(sent, wanted);
        }
    }
}
