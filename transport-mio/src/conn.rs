//! Connections on the loop: their sockets, and what the kernel has reported of them. What happens on one is in `drive`.

use std::os::fd::{AsFd, OwnedFd};

use gantry_core::driver::{
    Protocol, SourceId,
    conn::{ConnState, PeerGone, Received, Socket},
    held::Held,
    turn::Place,
};
use mio::Interest;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, Shutdown},
};

use crate::{
    calls::{recv, send, shutdown},
    limits::CONN_READ_BYTES,
    splice::{MSG_MORE, Sources, Spliced},
};

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn<P> {
    pub(crate) state: ConnState<P>,
    pub(crate) stream: Stream,
    /// What the kernel reports on this socket.
    pub(crate) interest: Interest,
    pub(crate) place: Place,
}

impl<P: Protocol> Conn<P> {
    pub(crate) fn new(fd: OwnedFd, protocol: P) -> Self {
        Self {
            state: ConnState::new(protocol),
            stream: Stream {
                fd,
                readable: false,
                over: false,
                unsent: Held::default(),
                sources: Sources::default(),
                blocked: false,
            },
            interest: WATCHED,
            place: Place::default(),
        }
    }

    /// Notes a report of the kernel.
    pub(crate) fn note(&mut self, report: &mio::event::Event) {
        let hang_up = report.is_write_closed() || report.is_error();
        if report.is_read_closed() {
            self.state.note_fin();
        }
        if hang_up {
            self.state.note_hang_up();
        }
        self.stream.over |= hang_up || report.is_read_closed() || report.is_priority();
        self.stream.readable |= self.stream.over || report.is_readable();
        if report.is_writable() || hang_up {
            self.stream.blocked = false;
        }
    }
}

/// What the kernel reports on every connection. An urgent byte ends a read although more lies behind it (tcp(7)).
pub(crate) const WATCHED: Interest = Interest::READABLE.add(Interest::PRIORITY);

/// One accepted socket.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) fd: OwnedFd,
    /// Reading may give something: true from a report of the kernel until a read finds nothing.
    readable: bool,
    /// The kernel has reported an end or an urgent byte, so only the read that finds nothing says that all has been read.
    over: bool,
    /// Handed out by the protocol, and not taken by the socket.
    unsent: Held,
    /// Pipes whose bytes go to it, behind what is unsent.
    pub(crate) sources: Sources,
    /// The socket took less than it was given, and has not reported room since.
    pub(crate) blocked: bool,
}

/// A socket with the loop's buffer, for one turn.
#[derive(Debug)]
pub(crate) struct StreamTurn<'a> {
    pub(crate) stream: &'a mut Stream,
    pub(crate) scratch: &'a mut [u8],
    /// Bytes of output at the start of `scratch`. Call-backs do not touch that buffer.
    pub(crate) filled: &'a mut usize,
}

impl Socket for StreamTurn<'_> {
    fn room(&mut self) -> &mut [u8] {
        if self.stream.unsent.is_empty() && self.stream.sources.unsent() == 0 {
            &mut self.scratch[*self.filled..]
        } else {
            &mut []
        }
    }

    fn put(&mut self, len: usize) {
        *self.filled += len;
    }

    fn put_source(&mut self, source: SourceId, len: usize) {
        self.stream.sources.want(source, len);
    }

    /// What the socket does not take is kept.
    fn send(&mut self) -> Result<usize, PeerGone> {
        let stream = &mut *self.stream;
        let mut sent;
        if stream.unsent.is_empty() {
            let bytes = &self.scratch[..std::mem::take(self.filled)];
            sent = stream.send_some(bytes)?;
            if sent < bytes.len() {
                stream.unsent.keep(&bytes[sent..]);
            }
        } else {
            let mut unsent = std::mem::take(&mut stream.unsent);
            sent = stream.send_some(unsent.rest())?;
            unsent.consume(sent);
            stream.unsent = unsent;
        }
        if stream.unsent.is_empty() {
            sent += stream.splice_some()?;
        }
        Ok(sent)
    }

    fn unsent(&self) -> usize {
        self.stream.unsent.rest().len() + *self.filled + self.stream.sources.unsent()
    }

    fn discard(&mut self) {
        *self.filled = 0;
        self.stream.unsent = Held::default();
        self.stream.sources.discard();
    }

    fn shutdown(&mut self) {
        // ENOTCONN: the peer has reset the connection, which the next read says as well.
        let _ = shutdown(&self.stream.fd, Shutdown::Write);
    }

    fn recv(&mut self) -> Received<'_> {
        if !self.stream.readable {
            return Received::Later;
        }
        let room = &mut self.scratch[..CONN_READ_BYTES];
        match self.stream.recv(room, MsgFlags::empty()) {
            Ok(0) => {
                self.stream.readable = false;
                Received::End
            }
            Ok(len) => {
                // A short read has emptied a stream socket without urgent bytes, and whatever comes later is reported
                // (epoll(7), question 9).
                self.stream.readable = self.stream.over || len == room.len();
                Received::Bytes(&room[..len])
            }
            Err(Errno::EAGAIN) => {
                self.stream.readable = false;
                Received::Nothing
            }
            Err(_) => Received::Failed,
        }
    }

    fn peek(&mut self) -> Received<'_> {
        match self.stream.recv(&mut [0], MsgFlags::MSG_PEEK) {
            Ok(0) => Received::End,
            Ok(_) => Received::Bytes(&[]),
            Err(Errno::EAGAIN) => Received::Nothing,
            Err(_) => Received::Failed,
        }
    }
}

impl Stream {
    fn recv(&self, room: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
        loop {
            match recv(&self.fd, room, flags | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }

    /// Sends until all is sent or the socket is full.
    fn send_some(&mut self, bytes: &[u8]) -> Result<usize, PeerGone> {
        let mut flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        flags.set(MSG_MORE, self.sources.unsent() > 0);
        let mut sent = 0;
        while sent < bytes.len() && !self.blocked {
            match send(&self.fd, &bytes[sent..], flags) {
                Ok(len) => sent += len,
                Err(Errno::EAGAIN) => self.blocked = true,
                Err(Errno::EINTR) => {}
                // EPIPE, ECONNRESET, ETIMEDOUT, …: no byte will ever reach the peer. What it sent is still read.
                Err(_) => {
                    self.readable = true;
                    return Err(PeerGone);
                }
            }
        }
        Ok(sent)
    }

    /// Moves what a source is to give until that is all or the socket is full.
    fn splice_some(&mut self) -> Result<usize, PeerGone> {
        if self.blocked {
            return Ok(0);
        }
        let (moved, outcome) = self.sources.splice(self.fd.as_fd());
        match outcome {
            Spliced::Done => {}
            Spliced::Full => self.blocked = true,
            Spliced::Broken => {
                self.readable = true;
                return Err(PeerGone);
            }
        }
        Ok(moved)
    }
}
