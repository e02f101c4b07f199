//! The head of an answer, for the client side: parsing it, and judging where its body ends (RFC 9112 §4, §6.3).
//!
//! As strict as with requests: an answer that two readers could read differently is none, because what follows it on a
//! connection that persists would be taken for the next one.

use alloc::{borrow::ToOwned, string::String, vec};

use crate::{
    error::{AnswerError, PeerError},
    http::{
        body::BodyLength,
        head::{Headers, HttpVersion, body_length},
        token::list_holds,
        write::is_bodiless,
    },
};

/// An answer without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseHead {
    /// 100 to 999.
    pub status: u16,
    /// As sent.
    pub version: HttpVersion,
    /// All headers, framing ones included.
    pub headers: Headers,
}

/// How the end of the body of an answer is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerLength {
    /// As with a request.
    Framed(BodyLength),
    /// It goes on until the connection ends: neither length nor coding is said.
    UntilClose,
}

/// A head, and what it means for the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedResponse {
    /// The answer.
    pub head: ResponseHead,
    /// What follows it, unless the request was HEAD.
    pub length: AnswerLength,
    /// The server wants to go on with this connection afterwards (RFC 9112 §9.3).
    pub keep_alive: bool,
}

/// Parses the bytes of a whole head, which the scanner found to have `headers` header lines.
///
/// # Errors
/// The head breaks the grammar, or its framing is ambiguous.
pub fn parse_response(bytes: &[u8], headers: usize) -> Result<ParsedResponse, AnswerError> {
    let mut slots = vec![httparse::EMPTY_HEADER; headers];
    let mut response = httparse::Response::new(&mut slots);
    match response.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(PeerError::BadHeader.into()),
        Err(httparse::Error::Version) => return Err(PeerError::BadVersion.into()),
        // Also when the parser sees another end than the scanner.
        Ok(_) | Err(_) => return Err(AnswerError::BadStatusLine),
    }
    let (Some(status @ 100..), Some(minor)) = (response.code, response.version) else {
        return Err(AnswerError::BadStatusLine);
    };
    let version = match minor {
        0 => HttpVersion::Http10,
        _ => HttpVersion::Http11,
    };
    let framed = body_length(response.headers, version)?;
    let headers: Headers = response
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_owned(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    let length = match framed {
        BodyLength::None if is_bodiless(status) || headers.get("content-length").is_some() => {
            AnswerLength::Framed(BodyLength::None)
        }
        BodyLength::None => AnswerLength::UntilClose,
        // 304 tells the length of what is not sent.
        BodyLength::Known(_) if status == 304 => AnswerLength::Framed(BodyLength::None),
        BodyLength::Known(_) | BodyLength::Chunked if is_bodiless(status) => {
            return Err(AnswerError::BodyForbidden { status });
        }
        framed => AnswerLength::Framed(framed),
    };
    let connection_says = |token| headers.get_all("connection").any(|list| list_holds(list, token));
    let keep_alive = match version {
        HttpVersion::Http10 => connection_says("keep-alive") && !connection_says("close"),
        HttpVersion::Http11 => !connection_says("close"),
    };
    Ok(ParsedResponse {
        head: ResponseHead {
            status,
            version,
            headers,
        },
        length,
        keep_alive,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_body_ends() {
        use AnswerError as E;
        use AnswerLength::{Framed, UntilClose};
        use BodyLength::{Chunked, Known, None};
        let bad = |error| Err(E::Framing(error));
        type Expected = Result<(AnswerLength, bool), AnswerError>;
        let table: &[(&str, &str, Expected)] = &[
            (
                "a length",
                "HTTP/1.1 200 OK\r\nContent-Length: 5",
                Ok((Framed(Known(5)), true)),
            ),
            (
                "length 0",
                "HTTP/1.1 200 OK\r\nContent-Length: 0",
                Ok((Framed(None), true)),
            ),
            (
                "chunked",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
                Ok((Framed(Chunked), true)),
            ),
            ("nothing said", "HTTP/1.1 200 OK\r\nX: y", Ok((UntilClose, true))),
            ("no reason", "HTTP/1.1 200\r\nX: y", Ok((UntilClose, true))),
            ("reason in UTF-8", "HTTP/1.1 200 \u{e9}\r\nX: y", Ok((UntilClose, true))),
            (
                "nothing to say",
                "HTTP/1.1 204 No Content\r\nX: y",
                Ok((Framed(None), true)),
            ),
            (
                "not modified",
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9",
                Ok((Framed(None), true)),
            ),
            (
                "upgraded",
                "HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade",
                Ok((Framed(None), true)),
            ),
            (
                "close",
                "HTTP/1.1 200 OK\r\nConnection: x, Close",
                Ok((UntilClose, false)),
            ),
            (
                "1.0",
                "HTTP/1.0 200 OK\r\nContent-Length: 5",
                Ok((Framed(Known(5)), false)),
            ),
            (
                "1.0 persists",
                "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive",
                Ok((Framed(Known(5)), true)),
            ),
            (
                "two framings",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked",
                bad(PeerError::LengthAndEncoding),
            ),
            (
                "two lengths",
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5",
                bad(PeerError::SeveralContentLengths),
            ),
            (
                "a signed length",
                "HTTP/1.1 200 OK\r\nContent-Length: +5",
                bad(PeerError::BadContentLength),
            ),
            (
                "another coding",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip",
                bad(PeerError::BadTransferEncoding),
            ),
            (
                "chunked in 1.0",
                "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked",
                bad(PeerError::EncodingInHttp10),
            ),
            (
                "a body that must not be",
                "HTTP/1.1 204 No Content\r\nContent-Length: 5",
                Err(E::BodyForbidden { status: 204 }),
            ),
            (
                "chunks that must not be",
                "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked",
                Err(E::BodyForbidden { status: 304 }),
            ),
            (
                "blank before the colon",
                "HTTP/1.1 200 OK\r\nX : y",
                bad(PeerError::BadHeader),
            ),
            ("folded", "HTTP/1.1 200 OK\r\nX: y\r\n z", bad(PeerError::BadHeader)),
            ("status of two digits", "HTTP/1.1 20 OK\r\nX: y", Err(E::BadStatusLine)),
            (
                "status of four digits",
                "HTTP/1.1 2000 OK\r\nX: y",
                Err(E::BadStatusLine),
            ),
            ("status below 100", "HTTP/1.1 099 OK\r\nX: y", Err(E::BadStatusLine)),
            ("HTTP/2", "HTTP/2.0 200 OK\r\nX: y", bad(PeerError::BadVersion)),
            ("a request", "GET / HTTP/1.1\r\nX: y", bad(PeerError::BadVersion)),
        ];
        for (name, head, expected) in table {
            let wire = alloc::format!("{head}\r\n\r\n");
            let lines = head.matches('\n').count();
            let parsed = parse_response(wire.as_bytes(), lines).map(|parsed| (parsed.length, parsed.keep_alive));
            assert_eq!(parsed, *expected, "{name}");
        }
    }
}
