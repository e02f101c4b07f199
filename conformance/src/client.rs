//! The judge's own client: one connection to a daemon's endpoint, requests as plain bytes.
//!
//! Knows keep-alive, length, chunked and close-delimited bodies and hijacked connections (101 and 200). It does not
//! retry, follow, decode JSON or guess: whoever judges wants to see what came. The decoders are in [`crate::http`].

use std::fmt;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::endpoint::{Endpoint, Stream};
use crate::http::{self, BodyLength, Chunked, HEAD_BYTES_MAX, Head, HttpError, decimal, head_end};
use crate::interrupt;

/// Longest body that is collected into memory, in bytes. Streams are read piece by piece and have no limit.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What went wrong between us and the daemon.
#[derive(Debug)]
pub enum ClientError {
    /// The body outgrew [`BODY_BYTES_MAX`].
    BodyTooLong,
    /// The daemon closed the connection before its answer was whole.
    Closed,
    /// Nothing listens at this endpoint.
    Connect(String, io::Error),
    /// The answer is not HTTP.
    Http(HttpError),
    /// Ctrl-c.
    Interrupted,
    /// A system call failed.
    Io(io::Error),
    /// The daemon said nothing for this long.
    Silence(Duration),
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLong => write!(f, "answer body of more than {BODY_BYTES_MAX} bytes"),
            Self::Closed => f.write_str("the daemon closed the connection in the middle of its answer"),
            Self::Connect(endpoint, error) => write!(f, "cannot connect to {endpoint}: {error}"),
            Self::Http(error) => write!(f, "answer is not HTTP: {error}"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Io(error) => write!(f, "connection failed: {error}"),
            Self::Silence(patience) => write!(f, "no answer within {} s", patience.as_secs()),
        }
    }
}

impl std::error::Error for ClientError {}

impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<HttpError> for ClientError {
    fn from(error: HttpError) -> Self {
        Self::Http(error)
    }
}

/// One request, not yet bytes.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
    /// Length of a body that is sent apart from the request.
    announced: Option<u64>,
}

impl Request {
    /// A request without a body; `target` with its version prefix and query, already encoded.
    pub fn new(method: &str, target: impl Into<String>) -> Self {
        Self {
            method: method.to_owned(),
            target: target.into(),
            fields: Vec::new(),
            body: Vec::new(),
            announced: None,
        }
    }

    /// Adds a header field.
    #[must_use]
    pub fn field(mut self, name: &str, value: &str) -> Self {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body and its type.
    #[must_use]
    pub fn body(self, content_type: &str, body: Vec<u8>) -> Self {
        Self {
            body,
            ..self.field("Content-Type", content_type)
        }
    }

    /// Sets the body alone.
    #[must_use]
    pub fn bare_body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// Announces a body of so many bytes, and its type; whoever sends the request sends the body after it.
    #[must_use]
    pub fn announced_body(self, content_type: &str, bytes: u64) -> Self {
        Self {
            announced: Some(bytes),
            ..self.field("Content-Type", content_type)
        }
    }

    /// Asks for the connection to be taken over, in the way of API v1.17 and later.
    #[must_use]
    pub fn upgrade(self) -> Self {
        self.field("Connection", "Upgrade").field("Upgrade", "tcp")
    }

    /// `POST /containers/create`, for messages.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The bytes of head and body.
    pub fn encode(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nHost: docker\r\n", self.method, self.target);
        for (name, value) in &self.fields {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(bytes) = self.announced {
            head.push_str(&format!("Content-Length: {bytes}\r\n"));
        } else if !self.body.is_empty() || self.method == "POST" || self.method == "PUT" {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status line and fields.
    pub head: Head,
    /// The body with transfer coding taken off.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as text for a message: lossy, one line, cut at 300 characters.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let line: String = text.trim_end().chars().take(300).collect();
        line.replace(['\r', '\n'], " ")
    }
}

/// The sending side of a [`Connection`], for another thread.
#[derive(Debug)]
pub struct Sender {
    stream: Stream,
    patience: Duration,
}

impl Sender {
    /// As [`Connection::send`].
    ///
    /// # Errors
    /// When the daemon does not take them.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        send(&mut self.stream, self.patience, bytes)
    }

    /// As [`Connection::half_close`].
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn half_close(&mut self) -> Result<(), ClientError> {
        self.stream.half_close().map_err(ClientError::Io)
    }
}

fn send(stream: &mut Stream, patience: Duration, bytes: &[u8]) -> Result<(), ClientError> {
    let sent = stream.write_all(bytes).and_then(|()| stream.flush());
    sent.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::Silence(patience),
        _ => ClientError::Io(error),
    })
}

