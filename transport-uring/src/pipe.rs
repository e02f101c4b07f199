//! The service's descriptors on the loop: pipes, terminals, stream and sequenced-packet sockets, files.
//!
//! Sources: pipe(7), pty(7), unix(7), poll(2). How they say that they are over:
//!
//! | descriptor | read side | write side |
//! | --- | --- | --- |
//! | pipe | `read` gives 0 | POLLERR, EPIPE |
//! | terminal, master | `read` gives EIO once all slaves are closed | EIO |
//! | socket | `recv` gives 0, or ECONNRESET if the peer left bytes unread | POLLHUP, EPIPE |
//! | regular file | `read` gives 0 | never |

use std::{
    io::{self, IoSlice},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use bytes::Bytes;
use gantry_core::driver::{
    Direction, PIPE_PACKET_MAX, PipeId, Protocol, Service,
    outgoing::Outgoing,
    turn::{Budget, Place},
};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    libc,
    sys::{
        socket::{MsgFlags, SockType, getsockopt, recv, sockopt},
        stat::{SFlag, fstat},
    },
    unistd,
};

use crate::{
    calls::writev,
    intake::{Arrival, End, Intake},
    limits::{WRITE_GATHER_BYTES, WRITE_PIECES},
    op::{Kind, Memory, OpId, Output, Owner},
    reactor::Reactor,
    ring::{Completion, Ring, Way},
};

/// One descriptor of the service.
#[derive(Debug)]
pub(crate) struct Pipe {
    file: Arc<OwnedFd>,
    direction: Direction,
    way: Way,
    /// A character device: EIO is how a terminal says that its other side is closed.
    device: bool,
    intake: Intake,
    queue: Outgoing,
    /// The write that is under way.
    writing: Option<OpId>,
    /// The queue has become empty, and the service does not know.
    drained: bool,
    /// Reports that nobody reads what is written here, if it is not read, and the end of a socket, if it is.
    watch: Option<OpId>,
    reader_gone: bool,
    pub(crate) paused: bool,
    pub(crate) finishing: bool,
    /// Writing has failed for good; what can still be read is delivered before the service hears of it.
    failed: Option<Errno>,
    pub(crate) place: Place,
}

impl Pipe {
    fn new(file: OwnedFd, direction: Direction) -> Self {
        let way = way_of(file.as_fd());
        let device = fstat(&file).is_ok_and(|stat| stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits());
        Self {
            file: Arc::new(file),
            direction,
            way,
            device,
            intake: Intake::new(way),
            queue: Outgoing::default(),
            writing: None,
            drained: false,
            watch: None,
            reader_gone: false,
            paused: false,
            finishing: false,
            failed: None,
            place: Place::default(),
        }
    }

