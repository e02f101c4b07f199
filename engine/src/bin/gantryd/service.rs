//! Between transport and engine: events of the protocol become calls of the engine, and what the engine says becomes
//! commands to the protocol.

use std::{collections::HashMap, os::fd::OwnedFd, sync::Arc};

use bytes::Bytes;
use gantry_core::{
    Connection, Event, Instant, Item, Limits, Misuse, Reply, RequestId,
    driver::{ConnId, Direction, Driver, ListenerId, PipeId, Service, TimerId},
};
use gantry_engine::{CallId, Engine, Message, Port};
use nix::sys::signal::Signal;
use rustls::ServerConfig;

use crate::{channel::Channel, handover::Door, signals};

/// The daemon as the transport sees it.
pub(crate) struct Daemon {
    engine: Engine,
    signal_pipe: Option<PipeId>,
    /// Open calls of each connection, to be told when it has room or is gone.
    calls: HashMap<ConnId, Vec<RequestId>>,
    tls: HashMap<ListenerId, Arc<ServerConfig>>,
    allowed_origin: Option<Arc<str>>,
    door: Door,
    /// Who takes our place when the loop has ended.
    successor: Option<OwnedFd>,
}

impl Daemon {
    /// A daemon whose listeners in `tls` serve nobody in the clear, and which pages of `allowed_origin` may call.
    pub(crate) fn new(
        engine: Engine,
        tls: HashMap<ListenerId, Arc<ServerConfig>>,
        allowed_origin: Option<Arc<str>>,
        door: Door,
    ) -> Self {
        Self {
            engine,
            signal_pipe: None,
            calls: HashMap::new(),
            tls,
            allowed_origin,
            door,
            successor: None,
        }
    }

    /// Who has asked to take our place.
    pub(crate) fn take_successor(&mut self) -> Option<OwnedFd> {
        self.successor.take()
    }

    /// Puts the containers of before and the signals on the loop.
    pub(crate) fn start<D>(&mut self, driver: &mut D, signals: OwnedFd)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        self.signal_pipe = Some(driver.open_pipe(signals, Direction::Read));
        self.engine.start(&mut Wire {
            driver,
            calls: &mut self.calls,
        });
    }
}

impl<D> Service<D> for Daemon
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    type Message = Message;

    fn accept(&mut self, driver: &mut D, conn: ConnId, listener: ListenerId) -> Channel {
        self.calls.insert(conn, Vec::new());
        let now = driver.now();
        let connection = Connection::new(Limits::default(), now).allow_origin(self.allowed_origin.clone());
        Channel::new(connection, self.tls.get(&listener), now)
    }

    fn event(&mut self, driver: &mut D, conn: ConnId, event: Event) {
        let call = |id: RequestId| CallId { conn, request: id.0 };
        if let Event::Call { id, .. } = &event {
            self.calls.entry(conn).or_default().push(*id);
        }
        if let Event::Aborted { id } | Event::Detached { id } = &event {
            self.calls.entry(conn).or_default().retain(|open| open != id);
        }
        let port = &mut Wire {
            driver,
            calls: &mut self.calls,
        };
        match event {
            Event::Call { id, call: request } => self.engine.call(port, call(id), request),
            Event::Body { id, bytes } => self.engine.body(port, call(id), bytes),
            Event::BodyEnd { id } => self.engine.body_end(call(id)),
            Event::Input { id, bytes } => self.engine.input(port, call(id), bytes),
            Event::InputEnd { id } => self.engine.input_end(port, call(id)),
            Event::Detached { id } => self.engine.detached(port, call(id)),
            Event::Aborted { id } => self.engine.aborted(port, call(id)),
        }
    }

    fn writable(&mut self, driver: &mut D, conn: ConnId) {
        for id in self.calls.get(&conn).cloned().unwrap_or_default() {
            let call = CallId { conn, request: id.0 };
            self.engine.writable(
                &mut Wire {
                    driver,
                    calls: &mut self.calls,
                },
                call,
            );
        }
    }

    fn closed(&mut self, driver: &mut D, conn: ConnId) {
        // The protocol has aborted its calls; one that it did not know of any more is aborted here.
        for id in self.calls.remove(&conn).unwrap_or_default() {
            let call = CallId { conn, request: id.0 };
            self.engine.aborted(
                &mut Wire {
                    driver,
                    calls: &mut self.calls,
                },
                call,
            );
        }
    }

    fn pipe_input(&mut self, driver: &mut D, pipe: PipeId, bytes: &[u8]) {
        if self.signal_pipe == Some(pipe) {
            let signal = signals::of(bytes);
            log::info!("received {}", signal.map_or("a signal", Signal::as_str));
            if signal == Some(Signal::SIGUSR1) {
                self.successor = self.door.answer();
                if self.successor.is_none() {
                    return log::warn!("SIGUSR1 is for a gantryd that takes over, and none has asked");
                }
            }
            driver.stop();
        } else {
            self.engine.pipe_input(
                &mut Wire {
                    driver,
                    calls: &mut self.calls,
                },
                pipe,
                bytes,
            );
        }
    }

    fn pipe_drained(&mut self, driver: &mut D, pipe: PipeId) {
        self.engine.pipe_drained(
            &mut Wire {
                driver,
                calls: &mut self.calls,
            },
            pipe,
        );
    }

    fn pipe_closed(&mut self, driver: &mut D, pipe: PipeId, _errno: i32) {
        self.engine.pipe_closed(
            &mut Wire {
                driver,
                calls: &mut self.calls,
            },
            pipe,
        );
    }

    fn timer(&mut self, driver: &mut D, timer: TimerId) {
        self.engine.timer(
            &mut Wire {
                driver,
                calls: &mut self.calls,
            },
            timer,
        );
    }

    fn message(&mut self, driver: &mut D, message: Message) {
        self.engine.message(
            &mut Wire {
                driver,
                calls: &mut self.calls,
            },
            message,
        );
    }
}

