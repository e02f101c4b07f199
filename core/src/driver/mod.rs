//! The contract between a protocol, a transport, and the daemon behind them.
//!
//! A transport owns sockets, pipes, timers and the one place that blocks. It moves bytes between them and a
//! [`Protocol`], and tells a [`Service`] what happened. It knows neither Docker nor HTTP. The daemon is a `Service`; it
//! acts back through [`Driver`]. The traits are worded so that a readiness-based loop (epoll) and a completion-based one
//! (io_uring) fit alike: the service never sees readiness, only bytes that have arrived and queues that have drained.
//!
//! ```text
//!             bytes                    events                      calls
//!   socket <---------> transport <---> Protocol ---> transport ---> Service
//!   pipe   <--------->     ^                                           |
//!                          '-------------------- Driver ---------------'
//! ```
//!
//! What every transport needs and no system call is part of lives here as well, so that all of them behave alike:
//! [`conn`] is a connection's turn, [`turn`] and [`limits`] keep turns fair and small, [`slab`] hands out ids,
//! [`deadlines`] orders timers, [`outgoing`] is a pipe's queue, [`held`] keeps what was not taken.

pub mod conn;
pub mod deadlines;
pub mod held;
pub mod limits;
pub mod outgoing;
pub mod slab;
pub mod turn;

use bytes::Bytes;

use crate::time::Instant;

/// A sans-I/O protocol state machine, one per connection.
///
/// **Every input (`handle_…`, or a command of the concrete type) is followed by [`poll_output`](Self::poll_output) until
/// it returns [`Output::Wait`], [`Output::Shutdown`] has been carried out and [`Output::Close`] ends the connection.**
/// Spurious calls are harmless.
pub trait Protocol {
    /// What the protocol tells the service.
    type Event;

    /// Offers received bytes; returns how many were taken, always a prefix. Fewer than offered means back-pressure: poll,
    /// keep the rest, do not read more from the socket, and offer the rest again after the next command or event.
    ///
    /// Malformed input is no error here: the protocol answers the peer by itself and then asks for [`Output::Close`].
    fn handle_input(&mut self, now: Instant, bytes: &[u8]) -> usize;

    /// The peer has ended its sending direction (FIN). It may still read.
    fn handle_eof(&mut self, now: Instant);

    /// The connection is gone in both directions (reset, hang-up, write error). Only events and `Close` follow.
    fn handle_reset(&mut self, now: Instant);

    /// Time has passed; call it at the deadline of [`Output::Wait`], or at any time.
    fn handle_timeout(&mut self, now: Instant);

    /// What next? `out` is scratch memory for bytes to send. An empty `out` says "I cannot send now"; events still flow.
    fn poll_output(&mut self, now: Instant, out: &mut [u8]) -> Output<Self::Event>;

    /// Bytes that wait to be sent. When it has risen above the protocol's high-water mark and falls below its low-water
    /// mark, the transport calls [`Service::writable`].
    fn output_queued(&self) -> usize;

    /// Whether received bytes would be taken now. While false, the transport does not read the socket.
    fn wants_input(&self) -> bool;
}

/// The answer of [`Protocol::poll_output`].
#[derive(Debug, PartialEq, Eq)]
pub enum Output<E> {
    /// Tell the service.
    Event(E),
    /// Send the next bytes of a pipe behind what was transmitted; all of them before anything else. They never pass
    /// through the protocol's memory, nor through the transport's (splice(2)).
    Splice {
        /// A pipe that was opened for this connection with [`Driver::open_source`].
        source: SourceId,
        /// How many. They are in the pipe already. Never 0.
        len: usize,
    },
    /// Send `out[..n]`; all of it before anything else. `n` is never 0.
    Transmit(usize),
    /// Nothing to do until there is input, a command, or this deadline has come.
    Wait(Option<Instant>),
    /// End our sending direction (FIN, close_notify) and go on reading. Said once.
    Shutdown,
    /// Close the connection. Said until it happens; all bytes have been handed out before.
    Close,
}

/// A connection of a transport. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// A listening socket of a transport, named by whoever gave it to the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u64);

/// A descriptor that was handed to a transport with [`Driver::open_pipe`]. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PipeId(pub u64);

/// A pipe whose bytes go to one connection unseen, named by the service itself. Never used again on that connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u64);

/// A timer of the service, named by the service itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

/// What a transport offers the service during a call-back.
pub trait Driver {
    /// The protocol of every connection.
    type Protocol: Protocol;
    /// An owned descriptor.
    type Fd;

