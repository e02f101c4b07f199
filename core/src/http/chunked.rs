//! The chunked transfer coding, decoded from any cuts (RFC 9112 §7.1).
//!
//! No leniency: lines end in CR LF, a size is 1 to 16 hexadecimal digits and nothing else, the CR LF after the data is
//! verified, extensions and trailers are bounded, checked for control bytes, and otherwise ignored. Disagreement about
//! where a body ends is how requests are smuggled (hyper 2021-32714/32715, Go 2025-22871, h11 2025-43859).

use crate::{
    error::PeerError,
    http::{
        body::Portion,
        token::{hex, is_text, is_token},
    },
    limits,
    limits::Limits,
};

/// Decodes one chunked body. The state is a few words; no payload is held.
#[derive(Debug, Clone)]
pub struct ChunkedDecoder {
    state: State,
    extension_bytes_max: usize,
    /// What extensions may still take, over all chunks of the body.
    extension_bytes_left: usize,
    /// What trailers may still take.
    trailer_bytes_left: usize,
}

/// How far it is. `size` is the size of the chunk whose line is being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size { size: u64, digits: u8 },
    Extension { size: u64, len: usize },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    Done,
}

impl ChunkedDecoder {
    /// A decoder at the start of a body.
    pub fn new(limits: &Limits) -> Self {
        Self {
            state: State::NEXT_CHUNK,
            extension_bytes_max: limits.chunk_extension_bytes_max,
            extension_bytes_left: limits.chunk_extensions_bytes_max,
            trailer_bytes_left: limits.trailer_bytes_max,
        }
    }

    /// Says what is at the front of `input`: framing to skip, then perhaps payload, or the end of the body. When the
    /// portion has no payload and is not the end, all of `input` was framing.
    ///
    /// # Errors
    /// The coding is broken, or its overhead is beyond the limits. The decoder is of no use afterwards.
    pub fn next_portion(&mut self, input: &[u8]) -> Result<Portion, PeerError> {
        let mut skip = 0;
        loop {
            match self.state {
                State::Done => {
                    return Ok(Portion {
                        skip,
                        payload: 0,
                        is_end: true,
                    });
                }
                State::Data { left } => {
                    let offered = input.len().saturating_sub(skip);
                    let payload = usize::try_from(left).map_or(offered, |left| left.min(offered));
                    if payload == 0 {
                        return Ok(Portion {
                            skip,
                            payload,
                            is_end: false,
                        });
                    }
                    let left = left.saturating_sub(payload as u64);
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Portion {
                        skip,
                        payload,
                        is_end: false,
                    });
                }
                _ => {
                    let Some(&byte) = input.get(skip) else {
                        return Ok(Portion {
                            skip,
                            payload: 0,
                            is_end: false,
                        });
                    };
                    self.state = self.after(byte)?;
                    skip += 1;
                }
            }
        }
    }

    /// The state after one byte of framing.
    fn after(&mut self, byte: u8) -> Result<State, PeerError> {
        match (self.state, byte) {
            (State::Size { size, digits }, b'\r') if digits > 0 => Ok(State::SizeLf { size }),
            (State::Size { size, digits }, b';') if digits > 0 => {
                self.count_extension(1)?;
                Ok(State::Extension { size, len: 1 })
            }
            (State::Size { size, digits }, _) => match hex(byte) {
                Some(digit) if digits < limits::CHUNK_SIZE_DIGITS_MAX => Ok(State::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                }),
                _ => Err(PeerError::BadChunk),
            },
            (State::Extension { size, .. }, b'\r') => Ok(State::SizeLf { size }),
            (State::Extension { size, len }, _) if is_text(byte) => {
                self.count_extension(len + 1)?;
                Ok(State::Extension { size, len: len + 1 })
            }
            (State::SizeLf { size: 0 }, b'\n') => Ok(State::TrailerStart),
            (State::SizeLf { size }, b'\n') => Ok(State::Data { left: size }),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::NEXT_CHUNK),
            (State::TrailerStart, b'\r') => Ok(State::EndLf),
            (State::EndLf, b'\n') => Ok(State::Done),
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => self.trailer(State::TrailerName),
            (State::TrailerName, b':') => self.trailer(State::TrailerValue),
            (State::TrailerValue, b'\r') => self.trailer(State::TrailerLf),
            (State::TrailerValue, _) if is_text(byte) => self.trailer(State::TrailerValue),
            (State::TrailerLf, b'\n') => self.trailer(State::TrailerStart),
            _ => Err(PeerError::BadChunk),
        }
    }

    fn count_extension(&mut self, len: usize) -> Result<(), PeerError> {
        let left = self
            .extension_bytes_left
            .checked_sub(1)
            .filter(|_| len <= self.extension_bytes_max);
        self.extension_bytes_left = left.ok_or(PeerError::ChunkOverhead)?;
        Ok(())
    }

    fn trailer(&mut self, next: State) -> Result<State, PeerError> {
        self.trailer_bytes_left = self.trailer_bytes_left.checked_sub(1).ok_or(PeerError::ChunkOverhead)?;
        Ok(next)
    }
}

