//! One server connection: bytes to requests, answers to bytes.
//!
//! Requests are served one at a time and in order; what a peer pipelines waits in a bounded buffer. The states and their
//! moves are in [`cycle`](crate::cycle), the grammar is in the modules beside this one; here they are wired together.

use alloc::{borrow::Cow, boxed::Box, format};

use bytes::Bytes;

use crate::{
    buffer::ReceiveBuffer,
    cycle::{Cycle, Inbound, OutOfTurn, Outbound, Step},
    driver::{Output, Protocol},
    error::PeerError,
    http::{
        body::{BodyLength, BodyReader, Portion},
        head::{HeadScanner, HttpVersion, ParsedHead, RequestHead, Scan, parse_head},
        queue::{OutputQueue, Part},
        write::{Answer, AnswerBody, CONTINUE, Framing, Persistence, is_bodiless, standard_reason, write_head},
    },
    limits::Limits,
    time::Instant,
};

/// What a connection says. Events between a [`Request`](Self::Request) and its complete answer belong to that request.
#[derive(Debug, PartialEq, Eq)]
pub enum ServerEvent {
    /// A request. Answer it with [`Server::respond`]; read its body, if it has one, with [`Server::accept_body`].
    Request(Box<Request>),
    /// The next bytes of an accepted body, or of the input of a hijacked connection. Never empty.
    Bytes(Bytes),
    /// The accepted body, or the input of a hijacked connection, is over.
    End,
    /// The peer is gone, too slow, or broke the body of the request. The request is over; commands for it have no
    /// effect.
    Aborted,
}

/// A request whose body, if there is one, was not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Method, target and headers.
    pub head: RequestHead,
    /// What follows.
    pub body: BodyLength,
    /// The peer asked for the hijack with status 101.
    pub wants_upgrade: bool,
}

/// A server connection as a state machine without I/O. It is driven as a [`Protocol`].
///
/// ```text
///   Request --> accept_body? --> Bytes* End --> respond(None | Full)                  --> next request
///                                           --> respond(Stream) send* finish          --> next request
///                                           --> respond(Hijack) send* / Bytes* End    --> finish --> FIN
/// ```
///
/// **A request is answered exactly once.** The answer may come before the body was read: the rest is skipped if it is
/// small, otherwise the connection closes. A request that asked for an upgrade and is answered otherwise ends the
/// connection, as bytes that follow it may be meant for the stream. When the peer sends FIN, an answer that is owed is
/// still sent; a stream that is open then is aborted, and a hijacked connection goes on with its output.
#[derive(Debug)]
pub struct Server {
    limits: Limits,
    cycle: Cycle,
    received: ReceiveBuffer,
    scanner: HeadScanner,
    /// Empty lines skipped before the request to come, in bytes.
    blank_bytes: usize,
    exchange: Exchange,
    queue: OutputQueue,
    /// What happened outside of `poll_output` and was not told yet.
    untold: Option<ServerEvent>,
    /// The peer has sent FIN.
    eof: bool,
    /// Nothing can be sent any more.
    dead: bool,
    /// Close after what is queued without FIN and lingering, so that the peer notices.
    abrupt: bool,
    /// What we wait for, and since when.
    wait: (Wait, Instant),
    /// Since when the queue has been waiting to be taken; `None` while it is empty.
    queued_since: Option<Instant>,
    /// The queue holds bytes of a stream, which a reader may let rest for ever.
    holds_stream: bool,
}

/// What is known of the request under way.
#[derive(Debug)]
struct Exchange {
    version: HttpVersion,
    /// The method is HEAD: the answer has no body whatever it says.
    is_head: bool,
    keep_alive: bool,
    wants_upgrade: bool,
    /// `100 Continue` is waited for and was not sent.
    continue_owed: bool,
    body: BodyReader,
    /// The body is wanted.
    accepted: bool,
    /// Body or hijacked input is not wanted right now.
    paused: bool,
    /// Bytes of unwanted body that were skipped.
    drained: u64,
    /// Pieces of the answer go out as chunks.
    chunked: bool,
    /// The peer had sent FIN before the stream was opened, so FIN is no reason to abort it.
    opened_after_eof: bool,
    /// `End` was said.
    end_told: bool,
}

