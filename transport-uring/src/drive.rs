//! A connection's turn on the loop: what `gantry_core::driver::conn` decides, carried out. Which connection has its turn when
//! is decided in `server`.

use gantry_core::driver::{
    ConnId, Protocol, Service,
    conn::{Peer, Step},
    turn::Budget,
};

use crate::{
    conn::StreamTurn,
    op::{Kind, Owner},
    reactor::{Deadline, Reactor},
    ring::Completion,
};

impl<P: Protocol> Reactor<P> {
    /// Gives a connection its turn; returns the bytes it has moved.
    pub(crate) fn serve_conn<S>(&mut self, service: &mut S, id: ConnId, scratch: &mut Box<[u8]>) -> usize
    where
        S: Service<Self>,
    {
        let now = self.now;
        let mut budget = Budget::new();
        let mut filled = 0;
        if let Some(conn) = self.conns.get_mut(id.0) {
            conn.place.attend();
        }
        // Looked up each time: the call-backs own the reactor.
        while let Some(conn) = self.conns.get_mut(id.0) {
            let gone = conn.state.peer() == Peer::Gone;
            let mut socket = StreamTurn {
                stream: &mut conn.stream,
                ring: &mut self.ring,
                id,
                gone,
                alone: self.alone == Some(id),
                scratch: &mut *scratch,
                filled: &mut filled,
                last: None,
            };
            let step = conn.state.step(now, &mut socket, &mut budget);
            drop(socket);
            match step {
                Step::Close => {
                    self.close_conn(service, id);
                    break;
                }
                Step::Event(event) => service.event(self, id, event),
                Step::Spent => {
                    conn.place.rest();
                    self.queue_conn(id);
                    self.settle(id);
                    break;
                }
                Step::Wait => {
                    conn.place.rest();
                    self.settle(id);
                    break;
                }
                Step::Writable => service.writable(self, id),
            }
        }
        budget.moved()
    }

    /// Something that was under way for a connection has come to something.
    pub(crate) fn conn_completed(&mut self, id: ConnId, completion: Completion) {
        let Some(conn) = self.conns.get_mut(id.0) else {
            return self.ring.abandon(completion);
        };
        let owner = Owner::Conn(id);
        match completion.kind {
            Kind::Read(_) => {
                conn.note_read(&mut self.ring, completion);
                if conn.intake_mut().is_starved() {
                    self.starved.push(owner);
                }
            }
            Kind::Send => {
                let Some(op) = completion.op else { return };
                if !conn.note_send(&mut self.ring, owner, completion.result, op) {
                    return;
                }
            }
            Kind::WatchRoom => conn.note_room(),
            Kind::Watch => conn.note_watch(&mut self.ring, &completion),
            Kind::Accept | Kind::Write => {}
        }
        self.queue_conn(id);
    }

    /// The protocol's deadline, or the end of a patience, may have come.
    pub(crate) fn conn_deadline(&mut self, id: ConnId) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(id.0) {
            conn.state.handle_deadline(now);
            self.queue_conn(id);
        }
    }

    fn close_conn<S: Service<Self>>(&mut self, service: &mut S, id: ConnId) {
        let Some(conn) = self.conns.remove(id.0) else { return };
        conn.abandon(&mut self.ring);
        self.deadlines.set(Deadline::Conn(id), None);
        // There is room for one more: peers may have been left waiting.
        for number in 0..self.listeners.len() {
            self.queue_listener(number);
        }
        service.closed(self, id);
    }

    /// Tells the kernel and the list of deadlines what matters from now on.
    fn settle(&mut self, id: ConnId) {
        let now = self.now;
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        conn.settle(&mut self.ring, Owner::Conn(id));
        if let Some(at) = conn.state.arm(now) {
            self.deadlines.set(Deadline::Conn(id), Some(at));
        }
    }
}