    pub(crate) fn intake_mut(&mut self) -> &mut Intake {
        &mut self.intake
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

    fn reads(&self) -> bool {
        self.direction != Direction::Write
    }

    /// Whether no byte will ever be written again.
    fn is_over(&self) -> bool {
        self.failed.is_some() || (self.reader_gone && !self.reads())
    }

    fn fail(&mut self, errno: Errno) {
        self.failed = Some(errno);
        self.queue.clear();
        self.drained = false;
    }

    fn note_write(&mut self, result: Result<usize, Errno>) {
        self.writing = None;
        match result {
            _ if self.failed.is_some() => {}
            Ok(len) => {
                self.queue.advance(len);
                self.drained = self.queue.is_empty();
            }
            Err(Errno::EINTR) => {}
            Err(errno) => self.fail(errno),
        }
    }

    /// Writes what the descriptor takes at once, and hands the next piece of the rest to the kernel, which waits for room: a
    /// packet, a large piece as it is, or small ones gathered.
    fn write(&mut self, ring: &mut Ring, owner: Owner) {
        if self.writing.is_some() {
            return;
        }
        self.write_now();
        if self.is_over() {
            return;
        }
        let Some(first) = self.queue.pieces().next() else {
            return;
        };
        let alone = self.way == Way::Packet || first.len() == self.queue.len() || first.len() >= WRITE_GATHER_BYTES;
        let memory = if alone {
            Memory::Piece(first.clone())
        } else {
            let mut gathered = Vec::with_capacity(WRITE_GATHER_BYTES);
            for piece in self.queue.pieces() {
                let room = WRITE_GATHER_BYTES - gathered.len();
                gathered.extend_from_slice(&piece[..piece.len().min(room)]);
                if gathered.len() == WRITE_GATHER_BYTES {
                    break;
                }
            }
            let len = gathered.len();
            Memory::Output(Output::new(gathered.into_boxed_slice(), len))
        };
        self.writing = Some(ring.write(owner, &self.file, memory));
    }

    /// Nothing is under way that could be overtaken.
    fn write_now(&mut self) {
        let pieces_max = if self.way == Way::Packet { 1 } else { WRITE_PIECES };
        while !self.queue.is_empty() && !self.is_over() {
            let pieces: Vec<_> = self
                .queue
                .pieces()
                .take(pieces_max)
                .map(|piece| IoSlice::new(piece))
                .collect();
            match writev(&self.file, &pieces) {
                Ok(len) => {
                    self.queue.advance(len);
                    self.drained = self.queue.is_empty();
                }
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return,
                Err(errno) => self.fail(errno),
            }
        }
    }

    /// Reads what is left of a descriptor that can no longer be written; it never blocks.
    fn read_now(&self, room: &mut [u8]) -> Result<usize, Errno> {
        loop {
            let result = match self.way {
                Way::File => unistd::read(&self.file, room),
                Way::Packet => recv_packet(self.file.as_raw_fd(), room),
                Way::Stream => recv(self.file.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT),
            };
            if result != Err(Errno::EINTR) {
                return result;
            }
        }
    }

    /// The number by which the service hears of an end of reading. A failure of writing that came before counts more.
    fn errno_of(&self, errno: Option<Errno>) -> i32 {
        match (self.failed, errno) {
            (_, Some(Errno::EIO)) if self.device => self.failed.map_or(0, |errno| errno as i32),
            (_, Some(errno)) => errno as i32,
            (failed, None) => failed.map_or(0, |errno| errno as i32),
        }
    }

    /// Tells the kernel what matters from now on.
    fn settle(&mut self, ring: &mut Ring, owner: Owner) {
        if self.reads() {
            let wanted = !self.paused && !self.is_over();
            self.intake.settle(ring, owner, &self.file, wanted);
        }
        let watched = !self.reads() || self.way == Way::Stream;
        if watched && self.watch.is_none() && !self.reader_gone {
            self.watch = Some(ring.watch(owner, &self.file, libc::POLLRDHUP));
        }
    }

    /// Ends everything that is under way for it.
    fn abandon(mut self, ring: &mut Ring) {
        self.intake.abandon(ring);
        for op in [self.writing, self.watch].into_iter().flatten() {
            ring.cancel(op);
        }
    }
}

/// How far a pipe has been read.
enum Next {
    Bytes(Arrival),
    /// Some that were read into the loop's buffer.
    Scratch(usize),
    End(i32),
    /// Nothing that is known of.
    Later,
}

impl<P: Protocol> Reactor<P> {
    pub(crate) fn add_pipe(&mut self, file: OwnedFd, direction: Direction) -> PipeId {
        let id = PipeId(self.pipes.reserve());
        let mut pipe = Pipe::new(file, direction);
        if let Err(error) = make_nonblocking(pipe.file.as_fd()) {
            pipe.fail(Errno::from_raw(error.raw_os_error().unwrap_or(0)));
        }
        let filled = self.pipes.fill(id.0, pipe);
        debug_assert!(filled.is_ok(), "the key was reserved above");
        // Its turn begins what has to be begun.
        self.queue_pipe(id);
        id
    }

    /// Gives a pipe its turn; returns the bytes it has moved.
    pub(crate) fn serve_pipe<S>(&mut self, service: &mut S, id: PipeId, scratch: &mut [u8]) -> usize
    where
        S: Service<Self>,
    {
        let mut budget = Budget::new();
        let Some(pipe) = self.pipes.get_mut(id.0) else { return 0 };
        pipe.write(&mut self.ring, Owner::Pipe(id));
        if std::mem::take(&mut pipe.drained) && pipe.queue.is_empty() {
            service.pipe_drained(self, id);
            if self.pipes.get(id.0).is_some_and(|pipe| pipe.finishing) {
                self.remove_pipe(id);
            }
        }
        self.read_pipe(service, id, scratch, &mut budget);
        if let Some(pipe) = self.pipes.get_mut(id.0) {
            pipe.settle(&mut self.ring, Owner::Pipe(id));
        }
        budget.moved()
    }

