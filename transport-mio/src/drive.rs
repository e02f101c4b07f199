//! One connection's turn: the unsent piece, the protocol's output, then input, until nothing moves or the share of the
//! turn is used up. Which connection has its turn when is decided in `server`.
//!
//! ```text
//!            +--------------------- drain ----------------------+        +------------ feed ------------+
//!   turn --> | unsent piece -> poll_output -> events, send, end | -----> | held bytes, or one recv, or  | --> settle
//!            +--------------------------------------------------+  idle  | the end of the peer          |
//!                                  ^                                     +------------------------------+
//!                                  '------------- something was taken ---------------'
//! ```
//!
//! How a peer goes (unix(7), tcp(7), epoll(7)): `recv` gives 0 when it has ended its sending direction, and it may still
//! read. EPOLLHUP (both directions over), EPOLLERR, or a send that fails say that it is gone; what it sent before is
//! still delivered first, then the protocol hears of the reset.

use std::os::fd::{AsFd, AsRawFd};

use gantry_core::{
    Instant,
    driver::{ConnId, Output, Protocol, Service},
};
use mio::Interest;
use nix::{
    errno::Errno,
    sys::socket::{MsgFlags, Shutdown, recv, send, shutdown},
};

use crate::{
    conn::{Conn, Peer, Sending},
    limits::{CLOSE_LINGER, CONN_READ_BYTES, GONE_LINGER, OUTPUT_HIGH_WATER, OUTPUT_LOW_WATER, OUTPUT_ROOM_MIN},
    reactor::{Budget, Deadline, Reactor, Source},
};

/// Where the protocol's output came to rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Drained {
    /// The connection is to be closed now.
    Close,
    /// The protocol waits.
    Idle,
    /// The share of the turn is used up.
    Spent,
}

impl<P: Protocol> Reactor<P> {
    /// Gives a connection its turn; returns the bytes it has moved.
    pub(crate) fn serve_conn<S>(&mut self, service: &mut S, id: ConnId, scratch: &mut [u8]) -> usize
    where
        S: Service<Self>,
    {
        let mut budget = Budget::new();
        loop {
            match self.drain(service, id, scratch, &mut budget) {
                Drained::Close => {
                    self.close_conn(service, id);
                    return budget.moved();
                }
                Drained::Idle => {}
                Drained::Spent => {
                    self.queue_conn(id);
                    break;
                }
            }
            if budget.is_spent() {
                self.queue_conn(id);
                break;
            }
            let now = self.now;
            if !self
                .conns
                .get_mut(id.0)
                .is_some_and(|conn| conn.feed(now, scratch, &mut budget))
            {
                break;
            }
        }
        self.settle(id);
        budget.moved()
    }

    /// The protocol's deadline, or the end of a patience, may have come.
    pub(crate) fn conn_deadline(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        conn.armed = None;
        if conn.deadline.is_some_and(|deadline| deadline <= now) {
            conn.deadline = None;
            conn.protocol.handle_timeout(now);
        }
        if conn.linger.is_some_and(|linger| linger <= now) {
            conn.lose(now);
        }
        // Served in any case: that also arms the next deadline.
        self.queue_conn(id);
    }

