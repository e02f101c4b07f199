//! What lives on the loop (connections, pipes, timers, the queue of those to be served) and what a service may do with
//! it. Blocks nowhere and calls no service: call-backs come from `server`, `drive` and `pipe`.

use std::{collections::VecDeque, os::fd::OwnedFd};

use bytes::Bytes;
use gantry_core::{
    Instant,
    driver::{
        ConnId, Direction, Driver, PipeId, Protocol, SourceId, TimerId, deadlines::Deadlines, limits::Limits,
        slab::Slab,
    },
};

use crate::{buffer::Size, conn::Conn, listener::Listener, op::Owner, pipe::Pipe, probe::Refused, ring::Ring};

/// The [`Driver`] that a service is called with.
///
/// It acts at once on what it owns, but never calls back: whatever a call-back causes is delivered after it.
pub struct Reactor<P> {
    pub(crate) ring: Ring,
    pub(crate) limits: Limits,
    pub(crate) now: Instant,
    pub(crate) turn: u64,
    pub(crate) conns: Slab<Conn<P>>,
    pub(crate) pipes: Slab<Pipe>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) deadlines: Deadlines<Deadline>,
    /// Those who have found no free receive buffer.
    pub(crate) starved: Vec<Owner>,
    /// Those who can go on without the kernel; each at most once.
    pub(crate) ready: VecDeque<Work>,
    /// The connection that has this turn for itself.
    pub(crate) alone: Option<ConnId>,
    pub(crate) stopping: bool,
}

/// One place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    Conn(ConnId),
    Listener(usize),
    Pipe(PipeId),
}

/// Whose deadline it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deadline {
    Accept,
    Conn(ConnId),
    Timer(TimerId),
}

impl<P> Reactor<P> {
    pub(crate) fn new(limits: Limits) -> Result<Self, Refused> {
        Ok(Self {
            ring: Ring::new()?,
            limits,
            now: Instant::default(),
            turn: 0,
            conns: Slab::new(),
            pipes: Slab::new(),
            listeners: Vec::new(),
            deadlines: Deadlines::new(),
            starved: Vec::new(),
            ready: VecDeque::new(),
            alone: None,
            stopping: false,
        })
    }

    /// Whether there is a place for one more connection.
    pub(crate) fn has_room(&self) -> bool {
        self.conns.len() < self.limits.connections
    }

    /// Lets those go on who have found no free receive buffer, if there are any now.
    pub(crate) fn feed_starved(&mut self) {
        if self.starved.is_empty() {
            return self.ring.buffers.narrow();
        }
        if !self.ring.buffers.has_any(Size::Large) {
            return;
        }
        for owner in std::mem::take(&mut self.starved) {
            match owner {
                Owner::Conn(id) => {
                    if let Some(conn) = self.conns.get_mut(id.0) {
                        conn.intake_mut().feed();
                    }
                    self.queue_conn(id);
                }
                Owner::Pipe(id) => {
                    if let Some(pipe) = self.pipes.get_mut(id.0) {
                        pipe.intake_mut().feed();
                    }
                    self.queue_pipe(id);
                }
                Owner::Inbox | Owner::Listener(_) => {}
            }
        }
    }

    pub(crate) fn queue_conn(&mut self, id: ConnId) {
        if let Some(conn) = self.conns.get_mut(id.0)
            && conn.place.enter()
        {
            self.ready.push_back(Work::Conn(id));
        }
    }

    pub(crate) fn queue_pipe(&mut self, id: PipeId) {
        if let Some(pipe) = self.pipes.get_mut(id.0)
            && pipe.place.enter()
        {
            self.ready.push_back(Work::Pipe(id));
        }
    }

    pub(crate) fn queue_listener(&mut self, number: usize) {
        if let Some(listener) = self.listeners.get_mut(number)
            && listener.place.enter()
        {
            self.ready.push_back(Work::Listener(number));
        }
    }
}

impl<P: Protocol> Driver for Reactor<P> {
    type Protocol = P;
    type Fd = OwnedFd;

    fn now(&self) -> Instant {
        self.now
    }

    fn protocol(&mut self, conn: ConnId) -> Option<&mut P> {
        self.queue_conn(conn);
        self.conns.get_mut(conn.0).map(|conn| &mut conn.state.protocol)
    }

    /// The mode belongs to the open file description, so whoever shares that sees a non-blocking descriptor too. A
    /// descriptor that cannot be used is reported by `pipe_closed`, like every later failure.
    fn open_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId {
        self.add_pipe(fd, direction)
    }

    fn pause_pipe(&mut self, id: PipeId, paused: bool) {
        if let Some(pipe) = self.pipes.get_mut(id.0) {
            pipe.paused = paused;
            // Its turn starts or stops reading.
            self.queue_pipe(id);
        }
    }

    /// An empty `bytes` is nothing to write: it is no packet, and `pipe_drained` is not called for it. Nothing can be
    /// written after [`finish_pipe`](Driver::finish_pipe).
    fn write_pipe(&mut self, id: PipeId, bytes: Bytes) {
        if let Some(pipe) = self.pipes.get_mut(id.0)
            && pipe.enqueue(bytes)
        {
            self.queue_pipe(id);
        }
    }

    fn pipe_queued(&self, id: PipeId) -> usize {
        self.pipes.get(id.0).map_or(0, Pipe::queued_bytes)
    }

    /// With an empty queue it closes at once. `pipe_closed` is called only if the pipe ends by itself before.
    fn finish_pipe(&mut self, id: PipeId) {
        let Some(pipe) = self.pipes.get_mut(id.0) else { return };
        pipe.finishing = true;
        if pipe.queued_bytes() == 0 {
            self.remove_pipe(id);
        }
    }

    fn close_pipe(&mut self, id: PipeId) {
        self.remove_pipe(id);
    }

    fn open_source(&mut self, conn: ConnId, source: SourceId, fd: OwnedFd) {
        if let Some(conn) = self.conns.get_mut(conn.0) {
            conn.stream.sources.open(source, fd);
        }
    }

    fn end_source(&mut self, conn: ConnId, source: SourceId, after: u64) {
        if let Some(conn) = self.conns.get_mut(conn.0) {
            conn.stream.sources.end(source, after);
        }
    }

    fn set_timer(&mut self, timer: TimerId, at: Option<Instant>) {
        self.deadlines.set(Deadline::Timer(timer), at);
    }

    fn stop(&mut self) {
        self.stopping = true;
    }
}

impl<P> std::fmt::Debug for Reactor<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor")
            .field("now", &self.now)
            .field("conns", &self.conns.len())
            .field("pipes", &self.pipes.len())
            .finish_non_exhaustive()
    }
}
