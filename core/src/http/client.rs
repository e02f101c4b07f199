//! One client connection: requests to bytes, bytes to answers.
//!
//! The other end of [`Server`](super::Server), made of the same decoders. One request is under way at a time.

use alloc::{string::String, vec::Vec};
use core::fmt::{self, Write};

use bytes::Bytes;

use crate::{
    buffer::ReceiveBuffer,
    cycle::OutOfTurn,
    driver::{Output, Protocol},
    error::AnswerError,
    http::{
        body::{BodyLength, BodyReader, Portion},
        head::{HeadScanner, Scan},
        queue::OutputQueue,
        response::{AnswerLength, ResponseHead, parse_response},
        write::push_header,
    },
    limits::{INTERIM_ANSWERS_MAX, Limits},
    time::Instant,
};

/// A request as it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// `GET`, …
    pub method: &'static str,
    /// Path and query, encoded.
    pub target: String,
    /// Headers in order, none of them about framing or the connection. Control bytes in values are sent as blanks.
    pub headers: Vec<(&'static str, String)>,
    /// What follows.
    pub body: OutgoingBody,
    /// The answer 200 takes the connection out of HTTP.
    pub hijacks: bool,
    /// Ask for the hijack with status 101.
    pub upgrade: bool,
}

/// The body of a request.
#[derive(Clone, PartialEq, Eq)]
pub enum OutgoingBody {
    /// Nothing.
    None,
    /// All of it.
    Full(Bytes),
    /// Pieces follow by [`Client::send`].
    Stream(BodyLength),
}

impl fmt::Debug for Outgoing {
    /// Without the values of headers that hold logins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |&(name, ref value): &(&'static str, String)| match name {
            "X-Registry-Auth" | "X-Registry-Config" => (name, String::from("..")),
            _ => (name, value.clone()),
        };
        f.debug_struct("Outgoing")
            .field("method", &self.method)
            .field("target", &self.target)
            .field("headers", &self.headers.iter().map(shown).collect::<Vec<_>>())
            .field("body", &self.body)
            .field("hijacks", &self.hijacks)
            .field("upgrade", &self.upgrade)
            .finish()
    }
}

impl fmt::Debug for OutgoingBody {
    /// How much there is; what it is may be a login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(length) => f.debug_tuple("Stream").field(length).finish(),
        }
    }
}

