//! The service's descriptors on the loop: pipes, terminals, stream and sequenced-packet sockets, files.
//!
//! Sources: pipe(7), pty(7), unix(7), epoll(7). How they say that they are over:
//!
//! | descriptor | read side | write side |
//! | --- | --- | --- |
//! | pipe | `read` gives 0 | EPOLLERR, EPIPE |
//! | terminal, master | `read` gives EIO once all slaves are closed | EIO |
//! | socket | `recv` gives 0, or ECONNRESET if the peer left bytes unread | EPOLLHUP, EPIPE |
//! | regular file | `read` gives 0 | never |

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use bytes::Bytes;
use gantry_core::driver::{
    Direction, Driver, PIPE_PACKET_MAX, PipeId, Protocol, Service,
    outgoing::Outgoing,
    turn::{Budget, Place},
};
use mio::Interest;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        socket::{MsgFlags, SockType, getsockopt, sockopt},
        stat::{SFlag, fstat},
    },
};

use crate::{
    calls::{read, recv, writev},
    limits::{PIPE_READ_BYTES, WRITE_PIECES},
    reactor::{Reactor, Source},
};

/// One descriptor of the service.
#[derive(Debug)]
pub(crate) struct Pipe {
    fd: OwnedFd,
    direction: Direction,
    kind: Kind,
    /// What the kernel reports; `None` if it does not watch this descriptor because it is always ready.
    pub(crate) interest: Option<Interest>,
    /// Reading may give something: true from a report of the kernel until a read finds nothing.
    readable: bool,
    /// The descriptor took less than it was given, and has not reported room since.
    blocked: bool,
    /// The kernel has reported that nobody reads what is written here.
    reader_gone: bool,
    pub(crate) paused: bool,
    pub(crate) finishing: bool,
    queue: Outgoing,
    /// Writing has failed for good; what can still be read is delivered before the service hears of it.
    failed: Option<Errno>,
    pub(crate) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A character device: EIO is how a terminal says that its other side is closed.
    Device,
    /// A socket that keeps packets apart.
    Packet,
    Stream,
}

impl Pipe {
    fn new(fd: OwnedFd, direction: Direction) -> Self {
        let kind = Kind::of(fd.as_fd());
        Self {
            fd,
            direction,
            kind,
            interest: None,
            readable: false,
            blocked: false,
            reader_gone: false,
            paused: false,
            finishing: false,
            queue: Outgoing::default(),
            failed: None,
            place: Place::default(),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(crate) fn queued_bytes(&self) -> usize {
        self.queue.len()
    }

    /// Takes bytes into the queue; says whether there is something new to write.
    pub(crate) fn enqueue(&mut self, bytes: Bytes) -> bool {
        if bytes.is_empty() || self.finishing || self.failed.is_some() {
            return false;
        }
        self.queue.push(bytes);
        true
    }

    /// Notes a report of the kernel. An end is reported as an edge like everything else, so whoever reads goes on until
    /// the read itself says so: bytes may still lie before it.
    pub(crate) fn note(&mut self, report: &mio::event::Event) {
        let over = report.is_write_closed() || report.is_error();
        self.readable |= report.is_readable() || report.is_read_closed() || over;
        self.reader_gone |= over;
        if report.is_writable() || over {
            self.blocked = false;
        }
    }

    fn reads(&self) -> bool {
        self.direction != Direction::Write
    }

    /// What the kernel is to report. It reports errors and hang-ups in any case; a descriptor for which nothing else
    /// matters now asks for priority data, which pipes, terminals and unix sockets never have.
    fn wanted_interest(&self) -> Interest {
        match (self.reads(), self.blocked) {
            (true, true) => Interest::READABLE | Interest::WRITABLE,
            (true, false) => Interest::READABLE,
            (false, true) => Interest::WRITABLE,
            (false, false) => Interest::PRIORITY,
        }
    }

    fn read(&self, scratch: &mut [u8]) -> Result<usize, Errno> {
        match self.kind {
            Kind::Packet => {
                let room = &mut scratch[..PIPE_PACKET_MAX];
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
                // With MSG_TRUNC the length is the packet's own, and what did not fit is already lost.
                let len = recv(&self.fd, room, flags)?;
                if len > room.len() {
                    Err(Errno::EMSGSIZE)
                } else {
                    Ok(len)
                }
            }
            Kind::Stream => read(&self.fd, &mut scratch[..PIPE_READ_BYTES]),
            Kind::Device => match read(&self.fd, &mut scratch[..PIPE_READ_BYTES]) {
                Err(Errno::EIO) => Ok(0),
                result => result,
            },
        }
    }

    /// Writes one packet, or as many pieces as one call takes.
    fn write(&mut self) -> Result<usize, Errno> {
        let pieces_max = if self.kind == Kind::Packet { 1 } else { WRITE_PIECES };
        let pieces: Vec<_> = self
            .queue
            .pieces()
            .take(pieces_max)
            .map(|piece| IoSlice::new(piece))
            .collect();
        let written = writev(&self.fd, &pieces)?;
        self.queue.advance(written);
        Ok(written)
    }

    fn fail(&mut self, errno: Errno) {
        self.failed = Some(errno);
        // What the peer wrote before it went has perhaps not been reported yet.
        self.readable = true;
        self.queue.clear();
    }
}

impl Kind {
    fn of(fd: BorrowedFd<'_>) -> Self {
        match getsockopt(&fd, sockopt::SockType) {
            Ok(SockType::SeqPacket | SockType::Datagram) => return Self::Packet,
            Ok(_) => return Self::Stream,
            Err(_not_a_socket) => {}
        }
        let device = fstat(fd).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits());
        if device { Self::Device } else { Self::Stream }
    }
}

/// How far the queue could be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flushed {
    /// All of it, and there was something.
    Drained,
    /// The turn's share is used up.
    Spent,
    /// There was nothing, or the rest must wait.
    Waits,
}

