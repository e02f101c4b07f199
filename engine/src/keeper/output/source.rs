//! Where a container's output comes from: a pipe, whose bytes can be passed on unread, or a terminal.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::keeper::wire::SPLICE_MAX;
use crate::sys::pipe;

/// The keeper's end of a container's stream, non-blocking.
pub(in crate::keeper) struct Source {
    file: File,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Terminal,
    /// Of the size that it was made with.
    Pipe,
    /// Of [`SPLICE_MAX`], if the kernel grants it.
    WidePipe,
}

/// What a look at a source found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::keeper) enum Found {
    Bytes(usize),
    Nothing,
    End,
}

impl Source {
    /// The read end of a pipe that nobody else is meant to read.
    pub(in crate::keeper) fn pipe(read_end: OwnedFd) -> io::Result<Self> {
        Self::new(read_end, Kind::Pipe)
    }

    /// A terminal's master.
    pub(in crate::keeper) fn terminal(master: OwnedFd) -> io::Result<Self> {
        Self::new(master, Kind::Terminal)
    }

    fn new(fd: OwnedFd, kind: Kind) -> io::Result<Self> {
        fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok(Self { file: fd.into(), kind })
    }

    /// Bytes that could be passed on unread now.
    pub(super) fn movable(&self) -> usize {
        match self.kind {
            Kind::Terminal => 0,
            // An error is one of the descriptor, which reading will show.
            Kind::Pipe | Kind::WidePipe => pipe::bytes_held(self.file.as_fd()).unwrap_or_default(),
        }
    }

    /// Makes a pipe as large as a subscriber's, which saves wakes, or as small as it was, since all containers share the
    /// pages that their user's pipes may have (pipe(7), pipe-user-pages-soft).
    pub(super) fn widen(&mut self, wide: bool) {
        let (kind, bytes) = match (self.kind, wide) {
            (Kind::Pipe, true) => (Kind::WidePipe, SPLICE_MAX),
            (Kind::WidePipe, false) => (Kind::Pipe, PIPE_BYTES),
            _ => return,
        };
        let resized = fcntl(&self.file, FcntlArg::F_SETPIPE_SZ(bytes as i32));
        // What is not granted is not asked for again; what is still too full to be narrowed is narrowed at another look.
        if wide || resized.is_ok() {
            self.kind = kind;
        }
    }

    /// Reads to `room`, at least `least` bytes of it if they are there. (A pipe in packet mode gives one packet at a time.)
    pub(super) fn read(&mut self, room: &mut [u8], least: usize) -> Found {
        let mut len = 0;
        let found = loop {
            match self.file.read(room.get_mut(len..).unwrap_or_default()) {
                Ok(0) => break Found::End,
                Ok(read) => len += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Found::Nothing,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // EIO is how a terminal's master says that nobody holds its other side; any other error is an end as well.
                Err(_) => break Found::End,
            }
            if len >= least {
                break Found::Nothing;
            }
        };
        if len == 0 { found } else { Found::Bytes(len) }
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Size of a new pipe (pipe(7)).
const PIPE_BYTES: usize = 64 * 1024;