impl Outgoing {
    /// The request line and all headers, the empty line included.
    pub fn encode_head(&self) -> Vec<u8> {
        let mut head = String::with_capacity(256);
        // Writing to a string cannot fail.
        let _ = write!(head, "{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            push_header(&mut head, name, value);
        }
        let length = match &self.body {
            OutgoingBody::None | OutgoingBody::Stream(BodyLength::None) => {
                matches!(self.method, "POST" | "PUT").then_some(0)
            }
            OutgoingBody::Full(body) => Some(body.len() as u64),
            OutgoingBody::Stream(BodyLength::Known(len)) => Some(*len),
            OutgoingBody::Stream(BodyLength::Chunked) => {
                push_header(&mut head, "Transfer-Encoding", "chunked");
                None
            }
        };
        if let Some(length) = length {
            let _ = write!(head, "Content-Length: {length}\r\n");
        }
        if self.upgrade {
            push_header(&mut head, "Connection", "Upgrade");
            push_header(&mut head, "Upgrade", "tcp");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// What a connection says. All but [`Closed`](Self::Closed) belong to the request under way.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// The answer's head. Interim ones are not told.
    Head {
        /// Status and headers.
        head: ResponseHead,
        /// The connection has left HTTP: what is sent from now on is input, what comes is output.
        hijacked: bool,
    },
    /// The next bytes of the body or of the hijacked output. Never empty.
    Bytes(Bytes),
    /// The answer is complete. The next request may be sent, unless [`Closed`](Self::Closed) follows.
    End,
    /// There is no answer, or no more of it. [`Closed`](Self::Closed) follows.
    Failed(AnswerError),
    /// The connection takes no more requests. Told once, as the last event.
    Closed,
}

/// A client connection as a state machine without I/O. It is driven as a [`Protocol`].
///
/// ```text
///   request(None | Full)            --> Head Bytes* End          --> next request, or Closed
///   request(Stream) send* finish    --> Head Bytes* End          --> next request, or Closed
///   request(hijacks)                --> Head{hijacked} / send* finish --> FIN / Bytes* End Closed
/// ```
///
/// An answer may come before the request's body is complete. The body is sent on while the answer is under way; if the answer
/// is over first, the connection ends, since nobody reads the rest.
#[derive(Debug)]
pub struct Client {
    limits: Limits,
    inbound: Inbound,
    outbound: Outbound,
    received: ReceiveBuffer,
    scanner: HeadScanner,
    /// Interim answers to the request so far.
    interim: u8,
    queue: OutputQueue,
    /// Of the request under way.
    exchange: Exchange,
    untold: Option<ClientEvent>,
    paused: bool,
    /// The server has sent FIN.
    eof: bool,
    closed_told: bool,
    /// When the first byte of the head came.
    head_since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Exchange {
    is_head: bool,
    hijacks: bool,
    upgrade: bool,
    keep_alive: bool,
}

/// What is being read.
#[derive(Debug)]
enum Inbound {
    /// No request was sent.
    Idle,
    /// The head of the answer, or of an interim one.
    Head,
    /// A body whose end its framing tells.
    Body(BodyReader),
    /// A body or a hijacked stream, up to the end of the connection.
    UntilClose,
    /// The connection is over; whatever comes is thrown away.
    Over,
}

/// What is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outbound {
    Idle,
    /// The body of the request; `left` bytes of it, if its length was announced.
    Body {
        left: Option<u64>,
    },
    /// The request is complete.
    Sent,
    /// Input of the hijacked connection.
    Raw,
    /// FIN follows what is queued.
    Closing,
    /// FIN was said.
    Shut,
}

impl Client {
    /// A connection that was just established.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inbound: Inbound::Idle,
            outbound: Outbound::Idle,
            received: ReceiveBuffer::default(),
            scanner: HeadScanner::default(),
            interim: 0,
            queue: OutputQueue::default(),
            exchange: Exchange::default(),
            untold: None,
            paused: false,
            eof: false,
            closed_told: false,
            head_since: None,
        }
    }

    /// Whether a request can be sent now.
    pub fn is_idle(&self) -> bool {
        matches!(self.inbound, Inbound::Idle) && !self.eof && self.received.len() == 0
    }

    /// Whether the connection has ended, or is about to.
    pub fn is_over(&self) -> bool {
        matches!(self.inbound, Inbound::Over)
    }

    /// Sends a request.
    ///
    /// # Errors
    /// Another one is under way, or the connection is over.
    pub fn request(&mut self, request: Outgoing) -> Result<(), OutOfTurn> {
        if !self.is_idle() {
            return Err(OutOfTurn);
        }
        self.queue.push_slice(&request.encode_head());
        self.outbound = match request.body {
            OutgoingBody::None | OutgoingBody::Stream(BodyLength::None) => Outbound::Sent,
            OutgoingBody::Full(body) => {
                self.queue.push(body);
                Outbound::Sent
            }
            OutgoingBody::Stream(BodyLength::Known(left)) => Outbound::Body { left: Some(left) },
            OutgoingBody::Stream(BodyLength::Chunked) => Outbound::Body { left: None },
        };
        self.inbound = Inbound::Head;
        self.scanner = HeadScanner::default();
        self.interim = 0;
        self.paused = false;
        self.exchange = Exchange {
            is_head: request.method == "HEAD",
            hijacks: request.hijacks,
            upgrade: request.upgrade,
            keep_alive: false,
        };
        Ok(())
    }

    /// Queues a piece of the request's body, as one chunk if it is chunked, or of the input of the hijacked connection.
    ///
    /// # Errors
    /// Neither is open, or the body would become longer than was announced.
    pub fn send(&mut self, bytes: Bytes) -> Result<(), OutOfTurn> {
        match &mut self.outbound {
            // An empty chunk would end the body.
            Outbound::Body { .. } | Outbound::Raw if bytes.is_empty() => {}
            Outbound::Body { left: Some(left) } => {
                *left = left.checked_sub(bytes.len() as u64).ok_or(OutOfTurn)?;
                self.queue.push(bytes);
            }
            Outbound::Body { left: None } => {
                self.queue
                    .push_slice(alloc::format!("{:x}\r\n", bytes.len()).as_bytes());
                self.queue.push(bytes);
                self.queue.push_slice(b"\r\n");
            }
            Outbound::Raw => self.queue.push(bytes),
            Outbound::Idle | Outbound::Sent | Outbound::Closing | Outbound::Shut => return Err(OutOfTurn),
        }
        Ok(())
    }

