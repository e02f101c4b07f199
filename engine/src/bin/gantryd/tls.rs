//! TLS as a layer between a transport and a protocol: ciphertext outside, plaintext inside, no I/O.
//!
//! It is a [`Protocol`] around a [`Protocol`], so both transports carry it alike and neither knows of it; rustls, a state
//! machine itself, does the cryptography.
//!
//! ```text
//!   transport --- handle_input ---> rustls ---> plaintext ---> inner.handle_input
//!             <-- poll_output ----- rustls <--- plaintext <--- inner.poll_output
//! ```
//!
//! # Ends (RFC 8446 §6.1)
//!
//! The peer's close_notify ends its sending direction: on a hijacked connection, standard input. A bare FIN counts as well,
//! because old clients close so; a request cut short by it is found by HTTP's own framing. When the inner protocol ends its
//! direction or closes, our close_notify goes out first. After a failure of TLS nothing received reaches the inner protocol
//! any more: it is told of a reset, the peer gets the alert, and the connection closes.

mod config;
#[cfg(test)]
mod tests;

use std::{
    io::{BufRead, Write},
    sync::Arc,
    time::Duration,
};

use gantry_core::{
    Instant,
    driver::{Output, Protocol},
};
use rustls::{ServerConfig, ServerConnection};

pub(crate) use self::config::{TlsFiles, server_config};

/// How long a peer may take for its handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// What a client gets that speaks HTTP to a listener with TLS: Go's answer, and so dockerd's.
const NOT_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

/// A protocol whose bytes travel through TLS.
pub(crate) struct Tls<P> {
    session: ServerConnection,
    inner: P,
    /// When the handshake has to be over; `None` once it is.
    handshake_deadline: Option<Instant>,
    /// The peer's sending direction.
    theirs: Theirs,
    /// Our sending direction.
    ours: Ours,
    /// Goes out as it is when TLS has failed; a suffix of [`NOT_TLS`].
    in_clear: &'static [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theirs {
    /// Nothing has come yet.
    Silent,
    Open,
    /// It has ended; plaintext before that may still be undelivered.
    Ended,
    /// The inner protocol knows.
    EndTold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ours {
    Open,
    /// close_notify is on its way; then the transport ends our direction.
    Ending,
    Ended,
    /// TLS or the connection failed: the inner protocol is only heard to its end.
    Failed,
    /// What is on its way is the last.
    Closing,
}

impl<P: Protocol> Tls<P> {
    /// A connection that has just been accepted.
    pub(crate) fn new(config: Arc<ServerConfig>, inner: P, now: Instant) -> Self {
        let mut session = ServerConnection::new(config).expect("a configuration that could be built can serve");
        // Never more is given at once than the transport's buffer holds.
        session.set_buffer_limit(None);
        Self {
            session,
            inner,
            handshake_deadline: Some(now + HANDSHAKE_TIMEOUT),
            theirs: Theirs::Silent,
            ours: Ours::Open,
            in_clear: b"",
        }
    }

    /// The protocol inside, to give it commands.
    pub(crate) fn inner(&mut self) -> &mut P {
        &mut self.inner
    }

    /// Brings decrypted bytes, and the end behind them, to the inner protocol. Says whether it took everything.
    fn deliver(&mut self, now: Instant) -> bool {
        loop {
            let mut reader = self.session.reader();
            // To have nothing is an error here, of a kind that tells of ends; `process` knows them already.
            let plaintext = reader.fill_buf().unwrap_or_default();
            if plaintext.is_empty() {
                break;
            }
            let taken = self.inner.handle_input(now, plaintext);
            if taken == 0 {
                return false;
            }
            reader.consume(taken);
        }
        if self.theirs == Theirs::Ended {
            self.theirs = Theirs::EndTold;
            self.inner.handle_eof(now);
        }
        true
    }

    /// Decrypts what has been read.
    fn process(&mut self, now: Instant) {
        match self.session.process_new_packets() {
            Ok(state) => {
                if !self.session.is_handshaking() {
                    self.handshake_deadline = None;
                }
                if state.peer_has_closed() {
                    self.theirs = Theirs::Ended;
                }
            }
            Err(error) => {
                log::debug!("TLS: {error}");
                self.fail(now);
            }
        }
    }

    /// Nothing of the peer counts any more, and the inner protocol hears of a reset.
    fn fail(&mut self, now: Instant) {
        if self.is_open() {
            self.ours = Ours::Failed;
            self.theirs = Theirs::EndTold;
            self.handshake_deadline = None;
            self.inner.handle_reset(now);
        }
    }

