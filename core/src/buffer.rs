//! Received bytes, and how far they were searched.
//!
//! One copy is made when bytes come in; what leaves as payload leaves without another one. The buffer knows nothing
//! about what the bytes mean, and its bound is the caller's.

use core::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes that arrived and were not used yet.
#[derive(Default)]
pub(crate) struct ReceiveBuffer {
    bytes: BytesMut,
    /// Bytes at the front that a search has seen. 0 <= searched <= bytes.len(). A search that resumes here makes the
    /// work linear however small the pieces are that arrive.
    searched: usize,
}

impl fmt::Debug for ReceiveBuffer {
    /// How much there is; what it is may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveBuffer")
            .field("len", &self.len())
            .field("searched", &self.searched)
            .finish()
    }
}

impl ReceiveBuffer {
    /// Appends as much of `bytes` as fits under `len_max`; returns how much that was.
    pub(crate) fn take_from(&mut self, bytes: &[u8], len_max: usize) -> usize {
        let room = len_max.saturating_sub(self.bytes.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.bytes.extend_from_slice(taken);
        taken.len()
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn searched(&self) -> usize {
        self.searched
    }

    pub(crate) fn set_searched(&mut self, searched: usize) {
        self.searched = searched.min(self.bytes.len());
    }

    /// Drops up to `len` bytes from the front.
    pub(crate) fn discard(&mut self, len: usize) {
        self.bytes.advance(len.min(self.bytes.len()));
        self.searched = 0;
        self.release();
    }

    /// Takes up to `len` bytes off the front, without copying them.
    pub(crate) fn split(&mut self, len: usize) -> Bytes {
        let taken = self.bytes.split_to(len.min(self.bytes.len())).freeze();
        self.searched = 0;
        self.release();
        taken
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// An idle connection must cost next to nothing, so an empty buffer gives its memory back unless it is small.
    fn release(&mut self) {
        if self.bytes.is_empty() && self.bytes.capacity() > KEPT_BYTES_MAX {
            self.bytes = BytesMut::new();
        }
    }
}

/// Bytes of memory that an empty buffer may keep.
const KEPT_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_no_more_than_fits() {
        let mut buffer = ReceiveBuffer::default();
        assert_eq!(buffer.take_from(b"hello", 3), 3);
        assert_eq!(buffer.take_from(b"lo", 3), 0);
        assert_eq!(buffer.as_slice(), b"hel");
        assert_eq!(
            buffer.take_from(b"lo", 2),
            0,
            "a bound that shrank takes nothing and drops nothing"
        );
        assert_eq!(buffer.split(2), &b"he"[..]);
        assert_eq!(buffer.take_from(b"lo", 3), 2);
        assert_eq!(buffer.as_slice(), b"llo");
    }

    #[test]
    fn the_search_starts_anew_when_the_front_moves() {
        let mut buffer = ReceiveBuffer::default();
        buffer.take_from(b"abc", 10);
        buffer.set_searched(9);
        assert_eq!(buffer.searched(), 3, "never beyond the end");
        buffer.discard(1);
        assert_eq!((buffer.searched(), buffer.len()), (0, 2));
    }

    #[test]
    fn large_memory_is_given_back_once_empty() {
        let mut buffer = ReceiveBuffer::default();
        buffer.take_from(&[b'x'; 5000], 8000);
        buffer.discard(4999);
        assert!(buffer.bytes.capacity() > 0);
        buffer.discard(1);
        assert_eq!(buffer.bytes.capacity(), 0);
    }
}
