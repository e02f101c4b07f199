//! Who did wrong: the peer ([`PeerError`] of a client, [`AnswerError`] of a server) or our own driver and daemon
//! ([`Misuse`]).
//!
//! A `PeerError` never reaches the daemon as an error: the connection answers it with [`PeerError::status`] and closes.
//! Texts follow what Docker's daemons send for the same mistakes where they send one.

use alloc::string::String;
use core::fmt;

use crate::{connection::RequestId, framing::FrameError};

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

/// What a server did against HTTP, the API or our limits, or that it is gone. The request is over and the connection ends, as
/// nothing after it can be trusted to be an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerError {
    /// What came does not begin as HTTP/1 does: another protocol, or something between us and the daemon.
    NotHttp,
    /// A status line that is none (RFC 9112 §4).
    BadStatusLine,
    /// The head outgrew [`Limits`](crate::Limits).
    HeadTooLarge,
    /// A control byte or NUL in the head (RFC 9110 §5.5).
    ControlByte(u8),
    /// A header line or the framing is broken or ambiguous, as in a request.
    Framing(PeerError),
    /// A status 1xx or 204 with a body (RFC 9110 §6.4.1).
    BodyForbidden {
        /// The status.
        status: u16,
    },
    /// Status 101 for a request that did not ask for an upgrade.
    UnaskedUpgrade,
    /// A hijacked stream whose head says how its body is framed.
    FramedHijack,
    /// Status 1xx again and again.
    TooManyInterim,
    /// The answer outgrew [`Limits::answer_bytes_max`](crate::Limits), or an item of its stream
    /// [`Limits::item_bytes_max`](crate::Limits).
    TooLarge,
    /// The body is no JSON; the text says why.
    BadJson(String),
    /// The body is JSON of another shape; the text names the key and says why.
    BadShape(String),
    /// Container output whose frames are broken. Usually it is that of a terminal, which has none.
    BadFrame(FrameError),
    /// The server closed the connection before the first byte of an answer. What was asked may have been done or not.
    NoAnswer,
    /// The server closed the connection inside an answer.
    CutOff,
    /// The connection was reset or failed.
    Reset,
    /// The head did not come to its end in time.
    TooSlow,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::NotHttp => "the answer is not HTTP",
            Self::BadStatusLine => "malformed status line",
            Self::HeadTooLarge => "head of the answer too large",
            Self::ControlByte(byte) => return write!(f, "control byte {byte:#04x} in the head of the answer"),
            Self::Framing(error) => return write!(f, "malformed answer: {error}"),
            Self::BodyForbidden { status } => return write!(f, "an answer with status {status} has a body"),
            Self::UnaskedUpgrade => "an upgrade that was not asked for",
            Self::FramedHijack => "a hijacked stream with a framed body",
            Self::TooManyInterim => "too many interim answers",
            Self::TooLarge => "answer too large",
            Self::BadJson(why) => return f.write_str(why),
            Self::BadShape(why) => return write!(f, "answer of an unknown shape: {why}"),
            Self::BadFrame(error) => return error.fmt(f),
            Self::NoAnswer => "connection closed before an answer",
            Self::CutOff => "connection closed inside an answer",
            Self::Reset => "connection lost",
            Self::TooSlow => "answer did not arrive in time",
        };
        f.write_str(text)
    }
}

impl core::error::Error for AnswerError {}

impl From<PeerError> for AnswerError {
    /// What the decoders that are shared with the server role find.
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::BadRequestLine => Self::BadStatusLine,
            PeerError::HeadersTooLarge | PeerError::RequestLineTooLong => Self::HeadTooLarge,
            PeerError::ControlByte(byte) => Self::ControlByte(byte),
            error => Self::Framing(error),
        }
    }
}

/// A command that makes no sense in the state of its request. It had no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misuse {
    /// The connection never gave out this id.
    UnknownRequest(RequestId),
    /// The request has its reply already.
    AlreadyAnswered(RequestId),
    /// The request has no stream: it was not answered yet, or its reply opens none.
    NoStream(RequestId),
    /// The body that is being sent is longer or shorter than was announced (client role).
    BodyLength(RequestId),
}

impl fmt::Display for Misuse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownRequest(RequestId(id)) => write!(f, "request {id} was never given out"),
            Self::AlreadyAnswered(RequestId(id)) => write!(f, "request {id} was answered before"),
            Self::NoStream(RequestId(id)) => write!(f, "request {id} has no open stream"),
            Self::BodyLength(RequestId(id)) => write!(f, "request {id} has a body of another length"),
        }
    }
}

impl core::error::Error for Misuse {}
