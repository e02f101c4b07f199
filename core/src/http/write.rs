//! Writing the head of an answer, and the interim one.

use alloc::{borrow::Cow, string::String, vec::Vec};

use bytes::Bytes;

use crate::http::head::HttpVersion;

/// An answer to a request, without the headers that frame it; those are the server's.
#[derive(Debug, Clone)]
pub struct Answer<'a> {
    /// Status code, 200 to 599.
    pub status: u16,
    /// Reason phrase; `None` for the usual one.
    pub reason: Option<&'static str>,
    /// Headers in order, none of them about framing or the connection. Control bytes in values are sent as blanks.
    pub headers: &'a [(&'static str, Cow<'static, str>)],
    /// What follows.
    pub body: AnswerBody,
    /// Close the connection after this answer even if the peer would go on.
    pub close: bool,
}

/// The body of an [`Answer`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerBody {
    /// Nothing.
    None,
    /// All of it.
    Full(Bytes),
    /// Pieces follow by [`Server::send`](super::Server::send): chunked in HTTP/1.1, up to the end of the connection in
    /// HTTP/1.0.
    Stream,
    /// Pieces follow, up to the end of the connection in every version of HTTP.
    StreamUntilClose,
    /// The connection leaves HTTP. Status 101 is sent as `101 UPGRADED` if the request asked for it, and becomes 200
    /// otherwise.
    Hijack,
    /// The connection leaves HTTP for the protocol that the headers name.
    Switch,
}

/// How the end of an answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By its status; no framing header.
    None,
    /// `Content-Length`.
    Length(usize),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// By the end of the connection.
    UntilClose,
    /// Hijacked with status 101.
    Upgraded,
    /// Hijacked with status 200: no header tells it.
    Hijacked,
    /// By another protocol.
    Switched,
}

/// What the head says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Persistence {
    /// Nothing, as it follows from the version.
    Default,
    /// It goes on although the version would end it.
    KeepAlive,
    /// It ends although the version would go on.
    Close,
}

/// Writes the head of an answer.
pub(crate) fn write_head(
    version: HttpVersion,
    answer: &Answer<'_>,
    framing: Framing,
    persistence: Persistence,
) -> Vec<u8> {
    let mut head = String::with_capacity(192);
    head.push_str(match version {
        HttpVersion::Http10 => "HTTP/1.0 ",
        HttpVersion::Http11 => "HTTP/1.1 ",
    });
    let (status, reason) = match framing {
        Framing::Upgraded => (101, "UPGRADED"),
        Framing::Hijacked => (200, "OK"),
        _ => (
            answer.status,
            answer.reason.unwrap_or_else(|| standard_reason(answer.status)),
        ),
    };
    push_decimal(&mut head, status.into());
    for part in [" ", reason, "\r\n"] {
        head.push_str(part);
    }
    for (name, value) in answer.headers {
        push_header(&mut head, name, value);
    }
    match framing {
        Framing::None | Framing::UntilClose | Framing::Switched => {}
        Framing::Length(len) => {
            head.push_str("Content-Length: ");
            push_decimal(&mut head, len);
            head.push_str("\r\n");
        }
        Framing::Chunked => push_header(&mut head, "Transfer-Encoding", "chunked"),
        Framing::Upgraded | Framing::Hijacked => {
            if !answer
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                push_header(&mut head, "Content-Type", RAW_STREAM);
            }
            if framing == Framing::Upgraded {
                push_header(&mut head, "Connection", "Upgrade");
                push_header(&mut head, "Upgrade", "tcp");
            }
        }
    }
    match persistence {
        Persistence::Default => {}
        Persistence::KeepAlive => push_header(&mut head, "Connection", "keep-alive"),
        Persistence::Close => push_header(&mut head, "Connection", "close"),
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The interim answer that lets the peer send its body (RFC 9110 §10.1.1).
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The media type of a hijacked stream, the same for both status codes up to v1.41.
const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// Whether an answer with this status never has a body (RFC 9110 §6.4.1).
pub(crate) const fn is_bodiless(status: u16) -> bool {
    matches!(status, 100..=199 | 204 | 304)
}

/// A value may hold what a client wrote, and must not be able to end its line.
pub(crate) fn push_header(head: &mut String, name: &str, value: &str) {
    head.push_str(name);
    head.push_str(": ");
    if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        head.push_str(value);
    } else {
        head.extend(
            value
                .chars()
                .map(|letter| if letter.is_control() { ' ' } else { letter }),
        );
    }
    head.push_str("\r\n");
}

