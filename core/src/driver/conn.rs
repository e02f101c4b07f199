//! One connection's turn without its system calls: the protocol's output, then input, until nothing moves or the share of
//! the turn is used up. Every transport drives its connections by this, and so they behave alike.
//!
//! ```text
//!            +---------------------- drain ----------------------+        +------------ feed ------------+
//!   step --> | what waits -> poll_output -> events, output, end  | -----> | held bytes, or received ones,| --> Wait
//!            +---------------------------------------------------+  idle  | or the end of the peer       |
//!                                  ^                                      +------------------------------+
//!                                  '------------- something was taken ---------------'
//! ```
//!
//! How a peer goes: it ends its sending direction (a receive says so), and may still read. Or it is gone, which a hang-up, an
//! error or a failed send says; what it sent before is still delivered first, then the protocol hears of the reset.

use core::time::Duration;

use super::{
    Output, Protocol, SourceId,
    held::Held,
    limits::{CLOSE_LINGER, GONE_LINGER, OUTPUT_HIGH_WATER, OUTPUT_LOW_WATER, OUTPUT_ROOM_MIN},
    turn::Budget,
};
use crate::time::Instant;

/// A stream socket and the memory that goes with it, as a turn uses it. Nothing here waits.
pub trait Socket {
    /// Free memory for output, behind what has been [`put`](Self::put); empty while earlier output waits to be sent.
    fn room(&mut self) -> &mut [u8];

    /// The first `len` bytes of the room are output now.
    fn put(&mut self, len: usize);

    /// The next `len` bytes of a source are output now, behind what has been put; there is no room before they are sent.
    fn put_source(&mut self, source: SourceId, len: usize);

    /// Sends what has been put, or goes on with what waits, as far as possible. Returns the bytes that the socket has
    /// taken since this was called last.
    ///
    /// # Errors
    ///
    /// The peer is gone: nothing will ever be sent.
    fn send(&mut self) -> Result<usize, PeerGone>;

    /// Bytes that have been put and that the socket has not taken.
    fn unsent(&self) -> usize;

    /// Forgets what is unsent.
    fn discard(&mut self);

    /// Ends our sending direction. Called once, when nothing is unsent.
    fn shutdown(&mut self);

    /// The next received bytes, or why there are none. Called only when nothing has been put since the last
    /// [`send`](Self::send).
    fn recv(&mut self) -> Received<'_>;

    /// What [`recv`](Self::recv) would give, which stays where it is; of bytes it is enough to say that there are some.
    fn peek(&mut self) -> Received<'_>;
}

/// The peer takes no bytes any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerGone;

/// What a socket has for us.
#[derive(Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// Bytes, of which what is not used at once is lost to the socket.
    Bytes(&'a [u8]),
    /// The peer has ended its sending direction.
    End,
    /// The connection has failed.
    Failed,
    /// Nothing that is known of; the connection is stepped again when there may be.
    Later,
    /// Nothing at this moment, for sure.
    Nothing,
}

/// What a step came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<E> {
    /// The connection is over: it is to be closed now.
    Close,
    /// The service is to be told; then the next step.
    Event(E),
    /// The share of the turn is used up: the others come first.
    Spent,
    /// Nothing can be done without a report, a command or a deadline.
    Wait,
    /// The service is to be told that the output queue has fallen below its low mark; then the next step.
    Writable,
}

/// What is known of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// May send and read.
    Here,
    /// Has ended its sending direction, and the protocol knows.
    Finished,
    /// Takes nothing any more; what it sent before may still be unread, and the protocol does not know yet.
    Gone,
    /// Is gone, and the protocol knows.
    Lost,
}

/// Our direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// To be ended behind what is unsent.
    Ending,
    Ended,
}

/// All of a connection but its socket.
///
/// **Whoever gets [`Step::Event`] or [`Step::Writable`] from [`step`](Self::step) tells the service and steps again, in the
/// same turn and with the same budget.**
#[derive(Debug)]
pub struct ConnState<P> {
    /// The protocol; after a command or any other input to it the connection is stepped.
    pub protocol: P,
    /// Received, offered, and not taken.
    held: Held,
    /// The queue was above the high-water mark and has not been below the low one since.
    above_high: bool,
    sending: Sending,
    peer: Peer,
    /// The end of the peer's sending direction has been reported; bytes may still lie before it.
    fin_seen: bool,
    /// The protocol has said [`Output::Close`]; what is unsent still goes out.
    closing: bool,
    /// When the protocol wants to hear of the time.
    deadline: Option<Instant>,
    /// When patience ends, with a peer that takes no last bytes or a protocol that takes none of a vanished peer.
    linger: Option<Instant>,
    /// The deadline in the loop's list, which is never later than `deadline` and `linger`.
    armed: Option<Instant>,
}