    /// Ends the request's body, or the input of the hijacked connection (FIN). Output goes on.
    ///
    /// # Errors
    /// Neither is open, or the body is shorter than was announced.
    pub fn finish(&mut self) -> Result<(), OutOfTurn> {
        self.outbound = match self.outbound {
            Outbound::Body { left: Some(0) } => Outbound::Sent,
            Outbound::Body { left: None } => {
                self.queue.push_slice(b"0\r\n\r\n");
                Outbound::Sent
            }
            Outbound::Raw => Outbound::Closing,
            _ => return Err(OutOfTurn),
        };
        Ok(())
    }

    /// Whether a body, or hijacked input, is being sent.
    pub fn is_sending(&self) -> bool {
        matches!(self.outbound, Outbound::Body { .. } | Outbound::Raw)
    }

    /// Whether less than the high-water mark waits to be sent.
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.limits.output_high_water
    }

    /// Stops (or resumes) telling body and hijacked output. Meanwhile they are held up to a bound, and then not read.
    pub fn pause(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// Ends the connection now, whatever is under way.
    pub fn close(&mut self) {
        self.inbound = Inbound::Over;
        self.outbound = Outbound::Shut;
        self.received.clear();
        self.queue.clear();
        self.untold = None;
    }

    fn poll_event(&mut self) -> Option<ClientEvent> {
        loop {
            if let Some(event) = self.untold.take() {
                return Some(event);
            }
            let (event, is_over) = match &mut self.inbound {
                // What was not asked for is no answer to anything.
                Inbound::Idle if self.eof || self.received.len() > 0 => {
                    self.close();
                    continue;
                }
                Inbound::Idle => return None,
                Inbound::Head => match self.read_head() {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(error) => (ClientEvent::Failed(error), true),
                },
                Inbound::Over => {
                    let told = core::mem::replace(&mut self.closed_told, true);
                    return (!told).then_some(ClientEvent::Closed);
                }
                Inbound::Body(_) | Inbound::UntilClose if self.paused => return None,
                Inbound::Body(reader) => match reader.next_portion(self.received.as_slice()) {
                    Ok(Portion { skip, is_end: true, .. }) => {
                        self.received.discard(skip);
                        let is_over = !self.exchange.keep_alive || self.outbound != Outbound::Sent;
                        if !is_over {
                            self.inbound = Inbound::Idle;
                            self.outbound = Outbound::Idle;
                        }
                        (ClientEvent::End, is_over)
                    }
                    Ok(Portion { skip, payload, .. }) => {
                        self.received.discard(skip);
                        match payload {
                            0 if self.eof => (ClientEvent::Failed(AnswerError::CutOff), true),
                            0 => return None,
                            _ => (ClientEvent::Bytes(self.received.split(payload)), false),
                        }
                    }
                    Err(error) => (ClientEvent::Failed(error.into()), true),
                },
                Inbound::UntilClose => match self.received.len() {
                    0 if self.eof => (ClientEvent::End, true),
                    0 => return None,
                    len => (ClientEvent::Bytes(self.received.split(len)), false),
                },
            };
            if is_over {
                self.close();
            }
            return Some(event);
        }
    }

    /// Reads the head on; `Ok(false)` when more bytes are needed.
    fn read_head(&mut self) -> Result<bool, AnswerError> {
        let bytes = self.received.as_slice();
        // Whoever speaks something else is recognised by its first bytes, before a line end that may never come.
        let begins_well = bytes.iter().zip(b"HTTP/").all(|(found, wanted)| found == wanted);
        if !begins_well {
            return Err(AnswerError::NotHttp);
        }
        let (len, headers) = match self.scanner.scan(bytes, self.received.searched(), &self.limits)? {
            Scan::Complete { len, headers } => (len, headers),
            Scan::More if self.eof && bytes.is_empty() && self.interim == 0 => return Err(AnswerError::NoAnswer),
            Scan::More if self.eof => return Err(AnswerError::CutOff),
            Scan::More => {
                self.received.set_searched(bytes.len());
                return Ok(false);
            }
        };
        let parsed = parse_response(bytes.get(..len).unwrap_or_default(), headers)?;
        self.received.discard(len);
        self.head_since = None;
        let status = parsed.head.status;
        let hijacked = match status {
            101 if !self.exchange.hijacks || !self.exchange.upgrade => return Err(AnswerError::UnaskedUpgrade),
            100..=199 if status != 101 => {
                self.scanner = HeadScanner::default();
                self.interim += 1;
                return match self.interim > INTERIM_ANSWERS_MAX {
                    true => Err(AnswerError::TooManyInterim),
                    false => Ok(true),
                };
            }
            101 | 200 => self.exchange.hijacks,
            _ => false,
        };
        self.exchange.keep_alive = parsed.keep_alive;
        self.inbound = match parsed.length {
            AnswerLength::UntilClose if !self.exchange.is_head => Inbound::UntilClose,
            AnswerLength::Framed(BodyLength::None) if status == 101 => Inbound::UntilClose,
            AnswerLength::Framed(_) if hijacked => return Err(AnswerError::FramedHijack),
            AnswerLength::Framed(length) if !self.exchange.is_head => {
                Inbound::Body(BodyReader::new(length, &self.limits))
            }
            _ => Inbound::Body(BodyReader::new(BodyLength::None, &self.limits)),
        };
        if hijacked {
            self.outbound = Outbound::Raw;
        }
        self.untold = Some(ClientEvent::Head {
            head: parsed.head,
            hijacked,
        });
        Ok(true)
    }

    /// Received bytes that may be held now.
    fn receive_bytes_max(&self) -> usize {
        match self.inbound {
            Inbound::Head => HeadScanner::head_bytes_max(&self.limits),
            Inbound::Idle | Inbound::Body(_) | Inbound::UntilClose => self.limits.input_bytes_max,
            Inbound::Over => usize::MAX,
        }
    }
}