impl State {
    const NEXT_CHUNK: Self = Self::Size { size: 0, digits: 0 };
}

#[cfg(test)]
mod tests {
    use std::{format, string::String, vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    /// The payload and what is left after the body; `Ok(None)` when the body is not over.
    fn decode(wire: &[u8], cut: usize) -> Result<Option<(Vec<u8>, usize)>, PeerError> {
        let mut decoder = ChunkedDecoder::new(&Limits::default());
        let (mut payload, mut start) = (vec![], 0);
        for end in (0..wire.len()).step_by(cut).skip(1).chain([wire.len()]) {
            loop {
                let portion = decoder.next_portion(&wire[start..end])?;
                start += portion.skip;
                payload.extend_from_slice(&wire[start..start + portion.payload]);
                start += portion.payload;
                if portion.is_end {
                    return Ok(Some((payload, wire.len() - start)));
                }
                if portion.payload == 0 {
                    assert_eq!(start, end, "a portion without payload uses everything up");
                    break;
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies() {
        let long_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(255));
        let longer_extension = format!("1;{}\r\nx\r\n0\r\n\r\n", "e".repeat(256));
        let many_extensions = "1;0123456789abcdef\r\nx\r\n".repeat(1000) + "0\r\n\r\n";
        let trailer = format!("0\r\nt: {}\r\n\r\n", "v".repeat(8000));
        let long_trailer = format!("0\r\nt: {}\r\n\r\n", "v".repeat(9000));
        type Expected = Result<Option<(&'static [u8], usize)>, PeerError>;
        let table: &[(&str, &str, Expected)] = &[
            ("empty", "0\r\n\r\n", Ok(Some((b"", 0)))),
            ("one chunk", "5\r\nhello\r\n0\r\n\r\n", Ok(Some((b"hello", 0)))),
            (
                "two chunks and a rest",
                "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nGET",
                Ok(Some((b"hello", 3))),
            ),
            (
                "leading zeros",
                "0000000000000001\r\nx\r\n00\r\n\r\n",
                Ok(Some((b"x", 0))),
            ),
            (
                "upper case",
                "A\r\n0123456789\r\n0\r\n\r\n",
                Ok(Some((b"0123456789", 0))),
            ),
            ("CR LF as data", "2\r\n\r\n\r\n0\r\n\r\n", Ok(Some((b"\r\n", 0)))),
            (
                "extension",
                "1;name=\"va;l\"\r\nx\r\n0;last\r\n\r\n",
                Ok(Some((b"x", 0))),
            ),
            ("longest extension", &long_extension, Ok(Some((b"x", 0)))),
            ("trailers", "0\r\na: b\r\nc:\r\n\r\n", Ok(Some((b"", 0)))),
            ("long trailer", &trailer, Ok(Some((b"", 0)))),
            ("not over: size", "5", Ok(None)),
            ("not over: data", "5\r\nhell", Ok(None)),
            ("not over: end", "0\r\n", Ok(None)),
            ("no size", "\r\nx", Err(PeerError::BadChunk)),
            ("only extension", ";x\r\n", Err(PeerError::BadChunk)),
            ("sign", "+5\r\nhello\r\n", Err(PeerError::BadChunk)),
            ("0x", "0x5\r\nhello\r\n", Err(PeerError::BadChunk)),
            ("17 digits", "00000000000000001\r\nx\r\n", Err(PeerError::BadChunk)),
            ("blank before size", " 5\r\nhello\r\n", Err(PeerError::BadChunk)),
            ("blank after size", "5 \r\nhello\r\n", Err(PeerError::BadChunk)),
            ("underscore", "1_0\r\n", Err(PeerError::BadChunk)),
            ("bare LF after size", "5\nhello\r\n", Err(PeerError::BadChunk)),
            ("bare CR after size", "5\rhello\r\n", Err(PeerError::BadChunk)),
            ("bare LF after data", "5\r\nhello\n0\r\n\r\n", Err(PeerError::BadChunk)),
            (
                "data longer than size",
                "4\r\nhello\r\n0\r\n\r\n",
                Err(PeerError::BadChunk),
            ),
            (
                "data shorter than size",
                "6\r\nhello\r\n0\r\n\r\n",
                Err(PeerError::BadChunk),
            ),
            ("bare LF in extension", "1;a\nx\r\n", Err(PeerError::BadChunk)),
            ("NUL in extension", "1;a\0\r\nx\r\n", Err(PeerError::BadChunk)),
            ("bare LF at the end", "0\r\n\n", Err(PeerError::BadChunk)),
            ("bare LF after last size", "0\n\r\n", Err(PeerError::BadChunk)),
            ("folded trailer", "0\r\na: b\r\n c\r\n\r\n", Err(PeerError::BadChunk)),
            (
                "trailer without colon",
                "0\r\nGET / HTTP/1.1\r\n\r\n",
                Err(PeerError::BadChunk),
            ),
            ("bare LF in trailer", "0\r\na: b\n\r\n", Err(PeerError::BadChunk)),
            (
                "blank before trailer colon",
                "0\r\na : b\r\n\r\n",
                Err(PeerError::BadChunk),
            ),
            ("extension too long", &longer_extension, Err(PeerError::ChunkOverhead)),
            ("extensions too many", &many_extensions, Err(PeerError::ChunkOverhead)),
            ("trailer too long", &long_trailer, Err(PeerError::ChunkOverhead)),
        ];
        for (name, wire, expected) in table {
            for cut in [1, 2, 3, 7, usize::MAX] {
                let decoded = decode(wire.as_bytes(), cut.min(wire.len()));
                let expected = expected.map(|body| body.map(|(payload, rest)| (payload.to_vec(), rest)));
                assert_eq!(decoded, expected, "{name}, cut {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(chunks in prop::collection::vec("[a-z\r\n]{1,40}", 0..8), cut in 1usize..60) {
            let encode = |chunk: &String| format!("{:x}\r\n{chunk}\r\n", chunk.len());
            let wire = chunks.iter().map(encode).collect::<String>() + "0\r\n\r\n";
            prop_assert_eq!(decode(wire.as_bytes(), cut), Ok(Some((chunks.concat().into_bytes(), 0))));
        }

        #[test]
        fn the_cut_does_not_matter(wire in "[0-3a\r\n;: x]{0,30}", cut in 1usize..30) {
            prop_assert_eq!(decode(wire.as_bytes(), cut), decode(wire.as_bytes(), wire.len().max(1)));
        }
    }
}
