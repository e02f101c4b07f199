//! One client of the API: HTTP joined with what requests mean.
//!
//! [`Connection`] wires two machines together and parses nothing itself: the HTTP server says that a request is there,
//! the exchange says what it asks for and how an answer is worded, and the daemon sees typed [`Event`]s and gives
//! commands.

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    collections::VecDeque,
    sync::Arc,
    vec::Vec,
};
use core::fmt;

use bytes::Bytes;

use crate::{
    call::{Call, ContextPart},
    decode::Body,
    detach::Scanner,
    driver::{Output, Protocol},
    error::{Misuse, PeerError},
    exchange::{Exchange, Response, ResponseBody},
    http::{Answer, AnswerBody, BodyLength, OutOfTurn, Part, Request, Server, ServerEvent},
    limits::Limits,
    multipart::BadForm,
    reply::{Item, Reply},
    time::Instant,
    upload,
    websocket::{self, Control, Opcode, frame_header},
};

/// A request of one connection, counted from 0. Never used again on that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// What a connection tells the daemon.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// A client asks for something. Its JSON body, if it has one, is gathered and decoded.
    Call {
        /// Names the request from now on.
        id: RequestId,
        /// What it asks for.
        call: Call,
    },
    /// Part of the context of a build ([`Call::Build`]): the bytes that follow, up to the next part or the end, are its.
    ContextPart {
        /// The request.
        id: RequestId,
        /// What they are.
        part: ContextPart,
    },
    /// The next bytes of a request body that is streamed ([`Call::streams_body`]). Never empty.
    Body {
        /// The request.
        id: RequestId,
        /// The bytes.
        bytes: Bytes,
    },
    /// The streamed request body is complete. Comes also for a request without body.
    BodyEnd {
        /// The request.
        id: RequestId,
    },
    /// After [`Reply::Attached`] or [`Reply::ExecAttached`]: the next bytes of the client's standard input. Never empty.
    Input {
        /// The request.
        id: RequestId,
        /// The bytes.
        bytes: Bytes,
    },
    /// After [`Reply::Attached`] or [`Reply::ExecAttached`]: the client has closed its sending direction. It still reads.
    InputEnd {
        /// The request.
        id: RequestId,
    },
    /// The detach keys were typed. The stream is finished and the request is over.
    Detached {
        /// The request.
        id: RequestId,
    },
    /// The client is gone, too slow, or broke its body. Stop working for it; the request is over.
    Aborted {
        /// The request.
        id: RequestId,
    },
}

/// What a browser may send to an allowed origin, as the daemons of v1.22 said it. Those of v1.2 lacked `X-Registry-Auth` and
/// `HEAD`; to allow more than was known then harms nobody.
const CORS_HEADERS: &str = "Origin, X-Requested-With, Content-Type, Accept, X-Registry-Auth";
const CORS_METHODS: &str = "HEAD, GET, POST, DELETE, PUT, OPTIONS";

/// The connection of one client, as a state machine without I/O. A transport drives it as a [`Protocol`].
///
/// **Each [`Event::Call`] is answered exactly once with [`respond`](Self::respond).** A reply that opens a stream
/// ([`Reply::opens_stream`]) is followed by [`send`](Self::send) and one [`finish`](Self::finish) or [`abort`](Self::abort). Requests of one connection come one at
/// a time: the next one is told after the last one is over.
///
/// A request is over when it was answered completely, aborted by either side, or detached. **Commands for a request that
/// is over are harmless and do nothing**, because the daemon cannot know what the client did a moment ago.
///
/// Output is queued as the `Bytes` it came in and copied once, by [`poll_output`](Protocol::poll_output) into the memory
/// the transport brings; small pieces and everything that is JSON may be copied once more. Output that is in a pipe
/// ([`Item::Spliced`]) is not copied at all.
///
/// `Debug` shows nothing of what a client sent or gets, which may be a login.
pub struct Connection {
    server: Server,
    json_body_bytes_max: usize,
    /// Whose pages may call, for browsers.
    allowed_origin: Option<Arc<str>>,
    /// Pages of others get no WebSocket.
    checks_origin: bool,
    next_id: RequestId,
    active: Option<Active>,
    /// What was found out together with something else and is told next. At most a few entries, or the parts of a form that
    /// arrived together.
    /// What was found out together with something else and is told next. At most a few entries, or as many as there are
    /// messages in what was read of a WebSocket.
    untold: VecDeque<Event>,
    /// Pieces of one item on their way into the server; empty between calls, kept for its memory.
    pieces: VecDeque<Part>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("next_id", &self.next_id)
            .finish_non_exhaustive()
    }
}

