//! System calls that fail as those of the kernel do, when a test wants it. Truth: recv(2), send(2), read(2), writev(2),
//! splice(2), accept(2), epoll(7).
//!
//! | call | mild | harsh |
//! | --- | --- | --- |
//! | recv, read | fewer bytes, EAGAIN, EINTR | ECONNRESET, EIO if it is no socket |
//! | send, splice, writev | fewer bytes, EAGAIN, EINTR | EPIPE |
//! | shutdown | | ENOTCONN |
//! | accept | EAGAIN, EINTR, ECONNABORTED, EMFILE | |
//!
//! Whoever is told that nothing more comes, or that nothing more goes, waits for a report of the kernel. The kernel has
//! nothing new to report if that was not true, so it is asked again behind the turn ([`Reactor::report_again`]): as if the
//! bytes, or the room for them, had come a moment later. What the kernel could not have said is not said: that nothing has
//! come from a peer that has ended, or that a file which is always ready is not.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd},
};

use mio::Interest;
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        socket::{self, MsgFlags, Shutdown, SockType, getsockopt, sockopt},
        stat::{SFlag, fstat},
        uio,
    },
    unistd,
};

use crate::{
    faults::{EMFILE_ONE_IN, InUse, below, deal},
    reactor::{Reactor, Source},
};

/// What goes wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It moves fewer bytes than it could.
    Short,
    Fails(Errno),
}

const MILD: &[Fault] = &[Fault::Short, Fault::Fails(Errno::EAGAIN), Fault::Fails(Errno::EINTR)];

pub(crate) fn recv<Fd: AsFd>(fd: Fd, room: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
    let fd = fd.as_fd();
    let mild = if flags.contains(MsgFlags::MSG_PEEK) { &[] } else { MILD };
    let room = offered(fd, room, deal(mild, &[Fault::Fails(Errno::ECONNRESET)]))?;
    socket::recv(fd.as_raw_fd(), room, flags)
}

pub(crate) fn read<Fd: AsFd>(fd: Fd, room: &mut [u8]) -> Result<usize, Errno> {
    let fd = fd.as_fd();
    let errno = if sock_type(fd).is_some() {
        Errno::ECONNRESET
    } else {
        Errno::EIO
    };
    let room = offered(fd, room, deal(MILD, &[Fault::Fails(errno)]))?;
    unistd::read(fd, room)
}

pub(crate) fn send<Fd: AsFd>(fd: Fd, bytes: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
    let fd = fd.as_fd();
    let len = sendable(fd, bytes.len(), deal(MILD, &[Fault::Fails(Errno::EPIPE)]))?;
    socket::send(fd.as_raw_fd(), &bytes[..len], flags)
}

pub(crate) fn writev<Fd: AsFd>(fd: Fd, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let fd = fd.as_fd();
    let first = pieces.first().map_or(0, |piece| piece.len());
    match sendable(fd, first, deal(MILD, &[Fault::Fails(Errno::EPIPE)]))? {
        len if len < first => uio::writev(fd, &[IoSlice::new(&pieces[0][..len])]),
        _ => uio::writev(fd, pieces),
    }
}

/// How many of so many bytes a splice gets.
pub(crate) fn spliceable(socket: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    sendable(socket, len, deal(MILD, &[Fault::Fails(Errno::EPIPE)]))
}

pub(crate) fn shutdown<Fd: AsFd>(fd: Fd, how: Shutdown) -> Result<(), Errno> {
    let done = socket::shutdown(fd.as_fd().as_raw_fd(), how);
    // What a peer that has reset the connection makes of it; it is gone by then, whatever has been done here.
    match deal(&[], &[Errno::ENOTCONN]) {
        Some(errno) => Err(errno),
        None => done,
    }
}

/// What goes wrong before a peer is accepted. It waits on.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(), Errno> {
    let mild = [Errno::EAGAIN, Errno::EINTR, Errno::ECONNABORTED, Errno::EMFILE];
    match deal(&mild, &[]) {
        // It costs a pause of the loop's choosing.
        Some(Errno::EMFILE) if below(EMFILE_ONE_IN) > 0 => Err(Errno::EINTR),
        Some(errno) => {
            if errno == Errno::EAGAIN {
                ask_again(listener);
            }
            Err(errno)
        }
        None => Ok(()),
    }
}