impl Protocol for Client {
    type Event = ClientEvent;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.is_over() || self.eof {
            return bytes.len();
        }
        if matches!(self.inbound, Inbound::Head) && !bytes.is_empty() {
            self.head_since.get_or_insert(now);
        }
        self.received.take_from(bytes, self.receive_bytes_max())
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.eof = true;
    }

    fn handle_reset(&mut self, _now: Instant) {
        let is_live = !matches!(self.inbound, Inbound::Idle | Inbound::Over);
        let untold = self.untold.take();
        self.close();
        self.untold = match is_live {
            true => Some(ClientEvent::Failed(AnswerError::Reset)),
            false => untold,
        };
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.head_deadline().is_some_and(|deadline| deadline <= now) {
            self.close();
            self.untold = Some(ClientEvent::Failed(AnswerError::TooSlow));
        }
    }

    fn poll_output(&mut self, _now: Instant, out: &mut [u8]) -> Output<ClientEvent> {
        if let Some(event) = self.poll_event() {
            return Output::Event(event);
        }
        if self.is_over() {
            return Output::Close;
        }
        if !out.is_empty() && !self.queue.is_empty() {
            return Output::Transmit(self.queue.fill(out));
        }
        if self.queue.is_empty() && self.outbound == Outbound::Closing {
            self.outbound = Outbound::Shut;
            return Output::Shutdown;
        }
        Output::Wait(self.head_deadline())
    }

    fn output_queued(&self) -> usize {
        self.queue.len()
    }

    fn wants_input(&self) -> bool {
        !self.eof && !self.is_over() && self.received.len() < self.receive_bytes_max()
    }
}

impl Client {
    /// When the server's time is up for the rest of a head that has begun.
    fn head_deadline(&self) -> Option<Instant> {
        let since = self.head_since.filter(|_| matches!(self.inbound, Inbound::Head))?;
        Some(since + self.limits.head_timeout)
    }
}
