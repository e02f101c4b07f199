//! Decoders for what a daemon answers: the head of an HTTP/1.1 answer and the chunked transfer coding.
//!
//! Pure functions over bytes, no socket. This is the judge's own reading of HTTP: it shares no code with the
//! daemon it judges, and it is strict, because an answer that only a lenient client understands is a fault.
//! Source: RFC 9112 §4 (status line), §5 (fields), §6.3 (body length), §7.1 (chunked).

use std::fmt;
use std::ops::Range;

/// Longest answer head that is read, in bytes; a daemon that sends more is at fault.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Status line and fields of one answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Minor HTTP version: 1 for `HTTP/1.1`.
    pub minor: u8,
    /// Three-digit status.
    pub status: u16,
    /// Reason phrase as sent, possibly empty.
    pub reason: String,
    /// Fields in the order in which they came, names as sent.
    pub fields: Vec<(String, String)>,
}

impl Head {
    /// Value of the first field of that name, compared without case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// How the body that follows is delimited, given the method of the request (RFC 9112 §6.3).
    ///
    /// # Errors
    /// When length and transfer coding contradict each other or cannot be read.
    pub fn body(&self, method: &str) -> Result<BodyLength, HttpError> {
        if method == "HEAD" || self.status == 204 || self.status == 304 || (self.status < 200 && self.status != 101) {
            return Ok(BodyLength::Exact(0));
        }
        if self.status == 101 {
            return Ok(BodyLength::UntilClose);
        }
        let lengths: Vec<&str> = self
            .fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map(|(_, value)| value.as_str())
            .collect();
        match (self.field("transfer-encoding"), lengths.as_slice()) {
            (Some(coding), []) if coding.eq_ignore_ascii_case("chunked") => Ok(BodyLength::Chunked),
            (Some(_), []) => Err(HttpError::Coding),
            (Some(_), _) => Err(HttpError::LengthAndCoding),
            (None, []) => Ok(BodyLength::UntilClose),
            (None, [one]) => decimal(one.as_bytes()).map(BodyLength::Exact).ok_or(HttpError::Length),
            (None, _) => Err(HttpError::Length),
        }
    }
}

/// How long an answer's body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// So many bytes.
    Exact(u64),
    /// In chunks, until the empty one.
    Chunked,
    /// Whatever comes until the daemon closes its side.
    UntilClose,
}

/// An answer that breaks HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// A chunk's size line or its end is wrong.
    Chunk,
    /// A transfer coding other than `chunked`.
    Coding,
    /// A field line without a name, without a colon or with forbidden bytes.
    Field,
    /// The head outgrew [`HEAD_BYTES_MAX`].
    HeadTooLong,
    /// `Content-Length` is no number, or there are several.
    Length,
    /// `Content-Length` beside `Transfer-Encoding`.
    LengthAndCoding,
    /// The first line is no `HTTP/1.x NNN reason`.
    StatusLine,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chunk => "malformed chunk",
            Self::Coding => "transfer coding that is not chunked",
            Self::Field => "malformed header field",
            Self::HeadTooLong => "answer head of more than 64 KiB",
            Self::Length => "malformed or repeated Content-Length",
            Self::LengthAndCoding => "both Content-Length and Transfer-Encoding",
            Self::StatusLine => "malformed status line",
        })
    }
}

impl std::error::Error for HttpError {}

/// Length of the head in `bytes` including its empty line, once it is there; `searched` bytes are known to lack it.
pub fn head_end(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(3).min(bytes.len());
    bytes[from..]
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .map(|at| from + at + 4)
}

/// Reads a whole head, as found by [`head_end`].
///
/// # Errors
/// When it is not HTTP/1.x.
pub fn parse_head(bytes: &[u8]) -> Result<Head, HttpError> {
    let text = std::str::from_utf8(bytes).map_err(|_| HttpError::Field)?;
    let mut lines = text.strip_suffix("\r\n\r\n").ok_or(HttpError::Field)?.split("\r\n");
    let (minor, status, reason) = lines.next().and_then(status_line).ok_or(HttpError::StatusLine)?;
    let fields = lines
        .map(|line| field_line(line).ok_or(HttpError::Field))
        .collect::<Result<_, _>>()?;
    Ok(Head {
        minor,
        status,
        reason,
        fields,
    })
}