/// The room that the kernel is offered.
fn offered<'a>(fd: BorrowedFd<'_>, room: &'a mut [u8], fault: Option<Fault>) -> Result<&'a mut [u8], Errno> {
    match fault {
        Some(Fault::Short) if room.len() > 1 && !keeps_packets(fd) => {
            // It counts as all there was.
            ask_again(fd);
            let len = shorter(room.len());
            Ok(&mut room[..len])
        }
        Some(Fault::Fails(Errno::EAGAIN)) if can_wait(fd) => {
            ask_again(fd);
            Err(Errno::EAGAIN)
        }
        None | Some(Fault::Short | Fault::Fails(Errno::EAGAIN)) => Ok(room),
        Some(Fault::Fails(errno)) => Err(errno),
    }
}

/// How many of so many bytes the kernel gets.
fn sendable(fd: BorrowedFd<'_>, len: usize, fault: Option<Fault>) -> Result<usize, Errno> {
    match fault {
        Some(Fault::Short) if len > 1 && !keeps_packets(fd) => Ok(shorter(len)),
        Some(Fault::Fails(Errno::EAGAIN)) if is_pipe_or_socket(fd) => {
            ask_again(fd);
            Err(Errno::EAGAIN)
        }
        None | Some(Fault::Short | Fault::Fails(Errno::EAGAIN)) => Ok(len),
        Some(Fault::Fails(errno)) => Err(errno),
    }
}

/// A length below `len`, which is more than 1; a few bytes as often as many.
fn shorter(len: usize) -> usize {
    let limit = if below(2) == 0 { len.min(16) } else { len };
    1 + below(limit - 1)
}

/// Whether a read may find nothing: no end is in sight.
fn can_wait(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::new(fd, PollFlags::from_bits_retain(libc::POLLRDHUP))];
    is_pipe_or_socket(fd) && poll(&mut fds, PollTimeout::ZERO) == Ok(0)
}

fn sock_type(fd: BorrowedFd<'_>) -> Option<SockType> {
    getsockopt(&fd, sockopt::SockType).ok()
}

fn keeps_packets(fd: BorrowedFd<'_>) -> bool {
    matches!(sock_type(fd), Some(SockType::SeqPacket | SockType::Datagram))
}

fn is_pipe_or_socket(fd: BorrowedFd<'_>) -> bool {
    let kind = fstat(fd).map_or(0, |stat| stat.st_mode & SFlag::S_IFMT.bits());
    kind == SFlag::S_IFIFO.bits() || kind == SFlag::S_IFSOCK.bits()
}

thread_local! {
    /// Descriptors that the kernel has to be asked about again.
    static AGAIN: RefCell<BTreeSet<RawFd>> = const { RefCell::new(BTreeSet::new()) };
}

fn ask_again(fd: BorrowedFd<'_>) {
    AGAIN.with_borrow_mut(|again| again.insert(fd.as_raw_fd()));
}

impl<P> Reactor<P> {
    /// Lets the kernel report again whatever is true now of those that were told otherwise: EPOLL_CTL_MOD does. One that has
    /// been closed meanwhile is not found any more, and whoever has got its number hears what it knows.
    pub(crate) fn report_again(&self) {
        let again = AGAIN.take();
        let conns = self.conns.keys().filter_map(|key| {
            let conn = self.conns.get(key)?;
            let source = Source::Conn(gantry_core::driver::ConnId(key));
            Some((conn.stream.fd.as_fd(), source, conn.interest))
        });
        let pipes = self.pipes.keys().filter_map(|key| {
            let pipe = self.pipes.get(key)?;
            Some((
                pipe.fd(),
                Source::Pipe(gantry_core::driver::PipeId(key)),
                pipe.interest?,
            ))
        });
        let listeners = self.listeners.iter().enumerate();
        let listeners = listeners.map(|(number, it)| (it.fd(), Source::Listener(number), Interest::READABLE));
        for (fd, source, interest) in conns.chain(pipes).chain(listeners) {
            if again.contains(&fd.as_raw_fd()) {
                self.reregister(fd, source, interest).expect("it is watched already");
            }
        }
    }

    /// What has not been given back.
    pub fn in_use(&self) -> InUse {
        InUse {
            conns: self.conns.len(),
            pipes: self.pipes.len(),
            ops: 0,
            buffers: 0,
        }
    }
}
