//! The loop: the one place that blocks. It collects what the kernel, other threads and the clock report, and gives each
//! listener, connection and pipe its turn. What happens in a turn is in `drive`, `pipe` and here for listeners.

use std::{
    collections::VecDeque,
    fmt,
    fs::File,
    io::{self, ErrorKind},
    os::fd::{AsFd, OwnedFd},
    time::Duration,
};

use gantry_core::{
    Instant,
    driver::{
        ConnId, ListenerId, PipeId, Protocol, Service,
        limits::{ACCEPT_PAUSE, ACCEPT_PAUSES_MAX, Limits, TURN_ACCEPTS, TURN_BYTES, TURN_MESSAGES, TURN_TIMERS},
    },
};
use mio::{Events, Interest};
use nix::errno::Errno;

use crate::{
    accept::AcceptFailure,
    conn::{Conn, WATCHED},
    limits::{SCRATCH_BYTES, TURN_REPORTS},
    listener::Listener,
    reactor::{Deadline, Reactor, Source, Work},
    timer::time_until,
    wake::{Inbox, Mailbox},
};

/// The transport: listeners, connections, pipes and timers on one thread.
///
/// `P` is the protocol of its connections, `M` what other threads send through [`mailbox`](Self::mailbox).
pub struct Server<P, M> {
    // Dropped before the descriptors: whoever sends then is told that the loop has ended.
    inbox: Inbox<M>,
    reactor: Reactor<P>,
    events: Events,
    scratch: Box<[u8]>,
    /// The epoch of all [`Instant`]s.
    epoch: std::time::Instant,
    /// Given up to turn peers away when there is no other descriptor.
    spare: Option<File>,
}

