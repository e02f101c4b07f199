//! The head of an answer and what follows it, before HTTP frames it.

use alloc::{borrow::Cow, vec::Vec};

use bytes::Bytes;

/// The head of an answer, and its body if it is short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    /// HTTP status.
    pub(crate) status: u16,
    /// Reason phrase; `None` is the standard one.
    pub(crate) reason: Option<&'static str>,
    /// Header fields except those of the framing.
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    /// What follows.
    pub(crate) body: ResponseBody,
    /// The connection is not used on: what the peer has sent after the request may be no HTTP.
    pub(crate) close: bool,
}

/// What follows the head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ResponseBody {
    /// Nothing at all.
    None,
    /// These bytes.
    Full(Bytes),
    /// Items, until the stream is finished.
    Stream,
    /// Items without chunks or length, until the connection closes: what a client sees that takes the connection out of
    /// HTTP after the head (pull and import of v1.0). The request body is read on as usual.
    StreamUntilClose,
    /// The connection leaves HTTP in both directions.
    Hijack,
    /// The connection leaves HTTP for a WebSocket.
    WebSocket,
    /// Nothing yet, not even the head: items are taken in, and [`Exchange::finish`](super::Exchange::finish) gives the answer.
    Later,
}

impl Response {
    pub(super) fn new(status: u16, body: ResponseBody) -> Self {
        Self {
            status,
            reason: None,
            headers: Vec::new(),
            body,
            close: false,
        }
    }

    pub(super) fn typed(status: u16, content_type: &'static str, body: ResponseBody) -> Self {
        let mut response = Self::new(status, body);
        response.headers.push(("Content-Type", Cow::Borrowed(content_type)));
        response
    }

    pub(super) fn json(status: u16, mut bytes: Vec<u8>) -> Self {
        bytes.push(b'\n');
        Self::typed(status, JSON, ResponseBody::Full(bytes.into()))
    }
}

pub(super) const BYTES: &str = "application/octet-stream";
pub(super) const JSON: &str = "application/json";
pub(super) const RAW_STREAM: &str = "application/vnd.docker.raw-stream";
pub(super) const TAR: &str = "application/x-tar";
pub(super) const TEXT: &str = "text/plain; charset=utf-8";