/// One connection to a daemon.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// `buffer[start..end]` was received and not yet used; `start <= end <= buffer.len()`.
    start: usize,
    end: usize,
    body: Body,
    patience: Duration,
    interruptible: bool,
}

#[derive(Debug)]
enum Body {
    Chunked(Chunked),
    Exact(u64),
    UntilClose,
}

impl Connection {
    /// Connects to a unix socket; every later wait gives up after `patience`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn open(socket: &Path, patience: Duration) -> Result<Self, ClientError> {
        Self::open_at(&Endpoint::from(socket), patience)
    }

    /// Connects; every wait gives up after `patience`.
    ///
    /// # Errors
    /// [`ClientError::Connect`].
    pub fn open_at(endpoint: &Endpoint, patience: Duration) -> Result<Self, ClientError> {
        let refused = |error| ClientError::Connect(endpoint.to_string(), error);
        let stream = endpoint.connect(patience).map_err(refused)?;
        stream.set_timeouts(GLANCE, patience).map_err(refused)?;
        Ok(Self {
            stream,
            buffer: vec![0; 16 * 1024],
            start: 0,
            end: 0,
            body: Body::Exact(0),
            patience,
            interruptible: true,
        })
    }

    /// Waits on in spite of ctrl-c: for taking away what was made.
    #[must_use]
    pub fn uninterruptible(mut self) -> Self {
        self.interruptible = false;
        self
    }

    /// A second handle on the same connection, to send while this one reads. What was received and not yet used stays
    /// here.
    ///
    /// # Errors
    /// Out of descriptors; with TLS always.
    pub fn sender(&self) -> Result<Sender, ClientError> {
        let stream = self.stream.try_clone().map_err(ClientError::Io)?;
        Ok(Sender {
            stream,
            patience: self.patience,
        })
    }

    /// Reads bigger pieces from here on: `bytes` per system call.
    pub fn read_in_pieces_of(&mut self, bytes: usize) {
        if bytes > self.buffer.len() {
            self.buffer.resize(bytes, 0);
        }
    }

    /// As [`Stream::peer_pid`].
    pub fn peer_pid(&self) -> Option<i32> {
        self.stream.peer_pid()
    }

    /// Sends `bytes` as they are.
    ///
    /// # Errors
    /// When the daemon does not take them.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        send(&mut self.stream, self.patience, bytes)
    }

    /// Ends our side only: on a hijacked connection this is the end of stdin.
    ///
    /// # Errors
    /// When the connection is gone already.
    pub fn half_close(&mut self) -> Result<(), ClientError> {
        self.stream.half_close().map_err(ClientError::Io)
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Whatever keeps the answer from being whole.
    pub fn exchange(&mut self, request: &Request) -> Result<Response, ClientError> {
        self.send(&request.encode())?;
        self.read_response(request.method())
    }

    /// Sends a request and reads the head of the answer; the body waits for [`Self::read_piece`].
    ///
    /// # Errors
    /// Whatever keeps the head from being whole.
    pub fn begin(&mut self, request: &Request) -> Result<Head, ClientError> {
        self.send(&request.encode())?;
        self.read_head(request.method())
    }

    /// Reads a whole answer to a request with this method.
    ///
    /// # Errors
    /// Whatever keeps the answer from being whole.
    pub fn read_response(&mut self, method: &str) -> Result<Response, ClientError> {
        let head = self.read_head(method)?;
        let body = self.read_rest()?;
        Ok(Response { head, body })
    }

    /// Reads what is left of the body.
    ///
    /// # Errors
    /// Whatever keeps the body from being whole.
    pub fn read_rest(&mut self) -> Result<Vec<u8>, ClientError> {
        let mut body = Vec::new();
        while let Some(piece) = self.read_piece()? {
            if body.len() + piece.len() > BODY_BYTES_MAX {
                return Err(ClientError::BodyTooLong);
            }
            body.extend_from_slice(piece);
        }
        Ok(body)
    }

    /// Reads the head of the next answer, passing over interim ones (100 to 199 but 101).
    ///
    /// # Errors
    /// Whatever keeps the head from being whole.
    pub fn read_head(&mut self, method: &str) -> Result<Head, ClientError> {
        loop {
            let end = self.receive_head()?;
            let head = http::parse_head(&self.buffer[self.start..self.start + end])?;
            self.start += end;
            self.body = match head.body(method)? {
                BodyLength::Exact(bytes) => Body::Exact(bytes),
                BodyLength::Chunked => Body::Chunked(Chunked::default()),
                BodyLength::UntilClose => Body::UntilClose,
            };
            if head.status == 101 || head.status >= 200 {
                return Ok(head);
            }
        }
    }

    /// The next piece of the body, never empty; nothing at its end.
    ///
    /// # Errors
    /// Whatever keeps the body from being whole.
    pub fn read_piece(&mut self) -> Result<Option<&[u8]>, ClientError> {
        loop {
            if let Body::Exact(0) = self.body {
                return Ok(None);
            }
            if let Body::Chunked(decoder) = &self.body
                && decoder.is_done()
            {
                return Ok(None);
            }
            if self.start == self.end && self.fill()? == 0 {
                return if let Body::UntilClose = self.body {
                    Ok(None)
                } else {
                    Err(ClientError::Closed)
                };
            }
            let (from, waiting) = (self.start, self.end - self.start);
            let data = match &mut self.body {
                Body::UntilClose => {
                    self.start = self.end;
                    from..self.end
                }
                Body::Exact(left) => {
                    let take = usize::try_from(*left).unwrap_or(usize::MAX).min(waiting);
                    *left -= take as u64;
                    self.start += take;
                    from..from + take
                }
                Body::Chunked(decoder) => {
                    let (taken, data) = decoder.decode(&self.buffer[from..self.end])?;
                    self.start += taken;
                    from + data.start..from + data.end
                }
            };
            if !data.is_empty() {
                return Ok(Some(&self.buffer[data]));
            }
        }
    }

    /// Reads an answer with `Content-Length` and throws it away, without an allocation: for counting requests.
    ///
    /// # Errors
    /// When the answer is not whole, or not of that form.
    pub fn skip_response(&mut self) -> Result<u16, ClientError> {
        let end = self.receive_head()?;
        let head = &self.buffer[self.start..self.start + end];
        let status = head.get(9..12).and_then(decimal).ok_or(HttpError::StatusLine)? as u16;
        let length = head
            .split(|&b| b == b'\n')
            .find_map(|line| {
                let (name, value) = line.split_at_checked(15)?;
                name.eq_ignore_ascii_case(b"content-length:")
                    .then(|| decimal(value.trim_ascii()))
            })
            .flatten()
            .ok_or(HttpError::Length)?;
        self.start += end;
        let mut left = usize::try_from(length).map_err(|_| HttpError::Length)?;
        loop {
            let take = left.min(self.end - self.start);
            self.start += take;
            left -= take;
            if left == 0 {
                return Ok(status);
            }
            if self.fill()? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }

    /// Waits until a whole head lies at `start`; its length.
    fn receive_head(&mut self) -> Result<usize, ClientError> {
        let mut searched = 0;
        loop {
            let waiting = &self.buffer[self.start..self.end];
            if let Some(end) = head_end(waiting, searched) {
                return Ok(end);
            }
            searched = waiting.len();
            if searched > HEAD_BYTES_MAX {
                return Err(HttpError::HeadTooLong.into());
            }
            if self.fill()? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }

    /// Receives more; 0 at the end of the daemon's side.
    fn fill(&mut self) -> Result<usize, ClientError> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end == self.buffer.len() {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            } else {
                self.buffer.resize(self.buffer.len() * 2, 0);
            }
        }
        let mut silent_since = None;
        loop {
            match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(received) => {
                    self.end += received;
                    return Ok(received);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since = *silent_since.get_or_insert_with(|| Instant::now() - GLANCE);
                    if self.interruptible && interrupt::requested() {
                        return Err(ClientError::Interrupted);
                    }
                    if since.elapsed() >= self.patience {
                        return Err(ClientError::Silence(self.patience));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(ClientError::Closed),
                Err(error) => return Err(ClientError::Io(error)),
            }
        }
    }
}

/// How often a waiting connection looks whether it shall stop.
const GLANCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// A connection to a peer that takes one request and plays `answer`, cut into pieces of `cut` bytes.
    fn played(answer: &[u8], cut: usize, test: impl FnOnce(&mut Connection)) {
        static SERIAL: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("conformance-client-{}-{serial}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).expect("bind");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (mut peer, _) = listener.accept().expect("accept");
                for piece in answer.chunks(cut) {
                    if peer.write_all(piece).is_err() {
                        return;
                    }
                }
            });
            let mut connection = Connection::open(&path, Duration::from_secs(10)).expect("open");
            std::fs::remove_file(&path).expect("unlink");
            test(&mut connection);
        });
    }

    #[test]
    fn answers_are_read_at_any_cut_and_the_connection_stays_usable() {
        let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
            2\r\nhi\r\n0\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\nHTTP/1.1 204 No Content\r\n\r\n\
            HTTP/1.1 200 OK\r\n\r\nto the end";
        for cut in [1, 2, 3, 7, 64, wire.len()] {
            played(wire, cut, |connection| {
                let got: Vec<(u16, Vec<u8>)> = (0..4)
                    .map(|_| connection.read_response("GET").expect("an answer"))
                    .map(|answer| (answer.head.status, answer.body))
                    .collect();
                let expected = [(200, &b"hi"[..]), (404, b"no\n"), (204, b""), (200, b"to the end")];
                assert_eq!(got, expected.map(|(status, body)| (status, body.to_vec())), "cut {cut}");
            });
        }
    }

    #[test]
    fn skipped_answers_leave_the_next_one_whole() {
        let wire = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 2\r\n\r\nOKHTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n";
        for cut in 1..=wire.len() {
            played(wire, cut, |connection| {
                assert_eq!(connection.skip_response().expect("first"), 200, "cut {cut}");
                assert_eq!(connection.skip_response().expect("second"), 500, "cut {cut}");
            });
        }
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        for wire in ["HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nno"] {
            played(wire.as_bytes(), 64, |connection| {
                let got = connection.read_response("GET");
                assert!(matches!(got, Err(ClientError::Closed)), "{wire:?}: {got:?}");
            });
        }
    }

    #[test]
    fn requests_carry_their_length() {
        let table = [
            (
                "bare",
                Request::new("GET", "/_ping"),
                "GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n",
            ),
            (
                "empty post",
                Request::new("POST", "/x"),
                "POST /x HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n",
            ),
            (
                "announced",
                Request::new("POST", "/x").announced_body("text/plain", 7),
                "POST /x HTTP/1.1\r\nHost: docker\r\nContent-Type: text/plain\r\nContent-Length: 7\r\n\r\n",
            ),
            (
                "body",
                Request::new("POST", "/x").body("text/plain", b"hi".to_vec()),
                "POST /x HTTP/1.1\r\nHost: docker\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi",
            ),
        ];
        for (name, request, expected) in table {
            assert_eq!(String::from_utf8_lossy(&request.encode()), expected, "{name}");
        }
    }
}