impl<P: Protocol, M: Send + 'static> Server<P, M> {
    /// A loop with nothing on it. Its epoch is now.
    ///
    /// # Errors
    ///
    /// The kernel gives no epoll or event descriptor, or `/dev/null` cannot be opened.
    pub fn new(limits: Limits) -> io::Result<Self> {
        let reactor = Reactor::new(limits)?;
        let inbox = Inbox::new()?;
        reactor.register(inbox.fd(), Source::Inbox, Interest::READABLE)?;
        Ok(Self {
            inbox,
            reactor,
            events: Events::with_capacity(TURN_REPORTS),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            epoch: std::time::Instant::now(),
            spare: Some(spare_descriptor()?),
        })
    }

    /// Accepts from one more socket, which listens already; `id` is told with every connection that comes in there.
    ///
    /// Options that an accepted socket inherits, such as those of TCP, are the business of whoever opened it.
    ///
    /// # Errors
    ///
    /// It is neither a TCP nor a Unix socket, or the kernel does not watch it.
    pub fn listen(&mut self, socket: OwnedFd, id: ListenerId) -> io::Result<()> {
        let listener = Listener::new(socket, id)?;
        let number = self.reactor.listeners.len();
        self.reactor
            .register(listener.fd(), Source::Listener(number), Interest::READABLE)?;
        self.reactor.listeners.push(listener);
        Ok(())
    }

    /// A sender for other threads.
    pub fn mailbox(&self) -> Mailbox<M> {
        self.inbox.mailbox()
    }

    /// The driver before the loop runs, to open pipes and set timers that are there from the start.
    pub fn driver(&mut self) -> &mut Reactor<P> {
        self.reactor.now = Instant(self.epoch.elapsed());
        &mut self.reactor
    }

    /// Runs until the service calls [`Driver::stop`](gantry_core::driver::Driver::stop). Then the turn is finished, listeners are closed, and connections and
    /// pipes dropped, without further call-backs.
    ///
    /// The process must ignore SIGPIPE, as every Rust program does from its start.
    ///
    /// # Errors
    ///
    /// The kernel refuses to wait. Nothing that a peer does ends the loop.
    pub fn run<S>(mut self, service: &mut S) -> io::Result<()>
    where
        S: Service<Reactor<P>, Message = M>,
    {
        while !self.reactor.stopping {
            self.round(service)?;
        }
        Ok(())
    }

    /// Waits until there is something to do, and does it.
    fn round<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) -> io::Result<()> {
        let timeout = self.time_to_wait();
        match self.reactor.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(error),
        }
        self.turn(service);
        Ok(())
    }

    fn time_to_wait(&self) -> Option<Duration> {
        if !self.reactor.ready.is_empty() || self.inbox.is_behind() {
            return Some(Duration::ZERO);
        }
        // The turn has taken its time, so the clock is asked again.
        let deadline = self.reactor.deadlines.first()?;
        Some(time_until(Instant(self.epoch.elapsed()), deadline))
    }

    fn turn<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        self.reactor.now = Instant(self.epoch.elapsed());
        self.reactor.turn += 1;
        self.note_reports();
        self.fire_deadlines(service);
        self.deliver_messages(service);
        self.serve_ready(service);
        #[cfg(feature = "faults")]
        self.reactor.report_again();
    }

    fn note_reports(&mut self) {
        for report in &self.events {
            // A report about something that was closed meanwhile finds nothing under its id.
            match Source::from_token(report.token()) {
                Source::Conn(id) => {
                    if let Some(conn) = self.reactor.conns.get_mut(id.0) {
                        conn.note(report);
                        self.reactor.queue_conn(id);
                    }
                }
                // Messages are looked for in every turn.
                Source::Inbox => {}
                Source::Listener(number) => {
                    if let Some(listener) = self.reactor.listeners.get_mut(number) {
                        listener.waiting = true;
                        self.reactor.queue_listener(number);
                    }
                }
                Source::Pipe(id) => {
                    if let Some(pipe) = self.reactor.pipes.get_mut(id.0) {
                        pipe.note(report);
                        self.reactor.queue_pipe(id);
                    }
                }
            }
        }
    }

    fn fire_deadlines<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        let now = self.reactor.now;
        let mark = self.reactor.deadlines.mark();
        for _ in 0..TURN_TIMERS {
            match self.reactor.deadlines.take_due(now, mark) {
                Some(Deadline::Accept) => {
                    for number in 0..self.reactor.listeners.len() {
                        self.reactor.queue_listener(number);
                    }
                }
                Some(Deadline::Conn(id)) => self.reactor.conn_deadline(id),
                Some(Deadline::Timer(timer)) => service.timer(&mut self.reactor, timer),
                None => break,
            }
        }
    }

    fn deliver_messages<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        self.inbox.begin_turn();
        for _ in 0..TURN_MESSAGES {
            let Some(message) = self.inbox.take() else { break };
            service.message(&mut self.reactor, message);
        }
    }

    /// Serves the queue in order, everyone at most once, until it is empty or the turn has moved its share of bytes.
    fn serve_ready<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        let mut later = VecDeque::new();
        let mut moved = 0;
        while moved < TURN_BYTES
            && let Some(work) = self.reactor.ready.pop_front()
        {
            if self.was_served(work) {
                later.push_back(work);
                continue;
            }
            moved += match work {
                Work::Conn(id) => self.reactor.serve_conn(service, id, &mut self.scratch),
                Work::Listener(number) => {
                    self.accept(service, number);
                    0
                }
                Work::Pipe(id) => self.reactor.serve_pipe(service, id, &mut self.scratch),
            };
        }
        self.reactor.ready.append(&mut later);
    }

    /// Whether somebody has had this turn already; otherwise this is it.
    fn was_served(&mut self, work: Work) -> bool {
        let turn = self.reactor.turn;
        let place = match work {
            Work::Conn(ConnId(key)) => self.reactor.conns.get_mut(key).map(|conn| &mut conn.place),
            Work::Pipe(PipeId(key)) => self.reactor.pipes.get_mut(key).map(|pipe| &mut pipe.place),
            Work::Listener(number) => self
                .reactor
                .listeners
                .get_mut(number)
                .map(|listener| &mut listener.place),
        };
        place.is_some_and(|place| !place.leave(turn))
    }

    fn accept<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S, number: usize) {
        for _ in 0..TURN_ACCEPTS {
            // A listener that is left waiting is queued again when a connection closes, or by the pause's deadline.
            if self.reactor.conns.len() >= self.reactor.limits.connections {
                return;
            }
            let Some(listener) = self.reactor.listeners.get_mut(number) else {
                return;
            };
            let fd = match listener.accept() {
                Ok(fd) => fd,
                Err(error) => match AcceptFailure::of(Errno::from_raw(error.raw_os_error().unwrap_or(0))) {
                    AcceptFailure::Nobody => {
                        listener.waiting = false;
                        return;
                    }
                    AcceptFailure::OnePeer => continue,
                    AcceptFailure::Everybody => {
                        if listener.pauses >= ACCEPT_PAUSES_MAX && self.turn_one_away(number) {
                            continue;
                        }
                        return self.pause_accepting(number);
                    }
                },
            };
            listener.pauses = 0;
            let listener = listener.id;
            let id = ConnId(self.reactor.conns.reserve());
            if self.reactor.register(fd.as_fd(), Source::Conn(id), WATCHED).is_err() {
                // No memory or no watches left: this peer sees an end, the others wait.
                self.reactor.conns.remove(id.0);
                return self.pause_accepting(number);
            }
            let protocol = service.accept(&mut self.reactor, id, listener);
            let filled = self.reactor.conns.fill(id.0, Conn::new(fd, protocol));
            debug_assert!(filled.is_ok(), "a connection that is not filled yet cannot be removed");
            // It may have something to say first, or a deadline.
            self.reactor.queue_conn(id);
        }
        self.reactor.queue_listener(number);
    }

    /// Leaves peers in the backlog for a moment: there may soon be room for them.
    fn pause_accepting(&mut self, number: usize) {
        if let Some(listener) = self.reactor.listeners.get_mut(number) {
            listener.pauses += 1;
        }
        if self.spare.is_none() {
            self.spare = spare_descriptor().ok();
        }
        let again = self.reactor.now + ACCEPT_PAUSE;
        self.reactor.deadlines.set(Deadline::Accept, Some(again));
    }

    /// Accepts a peer in place of the spare descriptor and drops it, so that it sees an end instead of silence. Says whether
    /// that worked.
    fn turn_one_away(&mut self, number: usize) -> bool {
        self.spare = None;
        let accepted = self
            .reactor
            .listeners
            .get(number)
            .is_some_and(|listener| listener.accept().is_ok());
        self.spare = spare_descriptor().ok();
        accepted
    }
}

impl<P, M> fmt::Debug for Server<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("reactor", &self.reactor)
            .finish_non_exhaustive()
    }
}

/// A descriptor that can be given up when there is no other.
fn spare_descriptor() -> io::Result<File> {
    File::open("/dev/null")
}

#[cfg(test)]
impl<P: Protocol, M: Send + 'static> Server<P, M> {
    /// Nothing has to be done before the first round.
    fn start(&self) -> io::Result<()> {
        Ok(())
    }

    /// Whether the next round waits for whatever may come.
    fn is_at_rest(&self) -> bool {
        self.time_to_wait().is_none()
    }
}

#[cfg(test)]
mod tests;