/// The request under way.
struct Active {
    exchange: Exchange,
    stage: Stage,
    /// The call is told and its body is to be asked for, unless the daemon refuses or pauses first.
    body_wanted: bool,
    /// The daemon wants no input right now.
    paused: bool,
}

enum Stage {
    /// The JSON body is being gathered; nobody was told yet.
    Gathering(Vec<u8>),
    /// The daemon has the call and owes the reply.
    Called {
        id: RequestId,
        /// A successful reply hijacks the connection. Another one ends it, since what follows the request may be input.
        may_hijack: bool,
    },
    /// As `Called`, and the connection has left HTTP already: the head went out before the reply, and the body of the request is
    /// what the client sends from then on.
    Promised { id: RequestId },
    /// The reply is a stream.
    Streaming { id: RequestId },
    /// The reply is a stream to the daemon, and one answer at its end to the client.
    Collecting { id: RequestId },
    /// The connection is hijacked.
    Hijacked {
        id: RequestId,
        keys: Option<Scanner>,
        /// Input and output are carried by a WebSocket.
        socket: Option<Box<Socket>>,
    },
}

/// The client's side of a WebSocket.
#[derive(Debug, Default)]
struct Socket {
    decoder: websocket::Decoder,
    /// What the last ping held, if it is to be answered yet (RFC 6455 §5.5.3 asks for the last one only).
    pong: Option<Bytes>,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            server: Server::new(limits, now),
            json_body_bytes_max: limits.json_body_bytes_max,
            allowed_origin: None,
            checks_origin: false,
            next_id: RequestId(0),
            active: None,
            untold: VecDeque::new(),
            pieces: VecDeque::new(),
        }
    }

    /// Lets browsers run calls of pages of this origin, or of any with `*`: from now on every answer has the
    /// `Access-Control-` fields (API v1.2 to v1.24, section "CORS requests"). It must be a valid field value.
    #[must_use]
    pub fn allow_origin(mut self, origin: Option<Arc<str>>) -> Self {
        self.allowed_origin = origin;
        self
    }

    /// Gives a WebSocket to no page but those of our own host and of the allowed origin. That is for sockets which browsers
    /// can reach: a page may ask for a WebSocket without asking first whether it may.
    #[must_use]
    pub fn check_origin(mut self, checks: bool) -> Self {
        self.checks_origin = checks;
        self
    }

    /// Whether the output of the request under way may be [`Item::Spliced`]. Output that a WebSocket carries is looked at:
    /// what is no text goes as bytes.
    pub fn splices(&self) -> bool {
        !self
            .active
            .as_ref()
            .is_some_and(|active| active.exchange.is_websocket())
    }

    /// Answers a call. When the reply opens no stream the request is over.
    ///
    /// # Errors
    /// [`Misuse`] when the call was answered with a stream before, or the id was never given out.
    pub fn respond(&mut self, id: RequestId, reply: Reply) -> Result<(), Misuse> {
        let Some(active) = self.active(id)? else { return Ok(()) };
        match active.stage {
            Stage::Called { .. } => {
                let response = active.exchange.respond(reply);
                self.answer(response);
            }
            Stage::Promised { .. } => {
                active.stage = Stage::Streaming { id };
                if let Some(last) = active.exchange.respond_late(reply) {
                    self.active = None;
                    let sent = self.server.send([Part::Bytes(last)]);
                    let finished = sent.and_then(|()| self.server.finish());
                    debug_assert!(finished.is_ok(), "a promised request has its stream open");
                }
            }
            _ => return Err(Misuse::AlreadyAnswered(id)),
        }
        Ok(())
    }

    /// Sends one item of a stream. It is queued whatever [`has_room`](Self::has_room) says; a daemon that looks there
    /// first keeps the memory of a client that does not read bounded.
    ///
    /// # Errors
    /// [`Misuse`] when the request has no stream, or the id was never given out.
    pub fn send(&mut self, id: RequestId, item: Item) -> Result<(), Misuse> {
        let mut pieces = core::mem::take(&mut self.pieces);
        let Some(active) = self.streaming(id)? else {
            return Ok(());
        };
        active.exchange.item(item, &mut pieces);
        let has_form = !matches!(active.stage, Stage::Collecting { .. });
        let sent = if has_form {
            self.server.send(pieces.iter().cloned())
        } else {
            Ok(())
        };
        pieces.clear();
        self.pieces = pieces;
        sent.map_err(|_| Misuse::NoStream(id))
    }

    /// Ends a stream cleanly: with the last chunk, or FIN after what is queued.
    ///
    /// # Errors
    /// [`Misuse`] when the request has no stream, or the id was never given out.
    pub fn finish(&mut self, id: RequestId) -> Result<(), Misuse> {
        let Some(active) = self.streaming(id)? else {
            return Ok(());
        };
        if matches!(active.stage, Stage::Collecting { .. }) {
            if let Some(response) = active.exchange.finish() {
                self.answer(response);
            }
            return Ok(());
        }
        self.leave(Some(websocket::NORMAL)).map_err(|_| Misuse::NoStream(id))
    }

    /// Ends the stream of a request after what is queued, and the request. `code` is a WebSocket's last word.
    fn leave(&mut self, code: Option<u16>) -> Result<(), OutOfTurn> {
        if let Some(mut active) = self.active.take()
            && active.exchange.is_websocket()
        {
            let mut last = VecDeque::new();
            active.exchange.close(code, &mut last);
            let sent = self.server.send(last);
            debug_assert!(sent.is_ok(), "a WebSocket is open until it is left");
        }
        self.server.finish()
    }

    /// Ends a request so that the client notices: no last chunk, and the connection closes after what is queued. Without
    /// effect for an unknown id.
    pub fn abort(&mut self, id: RequestId) {
        if matches!(self.active(id), Ok(Some(_))) {
            self.active = None;
            self.server.abort();
        }
    }

    /// Stops (or resumes) telling [`Event::Body`] and [`Event::Input`]. Meanwhile at most
    /// [`Limits::input_bytes_max`] bytes are held, and then the socket is not read. Without effect for an unknown id.
    pub fn pause_input(&mut self, id: RequestId, paused: bool) {
        let Ok(Some(active)) = self.active(id) else { return };
        active.paused = paused;
        self.server.pause_input(paused);
    }

    /// Whether less than [`Limits::output_high_water`] waits to be sent. False for a request that is over.
    pub fn has_room(&self, id: RequestId) -> bool {
        self.active.as_ref().and_then(Active::id) == Some(id) && self.server.has_room()
    }

    /// The request, `None` when it is over.
    fn active(&mut self, id: RequestId) -> Result<Option<&mut Active>, Misuse> {
        if id >= self.next_id {
            return Err(Misuse::UnknownRequest(id));
        }
        Ok(self.active.as_mut().filter(|active| active.id() == Some(id)))
    }

    /// The request, if its reply opened a stream; `None` when it is over.
    fn streaming(&mut self, id: RequestId) -> Result<Option<&mut Active>, Misuse> {
        match self.active(id)? {
            Some(Active {
                stage: Stage::Called { .. } | Stage::Gathering(_) | Stage::Promised { .. },
                ..
            }) => Err(Misuse::NoStream(id)),
            active => Ok(active),
        }
    }

    fn handle_http(&mut self, event: ServerEvent) {
        match event {
            ServerEvent::Request(request) => self.begin(&request),
            ServerEvent::Bytes(bytes) => self.handle_bytes(bytes),
            ServerEvent::End => self.handle_end(),
            ServerEvent::Aborted => {
                let id = self.active.take().and_then(|active| active.id());
                self.untold.extend(id.map(|id| Event::Aborted { id }));
            }
        }
    }

    fn begin(&mut self, request: &Request) {
        let exchange = match Exchange::begin(&request.head) {
            Ok(exchange) => exchange,
            Err(response) => return self.answer(response),
        };
        if self.checks_origin
            && let Err(response) = exchange.check_origin(self.allowed_origin.as_deref())
        {
            return self.answer(response);
        }
        let body = exchange.body();
        let promise = exchange.promise(request.body != BodyLength::None);
        self.active = Some(Active {
            exchange,
            stage: Stage::Gathering(Vec::new()),
            body_wanted: false,
            paused: false,
        });
        match (body, request.body) {
            (Body::Optional | Body::Required, BodyLength::Known(len)) if len > self.json_body_bytes_max as u64 => {
                self.active = None;
                self.server.refuse(PeerError::BodyTooLarge);
            }
            (Body::Optional | Body::Required, BodyLength::Known(_) | BodyLength::Chunked) => self.server.accept_body(),
            (Body::Optional | Body::Required | Body::None, _) => self.call(false),
            (Body::Stream, BodyLength::None) if promise.is_some() => {
                self.call(false);
                if let Some(promise) = promise {
                    self.keep(promise);
                }
            }
            (Body::Stream, BodyLength::None) => {
                self.call(false);
                let id = self.active.as_ref().and_then(Active::id);
                self.untold.extend(id.map(|id| Event::BodyEnd { id }));
            }
            (Body::Stream, _) => self.call(true),
        }
    }

    /// The request is understood as far as it can be: tell the daemon, or answer what is wrong with it.
    fn call(&mut self, body_wanted: bool) {
        let Some(active) = &mut self.active else { return };
        let body = match &mut active.stage {
            Stage::Gathering(body) => core::mem::take(body),
            Stage::Called { .. }
            | Stage::Promised { .. }
            | Stage::Streaming { .. }
            | Stage::Collecting { .. }
            | Stage::Hijacked { .. } => return,
        };
        match active.exchange.call(&body) {
            Ok(call) => {
                let id = self.next_id;
                self.next_id = RequestId(id.0 + 1);
                let may_hijack = call.hijacks();
                active.stage = Stage::Called { id, may_hijack };
                active.body_wanted = body_wanted;
                self.untold.push_back(Event::Call { id, call });
            }
            Err(response) => self.answer(response),
        }
    }

    /// Sends the head of a request that was told just now, before its reply.
    fn keep(&mut self, promise: Response) {
        let Some(id) = self.active.as_ref().and_then(Active::id) else {
            return;
        };
        self.answer(promise);
        if let Some(active) = &mut self.active {
            active.stage = Stage::Promised { id };
        }
    }

    fn handle_bytes(&mut self, bytes: Bytes) {
        match self.active.as_mut().map(|active| &mut active.stage) {
            None => {}
            Some(Stage::Gathering(body)) => {
                if body.len() + bytes.len() > self.json_body_bytes_max {
                    self.active = None;
                    self.server.refuse(PeerError::BodyTooLarge);
                } else {
                    body.extend_from_slice(&bytes);
                }
            }
            Some(
                Stage::Called { id, .. } | Stage::Promised { id } | Stage::Streaming { id } | Stage::Collecting { id },
            ) => {
                let id = *id;
                self.handle_body(id, bytes);
            }
            Some(Stage::Hijacked { socket: Some(_), .. }) => self.handle_frames(&bytes),
            Some(Stage::Hijacked { .. }) => self.handle_stdin(bytes),
        }
    }

    /// Frames of a WebSocket.
    fn handle_frames(&mut self, mut input: &[u8]) {
        loop {
            let Some(Active {
                stage:
                    Stage::Hijacked {
                        id,
                        socket: Some(socket),
                        ..
                    },
                ..
            }) = &mut self.active
            else {
                return;
            };
            let (id, mut data) = (*id, Vec::new());
            let control = socket.decoder.decode(&mut input, &mut data);
            if let Ok(Some(Control::Ping(payload))) = &control {
                socket.pong = Some(payload.clone());
            }
            if !data.is_empty() {
                self.handle_stdin(data.into());
            }
            let code = match control {
                Ok(None) => return,
                Ok(Some(Control::Ping(_))) => {
                    self.answer_ping();
                    continue;
                }
                Ok(Some(Control::Pong)) => continue,
                Ok(Some(Control::Close(code))) => code,
                Err(violation) => Some(violation.code()),
            };
            // The detach keys may have ended it already.
            if self.active.is_some() {
                // Unlike one that ends its half of a connection, a client that closes reads nothing any more.
                let ends_input = control.is_ok().then_some(Event::InputEnd { id });
                self.untold
                    .extend(ends_input.into_iter().chain([Event::Aborted { id }]));
                let left = self.leave(code);
                debug_assert!(
                    left.is_ok(),
                    "input of a hijacked connection comes only while it is open"
                );
            }
            return;
        }
    }

    /// Answers the last ping once there is room.
    fn answer_ping(&mut self) {
        if let Some(Active {
            stage: Stage::Hijacked {
                socket: Some(socket), ..
            },
            ..
        }) = &mut self.active
            && self.server.has_room()
            && let Some(payload) = socket.pong.take()
        {
            let header = frame_header(Opcode::Pong, payload.len());
            let sent = self.server.send([Part::Bytes(header), Part::Bytes(payload)]);
            debug_assert!(sent.is_ok(), "a WebSocket is open until it is left");
        }
    }

    /// Input of an attached client, in which the detach keys may be.
    fn handle_stdin(&mut self, bytes: Bytes) {
        let Some(Active {
            stage: Stage::Hijacked { id, keys, .. },
            ..
        }) = &mut self.active
        else {
            return;
        };
        let id = *id;
        let Some(scanner) = keys else {
            return self.untold.push_back(Event::Input { id, bytes });
        };
        let scanned = scanner.scan(&bytes);
        let held = Bytes::copy_from_slice(scanner.keys(scanned.held));
        let inputs = [held, bytes.slice(..scanned.input)]
            .into_iter()
            .filter(|bytes| !bytes.is_empty());
        self.untold.extend(inputs.map(|bytes| Event::Input { id, bytes }));
        if scanned.detached {
            self.untold.push_back(Event::Detached { id });
            let left = self.leave(Some(websocket::NORMAL));
            debug_assert!(
                left.is_ok(),
                "input of a hijacked connection comes only while it is open"
            );
        }
    }

    /// The next bytes of a body that is streamed.
    fn handle_body(&mut self, id: RequestId, bytes: Bytes) {
        let upload = self.active.as_mut().and_then(|active| active.exchange.upload());
        let Some(upload) = upload else {
            return self.untold.push_back(Event::Body { id, bytes });
        };
        let read = upload.push(bytes, |piece| {
            self.untold.push_back(match piece {
                upload::Piece::Part(part) => Event::ContextPart { id, part },
                upload::Piece::Bytes(bytes) => Event::Body { id, bytes },
            });
        });
        if let Err(BadForm) = read {
            self.break_off(id);
        }
    }

    /// The body is not what its type says: as with broken framing, nothing after it can be trusted.
    fn break_off(&mut self, id: RequestId) {
        self.active = None;
        self.untold.push_back(Event::Aborted { id });
        self.server.refuse(PeerError::BadForm);
    }

    fn handle_end(&mut self) {
        match self.active.as_mut().map(|active| &mut active.stage) {
            None => {}
            Some(Stage::Gathering(_)) => self.call(false),
            Some(
                Stage::Called { id, .. } | Stage::Promised { id } | Stage::Streaming { id } | Stage::Collecting { id },
            ) => {
                let id = *id;
                let upload = self.active.as_mut().and_then(|active| active.exchange.upload());
                match upload.map_or(Ok(()), |upload| upload.finish()) {
                    Ok(()) => self.untold.push_back(Event::BodyEnd { id }),
                    Err(BadForm) => self.break_off(id),
                }
            }
            Some(Stage::Hijacked { id, keys, .. }) => {
                if let Some(scanner) = keys {
                    let held = scanner.finish();
                    if held > 0 {
                        let bytes = Bytes::copy_from_slice(scanner.keys(held));
                        self.untold.push_back(Event::Input { id: *id, bytes });
                    }
                }
                self.untold.push_back(Event::InputEnd { id: *id });
            }
        }
    }

    /// Hands an answer to the HTTP server, and decides what becomes of the request.
    fn answer(&mut self, response: Response) {
        let Response {
            mut status,
            reason,
            mut headers,
            body,
            close,
        } = response;
        if let Some(origin) = &self.allowed_origin {
            headers.push(("Access-Control-Allow-Origin", Cow::Owned(origin.as_ref().to_owned())));
            headers.push(("Access-Control-Allow-Headers", Cow::Borrowed(CORS_HEADERS)));
            headers.push(("Access-Control-Allow-Methods", Cow::Borrowed(CORS_METHODS)));
        }
        let (id, may_hijack) = match self.active.as_ref().map(|active| &active.stage) {
            Some(Stage::Called { id, may_hijack, .. }) => (Some(*id), *may_hijack),
            Some(Stage::Collecting { id }) => (Some(*id), false),
            Some(Stage::Gathering(_)) => (
                None,
                self.active.as_ref().is_some_and(|active| active.exchange.may_hijack()),
            ),
            None | Some(Stage::Promised { .. } | Stage::Streaming { .. } | Stage::Hijacked { .. }) => (None, false),
        };
        let (body, stage) = match body {
            ResponseBody::None => (AnswerBody::None, None),
            ResponseBody::Full(bytes) => (AnswerBody::Full(bytes), None),
            ResponseBody::Stream => (AnswerBody::Stream, id.map(|id| Stage::Streaming { id })),
            ResponseBody::StreamUntilClose => (AnswerBody::StreamUntilClose, id.map(|id| Stage::Streaming { id })),
            ResponseBody::Hijack => {
                // HTTP answers 200 to a client that did not ask to leave it.
                status = 101;
                let keys = self.detach_scanner();
                let socket = None;
                (AnswerBody::Hijack, id.map(|id| Stage::Hijacked { id, keys, socket }))
            }
            ResponseBody::WebSocket => {
                let keys = self.detach_scanner();
                let socket = Some(Box::default());
                (AnswerBody::Switch, id.map(|id| Stage::Hijacked { id, keys, socket }))
            }
            ResponseBody::Later => {
                if let (Some(active), Some(id)) = (&mut self.active, id) {
                    active.stage = Stage::Collecting { id };
                }
                return;
            }
        };
        let hijacks = matches!(body, AnswerBody::Hijack | AnswerBody::Switch);
        let close = close || may_hijack && !hijacks;
        match (&mut self.active, stage) {
            (Some(active), Some(stage)) => active.stage = stage,
            _ => self.active = None,
        }
        let answered = self.server.respond(Answer {
            status,
            reason,
            headers: &headers,
            body,
            close,
        });
        debug_assert!(answered.is_ok(), "an active request is one that HTTP owes an answer");
    }

    fn detach_scanner(&self) -> Option<Scanner> {
        let keys = self.active.as_ref().and_then(|active| active.exchange.detach_keys());
        keys.and_then(Scanner::new)
    }

    /// Asks for the body of the call that was just told, unless the daemon refused or paused it.
    fn ask_for_body(&mut self) {
        if let Some(active) = &mut self.active
            && !active.paused
            && core::mem::take(&mut active.body_wanted)
        {
            self.server.accept_body();
        }
    }
}