    fn drain<S>(&mut self, service: &mut S, id: ConnId, scratch: &mut [u8], budget: &mut Budget) -> Drained
    where
        S: Service<Self>,
    {
        let now = self.now;
        // Output of the protocol in `scratch` that has not been sent. Call-backs do not touch the scratch buffer.
        let mut filled = 0;
        loop {
            let Some(conn) = self.conns.get_mut(id.0) else {
                return Drained::Idle;
            };
            conn.note_water();
            conn.flush(now, budget);
            if conn.closing {
                return conn.close_when_sent();
            }
            let room = if conn.takes_output() {
                &mut scratch[filled..]
            } else {
                &mut []
            };
            let room_len = room.len();
            match conn.protocol.poll_output(now, room) {
                Output::Event(event) => {
                    service.event(self, id, event);
                    budget.spend_step();
                    if budget.is_spent() {
                        self.send_batch(id, scratch, &mut filled, budget);
                        return Drained::Spent;
                    }
                }
                Output::Transmit(len) => {
                    assert!(
                        0 < len && len <= room_len,
                        "the protocol sends {len} bytes out of {room_len}"
                    );
                    filled += len;
                    if scratch.len() - filled < OUTPUT_ROOM_MIN {
                        self.send_batch(id, scratch, &mut filled, budget);
                        if budget.is_spent() {
                            return Drained::Spent;
                        }
                    }
                }
                Output::Wait(deadline) => {
                    conn.deadline = deadline;
                    if conn.peer == Peer::Lost {
                        // After a reset only events and `Close` follow: there are no more events.
                        return Drained::Close;
                    }
                    self.send_batch(id, scratch, &mut filled, budget);
                    if !self.tell_writable(service, id) {
                        return Drained::Idle;
                    }
                    budget.spend_step();
                    if budget.is_spent() {
                        return Drained::Spent;
                    }
                }
                Output::Shutdown => {
                    self.send_batch(id, scratch, &mut filled, budget);
                    if let Some(conn) = self.conns.get_mut(id.0)
                        && conn.sending == Sending::Open
                    {
                        conn.sending = Sending::Ending;
                    }
                }
                Output::Close => {
                    self.send_batch(id, scratch, &mut filled, budget);
                    let Some(conn) = self.conns.get_mut(id.0) else {
                        return Drained::Idle;
                    };
                    conn.closing = true;
                    conn.deadline = None;
                    conn.linger = Some(now + CLOSE_LINGER);
                }
            }
        }
    }

    fn send_batch(&mut self, id: ConnId, scratch: &[u8], filled: &mut usize, budget: &mut Budget) {
        let now = self.now;
        let len = std::mem::take(filled);
        if let Some(conn) = self.conns.get_mut(id.0)
            && len > 0
        {
            conn.send(now, &scratch[..len], budget);
        }
    }

    /// Calls the service if the queue has fallen below its low mark; says whether it has.
    fn tell_writable<S: Service<Self>>(&mut self, service: &mut S, id: ConnId) -> bool {
        let Some(conn) = self.conns.get_mut(id.0) else {
            return false;
        };
        if !conn.above_high || conn.queued() >= OUTPUT_LOW_WATER {
            return false;
        }
        conn.above_high = false;
        service.writable(self, id);
        true
    }

    pub(crate) fn close_conn<S: Service<Self>>(&mut self, service: &mut S, id: ConnId) {
        let Some(conn) = self.conns.remove(id.0) else { return };
        self.deregister(conn.fd.as_fd());
        self.deadlines.set(Deadline::Conn(id), None);
        drop(conn);
        // There is room for one more: peers may have been left waiting.
        for number in 0..self.listeners.len() {
            if self.listeners[number].waiting {
                self.queue_listener(number);
            }
        }
        service.closed(self, id);
    }

    /// Tells the kernel and the list of deadlines what matters from now on.
    fn settle(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get(id.0) else { return };
        let interest = if conn.blocked {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        };
        if interest != conn.interest && self.reregister(conn.fd.as_fd(), Source::Conn(id), interest).is_err() {
            // The kernel has no memory to tell us when to go on: the connection cannot be served.
            let Some(conn) = self.conns.get_mut(id.0) else { return };
            conn.lose(now);
            return self.queue_conn(id);
        }
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        conn.interest = interest;
        // A protocol that still names a time that has come does not make the loop spin.
        let soonest = now + std::time::Duration::from_millis(1);
        let wanted = [conn.deadline, conn.linger]
            .into_iter()
            .flatten()
            .min()
            .map(|at| at.max(soonest));
        // Idle deadlines move on with every request. An earlier entry is left as it is; it finds out when it is due.
        if let Some(at) = wanted
            && conn.armed.is_none_or(|armed| at < armed)
        {
            conn.armed = Some(at);
            self.deadlines.set(Deadline::Conn(id), Some(at));
        }
    }
}

