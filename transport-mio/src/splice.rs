//! Pipes whose bytes go to a socket without being seen: splice(2).
//!
//! Both transports use this file. io_uring has a splice of its own, but hands each to a worker thread
//! (`io_uring_enter(2)`: it is "always issued from an async context"), which costs more than the call it saves; so the call is
//! made directly there as well, and only the wait for room is the ring's.
//!
//! A page moves from the pipe to the socket's queue as a reference. It is copied when the peer receives it, and nowhere
//! before.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use gantry_core::driver::SourceId;
use nix::{
    errno::Errno,
    fcntl::{self, SpliceFFlags},
    libc,
    sys::socket::MsgFlags,
};

/// Something follows at once: a header travels with what it announces (send(2), tcp(7)).
pub(crate) const MSG_MORE: MsgFlags = MsgFlags::from_bits_retain(libc::MSG_MORE);

/// The sources of one connection, and the splice that is under way.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    open: Vec<Source>,
    /// What is to be sent next, and how much of it.
    wanted: Option<(SourceId, usize)>,
}

#[derive(Debug)]
struct Source {
    id: SourceId,
    pipe: OwnedFd,
    /// Bytes taken out so far.
    taken: u64,
    /// Closed once so many are taken.
    ends: Option<u64>,
}

/// How far a splice came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spliced {
    /// All of it.
    Done,
    /// The socket is full.
    Full,
    /// The peer is gone, or the pipe does not hold what was promised: nothing can be sent any more.
    Broken,
}

impl Sources {
    pub(crate) fn open(&mut self, id: SourceId, pipe: OwnedFd) {
        self.open.push(Source {
            id,
            pipe,
            taken: 0,
            ends: None,
        });
    }

    pub(crate) fn end(&mut self, id: SourceId, after: u64) {
        if let Some(source) = self.open.iter_mut().find(|source| source.id == id) {
            source.ends = Some(after);
            self.close_ended();
        }
    }

    /// What is to be sent once all before it has been.
    pub(crate) fn want(&mut self, id: SourceId, len: usize) {
        debug_assert!(self.wanted.is_none(), "one splice at a time");
        self.wanted = Some((id, len));
    }

    /// Bytes that are still to be sent.
    pub(crate) fn unsent(&self) -> usize {
        self.wanted.map_or(0, |(_, left)| left)
    }

    /// Forgets what is to be sent.
    pub(crate) fn discard(&mut self) {
        self.wanted = None;
    }

    /// Moves what is wanted to a socket that does not block. Says how many bytes that was, and what stopped it.
    pub(crate) fn splice(&mut self, socket: BorrowedFd<'_>) -> (usize, Spliced) {
        let mut moved = 0;
        let outcome = loop {
            let Some((id, left)) = self.wanted else {
                break Spliced::Done;
            };
            let Some(source) = self.open.iter_mut().find(|source| source.id == id) else {
                break Spliced::Broken;
            };
            match splice(source.pipe.as_fd(), socket, left) {
                Ok(len @ 1..) => {
                    moved += len;
                    source.taken += len as u64;
                    self.wanted = (len < left).then_some((id, left - len));
                }
                Err(Errno::EAGAIN) => break Spliced::Full,
                Err(Errno::EINTR) => continue,
                // The pipe has ended, or EPIPE, ECONNRESET, …
                Ok(0) | Err(_) => break Spliced::Broken,
            }
        };
        self.close_ended();
        (moved, outcome)
    }

    fn close_ended(&mut self) {
        self.open
            .retain(|source| source.ends.is_none_or(|ends| source.taken < ends));
    }
}

fn splice(pipe: BorrowedFd<'_>, socket: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    #[cfg(feature = "faults")]
    let len = crate::calls::spliceable(socket, len)?;
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    fcntl::splice(pipe, None, socket, None, len, flags)
}