fn status_line(line: &str) -> Option<(u8, u16, String)> {
    let (version, rest) = line.split_once(' ')?;
    let minor = match version {
        "HTTP/1.0" => 0,
        "HTTP/1.1" => 1,
        _ => return None,
    };
    // The blank before an empty reason phrase may be missing: net/http never leaves it out, proxies do.
    let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
    let status = (code.len() == 3).then(|| decimal(code.as_bytes())).flatten()?;
    Some((minor, u16::try_from(status).ok()?, reason.to_owned()))
}

fn field_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let visible = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    (!name.is_empty() && name.bytes().all(token) && value.bytes().all(visible))
        .then(|| (name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Digits only, unlike `parse`, which takes a sign.
pub fn decimal(digits: &[u8]) -> Option<u64> {
    let value = |d: &u8| d.is_ascii_digit().then(|| u64::from(d - b'0'));
    (!digits.is_empty()).then_some(())?;
    digits
        .iter()
        .try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(value(d)?))
}

/// Takes the chunked coding off a body, piece by piece, without copying.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunked {
    state: ChunkState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum ChunkState {
    /// Collecting the line with the size.
    Size(Vec<u8>),
    /// So many payload bytes of this chunk are still to come.
    Data(u64),
    /// The line end behind a chunk's payload; how many of its two bytes came.
    DataEnd(u8),
    /// A trailer line, or the empty line at the end.
    Trailer(Vec<u8>),
    Done,
}

impl Default for ChunkState {
    fn default() -> Self {
        Self::Size(Vec::new())
    }
}

impl Chunked {
    /// Reads a prefix of `input`: how many bytes it took, and which of them are payload.
    ///
    /// # Errors
    /// [`HttpError::Chunk`].
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Range<usize>), HttpError> {
        let mut at = 0;
        while at < input.len() {
            let byte = input[at];
            match &mut self.state {
                ChunkState::Done => break,
                ChunkState::Data(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len() - at);
                    *left -= take as u64;
                    if *left == 0 {
                        self.state = ChunkState::DataEnd(0);
                    }
                    return Ok((at + take, at..at + take));
                }
                ChunkState::DataEnd(came) => match (*came, byte) {
                    (0, b'\r') => *came = 1,
                    (1, b'\n') => self.state = ChunkState::default(),
                    _ => return Err(HttpError::Chunk),
                },
                ChunkState::Size(line) => {
                    line.push(byte);
                    if let Some(size) = line.strip_suffix(b"\r\n") {
                        let size = chunk_size(size).ok_or(HttpError::Chunk)?;
                        self.state = if size == 0 {
                            ChunkState::Trailer(Vec::new())
                        } else {
                            ChunkState::Data(size)
                        };
                    } else if byte == b'\n' || line.len() > 256 {
                        return Err(HttpError::Chunk);
                    }
                }
                ChunkState::Trailer(line) => {
                    line.push(byte);
                    if line == b"\r\n" {
                        self.state = ChunkState::Done;
                    } else if line.ends_with(b"\r\n") {
                        line.clear();
                    } else if line.len() > 4096 {
                        return Err(HttpError::Chunk);
                    }
                }
            }
            at += 1;
        }
        Ok((at, at..at))
    }

    /// Whether the empty chunk and the trailer have passed.
    pub fn is_done(&self) -> bool {
        self.state == ChunkState::Done
    }
}

