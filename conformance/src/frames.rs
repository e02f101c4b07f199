//! Splitter for the framed streams of attach and logs.
//!
//! Eight bytes before each piece: stream (0 stdin, 1 stdout, 2 stderr), three zero bytes, payload length as a 32-bit
//! big-endian number. Source: Engine API reference, "Attach to a container", section "Stream format".

use std::fmt;

/// Reads frames from a stream that arrives in arbitrary pieces; payload is passed on without being copied.
#[derive(Clone, Debug, Default)]
pub struct Splitter {
    header: [u8; 8],
    /// Bytes of `header` that have come, 0 to 7.
    came: usize,
    /// Stream of the frame whose payload is being read.
    stream: u8,
    /// Payload bytes of this frame still to come.
    left: u64,
}

/// A header that no daemon may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame(
    /// The eight bytes.
    pub [u8; 8],
);

impl fmt::Display for BadFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed stream frame header {:02x?}", self.0)
    }
}

impl std::error::Error for BadFrame {}

impl Splitter {
    /// Takes all of `bytes` and calls `sink` with the stream's number and each piece of payload.
    ///
    /// # Errors
    /// At the first header that is not of the documented form.
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(u8, &[u8])) -> Result<(), BadFrame> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let take = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                sink(self.stream, &bytes[..take]);
                self.left -= take as u64;
                bytes = &bytes[take..];
                continue;
            }
            let take = (8 - self.came).min(bytes.len());
            self.header[self.came..self.came + take].copy_from_slice(&bytes[..take]);
            self.came += take;
            bytes = &bytes[take..];
            if self.came == 8 {
                let [stream @ 0..=2, 0, 0, 0, a, b, c, d] = self.header else {
                    return Err(BadFrame(self.header));
                };
                self.stream = stream;
                self.left = u64::from(u32::from_be_bytes([a, b, c, d]));
                self.came = 0;
            }
        }
        Ok(())
    }

    /// Whether the stream may end here: no header and no payload is half read.
    pub fn at_boundary(&self) -> bool {
        self.came == 0 && self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_gives_the_same_streams() {
        let wire = b"\x01\0\0\0\0\0\0\x03abc\x02\0\0\0\0\0\0\x00\x02\0\0\0\0\0\0\x02de\x01\0\0\0\0\0\0\x01f";
        for cut in 1..=wire.len() {
            let (mut splitter, mut out, mut err) = (Splitter::default(), Vec::new(), Vec::new());
            for piece in wire.chunks(cut) {
                let sink = |stream, data: &[u8]| match stream {
                    1 => out.extend_from_slice(data),
                    _ => err.extend_from_slice(data),
                };
                splitter.feed(piece, sink).expect("well formed");
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"abcf"[..], &b"de"[..]),
                "cut {cut}"
            );
            assert!(splitter.at_boundary(), "cut {cut}");
        }
    }

    #[test]
    fn bad_headers_are_refused() {
        for wire in [*b"\x03\0\0\0\0\0\0\x01", *b"\x01\x01\0\0\0\0\0\x01", *b"HTTP/1.1"] {
            assert_eq!(Splitter::default().feed(&wire, |_, _| ()), Err(BadFrame(wire)));
        }
    }
}