    /// Something that was under way for a pipe has come to something.
    pub(crate) fn pipe_completed(&mut self, id: PipeId, mut completion: Completion) {
        let Some(pipe) = self.pipes.get_mut(id.0) else {
            return self.ring.abandon(completion);
        };
        match completion.kind {
            Kind::Read(_) => {
                pipe.intake.note(&mut self.ring, completion);
                if pipe.intake.is_starved() {
                    self.starved.push(Owner::Pipe(id));
                }
            }
            Kind::Watch => {
                if completion.op.is_some() {
                    pipe.watch = None;
                }
                let events = completion.result.unwrap_or(0) as libc::c_short;
                pipe.reader_gone |= events & (libc::POLLERR | libc::POLLHUP | libc::POLLNVAL) != 0;
                if events & libc::POLLRDHUP != 0 {
                    pipe.intake.note_end(&mut self.ring);
                }
            }
            Kind::Write => {
                pipe.note_write(completion.result);
                if let Some(op) = completion.op.take() {
                    self.ring.recycle(op.memory);
                }
            }
            Kind::Accept | Kind::WatchRoom | Kind::Send => {}
        }
        self.queue_pipe(id);
    }

    fn read_pipe<S>(&mut self, service: &mut S, id: PipeId, scratch: &mut [u8], budget: &mut Budget)
    where
        S: Service<Self>,
    {
        let memory = self.ring.buffers.memory();
        // Every call-back may close or pause the pipe, so it is looked up again each time.
        while let Some(pipe) = self.pipes.get_mut(id.0) {
            if pipe.reads() && pipe.paused {
                return;
            }
            if budget.is_spent() {
                return self.queue_pipe(id);
            }
            match pipe.next(&mut self.ring, scratch) {
                Next::Bytes(Arrival::Lent(taken)) => {
                    let bytes = memory.bytes(&taken);
                    budget.spend_bytes(bytes.len());
                    budget.spend_step();
                    service.pipe_input(self, id, bytes);
                    self.ring.buffers.give_back(taken);
                }
                Next::Bytes(Arrival::Kept(bytes)) => {
                    budget.spend_bytes(bytes.len());
                    budget.spend_step();
                    service.pipe_input(self, id, &bytes);
                }
                Next::Scratch(len) => {
                    budget.spend_bytes(len);
                    budget.spend_step();
                    service.pipe_input(self, id, &scratch[..len]);
                }
                Next::End(errno) => {
                    self.remove_pipe(id);
                    return service.pipe_closed(self, id, errno);
                }
                Next::Later => return,
            }
        }
    }

    /// Closes a pipe. The kernel lets go of it when what is under way has been cancelled, by the end of this turn.
    pub(crate) fn remove_pipe(&mut self, id: PipeId) {
        if let Some(pipe) = self.pipes.remove(id.0) {
            pipe.abandon(&mut self.ring);
        }
    }
}

impl Pipe {
    fn next(&mut self, ring: &mut Ring, scratch: &mut [u8]) -> Next {
        if !self.reads() {
            return match self.failed {
                Some(errno) => Next::End(errno as i32),
                None if self.reader_gone => Next::End(Errno::EPIPE as i32),
                None => Next::Later,
            };
        }
        if let Some(arrival) = self.intake.take() {
            return Next::Bytes(arrival);
        }
        if let Some(end) = self.intake.end() {
            return Next::End(match end {
                End::Bare => self.errno_of(None),
                End::Failed(errno) => self.errno_of(Some(errno)),
            });
        }
        let Some(failed) = self.failed else { return Next::Later };
        if self.intake.is_armed() {
            // What is left is read directly, once nothing is under way that could be overtaken.
            self.intake.disarm(ring);
            return Next::Later;
        }
        match self.read_now(scratch) {
            Ok(len @ 1..) => Next::Scratch(len),
            // Nothing more can be read: now the failure may be told.
            Ok(_) | Err(Errno::EAGAIN) => Next::End(failed as i32),
            Err(errno) => Next::End(self.errno_of(Some(errno))),
        }
    }
}

fn recv_packet(fd: i32, scratch: &mut [u8]) -> Result<usize, Errno> {
    let room = &mut scratch[..PIPE_PACKET_MAX];
    let len = recv(fd, room, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC)?;
    if len > room.len() {
        Err(Errno::EMSGSIZE)
    } else {
        Ok(len)
    }
}

fn way_of(fd: BorrowedFd<'_>) -> Way {
    match getsockopt(&fd, sockopt::SockType) {
        Ok(SockType::SeqPacket | SockType::Datagram) => Way::Packet,
        Ok(_) => Way::Stream,
        Err(_not_a_socket) => Way::File,
    }
}

/// An operation on a descriptor that blocks would keep a thread of the kernel.
fn make_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    if !flags.contains(OFlag::O_NONBLOCK) {
        fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    }
    Ok(())
}
