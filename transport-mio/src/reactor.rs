//! What lives on the loop (connections, pipes, timers, the queue of those to be served) and what a service may do with
//! it. Blocks nowhere and calls no service: call-backs come from `server`, `drive` and `pipe`.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
};

use bytes::Bytes;
use gantry_core::{
    Instant,
    driver::{
        ConnId, Direction, Driver, PipeId, Protocol, SourceId, TimerId, deadlines::Deadlines, limits::Limits,
        slab::Slab,
    },
};
use mio::{Interest, Token, unix::SourceFd};

use crate::{conn::Conn, listener::Listener, pipe::Pipe};

/// The [`Driver`] that a service is called with.
///
/// It acts at once on what it owns, but never calls back: whatever a call-back causes is delivered after it.
pub struct Reactor<P> {
    pub(crate) poll: mio::Poll,
    pub(crate) limits: Limits,
    pub(crate) now: Instant,
    pub(crate) turn: u64,
    pub(crate) conns: Slab<Conn<P>>,
    pub(crate) pipes: Slab<Pipe>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) deadlines: Deadlines<Deadline>,
    /// Those who can go on without a report of the kernel; each at most once.
    pub(crate) ready: VecDeque<Work>,
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

/// Who a report of the kernel is about, as the 64 bits that the kernel keeps for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Conn(ConnId),
    Inbox,
    Listener(usize),
    Pipe(PipeId),
}

const KIND_SHIFT: u32 = 61;
const _: () = assert!(usize::BITS == 64, "a token holds a slab key and its kind");

impl Source {
    pub(crate) fn token(self) -> Token {
        let (kind, key) = match self {
            Self::Conn(conn) => (0, conn.0 as usize),
            Self::Inbox => (1, 0),
            Self::Listener(number) => (2, number),
            Self::Pipe(pipe) => (3, pipe.0 as usize),
        };
        Token(kind << KIND_SHIFT | key)
    }

    pub(crate) fn from_token(token: Token) -> Self {
        let key = token.0 & ((1 << KIND_SHIFT) - 1);
        match token.0 >> KIND_SHIFT {
            0 => Self::Conn(ConnId(key as u64)),
            1 => Self::Inbox,
            2 => Self::Listener(key),
            _ => Self::Pipe(PipeId(key as u64)),
        }
    }
}

impl<P> Reactor<P> {
    pub(crate) fn new(limits: Limits) -> io::Result<Self> {
        Ok(Self {
            poll: mio::Poll::new()?,
            limits,
            now: Instant::default(),
            turn: 0,
            conns: Slab::new(),
            pipes: Slab::new(),
            listeners: Vec::new(),
            deadlines: Deadlines::new(),
            ready: VecDeque::new(),
            stopping: false,
        })
    }

    pub(crate) fn register(&self, fd: BorrowedFd<'_>, source: Source, interest: Interest) -> io::Result<()> {
        self.poll
            .registry()
            .register(&mut SourceFd(&fd.as_raw_fd()), source.token(), interest)
    }

    pub(crate) fn reregister(&self, fd: BorrowedFd<'_>, source: Source, interest: Interest) -> io::Result<()> {
        self.poll
            .registry()
            .reregister(&mut SourceFd(&fd.as_raw_fd()), source.token(), interest)
    }

    /// Takes a descriptor off the kernel's list. Closing it would not do: the kernel goes on reporting for as long as any
    /// process has a copy of it (epoll(7), "Questions and answers", 6).
    pub(crate) fn deregister(&self, fd: BorrowedFd<'_>) {
        // It fails only for a descriptor that is not on the list, such as a regular file, and that is the aim.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd.as_raw_fd()));
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

    /// The mode belongs to the open file description, so whoever shares that sees a non-blocking descriptor too. What
    /// epoll refuses (regular files, `/dev/null`) counts as always ready. A descriptor that cannot be watched for any
    /// other reason is reported by `pipe_closed`, like every later failure.
    fn open_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId {
        self.add_pipe(fd, direction)
    }

    fn pause_pipe(&mut self, id: PipeId, paused: bool) {
        if let Some(pipe) = self.pipes.get_mut(id.0) {
            pipe.paused = paused;
            if !paused {
                self.queue_pipe(id);
            }
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
            self.close_pipe(id);
        }
    }

    fn close_pipe(&mut self, id: PipeId) {
        if let Some(pipe) = self.pipes.remove(id.0) {
            self.deregister(pipe.fd());
        }
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_name_their_source(key in 0u64..1 << 61, number in 0usize..1000) {
            for source in [Source::Conn(ConnId(key)), Source::Inbox, Source::Listener(number), Source::Pipe(PipeId(key))] {
                prop_assert_eq!(Source::from_token(source.token()), source);
            }
        }
    }
}
