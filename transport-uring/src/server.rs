//! The loop: the one place that blocks. It hands operations to the kernel, collects what has completed, what other threads
//! have sent and what the clock says, and gives each listener, connection and pipe its turn. What happens in a turn is in
//! `drive`, `pipe` and here for listeners.

use std::{collections::VecDeque, fmt, fs::File, io, os::fd::OwnedFd, sync::Arc};

use gantry_core::{
    Instant,
    driver::{
        ConnId, ListenerId, PipeId, Protocol, Service,
        limits::{ACCEPT_PAUSE, Limits, TURN_ACCEPTS, TURN_BYTES, TURN_MESSAGES, TURN_TIMERS},
    },
};
use nix::libc;

use crate::{
    conn::Conn,
    listener::{Listener, spare_descriptor},
    op::Owner,
    probe::Refused,
    reactor::{Deadline, Reactor, Work},
    ring::{Completion, Wait},
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
    /// Output that is being put together, and the last bytes of whoever is gone.
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
    /// [`Refused`] says what this system does not allow or does not have.
    pub fn new(limits: Limits) -> Result<Self, Refused> {
        let mut reactor = Reactor::new(limits)?;
        let inbox = Inbox::new()?;
        // Everything that needs a descriptor is done here, and not when the loop begins.
        let wakes = Arc::new(inbox.fd().try_clone_to_owned()?);
        reactor.ring.watch(Owner::Inbox, &wakes, libc::POLLIN);
        Ok(Self {
            inbox,
            scratch: reactor.ring.output_buffer(),
            reactor,
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
    /// It is no listening socket.
    pub fn listen(&mut self, socket: OwnedFd, id: ListenerId) -> io::Result<()> {
        let listener = Listener::new(socket, id)?;
        let number = self.reactor.listeners.len();
        self.reactor.listeners.push(listener);
        self.reactor.queue_listener(number);
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

    /// Runs until the service calls [`Driver::stop`](gantry_core::driver::Driver::stop). Then the turn is finished,
    /// listeners are closed, and connections and pipes dropped, without further call-backs.
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
        self.start()?;
        while !self.reactor.stopping {
            self.round(service)?;
        }
        Ok(())
    }

    /// Makes this thread that of the loop.
    fn start(&mut self) -> io::Result<()> {
        self.reactor.ring.enable()
    }

    /// Hands over what is to be done, waits until something has been, and goes on with that.
    fn round<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) -> io::Result<()> {
        let wait = self.time_to_wait();
        self.reactor.ring.enter(wait)?;
        self.turn(service);
        Ok(())
    }

    fn time_to_wait(&self) -> Wait {
        if !self.reactor.ready.is_empty() || self.inbox.is_behind() {
            return Wait::No;
        }
        match self.reactor.deadlines.first() {
            // The turn has taken its time, so the clock is asked again.
            Some(deadline) => Wait::For(time_until(Instant(self.epoch.elapsed()), deadline)),
            None => Wait::Forever,
        }
    }

    fn turn<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        self.reactor.now = Instant(self.epoch.elapsed());
        self.reactor.turn += 1;
        self.note_completions();
        self.fire_deadlines(service);
        self.deliver_messages(service);
        self.serve_ready(service);
        self.reactor.feed_starved();
    }

    fn note_completions(&mut self) {
        // Those that are at hand now; what comes meanwhile waits for the next turn.
        for _ in 0..self.reactor.ring.completions() {
            let Some(completion) = self.reactor.ring.completed() else {
                break;
            };
            // One about something that was closed meanwhile finds nothing under its id.
            match completion.owner {
                Owner::Conn(id) => self.reactor.conn_completed(id, completion),
                Owner::Inbox => self.inbox_completed(&completion),
                Owner::Listener(number) => self.listener_completed(number, completion),
                Owner::Pipe(id) => self.reactor.pipe_completed(id, completion),
            }
        }
    }

    /// Messages are looked for in every turn; only the watch has to go on.
    fn inbox_completed(&mut self, completion: &Completion) {
        if let Some(op) = &completion.op {
            self.reactor.ring.watch(Owner::Inbox, &op.file, libc::POLLIN);
        }
    }

    fn listener_completed(&mut self, number: usize, completion: Completion) {
        let Some(listener) = self.reactor.listeners.get_mut(number) else {
            return;
        };
        if listener.note(completion, &mut self.spare) {
            // Peers are left in the backlog for a moment: there may soon be room for them.
            let again = self.reactor.now + ACCEPT_PAUSE;
            self.reactor.deadlines.set(Deadline::Accept, Some(again));
        }
        self.reactor.queue_listener(number);
    }

    fn fire_deadlines<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S) {
        let now = self.reactor.now;
        let mark = self.reactor.deadlines.mark();
        for _ in 0..TURN_TIMERS {
            match self.reactor.deadlines.take_due(now, mark) {
                Some(Deadline::Accept) => {
                    for number in 0..self.reactor.listeners.len() {
                        self.reactor.listeners[number].resume();
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
        self.reactor.alone = match (self.reactor.ready.front(), self.reactor.ready.len()) {
            (Some(&Work::Conn(id)), 1) => Some(id),
            _ => None,
        };
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
                    self.serve_listener(service, number);
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

    fn serve_listener<S: Service<Reactor<P>, Message = M>>(&mut self, service: &mut S, number: usize) {
        for _ in 0..TURN_ACCEPTS {
            let room = self.reactor.has_room();
            let Some(listener) = self.reactor.listeners.get_mut(number) else {
                return;
            };
            // A listener whose peers are left waiting is queued again when a connection closes.
            let Some(peer) = room.then(|| listener.next_peer()).flatten() else {
                return listener.settle(&mut self.reactor.ring, Owner::Listener(number), room);
            };
            let listener = listener.id;
            let id = ConnId(self.reactor.conns.reserve());
            let protocol = service.accept(&mut self.reactor, id, listener);
            let filled = self.reactor.conns.fill(id.0, Conn::new(peer, protocol));
            debug_assert!(filled.is_ok(), "a connection that is not filled yet cannot be removed");
            // It may have something to say first, or a deadline; and its turn begins to read.
            self.reactor.queue_conn(id);
        }
        self.reactor.queue_listener(number);
    }
}

impl<P, M> fmt::Debug for Server<P, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("reactor", &self.reactor)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
impl<P: Protocol, M: Send + 'static> Server<P, M> {
    /// Whether the next round hands nothing over, and waits for whatever may come.
    fn is_at_rest(&mut self) -> bool {
        self.time_to_wait() == Wait::Forever && self.reactor.ring.unsubmitted() == 0
    }
}

#[cfg(test)]
mod batch;
#[cfg(test)]
#[path = "../../transport-mio/src/server/tests.rs"]
pub(crate) mod tests;
