//! The head of a request: finding its end, parsing it, and judging it (RFC 9112 §2 to §6).
//!
//! The grammar is httparse's, without any of its leniencies; the rest is checked here, because it decides where the
//! request ends. One liberty of RFC 9112 §2.2 is taken, as genuine daemons take it: a line of the head may end in a bare
//! LF. It cannot move the end of the body (sizes and chunk lines are strict), and a bare CR is refused everywhere.
//! `Host` may be missing, empty or a socket path: Docker's clients up to 1.10 send such. Two are refused.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;

use crate::{
    error::PeerError,
    http::{
        body::BodyLength,
        token::{decimal, is_text, list_holds},
    },
    limits::Limits,
};

/// The versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpVersion {
    /// HTTP/1.0: no chunking, no persistence unless asked for.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead {
    /// As sent; methods are case-sensitive.
    pub method: String,
    /// Origin form: path, and `?` with the query if there is one; not decoded. Only `OPTIONS` may have `*`.
    pub target: String,
    /// As sent.
    pub version: HttpVersion,
    /// All headers, framing ones included.
    pub headers: Headers,
}

/// Header names and values in the order they came.
///
/// `Debug` does not show what logs in somebody.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, String)>);

impl Headers {
    /// The value of the first header of that name, in any case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The values of all headers of that name, in any case, in order.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter()
            .filter(move |(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// All of them. A value has no blanks around it; bytes that are no UTF-8 were replaced by U+FFFD.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Adds one at the end.
    pub fn push(&mut self, name: String, value: String) {
        self.0.push((name, value));
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = |name: &str| SECRET_HEADERS.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        let shown = |(name, value)| (name, if is_secret(name) { ".." } else { value });
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

/// Fields whose values are logins.
const SECRET_HEADERS: &[&str] = &["authorization", "x-registry-auth", "x-registry-config"];

impl FromIterator<(String, String)> for Headers {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(headers: T) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// A head, and what it means for the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedHead {
    /// The request.
    pub head: RequestHead,
    /// What follows it.
    pub body: BodyLength,
    /// The peer wants to go on with this connection afterwards (RFC 9112 §9.3).
    pub keep_alive: bool,
    /// The peer waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// `Connection: Upgrade` and `Upgrade: tcp`: the peer knows the hijack with status 101.
    pub wants_upgrade: bool,
}

/// Searches received bytes for the end of a head, each byte once, and refuses what can be refused on the way. So no head
/// is held beyond the limits, and a peer that speaks something else (TLS) hears it at once.
#[derive(Debug, Clone, Default)]
pub struct HeadScanner {
    /// Complete lines so far, the request line included.
    lines: usize,
    /// Where the current line begins.
    line_start: usize,
    /// Where the first header line begins.
    headers_start: usize,
    /// The last byte was a CR.
    after_cr: bool,
}

/// The answer of [`HeadScanner::scan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// The head goes on beyond the bytes given.
    More,
    /// The head is whole.
    Complete {
        /// Its bytes, the empty line included.
        len: usize,
        /// Its header lines.
        headers: usize,
    },
}

impl HeadScanner {
    /// Goes on at `bytes[from]`; the bytes before it are those of the calls before.
    ///
    /// # Errors
    /// A byte or a size that no head can have.
    pub fn scan(&mut self, bytes: &[u8], from: usize, limits: &Limits) -> Result<Scan, PeerError> {
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            if self.after_cr && byte != b'\n' {
                return Err(PeerError::BareCarriageReturn);
            }
            let mut end = at + 1;
            match byte {
                b'\r' => self.after_cr = true,
                b'\n' => {
                    let line_end = at - usize::from(self.after_cr);
                    self.after_cr = false;
                    if self.lines > 0 && line_end == self.line_start {
                        return Ok(Scan::Complete {
                            len: end,
                            headers: self.lines - 1,
                        });
                    }
                    self.line_start = end;
                    self.lines += 1;
                    if self.lines == 1 {
                        self.headers_start = end;
                    }
                    if self.lines - 1 > limits.headers_max {
                        return Err(PeerError::HeadersTooLarge);
                    }
                }
                _ if is_text(byte) => {
                    // Nothing else can be wrong before a run of text ends, so that is when its length is judged.
                    let text = bytes.get(end..).unwrap_or_default();
                    end += text.iter().take_while(|&&byte| is_text(byte)).count();
                    let len = end - self.line_start;
                    if self.lines == 0 && len > limits.request_line_bytes_max {
                        return Err(PeerError::RequestLineTooLong);
                    }
                    if self.lines > 0 && len > limits.header_bytes_max {
                        return Err(PeerError::HeadersTooLarge);
                    }
                }
                _ => return Err(PeerError::ControlByte(byte)),
            }
            if self.lines > 0 && end - self.headers_start > limits.headers_bytes_max {
                return Err(PeerError::HeadersTooLarge);
            }
            at = end;
        }
        Ok(Scan::More)
    }

    /// The most bytes that a head can have before [`scan`](Self::scan) refuses it.
    pub fn head_bytes_max(limits: &Limits) -> usize {
        const LINE_END: usize = 2;
        limits
            .request_line_bytes_max
            .saturating_add(limits.headers_bytes_max)
            .saturating_add(2 * LINE_END)
    }
}

/// Parses the bytes of a whole head, which the scanner found to have `headers` header lines.
///
/// # Errors
/// The head breaks the grammar, its framing is ambiguous, or it asks for something that is not spoken.
pub fn parse_head(bytes: &[u8], headers: usize) -> Result<ParsedHead, PeerError> {
    // Nearly every request has few headers, and clearing memory for the most possible ones would cost more than parsing.
    let (mut few, mut many);
    let slots: &mut [httparse::Header<'_>] = if headers <= 24 {
        few = [httparse::EMPTY_HEADER; 24];
        &mut few
    } else {
        many = vec![httparse::EMPTY_HEADER; headers];
        &mut many
    };
    let mut request = httparse::Request::new(slots);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len == bytes.len() => {}
        // The parser sees another end than the scanner: never go on with a head that two readers read differently.
        Ok(_) => return Err(PeerError::BadRequestLine),
        Err(httparse::Error::HeaderName | httparse::Error::HeaderValue) => return Err(PeerError::BadHeader),
        Err(httparse::Error::TooManyHeaders) => return Err(PeerError::HeadersTooLarge),
        Err(httparse::Error::Version) if names_a_version(bytes) => return Err(PeerError::BadVersion),
        Err(_) => return Err(PeerError::BadRequestLine),
    }
    let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
        return Err(PeerError::BadRequestLine);
    };
    let version = if minor == 0 {
        HttpVersion::Http10
    } else {
        HttpVersion::Http11
    };
    let body = body_length(request.headers, version)?;
    let target = origin_form(method, target).ok_or(PeerError::BadRequestLine)?;
    let headers: Headers = request
        .headers
        .iter()
        .map(|header| {
            (
                header.name.to_owned(),
                String::from_utf8_lossy(header.value).into_owned(),
            )
        })
        .collect();
    if headers.get_all("host").nth(1).is_some() {
        return Err(PeerError::SeveralHosts);
    }

