//! Between transport and engine: events of the protocol become calls of the engine, and what the engine says becomes
//! commands to the protocol, on this loop or at a [`gate`](crate::gate).

use std::{collections::HashMap, os::fd::OwnedFd, sync::Arc};

use bytes::Bytes;
use gantry_core::{
    Event, Instant, Item, Reply, RequestId,
    driver::{ConnId, Direction, Driver, ListenerId, PipeId, Service, SourceId, TimerId},
};
use gantry_engine::{CallId, Engine, Message, Port};
use nix::sys::signal::Signal;

use crate::{
    channel::Channel,
    front::Front,
    gate::{Command, FromGate, GateId, OUTPUT_WINDOW, ToGate, weight},
    handover::Door,
    signals,
    transport::Sender,
};

/// The daemon as the first loop sees it.
pub(crate) struct Daemon {
    engine: Engine,
    signal_pipe: Option<PipeId>,
    clients: Clients,
    front: Arc<Front>,
    door: Door,
    /// Who takes our place when the loop has ended.
    successor: Option<OwnedFd>,
}

/// What other threads tell the first loop.
pub(crate) enum Note {
    Engine(Message),
    Gate(FromGate),
}

/// The clients of all loops.
struct Clients {
    open: HashMap<ConnId, Client>,
    /// By [`GateId::index`].
    gates: Vec<Sender<ToGate>>,
}

/// One connection with the engine's eyes.
#[derive(Debug, Default)]
struct Client {
    /// Open calls, to be told when there is room or the client is gone.
    calls: Vec<RequestId>,
    /// Bytes of output on their way to its gate; always 0 on the first loop.
    in_flight: usize,
    /// Output of its last call may go to it unseen.
    splices: bool,
}

impl Daemon {
    /// A daemon on the first loop, with further loops behind `gates`.
    pub(crate) fn new(engine: Engine, front: Arc<Front>, door: Door, gates: Vec<Sender<ToGate>>) -> Self {
        Self {
            engine,
            signal_pipe: None,
            clients: Clients {
                open: HashMap::new(),
                gates,
            },
            front,
            door,
            successor: None,
        }
    }

    /// Puts the containers of before and the signals on the loop.
    pub(crate) fn start<D>(&mut self, driver: &mut D, signals: OwnedFd)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        self.signal_pipe = Some(driver.open_pipe(signals, Direction::Read));
        self.engine.start(&mut self.clients.port(driver));
    }

    /// Who has asked to take our place.
    pub(crate) fn take_successor(&mut self) -> Option<OwnedFd> {
        self.successor.take()
    }

    fn client_event<D>(&mut self, driver: &mut D, conn: ConnId, event: Event)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        let call = |id: RequestId| CallId { conn, request: id.0 };
        let client = self.clients.open.entry(conn).or_default();
        match &event {
            Event::Call { id, .. } => client.calls.push(*id),
            Event::Aborted { id } | Event::Detached { id } => client.calls.retain(|open| open != id),
            _ => {}
        }
        let port = &mut self.clients.port(driver);
        match event {
            Event::Call { id, call: request } => self.engine.call(port, call(id), request),
            // No build is carried out, so none waits for its context.
            Event::ContextPart { .. } => {}
            Event::Body { id, bytes } => self.engine.body(port, call(id), bytes),
            Event::BodyEnd { id } => self.engine.body_end(call(id)),
            Event::Input { id, bytes } => self.engine.input(port, call(id), bytes),
            Event::InputEnd { id } => self.engine.input_end(port, call(id)),
            Event::Detached { id } => self.engine.detached(port, call(id)),
            Event::Aborted { id } => self.engine.aborted(port, call(id)),
        }
    }

    fn client_writable<D>(&mut self, driver: &mut D, conn: ConnId)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        let calls = self.clients.open.get(&conn).map(|client| client.calls.clone());
        let port = &mut self.clients.port(driver);
        for id in calls.unwrap_or_default() {
            self.engine.writable(port, CallId { conn, request: id.0 });
        }
    }

    fn client_closed<D>(&mut self, driver: &mut D, conn: ConnId)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        let client = self.clients.open.remove(&conn).unwrap_or_default();
        let port = &mut self.clients.port(driver);
        // The protocol has aborted its calls; one that it did not know of any more is aborted here.
        for id in client.calls {
            self.engine.aborted(port, CallId { conn, request: id.0 });
        }
    }

    fn gate_said<D>(&mut self, driver: &mut D, said: FromGate)
    where
        D: Driver<Protocol = Channel, Fd = OwnedFd>,
    {
        match said {
            FromGate::Event { conn, event, splices } => {
                self.clients.open.entry(conn).or_default().splices = splices;
                let input = match &event {
                    Event::Body { bytes, .. } | Event::Input { bytes, .. } => bytes.len(),
                    _ => 0,
                };
                self.client_event(driver, conn, event);
                if let (Some((gate, conn)), 1..) = (GateId::of(conn), input) {
                    self.clients.tell_gate(gate, ToGate::Taken(conn, input));
                }
            }
            FromGate::Taken(conn, bytes) => {
                let Some(client) = self.clients.open.get_mut(&conn) else {
                    return;
                };
                let was_full = client.in_flight >= OUTPUT_WINDOW;
                client.in_flight = client.in_flight.saturating_sub(bytes);
                if was_full && client.in_flight < OUTPUT_WINDOW {
                    self.client_writable(driver, conn);
                }
            }
            FromGate::Closed(conn) => self.client_closed(driver, conn),
        }
    }
}