impl<P> Reactor<P> {
    pub(crate) fn add_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId {
        let id = PipeId(self.pipes.reserve());
        let mut pipe = Pipe::new(fd, direction);
        let interest = pipe.wanted_interest();
        let watched = make_nonblocking(pipe.fd()).and_then(|()| self.register(pipe.fd(), Source::Pipe(id), interest));
        match watched {
            Ok(()) => pipe.interest = Some(interest),
            Err(error) if error.raw_os_error() == Some(NOT_WATCHABLE) => pipe.readable = true,
            Err(error) => pipe.fail(Errno::from_raw(error.raw_os_error().unwrap_or(0))),
        }
        let served = pipe.readable;
        let filled = self.pipes.fill(id.0, pipe);
        debug_assert!(filled.is_ok(), "the key was reserved above");
        if served {
            self.queue_pipe(id);
        }
        id
    }
}

impl<P: Protocol> Reactor<P> {
    /// Gives a pipe its turn; returns the bytes it has moved.
    pub(crate) fn serve_pipe<S>(&mut self, service: &mut S, id: PipeId, scratch: &mut [u8]) -> usize
    where
        S: Service<Self>,
    {
        let mut budget = Budget::new();
        match self.flush_pipe(id, &mut budget) {
            Flushed::Drained => {
                service.pipe_drained(self, id);
                if self.pipes.get(id.0).is_some_and(|pipe| pipe.finishing) {
                    self.close_pipe(id);
                }
            }
            Flushed::Spent => self.queue_pipe(id),
            Flushed::Waits => {}
        }
        self.read_pipe(service, id, scratch, &mut budget);
        self.watch_pipe(service, id);
        budget.moved()
    }

    fn flush_pipe(&mut self, id: PipeId, budget: &mut Budget) -> Flushed {
        let Some(pipe) = self.pipes.get_mut(id.0) else {
            return Flushed::Waits;
        };
        if pipe.queue.is_empty() {
            return Flushed::Waits;
        }
        while !pipe.blocked {
            if budget.is_spent() {
                return Flushed::Spent;
            }
            match pipe.write() {
                Ok(len) => {
                    budget.spend_bytes(len);
                    budget.spend_step();
                    if pipe.queue.is_empty() {
                        return Flushed::Drained;
                    }
                }
                Err(Errno::EAGAIN) => pipe.blocked = true,
                Err(Errno::EINTR) => budget.spend_step(),
                Err(errno) => {
                    pipe.fail(errno);
                    break;
                }
            }
        }
        Flushed::Waits
    }

    fn read_pipe<S>(&mut self, service: &mut S, id: PipeId, scratch: &mut [u8], budget: &mut Budget)
    where
        S: Service<Self>,
    {
        // Every call-back may close or pause the pipe, so it is looked up again each time.
        while let Some(pipe) = self.pipes.get_mut(id.0) {
            if pipe.reads() && pipe.paused {
                return;
            }
            if !pipe.reads() || !pipe.readable {
                // Nothing more can be read: now a failure may be told.
                let errno = match pipe.failed {
                    Some(errno) => errno,
                    None if pipe.reader_gone && !pipe.reads() => Errno::EPIPE,
                    None => return,
                };
                return self.end_pipe(service, id, errno as i32);
            }
            if budget.is_spent() {
                return self.queue_pipe(id);
            }
            match pipe.read(scratch) {
                Ok(0) => {
                    let errno = pipe.failed.map_or(0, |errno| errno as i32);
                    return self.end_pipe(service, id, errno);
                }
                Ok(len) => {
                    budget.spend_bytes(len);
                    budget.spend_step();
                    service.pipe_input(self, id, &scratch[..len]);
                }
                // Nobody would say when it can be read again.
                Err(Errno::EAGAIN) if pipe.interest.is_none() => {
                    return self.end_pipe(service, id, Errno::EAGAIN as i32);
                }
                Err(Errno::EAGAIN) => pipe.readable = false,
                Err(Errno::EINTR) => budget.spend_step(),
                Err(errno) => return self.end_pipe(service, id, errno as i32),
            }
        }
    }

    fn end_pipe<S: Service<Self>>(&mut self, service: &mut S, id: PipeId, errno: i32) {
        self.close_pipe(id);
        service.pipe_closed(self, id, errno);
    }

    /// Tells the kernel what matters from now on.
    fn watch_pipe<S: Service<Self>>(&mut self, service: &mut S, id: PipeId) {
        let Some(pipe) = self.pipes.get(id.0) else { return };
        let wanted = pipe.wanted_interest();
        match pipe.interest {
            // The kernel refuses to watch it, and so it was wrong to say that it is full.
            None if pipe.blocked => self.end_pipe(service, id, Errno::EAGAIN as i32),
            Some(interest) if interest != wanted => match self.reregister(pipe.fd(), Source::Pipe(id), wanted) {
                Ok(()) => {
                    if let Some(pipe) = self.pipes.get_mut(id.0) {
                        pipe.interest = Some(wanted);
                    }
                }
                Err(error) => self.end_pipe(service, id, error.raw_os_error().unwrap_or(0)),
            },
            _ => {}
        }
    }
}

fn make_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}

/// epoll_ctl(2): "EPERM The target file does not support epoll."
const NOT_WATCHABLE: i32 = Errno::EPERM as i32;