/// What a connection waits for from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Nothing,
    Request,
    Head,
    Body,
    Fin,
}

impl Server {
    /// A connection that was just accepted.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            cycle: Cycle::START,
            received: ReceiveBuffer::default(),
            scanner: HeadScanner::default(),
            blank_bytes: 0,
            exchange: Exchange::none(),
            queue: OutputQueue::default(),
            untold: None,
            eof: false,
            dead: false,
            abrupt: false,
            wait: (Wait::Request, now),
            queued_since: None,
            holds_stream: false,
        }
    }

    /// The body of the request is wanted; `100 Continue` is sent if the peer waits for it. Without effect when there is
    /// no body or no request.
    pub fn accept_body(&mut self) {
        if self.cycle.inbound != Inbound::Body || !self.cycle.is_live() || self.exchange.accepted {
            return;
        }
        self.exchange.accepted = true;
        if self.exchange.continue_owed && self.cycle.outbound == Outbound::Owed {
            self.queue.push_slice(CONTINUE);
        }
        self.exchange.continue_owed = false;
    }

    /// Stops (or resumes) telling body and hijacked input. Meanwhile they are held up to a bound, and then not read.
    pub fn pause_input(&mut self, paused: bool) {
        self.exchange.paused = paused;
    }

    /// Answers the request.
    ///
    /// # Errors
    /// There is none, or it was answered.
    pub fn respond(&mut self, answer: Answer<'_>) -> Result<(), OutOfTurn> {
        let step = match answer.body {
            AnswerBody::None | AnswerBody::Full(_) => Step::Answered,
            AnswerBody::Stream | AnswerBody::StreamUntilClose => Step::StreamOpened,
            AnswerBody::Hijack | AnswerBody::Switch => Step::Hijacked,
        };
        self.cycle.step(step)?;
        if self.exchange.wants_upgrade && step != Step::Hijacked || answer.close || !self.can_drain() {
            self.exchange.keep_alive = false;
        }
        let is_http11 = self.exchange.version == HttpVersion::Http11;
        let framing = match &answer.body {
            AnswerBody::Hijack if answer.status == 101 && self.exchange.wants_upgrade => Framing::Upgraded,
            AnswerBody::Hijack => Framing::Hijacked,
            AnswerBody::Switch => Framing::Switched,
            _ if is_bodiless(answer.status) => Framing::None,
            // The length would be that of the answer to GET.
            AnswerBody::None if self.exchange.is_head => Framing::None,
            AnswerBody::None => Framing::Length(0),
            AnswerBody::Full(body) => Framing::Length(body.len()),
            AnswerBody::Stream if is_http11 => Framing::Chunked,
            AnswerBody::Stream | AnswerBody::StreamUntilClose => Framing::UntilClose,
        };
        if framing == Framing::UntilClose {
            self.exchange.keep_alive = false;
        }
        let persistence = match (step, self.exchange.keep_alive) {
            (Step::Hijacked, _) => Persistence::Default,
            (_, true) if !is_http11 => Persistence::KeepAlive,
            (_, false) if is_http11 => Persistence::Close,
            _ => Persistence::Default,
        };
        self.queue
            .push_vec(write_head(self.exchange.version, &answer, framing, persistence));
        self.exchange.chunked = framing == Framing::Chunked;
        self.exchange.opened_after_eof = self.eof;
        // A stream to a HEAD request, or with a status that forbids a body, is opened and nothing of it is sent.
        self.exchange.is_head |= framing == Framing::None;
        match answer.body {
            AnswerBody::Full(body) if !self.exchange.is_head => self.queue.push(body),
            AnswerBody::Stream | AnswerBody::StreamUntilClose | AnswerBody::Hijack | AnswerBody::Switch => {
                self.holds_stream = true;
            }
            AnswerBody::None | AnswerBody::Full(_) => {}
        }
        if step == Step::Answered {
            self.answered();
        }
        Ok(())
    }

    /// Queues a piece of the open stream, as one chunk if the answer is chunked. Its parts are queued without a copy.
    ///
    /// # Errors
    /// No stream is open.
    pub fn send(&mut self, parts: impl IntoIterator<Item = Part, IntoIter: Clone>) -> Result<(), OutOfTurn> {
        let parts = parts.into_iter();
        match self.cycle.outbound {
            Outbound::Stream if self.exchange.is_head => {}
            Outbound::Stream if self.exchange.chunked => {
                let len: usize = parts.clone().map(|part| part.len()).sum();
                // An empty chunk would end the body.
                if len > 0 {
                    self.queue.push_slice(format!("{len:x}\r\n").as_bytes());
                    parts.for_each(|part| self.queue.push_part(part));
                    self.queue.push_slice(b"\r\n");
                }
            }
            Outbound::Stream | Outbound::Raw => parts.for_each(|part| self.queue.push_part(part)),
            _ => return Err(OutOfTurn),
        }
        Ok(())
    }

    /// Ends the open stream cleanly: the last chunk, or FIN.
    ///
    /// # Errors
    /// No stream is open.
    pub fn finish(&mut self) -> Result<(), OutOfTurn> {
        self.cycle.step(Step::Finished)?;
        if self.cycle.outbound == Outbound::Sent {
            if self.exchange.chunked && !self.exchange.is_head {
                self.queue.push_slice(b"0\r\n\r\n");
            }
            self.answered();
        }
        Ok(())
    }

    /// Ends the request so that the peer notices: what is queued is sent, then the connection is closed without a last
    /// chunk or FIN handshake. Without effect when no request is under way.
    pub fn abort(&mut self) {
        if self.cycle.is_live() {
            self.abrupt = true;
            self.close();
        }
    }

    /// Answers what the peer did wrong, if an answer is still possible, and closes.
    pub fn refuse(&mut self, error: PeerError) {
        if matches!(self.cycle.outbound, Outbound::Idle | Outbound::Owed) && error != PeerError::BodyCutOff {
            let status = error.status();
            let body = match status {
                413 | 414 | 417 | 431 => format!("{status} {}", standard_reason(status)),
                _ => format!("{status} {}: {error}", standard_reason(status)),
            };
            let answer = Answer {
                status,
                reason: None,
                headers: &[("Content-Type", Cow::Borrowed("text/plain; charset=utf-8"))],
                body: AnswerBody::None,
                close: true,
            };
            let head = write_head(
                self.exchange.version,
                &answer,
                Framing::Length(body.len()),
                Persistence::Close,
            );
            self.queue.push_vec(head);
            if !self.exchange.is_head {
                self.queue.push_slice(body.as_bytes());
            }
        }
        self.close();
    }

    /// Whether less than the high-water mark waits to be sent.
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.limits.output_high_water
    }

    /// What to tell next, moving on through the received bytes.
    fn poll_event(&mut self, now: Instant) -> Option<ServerEvent> {
        loop {
            if let Some(event) = self.untold.take() {
                return Some(event);
            }
            match (self.cycle.inbound, self.cycle.outbound) {
                // A peer that pipelines and does not read waits here, not in our memory.
                (Inbound::Idle, _) if !self.has_room() => return None,
                (Inbound::Idle, _) => {
                    if !self.begin_head(now) {
                        return None;
                    }
                }
                (Inbound::Head, _) => {
                    if !self.read_head() {
                        return None;
                    }
                }
                (Inbound::Body, Outbound::Sent) => {
                    if !self.drain_body() {
                        return None;
                    }
                }
                (Inbound::Body, _) => {
                    let is_wanted = self.exchange.accepted || self.cycle.outbound == Outbound::Raw;
                    if self.exchange.paused || !is_wanted || !self.read_body() {
                        return None;
                    }
                }
                (Inbound::Complete, Outbound::Sent) => self.next_request(now),
                (Inbound::Complete, Outbound::Stream) if self.eof && !self.exchange.opened_after_eof => {
                    self.give_up();
                }
                (Inbound::Raw, _) => {
                    if self.exchange.paused || self.exchange.end_told {
                        return None;
                    }
                    let len = self.received.len();
                    if len > 0 {
                        return Some(ServerEvent::Bytes(self.received.split(len)));
                    }
                    self.exchange.end_told = self.eof;
                    return self.eof.then_some(ServerEvent::End);
                }
                (Inbound::Complete, _) => return None,
                (Inbound::Discard, _) => {
                    self.received.clear();
                    return None;
                }
            }
        }
    }

    /// Skips empty lines (RFC 9112 §2.2) and begins a head; `false` when there is nothing to begin with.
    fn begin_head(&mut self, now: Instant) -> bool {
        let mut blank = 0;
        let begins = loop {
            match self.received.as_slice().get(blank..).unwrap_or_default() {
                [b'\n', ..] => blank += 1,
                [b'\r', b'\n', ..] => blank += 2,
                [] | [b'\r'] => break false,
                _ => break true,
            }
        };
        self.received.discard(blank);
        self.blank_bytes += blank;
        if self.blank_bytes > self.limits.blank_bytes_max {
            self.refuse(PeerError::TooManyBlankLines);
        } else if begins {
            self.move_on(Step::HeadBegun);
            self.scanner = HeadScanner::default();
            self.wait = (Wait::Head, now);
        } else if self.eof {
            self.close();
        } else {
            return false;
        }
        true
    }

    /// Reads the head on; `false` when more bytes are needed.
    fn read_head(&mut self) -> bool {
        let bytes = self.received.as_slice();
        let scan = self.scanner.scan(bytes, self.received.searched(), &self.limits);
        let parsed = match scan {
            Ok(Scan::Complete { len, headers }) => {
                let head = bytes.get(..len).unwrap_or_default();
                parse_head(head, headers).map(|parsed| (len, parsed))
            }
            Ok(Scan::More) if self.eof => {
                self.close();
                return true;
            }
            Ok(Scan::More) => {
                self.received.set_searched(bytes.len());
                return false;
            }
            Err(error) => Err(error),
        };
        match parsed {
            Ok((len, parsed)) => {
                self.received.discard(len);
                self.begin_exchange(parsed);
            }
            Err(error) => self.refuse(error),
        }
        true
    }

    fn begin_exchange(&mut self, parsed: ParsedHead) {
        let ParsedHead {
            head,
            body,
            keep_alive,
            expects_continue,
            wants_upgrade,
        } = parsed;
        self.move_on(Step::HeadDone {
            body: body != BodyLength::None,
        });
        self.blank_bytes = 0;
        self.exchange = Exchange {
            version: head.version,
            is_head: head.method == "HEAD",
            keep_alive,
            wants_upgrade,
            continue_owed: expects_continue,
            body: BodyReader::new(body, &self.limits),
            ..Exchange::none()
        };
        self.untold = Some(ServerEvent::Request(Box::new(Request {
            head,
            body,
            wants_upgrade,
        })));
    }

    /// Reads wanted body; `false` when more bytes are needed.
    fn read_body(&mut self) -> bool {
        match self.next_portion() {
            Ok(Portion {
                payload: 0,
                is_end: false,
                ..
            }) => self.starved(),
            Ok(Portion { is_end: true, .. }) => {
                self.move_on(Step::BodyDone);
                // The input of a hijacked connection goes on after the body of the request.
                if self.cycle.outbound != Outbound::Raw {
                    self.untold = Some(ServerEvent::End);
                }
                true
            }
            Ok(Portion { payload, .. }) => {
                self.untold = Some(ServerEvent::Bytes(self.received.split(payload)));
                true
            }
            Err(error) => {
                self.break_off(error);
                true
            }
        }
    }

    /// Skips body that nobody wants; `false` when more bytes are needed.
    fn drain_body(&mut self) -> bool {
        match self.next_portion() {
            Ok(Portion {
                payload: 0,
                is_end: false,
                ..
            }) => return self.starved(),
            Ok(Portion { is_end: true, .. }) => self.move_on(Step::BodyDone),
            Ok(Portion { payload, .. }) => {
                self.received.discard(payload);
                self.exchange.drained += payload as u64;
                if self.exchange.drained > self.limits.drain_bytes_max {
                    self.close();
                }
            }
            Err(_) => self.close(),
        }
        true
    }

    /// The next portion of body, its framing skipped.
    fn next_portion(&mut self) -> Result<Portion, PeerError> {
        let portion = self.exchange.body.next_portion(self.received.as_slice())?;
        self.received.discard(portion.skip);
        Ok(portion)
    }

    /// The body needs bytes, and there are none: wait, or notice that none will come.
    fn starved(&mut self) -> bool {
        if self.eof {
            self.break_off(PeerError::BodyCutOff);
        }
        self.eof
    }

    /// Whether the rest of the body can be skipped to save the connection, as far as is known.
    fn can_drain(&self) -> bool {
        self.cycle.inbound != Inbound::Body
            || !self.exchange.continue_owed
                && self
                    .exchange
                    .body
                    .left()
                    .is_none_or(|left| left <= self.limits.drain_bytes_max)
    }

    /// The answer is complete: go on with the connection, or not.
    fn answered(&mut self) {
        if !self.exchange.keep_alive || !self.can_drain() {
            self.close();
        }
    }

    fn next_request(&mut self, now: Instant) {
        self.move_on(Step::NextRequest);
        self.exchange = Exchange::none();
        self.wait = (Wait::Request, now);
    }

    /// Refuses, and tells whoever works on the request.
    fn break_off(&mut self, error: PeerError) {
        let is_live = self.cycle.is_live();
        self.refuse(error);
        if is_live {
            self.untold = Some(ServerEvent::Aborted);
        }
    }

    /// Ends without a word to the peer, and tells whoever works on the request.
    fn give_up(&mut self) {
        if self.cycle.is_live() {
            self.untold = Some(ServerEvent::Aborted);
        }
        self.close();
    }

    fn close(&mut self) {
        self.move_on(Step::Close);
        self.received.clear();
    }

    fn die(&mut self) {
        self.give_up();
        self.queue.clear();
        self.dead = true;
    }

    fn move_on(&mut self, step: Step) {
        let moved = self.cycle.step(step);
        debug_assert!(moved.is_ok(), "{step:?} in {:?}", self.cycle);
    }

    /// Received bytes that may be held now.
    fn receive_bytes_max(&self) -> usize {
        let Limits {
            early_bytes_max,
            input_bytes_max,
            blank_bytes_max,
            ..
        } = self.limits;
        match (self.cycle.inbound, self.cycle.outbound) {
            (Inbound::Idle | Inbound::Head, _) => {
                HeadScanner::head_bytes_max(&self.limits).saturating_add(blank_bytes_max)
            }
            (Inbound::Complete, _) => early_bytes_max,
            (Inbound::Body, Outbound::Owed | Outbound::Stream) if !self.exchange.accepted => early_bytes_max,
            (Inbound::Body | Inbound::Raw, _) => input_bytes_max,
            (Inbound::Discard, _) => usize::MAX,
        }
    }

    fn waits_for(&self) -> Wait {
        match (self.cycle.inbound, self.cycle.outbound) {
            (Inbound::Idle, _) => Wait::Request,
            (Inbound::Head, _) => Wait::Head,
            (Inbound::Body, Outbound::Sent) => Wait::Body,
            (Inbound::Body, Outbound::Owed | Outbound::Stream) if self.exchange.accepted && !self.exchange.paused => {
                Wait::Body
            }
            (Inbound::Discard, Outbound::Shut) => Wait::Fin,
            _ => Wait::Nothing,
        }
    }

    /// When the peer's time is up for what we wait for.
    fn wait_deadline(&self) -> Option<Instant> {
        let (wait, since) = self.wait;
        let timeout = match wait {
            Wait::Nothing => return None,
            Wait::Request => self.limits.idle_timeout,
            Wait::Head => self.limits.head_timeout,
            Wait::Body => self.limits.body_timeout,
            Wait::Fin => self.limits.linger_timeout,
        };
        Some(since + timeout)
    }

    /// When the peer's time is up for taking what is queued.
    fn stall_deadline(&self) -> Option<Instant> {
        self.queued_since
            .filter(|_| !self.holds_stream)
            .map(|since| since + self.limits.stall_timeout)
    }

    /// Brings the clocks up to date with the state.
    fn note_time(&mut self, now: Instant) {
        let wait = self.waits_for();
        if self.wait.0 != wait {
            self.wait = (wait, now);
        }
        if self.queue.is_empty() {
            self.queued_since = None;
            self.holds_stream = matches!(self.cycle.outbound, Outbound::Stream | Outbound::Raw);
        } else if self.queued_since.is_none() {
            self.queued_since = Some(now);
        }
    }
}