impl Protocol for Connection {
    type Event = Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        self.server.handle_input(now, bytes)
    }

    fn handle_eof(&mut self, now: Instant) {
        self.server.handle_eof(now);
    }

    fn handle_reset(&mut self, now: Instant) {
        self.server.handle_reset(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.server.handle_timeout(now);
    }

    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<Event> {
        loop {
            if let Some(event) = self.untold.pop_front() {
                return Output::Event(event);
            }
            self.ask_for_body();
            self.answer_ping();
            match self.server.poll_output(now, out) {
                Output::Event(event) => self.handle_http(event),
                Output::Splice { source, len } => return Output::Splice { source, len },
                Output::Transmit(len) => return Output::Transmit(len),
                Output::Wait(deadline) => return Output::Wait(deadline),
                Output::Shutdown => return Output::Shutdown,
                Output::Close => return Output::Close,
            }
        }
    }

    fn output_queued(&self) -> usize {
        self.server.output_queued()
    }

    fn wants_input(&self) -> bool {
        self.server.wants_input()
    }
}

impl Active {
    fn id(&self) -> Option<RequestId> {
        match self.stage {
            Stage::Gathering(_) => None,
            Stage::Called { id, .. }
            | Stage::Promised { id }
            | Stage::Streaming { id }
            | Stage::Collecting { id }
            | Stage::Hijacked { id, .. } => Some(id),
        }
    }
}