impl<P: Protocol> Conn<P> {
    /// Notes a report of the kernel.
    pub(crate) fn note(&mut self, report: &mio::event::Event) {
        let over = report.is_write_closed() || report.is_error();
        self.fin_seen |= report.is_read_closed();
        self.readable |= report.is_readable() || report.is_read_closed() || over;
        if report.is_writable() || over {
            self.blocked = false;
        }
        // Once we have ended our direction, a hang-up says no more than that the peer has ended its own.
        if over && self.sending != Sending::Ended && self.peer != Peer::Lost {
            self.peer = Peer::Gone;
        }
    }

    fn takes_output(&self) -> bool {
        self.unsent.is_empty() && self.peer != Peer::Lost
    }

    fn queued(&self) -> usize {
        self.protocol.output_queued() + self.unsent.rest().len()
    }

    fn note_water(&mut self) {
        self.above_high |= self.queued() >= OUTPUT_HIGH_WATER;
    }

    /// Sends the unsent piece, and ends our direction behind it if that is wanted.
    fn flush(&mut self, now: Instant, budget: &mut Budget) {
        if !self.unsent.is_empty() && !self.blocked {
            let unsent = std::mem::take(&mut self.unsent);
            let sent = self.send_some(unsent.rest(), budget);
            self.unsent = unsent;
            self.unsent.consume(sent);
            if self.closing && sent > 0 {
                self.linger = Some(now + CLOSE_LINGER);
            }
        }
        if self.unsent.is_empty() && self.sending == Sending::Ending {
            self.sending = Sending::Ended;
            // ENOTCONN: the peer has reset the connection, which the next read says as well.
            let _ = shutdown(self.fd.as_raw_fd(), Shutdown::Write);
        }
    }

    /// Sends what the protocol has just handed out; what the socket does not take is kept.
    fn send(&mut self, now: Instant, bytes: &[u8], budget: &mut Budget) {
        debug_assert!(
            self.unsent.is_empty(),
            "the protocol gets no room before the last piece is sent"
        );
        let sent = self.send_some(bytes, budget);
        if sent < bytes.len() {
            self.unsent.keep(&bytes[sent..]);
            if self.closing {
                self.linger = Some(now + CLOSE_LINGER);
            }
        }
    }

