//! Connections on the loop: their sockets, and what the kernel is doing for them. What happens on one is in `drive`.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use gantry_core::driver::{
    ConnId, Protocol, SourceId,
    conn::{ConnState, Peer, PeerGone, Received, Socket},
    turn::Place,
};
use nix::{
    errno::Errno,
    libc,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{MsgFlags, Shutdown, recv, shutdown},
};

use crate::{
    calls::send,
    intake::{Arrival, End, Intake},
    limits::{DIRECT_MAX, LAST_READ_BYTES, OUTPUT_COPY_MAX},
    op::{Memory, Op, OpId, Output, Owner},
    ring::{Completion, Ring, Way},
    splice::{MSG_MORE, Sources, Spliced},
};

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn<P> {
    pub(crate) state: ConnState<P>,
    pub(crate) stream: Stream,
    pub(crate) place: Place,
}

impl<P> Conn<P> {
    pub(crate) fn intake_mut(&mut self) -> &mut Intake {
        &mut self.stream.intake
    }
}

/// One accepted socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: Arc<OwnedFd>,
    intake: Intake,
    /// The send that is under way. While there is one, nothing further is handed to the kernel: order is kept.
    sending: Option<OpId>,
    /// Bytes of it that the socket has not taken.
    unsent: usize,
    /// Bytes that the socket has taken since somebody asked.
    progress: usize,
    /// A send has failed.
    send_failed: bool,
    /// Pipes whose bytes go to it, behind what is being sent.
    pub(crate) sources: Sources,
    /// The socket has taken less than a source had for it, and has not reported room since.
    blocked: bool,
    /// Reports room, once.
    room_watch: Option<OpId>,
    /// Reports ends and hang-ups, whether the connection is read or not.
    watch: Option<OpId>,
}

impl<P: Protocol> Conn<P> {
    pub(crate) fn new(socket: OwnedFd, protocol: P) -> Self {
        Self {
            state: ConnState::new(protocol),
            stream: Stream {
                socket: Arc::new(socket),
                intake: Intake::new(Way::Stream),
                sending: None,
                unsent: 0,
                progress: 0,
                send_failed: false,
                sources: Sources::default(),
                blocked: false,
                room_watch: None,
                watch: None,
            },
            place: Place::default(),
        }
    }

    /// Notes a completion of the read.
    pub(crate) fn note_read(&mut self, ring: &mut Ring, completion: Completion) {
        self.stream.intake.note(ring, completion);
        if self.stream.intake.end() == Some(End::Bare) {
            // The peer may have ended its direction only, or be gone: a read does not tell, and it matters at once.
            self.state.note_fin();
            if self.stream.has_hung_up() {
                self.state.note_hang_up();
            }
        }
    }

    /// Notes a completion of the watch.
    pub(crate) fn note_watch(&mut self, ring: &mut Ring, completion: &Completion) {
        if completion.op.is_some() {
            self.stream.watch = None;
        }
        let events = completion.result.unwrap_or(0) as libc::c_short;
        if events & libc::POLLRDHUP != 0 {
            self.state.note_fin();
            self.stream.intake.note_end(ring);
        }
        if events & (libc::POLLERR | libc::POLLHUP) != 0 {
            self.state.note_hang_up();
        }
    }

    /// Notes the completion of the send; says whether the connection has something to do about it.
    pub(crate) fn note_send(&mut self, ring: &mut Ring, owner: Owner, result: Result<usize, Errno>, op: Op) -> bool {
        let stream = &mut self.stream;
        stream.sending = None;
        match (result, op.memory) {
            (Ok(len), Memory::Output(mut output)) => {
                stream.progress += len;
                stream.unsent = stream.unsent.saturating_sub(len);
                output.advance(len);
                if output.rest().is_empty() || stream.unsent == 0 {
                    ring.recycle(Memory::Output(output));
                } else {
                    stream.sending = Some(ring.send(owner, &stream.socket, output));
                }
            }
            (Err(Errno::EINTR | Errno::EAGAIN), Memory::Output(output)) if stream.unsent > 0 => {
                stream.sending = Some(ring.send(owner, &stream.socket, output));
            }
            // EPIPE, ECONNRESET, ETIMEDOUT, …: no byte will ever reach the peer. Or it was cancelled because of that.
            (_, memory) => {
                stream.send_failed = true;
                ring.recycle(memory);
            }
        }
        stream.send_failed || stream.sources.unsent() > 0 || self.state.waits_to_send()
    }

    /// Notes that the socket has room.
    pub(crate) fn note_room(&mut self) {
        self.stream.room_watch = None;
        self.stream.blocked = false;
    }