    fn is_open(&self) -> bool {
        !matches!(self.ours, Ours::Failed | Ours::Closing)
    }

    /// Moves what waits to be sent into `out`.
    fn take_output(&mut self, out: &mut [u8]) -> usize {
        let size = out.len();
        let mut room = out;
        if !self.in_clear.is_empty() {
            let (now, later) = self.in_clear.split_at(size.min(self.in_clear.len()));
            room[..now.len()].copy_from_slice(now);
            self.in_clear = later;
            return now.len();
        }
        while self.session.wants_write() && !room.is_empty() {
            // It writes to memory, which fails only by being full.
            if self.session.write_tls(&mut room).is_err() {
                break;
            }
        }
        size - room.len()
    }

    fn has_output(&self) -> bool {
        self.session.wants_write() || !self.in_clear.is_empty()
    }
}

impl<P: Protocol> Protocol for Tls<P> {
    type Event = P::Event;

    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize {
        if self.theirs == Theirs::Silent && !bytes.is_empty() {
            self.theirs = Theirs::Open;
            if looks_like_http(bytes) {
                self.in_clear = NOT_TLS;
                self.fail(now);
            }
        }
        let mut rest = bytes;
        while !rest.is_empty() && self.theirs == Theirs::Open {
            if !self.deliver(now) || self.session.read_tls(&mut rest).is_err() {
                return bytes.len() - rest.len();
            }
            self.process(now);
        }
        if self.is_open() {
            self.deliver(now);
        }
        // What follows an end or a failure is taken for nothing.
        bytes.len()
    }

    fn handle_eof(&mut self, now: Instant) {
        if self.handshake_deadline.is_some() {
            return self.fail(now);
        }
        if self.theirs == Theirs::Open {
            self.theirs = Theirs::Ended;
        }
        if self.is_open() {
            self.deliver(now);
        }
    }

    fn handle_reset(&mut self, now: Instant) {
        self.fail(now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.handshake_deadline.is_some_and(|deadline| deadline <= now) {
            log::debug!("TLS: no handshake within {} s", HANDSHAKE_TIMEOUT.as_secs());
            return self.fail(now);
        }
        self.inner.handle_timeout(now);
    }

    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<P::Event> {
        if self.is_open() {
            self.deliver(now);
        }
        loop {
            let len = self.take_output(out);
            if len > 0 {
                return Output::Transmit(len);
            }
            let held_up = self.has_output();
            match self.ours {
                Ours::Ending if !held_up => {
                    self.ours = Ours::Ended;
                    return Output::Shutdown;
                }
                Ours::Closing if held_up => return Output::Wait(None),
                Ours::Closing => return Output::Close,
                Ours::Open | Ours::Ending | Ours::Ended | Ours::Failed => {}
            }
            let may_send = self.ours == Ours::Open && self.handshake_deadline.is_none() && !held_up;
            let room = if may_send { &mut *out } else { &mut [] };
            match self.inner.poll_output(now, room) {
                Output::Event(event) => return Output::Event(event),
                Output::Transmit(len) => {
                    let given = self.session.writer().write_all(&out[..len]);
                    given.expect("a session without a buffer limit takes everything");
                }
                // What is not seen cannot be encrypted; `Channel::splices` says so to whoever might ask for it.
                Output::Splice { .. } => {
                    debug_assert!(false, "nothing is spliced through TLS");
                    self.ours = Ours::Closing;
                }
                Output::Wait(_) if self.ours == Ours::Failed => self.ours = Ours::Closing,
                Output::Wait(deadline) => {
                    return Output::Wait(deadline.into_iter().chain(self.handshake_deadline).min());
                }
                Output::Shutdown if self.ours == Ours::Open => {
                    self.session.send_close_notify();
                    self.ours = Ours::Ending;
                }
                Output::Shutdown => {}
                Output::Close => {
                    if self.ours == Ours::Open {
                        self.session.send_close_notify();
                    }
                    self.ours = Ours::Closing;
                }
            }
        }
    }

    fn output_queued(&self) -> usize {
        self.inner.output_queued()
    }

    fn wants_input(&self) -> bool {
        self.handshake_deadline.is_some() || self.inner.wants_input()
    }
}

/// Whether these first bytes begin a request, where a TLS record has its header: the five bytes that Go's server looks at.
fn looks_like_http(bytes: &[u8]) -> bool {
    let methods: [&[u8]; 6] = [b"GET /", b"HEAD ", b"POST ", b"PUT /", b"OPTIO", b"DELET"];
    methods.iter().any(|method| bytes.starts_with(method))
}
