//! The engine's side of the house wall: what it can do to clients, pipes and timers.
//!
//! The engine is told about calls, bytes and deadlines (the methods of [`Engine`](crate::Engine)) and acts through a
//! [`Port`]. It never sees a socket, HTTP, or an API version. `gantryd` implements the port on top of a transport;
//! tests implement it in memory.

use std::os::fd::OwnedFd;

use bytes::Bytes;
use gantry_core::{
    Instant, Item, Reply,
    driver::{ConnId, Direction, PipeId, SourceId, TimerId},
};

/// One call of one client. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId {
    /// The connection it came by.
    pub conn: ConnId,
    /// Its number on that connection.
    pub request: u64,
}

/// What the engine can do to the outside during a call-back. No method blocks. A call or pipe that is gone by now is
/// ignored: its end has been told, or will be.
pub trait Port {
    /// The time of this turn.
    fn now(&self) -> Instant;
    /// Answers a call; exactly once for each.
    fn reply(&mut self, call: CallId, reply: Reply);
    /// Sends a piece of the stream that the reply opened.
    fn send(&mut self, call: CallId, item: Item);
    /// Whether the client's output queue is below its high-water mark. [`Engine::writable`](crate::Engine::writable)
    /// tells when it is so again.
    fn has_room(&mut self, call: CallId) -> bool;
    /// Ends a stream.
    fn finish(&mut self, call: CallId);
    /// Ends a stream so that the client notices that something is missing.
    fn abort(&mut self, call: CallId);
    /// Stops (or resumes) taking the client's body or input.
    fn pause_input(&mut self, call: CallId, paused: bool);
    /// See [`Driver::open_pipe`](gantry_core::driver::Driver::open_pipe).
    fn open_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId;
    /// Hands over a pipe for [`Item::Spliced`], named by the engine. Says whether this client can be served so; otherwise the
    /// pipe has been closed. See [`Driver::open_source`](gantry_core::driver::Driver::open_source).
    fn open_source(&mut self, call: CallId, source: SourceId, fd: OwnedFd) -> bool;
    /// See [`Driver::end_source`](gantry_core::driver::Driver::end_source).
    fn end_source(&mut self, call: CallId, source: SourceId, after: u64);
    /// See [`Driver::pause_pipe`](gantry_core::driver::Driver::pause_pipe).
    fn pause_pipe(&mut self, pipe: PipeId, paused: bool);
    /// See [`Driver::write_pipe`](gantry_core::driver::Driver::write_pipe).
    fn write_pipe(&mut self, pipe: PipeId, bytes: Bytes);
    /// See [`Driver::pipe_queued`](gantry_core::driver::Driver::pipe_queued).
    fn pipe_queued(&self, pipe: PipeId) -> usize;
    /// See [`Driver::finish_pipe`](gantry_core::driver::Driver::finish_pipe).
    fn finish_pipe(&mut self, pipe: PipeId);
    /// See [`Driver::close_pipe`](gantry_core::driver::Driver::close_pipe).
    fn close_pipe(&mut self, pipe: PipeId);
    /// See [`Driver::set_timer`](gantry_core::driver::Driver::set_timer).
    fn set_timer(&mut self, timer: TimerId, at: Option<Instant>);
}
