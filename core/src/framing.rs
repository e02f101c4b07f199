//! The multiplexed stream: an 8-byte header before each piece of output.
//!
//! Attach, logs and exec of a container without a terminal carry standard output and standard error over one byte
//! stream. Each piece is preceded by a header (Engine API, "Attach to a container", section "Stream format"):
//!
//! ```text
//!   byte 0       1 2 3      4 5 6 7
//!   stream kind  zero       payload length, big-endian
//! ```
//!
//! This module is usable alone: it allocates nothing, copies no payload and depends on nothing. It knows neither HTTP
//! nor connections. A sender writes [`FrameHeader::encode`] and then its own buffer; a receiver feeds whatever it read
//! to a [`Splitter`]:
//!
//! ```
//! use gantry_core::framing::{FrameError, Splitter, StreamKind};
//!
//! /// Separates standard output from standard error, whatever the sizes of the reads were.
//! fn demultiplex(reads: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>), FrameError> {
//!     let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
//!     let mut splitter = Splitter::new(1 << 20);
//!     for read in reads {
//!         let mut input = *read;
//!         while let Some(piece) = splitter.next_piece(&mut input)? {
//!             match piece.header.stream {
//!                 StreamKind::Stderr => stderr.extend_from_slice(piece.payload),
//!                 StreamKind::Stdin | StreamKind::Stdout => stdout.extend_from_slice(piece.payload),
//!             }
//!         }
//!     }
//!     assert!(splitter.is_between_frames(), "the stream ended inside a frame");
//!     Ok((stdout, stderr))
//! }
//!
//! let reads: [&[u8]; 3] = [b"\x01\0\0\0\0\0\0\x05he", b"llo\x02\0\0", b"\0\0\0\0\x03oh!"];
//! assert_eq!(demultiplex(&reads), Ok((b"hello".to_vec(), b"oh!".to_vec())));
//! ```

use core::fmt;

/// Bytes of a frame header on the wire.
pub const HEADER_LEN: usize = 8;

/// Which standard stream a frame belongs to. The value is the header's first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum StreamKind {
    /// Standard input (0). Docker never sends it; its readers print it as output.
    Stdin = 0,
    /// Standard output (1).
    Stdout = 1,
    /// Standard error (2).
    Stderr = 2,
}

impl StreamKind {
    /// The kind that a header's first byte means; `None` for bytes that mean none.
    pub const fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Stdin),
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            _ => None,
        }
    }
}

/// What stands before each payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// The stream the payload was written to.
    pub stream: StreamKind,
    /// Bytes of payload that follow. May be 0.
    pub payload_len: u32,
}

impl FrameHeader {
    /// The header as it goes over the wire.
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [a, b, c, d] = self.payload_len.to_be_bytes();
        [self.stream as u8, 0, 0, 0, a, b, c, d]
    }

    /// Reads a header. The three bytes after the kind are reserved and not looked at, as in Docker's own reader.
    ///
    /// # Errors
    /// [`FrameError::UnknownStream`] when the first byte names no stream.
    pub const fn decode(wire: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let [kind, _, _, _, a, b, c, d] = wire;
        let Some(stream) = StreamKind::from_wire(kind) else {
            return Err(FrameError::UnknownStream(kind));
        };
        Ok(Self {
            stream,
            payload_len: u32::from_be_bytes([a, b, c, d]),
        })
    }
}

/// Why bytes are no multiplexed stream. There is no way to find the next frame after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A header's first byte names no stream. Usually the stream is that of a terminal, which is not multiplexed.
    UnknownStream(u8),
    /// A frame is longer than the reader allows.
    PayloadTooLong {
        /// As the header says, in bytes.
        payload_len: u32,
        /// What [`Splitter::new`] was told, in bytes.
        payload_len_max: u32,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownStream(kind) => write!(f, "unknown stream kind in frame header: {kind}"),
            Self::PayloadTooLong {
                payload_len,
                payload_len_max,
            } => {
                write!(f, "frame of {payload_len} bytes is longer than {payload_len_max}")
            }
        }
    }
}

impl core::error::Error for FrameError {}

