//! A connection's turn on the loop: what `gantry_core::driver::conn` decides, carried out. Which connection has its turn when
//! is decided in `server`.

use std::os::fd::AsFd;

use gantry_core::driver::{ConnId, Protocol, Service, conn::Step, turn::Budget};
use mio::Interest;

use crate::{
    conn::{StreamTurn, WATCHED},
    reactor::{Deadline, Reactor, Source},
};

impl<P: Protocol> Reactor<P> {
    /// Gives a connection its turn; returns the bytes it has moved.
    pub(crate) fn serve_conn<S>(&mut self, service: &mut S, id: ConnId, scratch: &mut [u8]) -> usize
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
            let mut socket = StreamTurn {
                stream: &mut conn.stream,
                scratch: &mut *scratch,
                filled: &mut filled,
            };
            match conn.state.step(now, &mut socket, &mut budget) {
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

    /// The protocol's deadline, or the end of a patience, may have come.
    pub(crate) fn conn_deadline(&mut self, id: ConnId) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(id.0) {
            conn.state.handle_deadline(now);
            self.queue_conn(id);
        }
    }

    pub(crate) fn close_conn<S: Service<Self>>(&mut self, service: &mut S, id: ConnId) {
        let Some(conn) = self.conns.remove(id.0) else { return };
        self.deregister(conn.stream.fd.as_fd());
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
        let interest = if conn.stream.blocked {
            WATCHED | Interest::WRITABLE
        } else {
            WATCHED
        };
        let watched = interest == conn.interest
            || self
                .reregister(conn.stream.fd.as_fd(), Source::Conn(id), interest)
                .is_ok();
        let Some(conn) = self.conns.get_mut(id.0) else { return };
        if !watched {
            // The kernel has no memory to tell us when to go on: the connection cannot be served.
            conn.state.lose(now);
            return self.queue_conn(id);
        }
        conn.interest = interest;
        if let Some(at) = conn.state.arm(now) {
            self.deadlines.set(Deadline::Conn(id), Some(at));
        }
    }
}
