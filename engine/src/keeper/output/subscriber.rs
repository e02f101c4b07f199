//! One reader of a container's output: its socket, its pipe if it brought one, and its patience.

use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{SpliceFFlags, splice, tee};

use super::source::Source;
use crate::keeper::wire::{CHUNK_MAX, Chunk, SPLICE_MAX};
use crate::packet;

/// How long a subscriber may keep the container waiting, if there is a log that it could read instead. Long enough that
/// a reader which is merely busy stays on the fast path, short enough that a program does not notice a stopped client.
const STALL_MAX: Duration = Duration::from_millis(50);

/// What was waited for one subscriber is given back to it in this many times the time. So one that always reads just
/// in time slows the container by no more than a fifth.
const STALL_REFILL: u32 = 4;

pub(super) struct Subscriber {
    pub(super) subscription: u64,
    socket: OwnedFd,
    pipe: Option<OwnedFd>,
    /// The pipe has no room for output that waits.
    full: bool,
    /// Has not got the chunk yet.
    pub(super) owed: bool,
    /// Bytes of the owed chunk's beginning that are in the pipe already.
    ahead: usize,
    /// How long it could still keep the container waiting at `patience_at`.
    patience: Duration,
    patience_at: Instant,
}

/// What became of passing output on.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Sent {
    Whole,
    WouldBlock,
    Gone,
}

impl Subscriber {
    pub(super) fn new(subscription: u64, socket: OwnedFd, pipe: Option<OwnedFd>, now: Instant) -> Self {
        Self {
            subscription,
            socket,
            pipe,
            full: false,
            owed: false,
            ahead: 0,
            patience: STALL_MAX,
            patience_at: now,
        }
    }

    pub(super) fn patience(&self, now: Instant) -> Duration {
        let regained = now.saturating_duration_since(self.patience_at) / STALL_REFILL;
        (self.patience + regained).min(STALL_MAX)
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn has_pipe(&self) -> bool {
        self.pipe.is_some()
    }

    /// The pipe whose room is waited for.
    pub(super) fn full_pipe(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().filter(|_| self.full).map(AsFd::as_fd)
    }

    /// The pipe has room again, or may have.
    pub(super) fn retry_pipe(&mut self) {
        self.full = false;
    }

    pub(super) fn ahead(&self) -> usize {
        self.ahead
    }

    /// Moves output from `source`, which has `movable` bytes, to the pipe, where it is the next chunk.
    pub(super) fn splice(&mut self, source: &Source, movable: usize) -> Sent {
        let moved = self.fill(|pipe| splice(source, None, pipe, None, SPLICE_MAX, flags()));
        self.full = self.ahead < movable.min(SPLICE_MAX);
        moved
    }

    /// Copies the next chunk's beginning from `source` to the pipe without taking it. Less than all of it is no failure.
    pub(super) fn tee(&mut self, source: &Source) -> Sent {
        self.fill(|pipe| tee(source, pipe, CHUNK_MAX, flags()))
    }

    /// A descriptor that is no pipe is dropped: its subscriber gets copies.
    fn fill(&mut self, fill: impl FnOnce(&OwnedFd) -> nix::Result<usize>) -> Sent {
        match self.pipe.as_ref().map(fill) {
            Some(Ok(bytes)) if bytes > 0 => {
                self.ahead = bytes;
                Sent::Whole
            }
            Some(Ok(_) | Err(Errno::EAGAIN | Errno::EINTR)) => Sent::WouldBlock,
            Some(Err(Errno::EPIPE)) => Sent::Gone,
            _ => {
                self.pipe = None;
                Sent::WouldBlock
            }
        }
    }

    /// A chunk was taken, and bytes of it `copied`.
    pub(super) fn owe(&mut self, copied: bool) {
        self.owed = copied || self.ahead > 0;
        self.full &= !copied;
    }

    /// Sends the chunk, which was taken at `taken_at`.
    pub(super) fn send_owed(&mut self, stream: usize, copied: &[u8], taken_at: Instant, now: Instant) -> Sent {
        let chunk = Chunk {
            stream,
            spliced: self.ahead,
            // Shorter than what is in the pipe only if somebody else read the source between.
            inline: copied.get(self.ahead..).unwrap_or_default(),
        };
        let sent = send(self.socket(), &chunk);
        if sent == Sent::Whole {
            let waited = now.saturating_duration_since(taken_at);
            self.patience = self.patience(taken_at).saturating_sub(waited);
            self.patience_at = now;
            (self.owed, self.ahead) = (false, 0);
        }
        sent
    }
}

/// One packet.
pub(super) fn send(socket: BorrowedFd<'_>, chunk: &Chunk<'_>) -> Sent {
    let header = chunk.header();
    let parts = [IoSlice::new(&header), IoSlice::new(chunk.inline)];
    match packet::send(socket, &parts, &[], false) {
        Ok(()) => Sent::Whole,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Sent::WouldBlock,
        Err(_) => Sent::Gone,
    }
}

fn flags() -> SpliceFFlags {
    SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK
}