/// Finds the frames in a byte stream that arrives in any cuts.
///
/// **Give each read to [`next_piece`](Self::next_piece) until it returns `Ok(None)`.** A payload that is spread over
/// several reads comes as several pieces; nothing is held back, so the state is the size of one header.
#[derive(Debug, Clone)]
pub struct Splitter {
    payload_len_max: u32,
    progress: Progress,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    /// `filled < HEADER_LEN` bytes of the next header are in `wire`.
    Header { wire: [u8; HEADER_LEN], filled: usize },
    /// `left > 0` bytes of the payload are still to come.
    Payload { header: FrameHeader, left: u32 },
    /// The stream is unusable; every call says so again.
    Failed(FrameError),
}

/// A part of a frame, borrowed from the bytes given to the [`Splitter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The header of the frame that the payload belongs to; the same for all its pieces.
    pub header: FrameHeader,
    /// The next bytes of the payload. Empty only for a frame without payload.
    pub payload: &'a [u8],
    /// Whether the frame ends here.
    pub is_last: bool,
}

impl Splitter {
    /// A splitter at the beginning of a stream, which refuses frames of more than `payload_len_max` bytes.
    ///
    /// Nothing of that size is ever stored here; the bound is for callers who gather whole frames.
    pub const fn new(payload_len_max: u32) -> Self {
        Self {
            payload_len_max,
            progress: Progress::BETWEEN,
        }
    }

    /// Takes the next piece off the front of `input`. `Ok(None)` means that `input` is used up.
    ///
    /// # Errors
    /// The stream is no multiplexed stream, or a frame is too long. `input` is left where the bad header ended, and the
    /// splitter repeats the error from now on.
    pub fn next_piece<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Piece<'a>>, FrameError> {
        loop {
            match self.progress {
                Progress::Failed(error) => return Err(error),
                Progress::Payload { header, left } => {
                    let len = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    let (payload, rest) = input.split_at(len);
                    if payload.is_empty() {
                        return Ok(None);
                    }
                    *input = rest;
                    // Lossless: `len` is at most `left`, which is a u32.
                    let left = left.saturating_sub(u32::try_from(len).unwrap_or(u32::MAX));
                    self.progress = if left == 0 {
                        Progress::BETWEEN
                    } else {
                        Progress::Payload { header, left }
                    };
                    return Ok(Some(Piece {
                        header,
                        payload,
                        is_last: left == 0,
                    }));
                }
                Progress::Header { mut wire, mut filled } => {
                    while let Some(slot) = wire.get_mut(filled) {
                        let Some((&byte, rest)) = input.split_first() else {
                            self.progress = Progress::Header { wire, filled };
                            return Ok(None);
                        };
                        *slot = byte;
                        filled += 1;
                        *input = rest;
                    }
                    let header = self
                        .check(wire)
                        .inspect_err(|&error| self.progress = Progress::Failed(error))?;
                    if header.payload_len == 0 {
                        self.progress = Progress::BETWEEN;
                        return Ok(Some(Piece {
                            header,
                            payload: &[],
                            is_last: true,
                        }));
                    }
                    self.progress = Progress::Payload {
                        header,
                        left: header.payload_len,
                    };
                }
            }
        }
    }

    /// Whether the stream may end here: false inside a header or a payload, and after an error.
    pub const fn is_between_frames(&self) -> bool {
        matches!(self.progress, Progress::Header { filled: 0, .. })
    }

    const fn check(&self, wire: [u8; HEADER_LEN]) -> Result<FrameHeader, FrameError> {
        match FrameHeader::decode(wire) {
            Ok(FrameHeader { payload_len, .. }) if payload_len > self.payload_len_max => {
                Err(FrameError::PayloadTooLong {
                    payload_len,
                    payload_len_max: self.payload_len_max,
                })
            }
            other => other,
        }
    }
}

