//! The body of a request: how long it is, and reading it (RFC 9112 §6).

use crate::{error::PeerError, http::chunked::ChunkedDecoder, limits::Limits};

/// How the end of a request body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none: no framing header, or a length of 0.
    None,
    /// `Content-Length`, in bytes; more than 0.
    Known(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// What is at the front of received bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portion {
    /// Bytes of framing before the payload.
    pub skip: usize,
    /// Bytes of payload after them.
    pub payload: usize,
    /// The body is over after both. Then `payload` is 0.
    pub is_end: bool,
}

/// Reads one body.
#[derive(Debug)]
pub(crate) enum BodyReader {
    Known { left: u64 },
    Chunked(ChunkedDecoder),
}

impl BodyReader {
    pub(crate) fn new(length: BodyLength, limits: &Limits) -> Self {
        match length {
            BodyLength::None => Self::Known { left: 0 },
            BodyLength::Known(left) => Self::Known { left },
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new(limits)),
        }
    }

    /// As [`ChunkedDecoder::next_portion`].
    pub(crate) fn next_portion(&mut self, input: &[u8]) -> Result<Portion, PeerError> {
        match self {
            Self::Known { left: 0 } => Ok(Portion {
                skip: 0,
                payload: 0,
                is_end: true,
            }),
            Self::Known { left } => {
                let payload = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left = left.saturating_sub(payload as u64);
                Ok(Portion {
                    skip: 0,
                    payload,
                    is_end: false,
                })
            }
            Self::Chunked(decoder) => decoder.next_portion(input),
        }
    }

    /// Bytes still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Known { left } => Some(*left),
            Self::Chunked(_) => None,
        }
    }
}