impl Clients {
    /// What the engine acts through.
    fn port<'a, D>(&'a mut self, driver: &'a mut D) -> Wire<'a, D> {
        Wire { driver, clients: self }
    }

    /// Sends a message to a gate.
    fn tell_gate(&self, gate: GateId, message: ToGate) {
        if let Some(send) = self.gates.get(gate.index()) {
            send(message);
        }
    }
}

impl<D> Service<D> for Daemon
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    type Message = Note;

    fn accept(&mut self, driver: &mut D, conn: ConnId, listener: ListenerId) -> Channel {
        self.clients.open.insert(conn, Client::default());
        self.front.accept(listener, driver.now())
    }

    fn event(&mut self, driver: &mut D, conn: ConnId, event: Event) {
        if let (Event::Call { .. }, Some(channel)) = (&event, driver.protocol(conn)) {
            self.clients.open.entry(conn).or_default().splices = channel.splices();
        }
        self.client_event(driver, conn, event);
    }

    fn writable(&mut self, driver: &mut D, conn: ConnId) {
        self.client_writable(driver, conn);
    }

    fn closed(&mut self, driver: &mut D, conn: ConnId) {
        self.client_closed(driver, conn);
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
            self.engine.pipe_input(&mut self.clients.port(driver), pipe, bytes);
        }
    }

    fn pipe_drained(&mut self, driver: &mut D, pipe: PipeId) {
        self.engine.pipe_drained(&mut self.clients.port(driver), pipe);
    }

    fn pipe_closed(&mut self, driver: &mut D, pipe: PipeId, _errno: i32) {
        self.engine.pipe_closed(&mut self.clients.port(driver), pipe);
    }

    fn timer(&mut self, driver: &mut D, timer: TimerId) {
        self.engine.timer(&mut self.clients.port(driver), timer);
    }

    fn message(&mut self, driver: &mut D, note: Note) {
        match note {
            Note::Engine(message) => self.engine.message(&mut self.clients.port(driver), message),
            Note::Gate(said) => self.gate_said(driver, said),
        }
    }
}

/// The engine's port on top of a transport's driver.
struct Wire<'a, D> {
    driver: &'a mut D,
    clients: &'a mut Clients,
}

impl<D> Wire<'_, D>
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    fn command(&mut self, call: CallId, command: Command) {
        let id = RequestId(call.request);
        let Some((gate, conn)) = GateId::of(call.conn) else {
            if let Some(channel) = self.driver.protocol(call.conn)
                && let Err(misuse) = command.run(channel, id)
            {
                log::error!("call {} of connection {}: {misuse}", call.request, call.conn.0);
            }
            return;
        };
        self.clients.tell_gate(gate, ToGate::Command(conn, id, command));
    }

    fn over(&mut self, call: CallId) {
        if let Some(client) = self.clients.open.get_mut(&call.conn) {
            client.calls.retain(|id| id.0 != call.request);
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
        self.command(call, Command::Respond(reply));
        if !streams {
            self.over(call);
        }
    }

    fn send(&mut self, call: CallId, item: Item) {
        if GateId::of(call.conn).is_some()
            && let Some(client) = self.clients.open.get_mut(&call.conn)
        {
            client.in_flight += weight(&item);
        }
        self.command(call, Command::Send(item));
    }

    fn has_room(&mut self, call: CallId) -> bool {
        // For a connection that is gone there is always room: what is sent to it vanishes.
        if GateId::of(call.conn).is_some() {
            let client = self.clients.open.get(&call.conn);
            return client.is_none_or(|client| client.in_flight < OUTPUT_WINDOW);
        }
        self.driver
            .protocol(call.conn)
            .is_none_or(|channel| channel.connection().has_room(RequestId(call.request)))
    }

    fn finish(&mut self, call: CallId) {
        self.command(call, Command::Finish);
        self.over(call);
    }

    fn abort(&mut self, call: CallId) {
        self.command(call, Command::Abort);
        self.over(call);
    }

    fn pause_input(&mut self, call: CallId, paused: bool) {
        self.command(call, Command::PauseInput(paused));
    }

    fn open_pipe(&mut self, fd: OwnedFd, direction: Direction) -> PipeId {
        self.driver.open_pipe(fd, direction)
    }

    fn open_source(&mut self, call: CallId, source: SourceId, fd: OwnedFd) -> bool {
        let splices = self.clients.open.get(&call.conn).is_some_and(|client| client.splices);
        match GateId::of(call.conn) {
            _ if !splices => {}
            None => self.driver.open_source(call.conn, source, fd),
            Some((gate, conn)) => self.clients.tell_gate(gate, ToGate::OpenSource(conn, source, fd)),
        }
        splices
    }

    fn end_source(&mut self, call: CallId, source: SourceId, after: u64) {
        match GateId::of(call.conn) {
            None => self.driver.end_source(call.conn, source, after),
            Some((gate, conn)) => self.clients.tell_gate(gate, ToGate::EndSource(conn, source, after)),
        }
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