impl Protocol for Server {
    type Event = ServerEvent;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.cycle.inbound == Inbound::Discard || self.eof || self.dead {
            return bytes.len();
        }
        let taken = self.received.take_from(bytes, self.receive_bytes_max());
        // A body may take as long as it likes while it moves; a head may not.
        if taken > 0 && self.wait.0 == Wait::Body {
            self.wait.1 = now;
        }
        taken
    }

    fn handle_eof(&mut self, _now: Instant) {
        self.eof = true;
    }

    fn handle_reset(&mut self, _now: Instant) {
        self.die();
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.stall_deadline().is_some_and(|deadline| deadline <= now) {
            self.die();
        } else if self.wait_deadline().is_some_and(|deadline| deadline <= now) {
            match self.wait.0 {
                Wait::Nothing => {}
                Wait::Request => self.close(),
                Wait::Head | Wait::Body => self.break_off(PeerError::TooSlow),
                Wait::Fin => self.dead = true,
            }
            self.wait = (self.waits_for(), now);
        }
    }

    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<ServerEvent> {
        if let Some(event) = self.poll_event(now) {
            return Output::Event(event);
        }
        if self.dead {
            return Output::Close;
        }
        if !out.is_empty() && !self.queue.is_empty() {
            self.queued_since = Some(now);
            return match self.queue.take_source() {
                Some((source, len)) => Output::Splice { source, len },
                None => Output::Transmit(self.queue.fill(out)),
            };
        }
        self.note_time(now);
        if self.queue.is_empty() && self.cycle.outbound == Outbound::Closing {
            if self.abrupt {
                self.dead = true;
                return Output::Close;
            }
            self.move_on(Step::Shutdown);
            self.note_time(now);
            return Output::Shutdown;
        }
        if self.cycle.outbound == Outbound::Shut && self.eof {
            self.dead = true;
            return Output::Close;
        }
        let deadline = [self.wait_deadline(), self.stall_deadline()]
            .into_iter()
            .flatten()
            .min();
        Output::Wait(deadline)
    }

    fn output_queued(&self) -> usize {
        self.queue.len()
    }

    fn wants_input(&self) -> bool {
        !self.eof && !self.dead && self.received.len() < self.receive_bytes_max()
    }
}

impl Exchange {
    /// Between requests. The version is what an answer to something unreadable is sent in.
    fn none() -> Self {
        Self {
            version: HttpVersion::Http11,
            is_head: false,
            keep_alive: false,
            wants_upgrade: false,
            continue_owed: false,
            body: BodyReader::Known { left: 0 },
            accepted: false,
            paused: false,
            drained: 0,
            chunked: false,
            opened_after_eof: false,
            end_told: false,
        }
    }
}