/// Every answer has two numbers, and formatting them would take longer than all else in its head.
fn push_decimal(head: &mut String, number: usize) {
    if number > 9 {
        push_decimal(head, number / 10);
    }
    head.extend(b"0123456789".get(number % 10).map(|&digit| char::from(digit)));
}

/// The phrase that belongs to a status (RFC 9110 §15).
pub(crate) const fn standard_reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Request Entity Too Large",
        414 => "Request URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        use Framing::*;
        let text: &[(&'static str, Cow<'static, str>)] = &[("Content-Type", Cow::Borrowed("text/plain"))];
        let split: &[(&'static str, Cow<'static, str>)] = &[("Location", Cow::Borrowed("/a\r\nSet-Cookie: b\0\u{85}"))];
        let (v10, v11) = (HttpVersion::Http10, HttpVersion::Http11);
        let (default, keep, close) = (Persistence::Default, Persistence::KeepAlive, Persistence::Close);
        type Row = (
            &'static str,
            HttpVersion,
            (u16, Option<&'static str>),
            &'static [(&'static str, Cow<'static, str>)],
            Framing,
            Persistence,
            &'static str,
        );
        let table: &[Row] = &[
            (
                "length",
                v11,
                (200, Option::None),
                text,
                Length(2),
                default,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n",
            ),
            (
                "reason",
                v11,
                (200, Some("Fine")),
                &[],
                Length(0),
                close,
                "HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            ),
            (
                "no content",
                v11,
                (204, Option::None),
                &[],
                None,
                default,
                "HTTP/1.1 204 No Content\r\n\r\n",
            ),
            (
                "chunked",
                v11,
                (200, Option::None),
                &[],
                Chunked,
                default,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (
                "until close",
                v10,
                (200, Option::None),
                &[],
                UntilClose,
                default,
                "HTTP/1.0 200 OK\r\n\r\n",
            ),
            (
                "1.0 persists",
                v10,
                (404, Option::None),
                &[],
                Length(3),
                keep,
                "HTTP/1.0 404 Not Found\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\n",
            ),
            (
                "upgraded",
                v11,
                (101, Option::None),
                &[],
                Upgraded,
                default,
                "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
            ),
            (
                "hijacked",
                v11,
                (101, Option::None),
                &[],
                Hijacked,
                default,
                "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n",
            ),
            (
                "own type",
                v11,
                (101, Option::None),
                text,
                Hijacked,
                default,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n",
            ),
            (
                "another protocol",
                v11,
                (101, Option::None),
                &[("Upgrade", Cow::Borrowed("websocket"))],
                Switched,
                default,
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
            ),
            (
                "line ends in a value",
                v11,
                (301, Option::None),
                split,
                Length(0),
                default,
                "HTTP/1.1 301 Moved Permanently\r\nLocation: /a  Set-Cookie: b  \r\nContent-Length: 0\r\n\r\n",
            ),
        ];
        for (name, version, (status, reason), headers, framing, persistence, expected) in table {
            let answer = Answer {
                status: *status,
                reason: *reason,
                headers,
                body: AnswerBody::None,
                close: false,
            };
            let head = write_head(*version, &answer, *framing, *persistence);
            assert_eq!(String::from_utf8(head).as_deref(), Ok(*expected), "{name}");
        }
    }
}
