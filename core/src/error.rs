//! Who did wrong: the peer ([`PeerError`]) or our own driver and daemon ([`Misuse`]).
//!
//! A `PeerError` never reaches the daemon as an error: the connection answers it with [`PeerError::status`] and closes.
//! Texts follow what Docker's daemons send for the same mistakes where they send one.

use core::fmt;

use crate::connection::RequestId;

/// What a peer did against HTTP or our limits. Every one is answered (if an answer is still possible) and then the
/// connection is closed, as nothing after it can be trusted to be a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerError {
    /// A request line that is none, a target of no known form (RFC 9112 §3). 400.
    BadRequestLine,
    /// A header line against the grammar: name, colon, obs-fold, blank before the colon (RFC 9112 §5). 400.
    BadHeader,
    /// A control byte or NUL in the head (RFC 9110 §5.5). 400.
    ControlByte(u8),
    /// A carriage return without line feed (RFC 9112 §2.2). 400.
    BareCarriageReturn,
    /// More empty lines before a request than allowed. 400.
    TooManyBlankLines,
    /// Two `Host` headers (RFC 9112 §3.2). 400.
    SeveralHosts,
    /// `Content-Length` that is no decimal number, or is too large (RFC 9112 §6.3). 400.
    BadContentLength,
    /// Several `Content-Length` headers, even equal ones. 400.
    SeveralContentLengths,
    /// `Content-Length` and `Transfer-Encoding` together (RFC 9112 §6.1). 400.
    LengthAndEncoding,
    /// `Transfer-Encoding` that is not exactly one `chunked` (RFC 9112 §6.1). 400.
    BadTransferEncoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112 §6.1). 400.
    EncodingInHttp10,
    /// The chunked body breaks its grammar (RFC 9112 §7.1). 400.
    BadChunk,
    /// Chunk extensions or trailers beyond the limits. 400.
    ChunkOverhead,
    /// The peer ended the connection inside a body. Nothing is answered.
    BodyCutOff,
    /// A form breaks its grammar, ends early, or has a part with a head of more than 8 KiB (RFC 2046 §5.1). 400.
    BadForm,
    /// `Expect` of something other than `100-continue` (RFC 9110 §10.1.1). 417.
    BadExpectation,
    /// No HTTP/1.0 or HTTP/1.1. 505.
    BadVersion,
    /// The request line outgrew [`Limits::request_line_bytes_max`](crate::Limits). 414.
    RequestLineTooLong,
    /// A header, all headers, or their number outgrew the limits. 431.
    HeadersTooLarge,
    /// The JSON body outgrew [`Limits::json_body_bytes_max`](crate::Limits). 413.
    BodyTooLarge,
    /// Head or body did not come in time. 408.
    TooSlow,
}

impl PeerError {
    /// The status it is answered with.
    pub const fn status(self) -> u16 {
        match self {
            Self::BadRequestLine
            | Self::BadHeader
            | Self::ControlByte(_)
            | Self::BareCarriageReturn
            | Self::TooManyBlankLines
            | Self::SeveralHosts
            | Self::BadContentLength
            | Self::SeveralContentLengths
            | Self::LengthAndEncoding
            | Self::BadTransferEncoding
            | Self::EncodingInHttp10
            | Self::BadChunk
            | Self::ChunkOverhead
            | Self::BadForm
            | Self::BodyCutOff => 400,
            Self::TooSlow => 408,
            Self::BodyTooLarge => 413,
            Self::RequestLineTooLong => 414,
            Self::BadExpectation => 417,
            Self::HeadersTooLarge => 431,
            Self::BadVersion => 505,
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::BadRequestLine => "malformed request line",
            Self::BadHeader => "invalid header",
            Self::ControlByte(byte) => return write!(f, "control byte {byte:#04x} in request head"),
            Self::BareCarriageReturn => "carriage return without line feed",
            Self::TooManyBlankLines => "too many empty lines before request",
            Self::SeveralHosts => "too many Host headers",
            Self::BadContentLength => "bad Content-Length",
            Self::SeveralContentLengths => "too many Content-Length headers",
            Self::LengthAndEncoding => "both Content-Length and Transfer-Encoding",
            Self::BadTransferEncoding => "unsupported transfer encoding",
            Self::EncodingInHttp10 => "Transfer-Encoding in HTTP/1.0",
            Self::BadChunk => "malformed chunked encoding",
            Self::ChunkOverhead => "too much chunked encoding overhead",
            Self::BadForm => "malformed multipart form",
            Self::BodyCutOff => "unexpected end of body",
            Self::BadExpectation => "unknown expectation",
            Self::BadVersion => "unsupported protocol version",
            Self::RequestLineTooLong => "request line too long",
            Self::HeadersTooLarge => "request header fields too large",
            Self::BodyTooLarge => "request body too large",
            Self::TooSlow => "request did not arrive in time",
        };
        f.write_str(text)
    }
}

impl core::error::Error for PeerError {}

/// A command that makes no sense in the state of its request. It had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// The connection never gave out this id.
    UnknownRequest(RequestId),
    /// The request has its reply already.
    AlreadyAnswered(RequestId),
    /// The request has no stream: it was not answered yet, or its reply opens none.
    NoStream(RequestId),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRequest(RequestId(id)) => write!(f, "request {id} was never given out"),
            Self::AlreadyAnswered(RequestId(id)) => write!(f, "request {id} was answered before"),
            Self::NoStream(RequestId(id)) => write!(f, "request {id} has no open stream"),
        }
    }
}

impl core::error::Error for Misuse {}