impl Progress {
    const BETWEEN: Self = Self::Header {
        wire: [0; HEADER_LEN],
        filled: 0,
    };
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_on_the_wire() {
        let table: [(&str, FrameHeader, [u8; 8]); 4] = [
            (
                "empty stdin",
                FrameHeader {
                    stream: StreamKind::Stdin,
                    payload_len: 0,
                },
                [0, 0, 0, 0, 0, 0, 0, 0],
            ),
            (
                "stdout",
                FrameHeader {
                    stream: StreamKind::Stdout,
                    payload_len: 5,
                },
                [1, 0, 0, 0, 0, 0, 0, 5],
            ),
            (
                "big-endian",
                FrameHeader {
                    stream: StreamKind::Stderr,
                    payload_len: 0x0102_0304,
                },
                [2, 0, 0, 0, 1, 2, 3, 4],
            ),
            (
                "largest",
                FrameHeader {
                    stream: StreamKind::Stderr,
                    payload_len: u32::MAX,
                },
                [2, 0, 0, 0, 255, 255, 255, 255],
            ),
        ];
        for (name, header, wire) in table {
            assert_eq!(header.encode(), wire, "{name}");
            assert_eq!(FrameHeader::decode(wire), Ok(header), "{name}");
        }
    }

    #[test]
    fn kinds_that_are_none() {
        for kind in 3..=u8::MAX {
            let decoded = FrameHeader::decode([kind, 0, 0, 0, 0, 0, 0, 0]);
            assert_eq!(decoded, Err(FrameError::UnknownStream(kind)), "kind {kind}");
        }
    }

    #[test]
    fn reserved_bytes_are_not_looked_at() {
        let header = FrameHeader {
            stream: StreamKind::Stdout,
            payload_len: 7,
        };
        assert_eq!(FrameHeader::decode([1, 9, 8, 7, 0, 0, 0, 7]), Ok(header));
    }

    #[test]
    fn a_frame_at_the_bound_passes_and_one_above_does_not() {
        let wire = FrameHeader {
            stream: StreamKind::Stdout,
            payload_len: 4,
        }
        .encode();
        assert_eq!(Splitter::new(4).next_piece(&mut &wire[..]), Ok(None));
        let error = FrameError::PayloadTooLong {
            payload_len: 4,
            payload_len_max: 3,
        };
        let mut splitter = Splitter::new(3);
        assert_eq!(splitter.next_piece(&mut &wire[..]), Err(error));
        assert_eq!(splitter.next_piece(&mut &b""[..]), Err(error), "the error is repeated");
        assert!(!splitter.is_between_frames());
    }

    /// All frames of a stream that comes in the given cuts; the oracle of the property below.
    fn gather<'a>(cuts: impl Iterator<Item = &'a [u8]>) -> Vec<(StreamKind, Vec<u8>)> {
        let mut splitter = Splitter::new(u32::MAX);
        let (mut frames, mut open) = (vec![], None);
        for mut input in cuts {
            while let Some(piece) = splitter.next_piece(&mut input).expect("well-formed") {
                let (_, payload): &mut (StreamKind, Vec<u8>) = open.get_or_insert((piece.header.stream, vec![]));
                payload.extend_from_slice(piece.payload);
                frames.extend(piece.is_last.then(|| open.take().expect("just filled")));
            }
            assert!(input.is_empty());
        }
        assert!(splitter.is_between_frames());
        frames
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_frames(
            frames in prop::collection::vec((0u8..3, prop::collection::vec(any::<u8>(), 0..40)), 0..12),
            cut in 1usize..50,
        ) {
            let frames: Vec<(StreamKind, Vec<u8>)> =
                frames.into_iter().map(|(kind, payload)| (StreamKind::from_wire(kind).expect("0 to 2"), payload)).collect();
            let mut wire = vec![];
            for (stream, payload) in &frames {
                let payload_len = u32::try_from(payload.len()).expect("short");
                wire.extend_from_slice(&FrameHeader { stream: *stream, payload_len }.encode());
                wire.extend_from_slice(payload);
            }
            prop_assert_eq!(gather(wire.chunks(cut)), frames);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_are_used_up_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut splitter = Splitter::new(64);
            let mut input = &bytes[..];
            loop {
                match splitter.next_piece(&mut input) {
                    Ok(Some(piece)) => prop_assert!(piece.payload.len() <= 64),
                    Ok(None) => { prop_assert!(input.is_empty()); break; }
                    Err(_) => break,
                }
            }
        }
    }
}