impl<P: Protocol> ConnState<P> {
    /// A connection that has just been accepted.
    pub fn new(protocol: P) -> Self {
        Self {
            protocol,
            held: Held::default(),
            above_high: false,
            sending: Sending::Open,
            peer: Peer::Here,
            fin_seen: false,
            closing: false,
            deadline: None,
            linger: None,
            armed: None,
        }
    }

    /// What is known of the peer.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Whether the end of the peer's sending direction has been reported or received.
    pub fn fin_seen(&self) -> bool {
        self.fin_seen
    }

    /// Whether bytes of the socket would be used now.
    pub fn wants_input(&self) -> bool {
        let listens = !self.closing && matches!(self.peer, Peer::Here | Peer::Gone);
        listens && self.held.is_empty() && self.protocol.wants_input()
    }

    /// Whether the end of what is being sent lets anything happen: further output, our end, a call of the service.
    pub fn waits_to_send(&self) -> bool {
        self.above_high || self.closing || self.sending == Sending::Ending || self.protocol.output_queued() > 0
    }

    /// The kernel reports that the peer has ended its sending direction.
    pub fn note_fin(&mut self) {
        self.fin_seen = true;
    }

    /// The kernel reports an error, or that both directions are over.
    pub fn note_hang_up(&mut self) {
        // Once we have ended our direction, this says no more than that the peer has ended its own.
        if self.sending != Sending::Ended && self.peer != Peer::Lost {
            self.peer = Peer::Gone;
        }
        self.fin_seen = true;
    }