/// The engine's port on top of a transport's driver.
struct Wire<'a, D> {
    driver: &'a mut D,
    calls: &'a mut HashMap<ConnId, Vec<RequestId>>,
}

impl<D> Wire<'_, D>
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    fn command(&mut self, call: CallId, command: impl FnOnce(&mut Connection, RequestId) -> Result<(), Misuse>) {
        if let Some(channel) = self.driver.protocol(call.conn)
            && let Err(misuse) = command(channel.connection(), RequestId(call.request))
        {
            log::error!("call {} of connection {}: {misuse}", call.request, call.conn.0);
        }
    }

    fn over(&mut self, call: CallId) {
        if let Some(open) = self.calls.get_mut(&call.conn) {
            open.retain(|id| id.0 != call.request);
        }
    }
}

impl<D> Port for Wire<'_, D>
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    fn now(&self) -> Instant {
        self.driver.now()
    }

    fn reply(&mut self, call: CallId, reply: Reply) {
        let streams = reply.opens_stream();
        self.command(call, |connection, id| connection.respond(id, reply));
        if !streams {
            self.over(call);
        }
    }

    fn send(&mut self, call: CallId, item: Item) {
        self.command(call, |connection, id| connection.send(id, item));
    }

    fn has_room(&mut self, call: CallId) -> bool {
        // For a connection that is gone there is always room: what is sent to it vanishes.
        self.driver
            .protocol(call.conn)
            .is_none_or(|channel| channel.connection().has_room(RequestId(call.request)))
    }

    fn finish(&mut self, call: CallId) {
        self.command(call, Connection::finish);
        self.over(call);
    }

    fn abort(&mut self, call: CallId) {
        self.command(call, |connection, id| {
            connection.abort(id);
            Ok(())
        });
        self.over(call);
    }

    fn pause_input(&mut self, call: CallId, paused: bool) {
        self.command(call, |connection, id| {
            connection.pause_input(id, paused);
            Ok(())
        });
    }

    fn open_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId {
        self.driver.open_pipe(fd, direction)
    }

    fn pause_pipe(&mut self, pipe: PipeId, paused: bool) {
        self.driver.pause_pipe(pipe, paused);
    }

    fn write_pipe(&mut self, pipe: PipeId, bytes: Bytes) {
        self.driver.write_pipe(pipe, bytes);
    }

    fn pipe_queued(&self, pipe: PipeId) -> usize {
        self.driver.pipe_queued(pipe)
    }

    fn finish_pipe(&mut self, pipe: PipeId) {
        self.driver.finish_pipe(pipe);
    }

    fn close_pipe(&mut self, pipe: PipeId) {
        self.driver.close_pipe(pipe);
    }

    fn set_timer(&mut self, timer: TimerId, at: Option<Instant>) {
        self.driver.set_timer(timer, at);
    }
}