    /// Tells the kernel what matters from now on.
    pub(crate) fn settle(&mut self, ring: &mut Ring, owner: Owner) {
        let stream = &mut self.stream;
        // What a vanished peer has left is read directly.
        let here = self.state.peer() != Peer::Gone;
        let wanted = here && self.state.wants_input();
        stream.intake.settle(ring, owner, &stream.socket, wanted);
        if stream.blocked && stream.room_watch.is_none() {
            stream.room_watch = Some(ring.watch_room(owner, &stream.socket));
        }
        if stream.watch.is_none() {
            stream.watch = Some(ring.watch(owner, &stream.socket, libc::POLLRDHUP));
        }
    }

    /// Ends everything that is under way for it.
    pub(crate) fn abandon(mut self, ring: &mut Ring) {
        self.stream.intake.abandon(ring);
        let Stream {
            sending,
            watch,
            room_watch,
            ..
        } = self.stream;
        for op in [sending, watch, room_watch].into_iter().flatten() {
            ring.cancel(op);
        }
    }
}

impl Stream {
    /// An error or the end of both directions, which poll(2) reports without being asked for it.
    fn has_hung_up(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// Sends what the socket takes at once. No send is under way that could be overtaken.
    fn send_now(&mut self, bytes: &[u8], flags: MsgFlags) -> Result<usize, PeerGone> {
        let flags = flags | MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        loop {
            match send(&self.socket, bytes, flags) {
                Ok(len) => return Ok(len),
                Err(Errno::EAGAIN) => return Ok(0),
                Err(Errno::EINTR) => {}
                // EPIPE, ECONNRESET, ETIMEDOUT, …: no byte will ever reach the peer.
                Err(_) => {
                    self.send_failed = true;
                    return Err(PeerGone);
                }
            }
        }
    }

    /// Moves what a source is to give until that is all or the socket is full.
    fn splice_some(&mut self) -> Result<(), PeerGone> {
        let (moved, outcome) = self.sources.splice(self.socket.as_fd());
        self.progress += moved;
        match outcome {
            Spliced::Done => {}
            Spliced::Full => self.blocked = true,
            Spliced::Broken => {
                self.send_failed = true;
                return Err(PeerGone);
            }
        }
        Ok(())
    }

    fn recv_now(&self, room: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
        loop {
            match recv(self.socket.as_raw_fd(), room, flags | MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EINTR) => {}
                result => return result,
            }
        }
    }
}

/// A socket with the ring and the loop's buffer, for one step.
#[derive(Debug)]
pub(crate) struct StreamTurn<'a> {
    pub(crate) stream: &'a mut Stream,
    pub(crate) ring: &'a mut Ring,
    pub(crate) id: ConnId,
    /// The peer is gone: only what it has left is to be read.
    pub(crate) gone: bool,
    /// Nobody else has anything to do in this turn of the loop.
    pub(crate) alone: bool,
    pub(crate) scratch: &'a mut Box<[u8]>,
    /// Bytes of output at the start of `scratch`. Call-backs do not touch that buffer.
    pub(crate) filled: &'a mut usize,
    /// What was received last.
    pub(crate) last: Option<Arrival>,
}

impl StreamTurn<'_> {
    fn release_last(&mut self) {
        if let Some(Arrival::Lent(taken)) = self.last.take() {
            self.ring.buffers.give_back(taken);
        }
    }

    fn is_gone(&self) -> bool {
        self.gone || self.stream.send_failed
    }
}

impl Drop for StreamTurn<'_> {
    fn drop(&mut self) {
        self.release_last();
    }
}