    /// The time of this turn of the loop.
    fn now(&self) -> Instant;

    /// The protocol of a connection, to give it commands; it is polled after the call-back. `None` when the connection
    /// is gone.
    fn protocol(&mut self, conn: ConnId) -> Option<&mut Self::Protocol>;

    /// Hands over a pipe, terminal or socket, in any mode; it is made non-blocking. What arrives goes to
    /// [`Service::pipe_input`] from now on, if `direction` includes reading. A sequenced-packet socket delivers one
    /// packet per call, of at most [`PIPE_PACKET_MAX`] bytes.
    fn open_pipe(&mut self, fd: Self::Fd, direction: Direction) -> PipeId;

    /// Stops (or resumes) reading a pipe. Bytes that the kernel had delivered before may still arrive once.
    fn pause_pipe(&mut self, pipe: PipeId, paused: bool);

    /// Queues bytes to write, in order. [`Service::pipe_drained`] tells when all have been written. On a
    /// sequenced-packet socket every call is one packet. Unknown pipes are ignored, as it may have been closed by the
    /// peer a moment before.
    fn write_pipe(&mut self, pipe: PipeId, bytes: Bytes);

    /// Bytes queued and not written yet; 0 for an unknown pipe.
    fn pipe_queued(&self, pipe: PipeId) -> usize;

    /// Closes a pipe once its queue is empty; until then it is still read.
    fn finish_pipe(&mut self, pipe: PipeId);

    /// Closes a pipe now. [`Service::pipe_closed`] is not called for it.
    fn close_pipe(&mut self, pipe: PipeId);

    /// Hands over the reading end of a pipe whose bytes go to one connection only, by [`Output::Splice`]. It belongs to
    /// that connection and is closed with it, which its writer notices.
    ///
    /// **Whoever has the protocol say [`Output::Splice`] knows that the bytes are in the pipe.** A connection whose pipe ends
    /// before them is cut off, as nothing else could be sent in their place.
    fn open_source(&mut self, conn: ConnId, source: SourceId, fd: Self::Fd);

    /// Closes a source once `after` bytes have been taken out of it since it was opened; what is left in it is lost. An
    /// unknown one is ignored.
    fn end_source(&mut self, conn: ConnId, source: SourceId, after: u64);

    /// Sets, moves or (with `None`) clears the one deadline of `timer`.
    fn set_timer(&mut self, timer: TimerId, at: Option<Instant>);

    /// Leaves the loop after this turn: listeners are closed, connections dropped.
    fn stop(&mut self);
}

/// Bytes of the largest packet that a sequenced-packet pipe delivers.
pub const PIPE_PACKET_MAX: usize = 64 * 1024 + 64;

/// Which ways a pipe is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Only read.
    Read,
    /// Only written. The end of its reader is noticed all the same.
    Write,
    /// Both (a socket or terminal).
    Both,
}

/// The daemon, as the transport sees it. No call-back may block.
pub trait Service<D: Driver + ?Sized> {
    /// What other threads send to the loop.
    type Message: Send + 'static;

    /// A new connection's protocol. `listener` is where the peer came in.
    fn accept(&mut self, driver: &mut D, conn: ConnId, listener: ListenerId) -> D::Protocol;

    /// The protocol said something.
    fn event(&mut self, driver: &mut D, conn: ConnId, event: <D::Protocol as Protocol>::Event);

    /// A connection's output queue has fallen below its low-water mark after it was above its high-water mark.
    fn writable(&mut self, driver: &mut D, conn: ConnId);

    /// A connection is gone; its id is dead. All its events have been delivered.
    fn closed(&mut self, driver: &mut D, conn: ConnId);

    /// Bytes came out of a pipe (one packet, for a sequenced-packet socket). Never empty.
    fn pipe_input(&mut self, driver: &mut D, pipe: PipeId, bytes: &[u8]);

    /// A pipe's write queue became empty.
    fn pipe_drained(&mut self, driver: &mut D, pipe: PipeId);

    /// A pipe ended: its peer closed it (`errno` 0) or it failed. Its id is dead, what was queued for it is lost.
    fn pipe_closed(&mut self, driver: &mut D, pipe: PipeId, errno: i32);

    /// A timer's deadline has come. It is cleared.
    fn timer(&mut self, driver: &mut D, timer: TimerId);

    /// Another thread sent something.
    fn message(&mut self, driver: &mut D, message: Self::Message);
}