    let connection_says = |token| headers.get_all("connection").any(|list| list_holds(list, token));
    let keep_alive = match version {
        HttpVersion::Http10 => connection_says("keep-alive") && !connection_says("close"),
        HttpVersion::Http11 => !connection_says("close"),
    };
    let wants_upgrade = version == HttpVersion::Http11
        && connection_says("upgrade")
        && headers.get_all("upgrade").any(|list| list_holds(list, "tcp"));
    let mut expects_continue = false;
    if version == HttpVersion::Http11 {
        for expectation in headers.get_all("expect") {
            match expectation {
                "" => {}
                _ if expectation.eq_ignore_ascii_case("100-continue") => expects_continue = true,
                _ => return Err(PeerError::BadExpectation),
            }
        }
    }
    Ok(ParsedHead {
        body,
        keep_alive,
        expects_continue: expects_continue && body != BodyLength::None,
        wants_upgrade,
        head: RequestHead {
            method: method.to_owned(),
            target,
            version,
            headers,
        },
    })
}

/// Where the body ends, or why that cannot be known for sure (RFC 9112 §6.3). Looks at raw bytes, so no replacement
/// of odd ones can make a value acceptable.
pub(super) fn body_length(headers: &[httparse::Header<'_>], version: HttpVersion) -> Result<BodyLength, PeerError> {
    let values = |name: &'static str| {
        headers
            .iter()
            .filter(move |header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    let (mut lengths, mut encodings) = (values("content-length"), values("transfer-encoding"));
    match (lengths.next(), encodings.next()) {
        (None, None) => Ok(BodyLength::None),
        (Some(_), Some(_)) => Err(PeerError::LengthAndEncoding),
        (None, Some(_)) if version == HttpVersion::Http10 => Err(PeerError::EncodingInHttp10),
        // Exactly so: another spelling may be read differently by whoever forwarded the request.
        (None, Some(b"chunked")) if encodings.next().is_none() => Ok(BodyLength::Chunked),
        (None, Some(_)) => Err(PeerError::BadTransferEncoding),
        (Some(_), None) if lengths.next().is_some() => Err(PeerError::SeveralContentLengths),
        (Some(value), None) => match decimal(value).ok_or(PeerError::BadContentLength)? {
            0 => Ok(BodyLength::None),
            length => Ok(BodyLength::Known(length)),
        },
    }
}

/// The target as path and query (RFC 9112 §3.2). The authority of the absolute form is dropped, as `Host` is.
fn origin_form(method: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return Some(target.to_owned());
    }
    if target == "*" {
        return (method == "OPTIONS").then(|| target.to_string());
    }
    let (scheme, rest) = target.split_once("://")?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return None;
    }
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() {
        return None;
    }
    Some(if path.starts_with('/') {
        path.to_owned()
    } else {
        format!("/{path}")
    })
}

/// Whether the request line is one but for its version, which is `HTTP/` digit `.` digit: then "unsupported version" is the
/// truth.
fn names_a_version(head: &[u8]) -> bool {
    let line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|&byte| byte == b' ').skip(2);
    let is_version = |word: &[u8]| matches!(word, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit());
    words.next().is_some_and(is_version) && words.next().is_none()
}