/// `1*HEXDIG [chunk-ext]`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|&b| b == b';').next()?;
    (!digits.is_empty() && digits.len() <= 16).then_some(())?;
    digits
        .iter()
        .try_fold(0u64, |n, &d| Some((n << 4) | u64::from(char::from(d).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_or_refused() {
        type Case<'a> = (&'a str, &'a str, Result<(u16, usize), HttpError>);
        let table: &[Case<'_>] = &[
            ("plain", "HTTP/1.1 200 OK\r\nA: b\r\nC:d\r\n\r\n", Ok((200, 2))),
            ("no reason", "HTTP/1.1 204 \r\n\r\n", Ok((204, 0))),
            ("no blank before the reason", "HTTP/1.0 204\r\n\r\n", Ok((204, 0))),
            ("other protocol", "HTTP/2 200 OK\r\n\r\n", Err(HttpError::StatusLine)),
            ("short status", "HTTP/1.1 20 OK\r\n\r\n", Err(HttpError::StatusLine)),
            ("signed status", "HTTP/1.1 +20 OK\r\n\r\n", Err(HttpError::StatusLine)),
            ("no colon", "HTTP/1.1 200 OK\r\nA b\r\n\r\n", Err(HttpError::Field)),
            (
                "blank before the colon",
                "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
                Err(HttpError::Field),
            ),
            ("folded", "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", Err(HttpError::Field)),
            (
                "bare line feed",
                "HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n",
                Err(HttpError::Field),
            ),
        ];
        for (name, text, expected) in table {
            let got = parse_head(text.as_bytes()).map(|head| (head.status, head.fields.len()));
            assert_eq!(&got, expected, "{name}");
        }
    }

    #[test]
    fn body_length_follows_the_rfc() {
        let table: &[(&str, &str, &str, Result<BodyLength, HttpError>)] = &[
            ("length", "GET", "200 OK\r\nContent-Length: 7", Ok(BodyLength::Exact(7))),
            (
                "chunked",
                "GET",
                "200 OK\r\ntransfer-encoding: chunked",
                Ok(BodyLength::Chunked),
            ),
            ("neither", "GET", "200 OK", Ok(BodyLength::UntilClose)),
            (
                "head request",
                "HEAD",
                "200 OK\r\nContent-Length: 7",
                Ok(BodyLength::Exact(0)),
            ),
            ("no content", "GET", "204 No Content", Ok(BodyLength::Exact(0))),
            ("switched", "POST", "101 UPGRADED", Ok(BodyLength::UntilClose)),
            ("interim", "POST", "100 Continue", Ok(BodyLength::Exact(0))),
            (
                "both",
                "GET",
                "200 OK\r\nContent-Length: 7\r\nTransfer-Encoding: chunked",
                Err(HttpError::LengthAndCoding),
            ),
            (
                "twice",
                "GET",
                "200 OK\r\nContent-Length: 7\r\nContent-Length: 7",
                Err(HttpError::Length),
            ),
            ("signed", "GET", "200 OK\r\nContent-Length: +7", Err(HttpError::Length)),
            (
                "gzip",
                "GET",
                "200 OK\r\nTransfer-Encoding: gzip",
                Err(HttpError::Coding),
            ),
        ];
        for (name, method, rest, expected) in table {
            let head = parse_head(format!("HTTP/1.1 {rest}\r\n\r\n").as_bytes()).expect("a head");
            assert_eq!(&head.body(method), expected, "{name}");
        }
    }

    fn decode_cut(input: &[u8], cut: usize) -> Result<(Vec<u8>, bool), HttpError> {
        let (mut decoder, mut out) = (Chunked::default(), Vec::new());
        for piece in input.chunks(cut) {
            let mut piece = piece;
            while !piece.is_empty() && !decoder.is_done() {
                let (taken, data) = decoder.decode(piece)?;
                out.extend_from_slice(&piece[data]);
                piece = &piece[taken..];
            }
        }
        Ok((out, decoder.is_done()))
    }

    #[test]
    fn chunks_are_decoded_at_any_cut() {
        type Case<'a> = (&'a str, &'a str, Result<(&'a str, bool), HttpError>);
        let table: &[Case<'_>] = &[
            (
                "two",
                "3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n",
                Ok(("abc0123456789", true)),
            ),
            ("trailer", "1\r\na\r\n0\r\nX: y\r\n\r\n", Ok(("a", true))),
            ("cut off", "3\r\nab", Ok(("ab", false))),
            ("size too long", "00000000000000001\r\na\r\n", Err(HttpError::Chunk)),
            ("no size", "\r\na\r\n", Err(HttpError::Chunk)),
            ("sign", "+1\r\na\r\n", Err(HttpError::Chunk)),
            ("bare line feed", "1\na\r\n", Err(HttpError::Chunk)),
            ("chunk longer than said", "1\r\nab\r\n", Err(HttpError::Chunk)),
        ];
        for (name, input, expected) in table {
            for cut in 1..=input.len() {
                let got = decode_cut(input.as_bytes(), cut);
                let expected = expected.map(|(text, done)| (text.as_bytes().to_vec(), done));
                assert_eq!(got, expected, "{name}, cut every {cut}");
            }
        }
    }

    #[test]
    fn head_end_is_found_wherever_the_search_stopped() {
        let head = b"HTTP/1.1 200 OK\r\n\r\nbody\r\n\r\n";
        for searched in 0..19 {
            assert_eq!(head_end(head, searched), Some(19), "searched {searched}");
        }
        assert_eq!(head_end(&head[..18], 0), None);
    }
}
