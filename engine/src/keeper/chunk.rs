//! A packet of a subscription: one chunk of output, of which the beginning may have gone through the subscriber's pipe.
//!
//! ```text
//!  packet   1 + stream, 0, 0, 0 · n as u32, big endian · inline: the last p bytes of the chunk
//!  pipe     ... earlier chunks' · spliced: the first n - p bytes of the chunk · later chunks' ...
//! ```
//!
//! What a packet announces is in the pipe before the packet is sent, in the order of the packets. With p = n, as always
//! without a pipe, the packet is Docker's own frame. A pipe may end in bytes that no packet announces: their subscriber was
//! taken off.

use super::field::DecodeError;
use super::wire::{CHUNK_MAX, FRAME_HEADER_BYTES, SPLICE_MAX};

/// A packet of a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// 0 stdout, 1 stderr.
    pub stream: usize,
    /// Bytes that are to be taken from the pipe; they come before `inline`.
    pub spliced: usize,
    /// The rest.
    pub inline: &'a [u8],
}

impl<'a> Chunk<'a> {
    /// What stands before `inline` in the packet. The chunk is within its limits and not empty.
    pub(super) fn header(&self) -> [u8; FRAME_HEADER_BYTES] {
        let bytes = self.spliced + self.inline.len();
        debug_assert!(bytes > 0 && bytes <= bytes_max(self.inline) && self.inline.len() <= CHUNK_MAX);
        let [a, b, c, d] = (bytes as u32).to_be_bytes();
        [1 + self.stream as u8, 0, 0, 0, a, b, c, d]
    }

    /// The chunk in `packet`.
    ///
    /// # Errors
    ///
    /// Not a packet of a subscription. The keeper is then not to be trusted further.
    pub fn decode(packet: &'a [u8]) -> Result<Self, DecodeError> {
        let (header, inline) = packet
            .split_first_chunk::<FRAME_HEADER_BYTES>()
            .ok_or(DecodeError::Truncated { field: "header" })?;
        let [stream @ 1..=2, 0, 0, 0, length @ ..] = *header else {
            return Err(DecodeError::Invalid { field: "stream" });
        };
        let invalid = DecodeError::Invalid { field: "length" };
        let bytes = usize::try_from(u32::from_be_bytes(length)).map_err(|_| invalid)?;
        let max = bytes_max(inline);
        if bytes > max {
            return Err(DecodeError::TooLong {
                field: "chunk",
                max: max as u32,
            });
        }
        let spliced = bytes.checked_sub(inline.len()).filter(|_| bytes > 0).ok_or(invalid)?;
        Ok(Self {
            stream: usize::from(stream - 1),
            spliced,
            inline,
        })
    }
}

/// Most bytes of a chunk: what was copied in part was read into a buffer of [`CHUNK_MAX`].
fn bytes_max(inline: &[u8]) -> usize {
    if inline.is_empty() { SPLICE_MAX } else { CHUNK_MAX }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let long = vec![0; CHUNK_MAX + 1];
        let table: [(&str, [u8; 8], &[u8]); 9] = [
            ("no stream", [0, 0, 0, 0, 0, 0, 0, 1], b"a"),
            ("an unknown stream", [3, 0, 0, 0, 0, 0, 0, 1], b"a"),
            ("a used reserve", [1, 0, 1, 0, 0, 0, 0, 1], b"a"),
            ("nothing", [1, 0, 0, 0, 0, 0, 0, 0], b""),
            ("nothing with something", [1, 0, 0, 0, 0, 0, 0, 0], b"a"),
            ("more inline than there is", [1, 0, 0, 0, 0, 0, 0, 1], b"ab"),
            ("too much spliced", [1, 0, 0, 0, 0, 4, 0, 1], b""),
            ("too much spliced in front", [1, 0, 0, 0, 0, 1, 0, 1], b"a"),
            ("too much inline", [1, 0, 0, 0, 0, 1, 0, 1], &long),
        ];
        for (name, header, inline) in table {
            let packet = [&header, inline].concat();
            assert!(Chunk::decode(&packet).is_err(), "{name}");
        }
        assert_eq!(Chunk::decode(&[1; 7]), Err(DecodeError::Truncated { field: "header" }));
    }

    proptest! {
        #[test]
        fn chunks_survive_the_wire(
            stream in 0usize..2,
            inline in proptest::collection::vec(any::<u8>(), 0..100),
            spliced in prop_oneof![0usize..2, 0..CHUNK_MAX - 100, CHUNK_MAX..=SPLICE_MAX],
        ) {
            let inline = if spliced >= CHUNK_MAX { &[][..] } else { &inline };
            let chunk = Chunk { stream, spliced, inline };
            prop_assume!(spliced + inline.len() > 0);
            let packet = [&chunk.header(), inline].concat();
            prop_assert_eq!(Chunk::decode(&packet), Ok(chunk));
        }

        #[test]
        fn any_packet_is_a_chunk_within_the_limits_or_refused(
            head in (0u8..4, proptest::collection::vec(0u8..2, 3), 0u32..0x8_0000),
            inline in proptest::collection::vec(any::<u8>(), 0..100),
            bytes in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let (stream, reserve, length) = head;
            let packet = [&[stream], &reserve[..], &length.to_be_bytes(), &inline].concat();
            if let Ok(chunk) = Chunk::decode(&packet) {
                prop_assert!(chunk.stream < 2 && chunk.inline == inline);
                prop_assert_eq!(chunk.spliced + inline.len(), length as usize);
                prop_assert!(length > 0 && length as usize <= SPLICE_MAX);
                prop_assert_eq!([&chunk.header(), chunk.inline].concat(), packet);
            }
            let _ = Chunk::decode(&bytes);
        }
    }
}