    /// How many bytes are done with. Bytes for a peer that is gone are: nobody will ever take them.
    fn send_some(&mut self, bytes: &[u8], budget: &mut Budget) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            if matches!(self.peer, Peer::Gone | Peer::Lost) {
                budget.spend_bytes(bytes.len() - sent);
                return bytes.len();
            }
            match send(
                self.fd.as_raw_fd(),
                &bytes[sent..],
                MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(len) => {
                    sent += len;
                    budget.spend_bytes(len);
                }
                Err(Errno::EAGAIN) => {
                    self.blocked = true;
                    break;
                }
                Err(Errno::EINTR) => {}
                // EPIPE, ECONNRESET, ETIMEDOUT, …: no byte will ever reach the peer.
                Err(_) => {
                    self.peer = Peer::Gone;
                    self.readable = true;
                }
            }
        }
        sent
    }

    fn close_when_sent(&self) -> Drained {
        if self.unsent.is_empty() || matches!(self.peer, Peer::Gone | Peer::Lost) {
            Drained::Close
        } else if self.blocked {
            Drained::Idle
        } else {
            Drained::Spent
        }
    }

    /// Brings the protocol one input; says whether it has to be polled again.
    fn feed(&mut self, now: Instant, scratch: &mut [u8], budget: &mut Budget) -> bool {
        if self.closing || self.peer == Peer::Lost {
            return false;
        }
        if !self.protocol.wants_input() {
            return self.feed_bare_end(now);
        }
        if !self.held.is_empty() {
            let rest = self.held.rest();
            let taken = self.protocol.handle_input(now, rest).min(rest.len());
            self.held.consume(taken);
            self.note_taken(taken, budget);
            return taken > 0;
        }
        if !self.readable {
            return false;
        }
        let room = &mut scratch[..CONN_READ_BYTES];
        let room_len = room.len();
        match recv(self.fd.as_raw_fd(), room, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => self.feed_end(now),
            Ok(len) => {
                // A short read has emptied a stream socket, and whatever comes later is reported (epoll(7), question 9).
                if len < room_len && !self.fin_seen && self.peer != Peer::Gone {
                    self.readable = false;
                }
                let taken = self.protocol.handle_input(now, &scratch[..len]).min(len);
                if taken < len {
                    self.held.keep(&scratch[taken..len]);
                }
                self.note_taken(taken, budget);
                true
            }
            Err(Errno::EAGAIN) => {
                self.readable = false;
                // A peer that is gone has nothing more to say.
                self.peer == Peer::Gone && self.lose(now)
            }
            Err(Errno::EINTR) => true,
            Err(_) => self.lose(now),
        }
    }

    fn note_taken(&mut self, taken: usize, budget: &mut Budget) {
        budget.spend_bytes(taken);
        budget.spend_step();
        if taken > 0 {
            self.linger = None;
        }
    }

    /// The protocol takes no bytes; an end of the peer with no bytes before it does not wait for that.
    fn feed_bare_end(&mut self, now: Instant) -> bool {
        if self.held.is_empty() {
            if self.peer != Peer::Gone && (!self.fin_seen || self.peer == Peer::Finished) {
                return false;
            }
            match recv(
                self.fd.as_raw_fd(),
                &mut [0],
                MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT,
            ) {
                Ok(0) => return self.feed_end(now),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if self.peer != Peer::Gone => {}
                Err(_) => return self.lose(now),
            }
        }
        if self.peer == Peer::Gone && self.linger.is_none() {
            self.linger = Some(now + GONE_LINGER);
        }
        false
    }

    /// `recv` gave 0.
    fn feed_end(&mut self, now: Instant) -> bool {
        self.readable = false;
        match self.peer {
            Peer::Here => {
                self.peer = Peer::Finished;
                self.protocol.handle_eof(now);
                true
            }
            Peer::Gone => self.lose(now),
            Peer::Finished | Peer::Lost => false,
        }
    }

    /// The connection is gone, and the protocol hears of it. Always true, for it has to be polled.
    fn lose(&mut self, now: Instant) -> bool {
        if self.peer != Peer::Lost {
            self.peer = Peer::Lost;
            self.unsent = Default::default();
            self.held = Default::default();
            self.linger = None;
            self.protocol.handle_reset(now);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
        time::Duration,
    };

    use gantry_core::driver::{ListenerId, PipeId, TimerId};

    use super::*;
    use crate::limits::Limits;

    /// Sends `left` zeros and closes behind them; or takes no input, and tells of a reset.
    #[derive(Debug, Default)]
    struct Zeros {
        left: usize,
        closes: bool,
        reset: Option<Tell>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Tell {
        Wanted,
        Done,
    }

    impl Protocol for Zeros {
        type Event = ();

        fn handle_input(&mut self, _: Instant, _: &[u8]) -> usize {
            0
        }

        fn handle_eof(&mut self, _: Instant) {}

        fn handle_reset(&mut self, _: Instant) {
            self.reset = Some(Tell::Wanted);
        }

        fn handle_timeout(&mut self, _: Instant) {}

        fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<()> {
            if self.reset == Some(Tell::Wanted) {
                self.reset = Some(Tell::Done);
                return Output::Event(());
            }
            let len = self.left.min(out.len());
            out[..len].fill(0);
            self.left -= len;
            match len {
                0 if self.closes && self.left == 0 => Output::Close,
                0 => Output::Wait(None),
                len => Output::Transmit(len),
            }
        }

        fn output_queued(&self) -> usize {
            self.left
        }

        fn wants_input(&self) -> bool {
            false
        }
    }

    /// Counts resets and closed connections.
    #[derive(Debug, Default, PartialEq, Eq)]
    struct Seen {
        resets: usize,
        closed: usize,
    }

    impl Service<Reactor<Zeros>> for Seen {
        type Message = ();

        fn accept(&mut self, _: &mut Reactor<Zeros>, _: ConnId, _: ListenerId) -> Zeros {
            Zeros::default()
        }

        fn event(&mut self, _: &mut Reactor<Zeros>, _: ConnId, (): ()) {
            self.resets += 1;
        }

        fn writable(&mut self, _: &mut Reactor<Zeros>, _: ConnId) {}

        fn closed(&mut self, _: &mut Reactor<Zeros>, _: ConnId) {
            self.closed += 1;
        }

        fn pipe_input(&mut self, _: &mut Reactor<Zeros>, _: PipeId, _: &[u8]) {}

        fn pipe_drained(&mut self, _: &mut Reactor<Zeros>, _: PipeId) {}

        fn pipe_closed(&mut self, _: &mut Reactor<Zeros>, _: PipeId, _: i32) {}

        fn timer(&mut self, _: &mut Reactor<Zeros>, _: TimerId) {}

        fn message(&mut self, _: &mut Reactor<Zeros>, (): ()) {}
    }

    /// A connection without a loop: the test invents the time and decides whose turn it is.
    struct Scene {
        reactor: Reactor<Zeros>,
        conn: ConnId,
        seen: Seen,
        scratch: Vec<u8>,
    }

    impl Scene {
        fn new(protocol: Zeros) -> (Self, UnixStream) {
            let (ours, theirs) = UnixStream::pair().expect("socket pair");
            theirs.set_nonblocking(true).expect("non-blocking");
            let mut reactor = Reactor::new(Limits::default()).expect("reactor");
            let conn = ConnId(reactor.conns.reserve());
            reactor
                .register(ours.as_fd(), Source::Conn(conn), Interest::READABLE)
                .expect("register");
            reactor
                .conns
                .fill(conn.0, Conn::new(ours.into(), protocol))
                .expect("reserved");
            let scratch = vec![0; crate::limits::SCRATCH_BYTES];
            (
                Self {
                    reactor,
                    conn,
                    seen: Seen::default(),
                    scratch,
                },
                theirs,
            )
        }

        fn turn(&mut self) {
            self.reactor.serve_conn(&mut self.seen, self.conn, &mut self.scratch);
        }

        /// Lets time pass until just before, or until, the connection's deadline has come.
        fn pass(&mut self, span: Duration) {
            self.reactor.now = self.reactor.now + span;
            let mark = self.reactor.deadlines.mark();
            if let Some(Deadline::Conn(conn)) = self.reactor.deadlines.take_due(self.reactor.now, mark) {
                self.reactor.conn_deadline(conn);
                self.turn();
            }
        }

        /// What the kernel would report once the peer has read something.
        fn report_room(&mut self) {
            self.reactor.conns.get_mut(self.conn.0).expect("there").blocked = false;
            self.turn();
        }
    }

    const ALMOST: Duration = Duration::from_millis(9_999);

    #[test]
    fn closing_waits_for_a_reader_as_long_as_it_reads() {
        let (mut scene, mut peer) = Scene::new(Zeros {
            left: 1_000_000,
            closes: true,
            ..Zeros::default()
        });
        let mut room = vec![0; 50_000];
        // The protocol says `Close` only when its last byte is handed out.
        while !scene.reactor.conns.get(scene.conn.0).expect("still sending").closing {
            let _ = peer.read(&mut room);
            scene.report_room();
        }
        // Some bytes every ten seconds keep it alive.
        scene.pass(ALMOST);
        peer.set_nonblocking(false).expect("blocking");
        peer.read_exact(&mut room).expect("bytes");
        scene.report_room();
        scene.pass(ALMOST);
        assert_eq!(scene.seen, Seen::default(), "patient for another ten seconds");
        scene.pass(Duration::from_millis(2));
        assert_eq!(scene.seen.closed, 1, "patience ends");
    }

    #[test]
    fn bytes_of_a_vanished_peer_wait_ten_seconds() {
        let (mut scene, mut peer) = Scene::new(Zeros::default());
        peer.write_all(b"nobody takes this").expect("write");
        drop(peer);
        scene.reactor.conns.get_mut(scene.conn.0).expect("there").peer = Peer::Gone;
        scene.turn();
        scene.pass(ALMOST);
        assert_eq!(scene.seen, Seen::default());
        scene.pass(Duration::from_millis(2));
        assert_eq!(scene.seen, Seen { resets: 1, closed: 1 });
        assert_eq!(scene.reactor.deadlines.first(), None, "nothing is left behind");
    }
}