impl Socket for StreamTurn<'_> {
    fn room(&mut self) -> &mut [u8] {
        if self.stream.sending.is_none() && self.stream.sources.unsent() == 0 {
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

    /// A little from somebody who is alone goes out directly, as far as the socket takes it, and so does the header of what a
    /// source is to give, which would have to wait for it otherwise. For the rest the kernel gets the buffer itself if there is
    /// much in it, and a copy of its own if there is little.
    fn send(&mut self) -> Result<usize, PeerGone> {
        if self.stream.send_failed {
            return Err(PeerGone);
        }
        let splices = self.stream.sources.unsent() > 0;
        let len = std::mem::take(self.filled);
        let mut sent = 0;
        if splices && len > 0 {
            sent = self.stream.send_now(&self.scratch[..len], MSG_MORE)?;
        } else if self.alone && (1..=DIRECT_MAX).contains(&len) {
            sent = self.stream.send_now(&self.scratch[..len], MsgFlags::empty())?;
        }
        self.stream.progress += sent;
        let rest = len - sent;
        if rest > 0 {
            let output = if rest <= OUTPUT_COPY_MAX {
                Output::new(self.scratch[sent..len].into(), rest)
            } else {
                let fresh = self.ring.output_buffer();
                let mut output = Output::new(std::mem::replace(self.scratch, fresh), len);
                output.advance(sent);
                output
            };
            self.stream.unsent = rest;
            self.stream.sending = Some(self.ring.send(Owner::Conn(self.id), &self.stream.socket, output));
        }
        if splices && self.stream.sending.is_none() && !self.stream.blocked {
            self.stream.splice_some()?;
        }
        Ok(std::mem::take(&mut self.stream.progress))
    }

    fn unsent(&self) -> usize {
        self.stream.unsent + *self.filled + self.stream.sources.unsent()
    }

    fn discard(&mut self) {
        *self.filled = 0;
        self.stream.unsent = 0;
        self.stream.sources.discard();
        if let Some(op) = self.stream.sending {
            self.ring.cancel(op);
        }
    }

    fn shutdown(&mut self) {
        // ENOTCONN: the peer has reset the connection, which the next read says as well.
        let _ = shutdown(self.stream.socket.as_raw_fd(), Shutdown::Write);
    }

    fn recv(&mut self) -> Received<'_> {
        self.release_last();
        if let Some(arrival) = self.stream.intake.take() {
            return Received::Bytes(match self.last.insert(arrival) {
                Arrival::Lent(taken) => self.ring.buffers.bytes(taken),
                Arrival::Kept(bytes) => bytes,
            });
        }
        if self.stream.intake.is_armed() {
            if self.is_gone() {
                self.stream.intake.disarm(self.ring);
            }
            return Received::Later;
        }
        if self.is_gone() {
            // No read is under way that could be overtaken.
            let room = &mut self.scratch[..LAST_READ_BYTES];
            return match self.stream.recv_now(room, MsgFlags::empty()) {
                Ok(0) => Received::End,
                Ok(len) => Received::Bytes(&room[..len]),
                Err(Errno::EAGAIN) => Received::Nothing,
                Err(_) => Received::Failed,
            };
        }
        match self.stream.intake.end() {
            Some(End::Bare) => Received::End,
            Some(End::Failed(_)) => Received::Failed,
            None => Received::Later,
        }
    }

    fn peek(&mut self) -> Received<'_> {
        self.release_last();
        if self.stream.intake.has_arrived() {
            return Received::Bytes(&[]);
        }
        if self.stream.intake.is_armed() {
            if self.is_gone() {
                self.stream.intake.disarm(self.ring);
            }
            return Received::Later;
        }
        match self.stream.recv_now(&mut [0], MsgFlags::MSG_PEEK) {
            Ok(0) => Received::End,
            Ok(_) => Received::Bytes(&[]),
            Err(Errno::EAGAIN) => Received::Nothing,
            Err(_) => Received::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{self, Read, Write},
        os::unix::net::UnixStream,
    };

    use nix::sys::socket::{setsockopt, sockopt};

    use super::*;
    use crate::{ring::Wait, server::tests::Asking};

    #[test]
    fn what_a_direct_send_leaves_follows_by_the_ring() {
        let mut ring = match Ring::new() {
            Ok(ring) => ring,
            Err(refused) => {
                let _ = writeln!(io::stderr(), "skipped: {refused}");
                return;
            }
        };
        ring.enable().expect("enable");
        let (ours, mut peers) = UnixStream::pair().expect("a pair");
        // The kernel makes it the least there is, in which two pieces of less than half of it find room.
        setsockopt(&ours, sockopt::SndBuf, &0).expect("a small buffer");
        let before = [0xff; 2000];
        (&ours).write_all(&before).expect("the first piece");
        peers.set_nonblocking(true).expect("nonblocking");
        let mut conn = Conn::new(ours.into(), Asking::default());
        let id = ConnId(0);
        let mut scratch = ring.output_buffer();
        let output: Vec<u8> = (0..DIRECT_MAX).map(|byte| byte as u8).collect();
        scratch[..output.len()].copy_from_slice(&output);
        let mut turn = StreamTurn {
            stream: &mut conn.stream,
            ring: &mut ring,
            id,
            gone: false,
            alone: true,
            scratch: &mut scratch,
            filled: &mut output.len(),
            last: None,
        };
        let sent = turn.send().expect("the peer is there");
        assert!(0 < sent && sent < output.len(), "{sent} bytes at once");
        assert_eq!(turn.unsent(), output.len() - sent);
        assert!(turn.room().is_empty(), "nothing may overtake the rest");
        drop(turn);
        scratch.fill(0);
        let wanted = [&before[..], &output].concat();
        let mut got = Vec::new();
        while got.len() < wanted.len() {
            let mut room = [0; DIRECT_MAX];
            match peers.read(&mut room) {
                Ok(len) => got.extend_from_slice(&room[..len]),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    ring.enter(Wait::Forever).expect("enter");
                    let done = ring.completed().expect("the send");
                    let op = done.op.expect("its last completion");
                    conn.note_send(&mut ring, Owner::Conn(id), done.result, op);
                }
            }
        }
        assert_eq!(got, wanted);
    }
}