    /// The deadline that was asked for with [`arm`](Self::arm) has come. The connection is to be stepped.
    pub fn handle_deadline(&mut self, now: Instant) {
        self.armed = None;
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            self.protocol.handle_timeout(now);
        }
        if self.linger.is_some_and(|linger| linger <= now) {
            self.lose(now);
        }
    }

    /// After a turn: the deadline that the loop has to set, if another than it knows of.
    pub fn arm(&mut self, now: Instant) -> Option<Instant> {
        // A protocol that still names a time that has come does not make the loop spin.
        let soonest = now + Duration::from_millis(1);
        let wanted = self.deadline.into_iter().chain(self.linger).min()?.max(soonest);
        // Idle deadlines move on with every request. An earlier entry is left as it is; it finds out when it is due.
        if self.armed.is_some_and(|armed| armed <= wanted) {
            return None;
        }
        self.armed = Some(wanted);
        self.armed
    }

    /// The connection is gone, and the protocol hears of it. Always true, for it has to be polled.
    pub fn lose(&mut self, now: Instant) -> bool {
        if self.peer != Peer::Lost {
            self.peer = Peer::Lost;
            self.held = Held::default();
            self.linger = None;
            self.protocol.handle_reset(now);
        }
        true
    }

    /// Goes on until the service is to be told something, or nothing moves.
    pub fn step<S: Socket>(&mut self, now: Instant, socket: &mut S, budget: &mut Budget) -> Step<P::Event> {
        loop {
            if let Some(step) = self.drain(now, socket, budget) {
                return step;
            }
            if !self.feed(now, socket, budget) {
                return Step::Wait;
            }
        }
    }

    /// Takes what the protocol has to say; `None` when it waits.
    fn drain<S: Socket>(&mut self, now: Instant, socket: &mut S, budget: &mut Budget) -> Option<Step<P::Event>> {
        loop {
            self.above_high |= self.queued(socket) >= OUTPUT_HIGH_WATER;
            // What has just been put waits for more; what has waited before goes first.
            if socket.room().is_empty() {
                self.send(now, socket, budget);
            }
            if self.sending == Sending::Ending && socket.unsent() == 0 {
                self.sending = Sending::Ended;
                socket.shutdown();
            }
            if self.closing {
                let over = socket.unsent() == 0 || matches!(self.peer, Peer::Gone | Peer::Lost);
                return Some(if over { Step::Close } else { Step::Wait });
            }
            if budget.is_spent() {
                self.send(now, socket, budget);
                return Some(Step::Spent);
            }
            let room = match self.peer {
                Peer::Lost => &mut [],
                Peer::Here | Peer::Finished | Peer::Gone => socket.room(),
            };
            let room_len = room.len();
            match self.protocol.poll_output(now, room) {
                Output::Event(event) => {
                    budget.spend_event();
                    return Some(Step::Event(event));
                }
                Output::Splice { source, len } => {
                    assert!(
                        0 < len && 0 < room_len,
                        "the protocol splices {len} bytes, asked with {room_len} of room"
                    );
                    socket.put_source(source, len);
                    self.send(now, socket, budget);
                }
                Output::Transmit(len) => {
                    assert!(
                        0 < len && len <= room_len,
                        "the protocol sends {len} bytes out of {room_len}"
                    );
                    socket.put(len);
                    if room_len - len < OUTPUT_ROOM_MIN {
                        self.send(now, socket, budget);
                    }
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    if self.peer == Peer::Lost {
                        // After a reset only events and `Close` follow: there are no more events.
                        return Some(Step::Close);
                    }
                    self.send(now, socket, budget);
                    if !self.above_high || self.queued(socket) >= OUTPUT_LOW_WATER {
                        return None;
                    }
                    self.above_high = false;
                    budget.spend_step();
                    return Some(Step::Writable);
                }
                Output::Shutdown => {
                    self.send(now, socket, budget);
                    if self.sending == Sending::Open {
                        self.sending = Sending::Ending;
                    }
                }
                Output::Close => {
                    self.send(now, socket, budget);
                    self.closing = true;
                    self.deadline = None;
                    self.linger = Some(now + CLOSE_LINGER);
                }
            }
        }
    }

    fn send<S: Socket>(&mut self, now: Instant, socket: &mut S, budget: &mut Budget) {
        if socket.unsent() == 0 {
            return;
        }
        let sent = match self.peer {
            Peer::Here | Peer::Finished => socket.send(),
            Peer::Gone | Peer::Lost => Err(PeerGone),
        };
        match sent {
            Ok(len) => {
                budget.spend_bytes(len);
                if self.closing && len > 0 {
                    self.linger = Some(now + CLOSE_LINGER);
                }
            }
            Err(PeerGone) => {
                if self.peer != Peer::Lost {
                    self.peer = Peer::Gone;
                }
                // Nobody will ever take these bytes: they are done with.
                budget.spend_bytes(socket.unsent());
                socket.discard();
            }
        }
    }

    fn queued<S: Socket>(&self, socket: &S) -> usize {
        self.protocol.output_queued() + socket.unsent()
    }

    /// Brings the protocol one input; says whether it has to be polled again.
    fn feed<S: Socket>(&mut self, now: Instant, socket: &mut S, budget: &mut Budget) -> bool {
        if self.peer == Peer::Lost {
            return false;
        }
        if !self.protocol.wants_input() {
            return self.feed_bare_end(now, socket);
        }
        if !self.held.is_empty() {
            let rest = self.held.rest();
            let taken = self.protocol.handle_input(now, rest).min(rest.len());
            self.held.consume(taken);
            self.note_taken(taken, budget);
            return taken > 0;
        }
        match socket.recv() {
            Received::Bytes(bytes) => {
                let taken = self.protocol.handle_input(now, bytes).min(bytes.len());
                if let Some(rest) = bytes.get(taken..)
                    && !rest.is_empty()
                {
                    self.held.keep(rest);
                }
                self.note_taken(taken, budget);
                true
            }
            Received::End => self.feed_end(now),
            Received::Failed => self.lose(now),
            Received::Later => false,
            // A peer that is gone has nothing more to say.
            Received::Nothing => self.peer == Peer::Gone && self.lose(now),
        }
    }

    fn note_taken(&mut self, taken: usize, budget: &mut Budget) {
        budget.spend_bytes(taken);
        budget.spend_step();
        if taken > 0 {
            self.linger = None;
        }
    }

    /// The protocol takes no bytes; an end of the peer with no bytes before it does not wait for that.
    fn feed_bare_end<S: Socket>(&mut self, now: Instant, socket: &mut S) -> bool {
        if self.held.is_empty() {
            if self.peer != Peer::Gone && (!self.fin_seen || self.peer == Peer::Finished) {
                return false;
            }
            match socket.peek() {
                Received::Bytes(_) => {}
                Received::End => return self.feed_end(now),
                Received::Failed => return self.lose(now),
                Received::Later => return false,
                Received::Nothing if self.peer == Peer::Gone => return self.lose(now),
                Received::Nothing => {}
            }
        }
        if self.peer == Peer::Gone && self.linger.is_none() {
            self.linger = Some(now + GONE_LINGER);
        }
        false
    }

    /// The socket has given all bytes of the peer.
    fn feed_end(&mut self, now: Instant) -> bool {
        self.fin_seen = true;
        match self.peer {
            Peer::Here => {
                self.peer = Peer::Finished;
                self.protocol.handle_eof(now);
                true
            }
            Peer::Gone => self.lose(now),
            Peer::Finished | Peer::Lost => false,
        }
    }
}

#[cfg(test)]
mod tests;
