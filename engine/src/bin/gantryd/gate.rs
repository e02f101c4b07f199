//! Further loops: each has connections of its own and does their HTTP, JSON and TLS. What they ask for goes to the first
//! loop, where the engine is, and the answers come back.
//!
//! ```text
//!   clients <---> loop of a Gate <--- FromGate, ToGate (mailboxes) ---> first loop: Daemon, engine, pipes
//! ```
//!
//! Mailboxes have no bound, so both directions have windows. Towards the client, the first loop counts what it has sent and
//! the gate has not reported as taken: a call has room below [`OUTPUT_WINDOW`]. Towards the engine, the gate counts what it
//! has passed on and pauses its client above [`INPUT_WINDOW`].

use std::{collections::HashMap, os::fd::OwnedFd, sync::Arc};

use gantry_core::{
    Call, Event, Item, Misuse, Reply, RequestId,
    driver::{ConnId, Driver, ListenerId, PipeId, Service, SourceId, TimerId},
};

use crate::{channel::Channel, front::Front};

/// Bytes on their way to a client's loop above which a call has no room.
pub(crate) const OUTPUT_WINDOW: usize = 256 * 1024;

/// Bytes on their way to the engine above which a client is not read.
const INPUT_WINDOW: usize = 256 * 1024;

/// What an item that is no output counts for.
const ITEM_BYTES: usize = 256;

/// The most loops there can be: the engine knows a connection by its own number and that of its gate, which takes the three
/// highest bits.
pub(crate) const REACTORS_MAX: u8 = 8;
const GATE_SHIFT: u32 = 61;

/// A loop of connections. The first loop itself is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GateId(u8);

impl GateId {
    /// Gates count from 1.
    pub(crate) fn new(number: u8) -> Self {
        debug_assert!((1..REACTORS_MAX).contains(&number), "the first loop is no gate");
        Self(number)
    }

    /// The gate of a connection, and the connection as the gate knows it; `None` for those of the first loop.
    pub(crate) fn of(conn: ConnId) -> Option<(Self, ConnId)> {
        let gate = (conn.0 >> GATE_SHIFT) as u8;
        (gate != 0).then_some((Self(gate), ConnId(conn.0 & !(u64::MAX << GATE_SHIFT))))
    }

    fn global(self, conn: ConnId) -> ConnId {
        ConnId(u64::from(self.0) << GATE_SHIFT | conn.0)
    }

    /// Its place in a list of all gates.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0) - 1
    }
}

/// What a gate tells the first loop. Connections are global.
#[derive(Debug)]
pub(crate) enum FromGate {
    /// The protocol said something.
    Event {
        conn: ConnId,
        event: Event,
        /// Bytes may go to this client unseen.
        splices: bool,
    },
    /// So many bytes of output have been taken.
    Taken(ConnId, usize),
    /// The connection is gone.
    Closed(ConnId),
}

/// What the first loop tells a gate. Connections are the gate's.
#[derive(Debug)]
pub(crate) enum ToGate {
    /// Something to be done for a request.
    Command(ConnId, RequestId, Command),
    /// See [`Driver::end_source`].
    EndSource(ConnId, SourceId, u64),
    /// See [`Driver::open_source`].
    OpenSource(ConnId, SourceId, OwnedFd),
    /// So many bytes of input have reached the engine.
    Taken(ConnId, usize),
    /// Leave the loop.
    Stop,
}

/// What the engine wants of a connection.
#[derive(Debug)]
pub(crate) enum Command {
    Respond(Reply),
    Send(Item),
    Finish,
    Abort,
    PauseInput(bool),
}

impl Command {
    /// Carries it out.
    pub(crate) fn run(self, channel: &mut Channel, id: RequestId) -> Result<(), Misuse> {
        let connection = channel.connection();
        match self {
            Self::Respond(reply) => connection.respond(id, reply),
            Self::Send(item) => connection.send(id, item),
            Self::Finish => connection.finish(id),
            Self::Abort => {
                connection.abort(id);
                Ok(())
            }
            Self::PauseInput(paused) => {
                connection.pause_input(id, paused);
                Ok(())
            }
        }
    }
}

/// What counts against [`OUTPUT_WINDOW`].
pub(crate) fn weight(item: &Item) -> usize {
    match item {
        Item::Data(bytes) | Item::Output(_, bytes) => bytes.len(),
        Item::Spliced { len, .. } => *len,
        _ => ITEM_BYTES,
    }
}

/// The service of one further loop.
pub(crate) struct Gate {
    id: GateId,
    front: Arc<Front>,
    post: Box<dyn Fn(FromGate) + Send>,
    conns: HashMap<ConnId, Flow>,
}

/// What is under way on one connection.
#[derive(Debug, Default)]
struct Flow {
    /// The last one; connections have one at a time.
    request: Option<RequestId>,
    /// Output that has come and was not reported as taken.
    unreported: usize,
    /// Input that was passed on and has not been taken.
    untaken: usize,
    /// The engine wants no input.
    paused: bool,
}

impl Gate {
    pub(crate) fn new(id: GateId, front: Arc<Front>, post: Box<dyn Fn(FromGate) + Send>) -> Self {
        Self {
            id,
            front,
            post,
            conns: HashMap::new(),
        }
    }

    fn report(&mut self, conn: ConnId) {
        if let Some(flow) = self.conns.get_mut(&conn)
            && flow.unreported > 0
        {
            let taken = std::mem::take(&mut flow.unreported);
            (self.post)(FromGate::Taken(self.id.global(conn), taken));
        }
    }
}

impl<D> Service<D> for Gate
where
    D: Driver<Protocol = Channel, Fd = OwnedFd>,
{
    type Message = ToGate;

    fn accept(&mut self, driver: &mut D, conn: ConnId, listener: ListenerId) -> Channel {
        self.conns.insert(conn, Flow::default());
        self.front.accept(listener, driver.now())
    }

    fn event(&mut self, driver: &mut D, conn: ConnId, event: Event) {
        let Some(channel) = driver.protocol(conn) else { return };
        match &event {
            // What needs no engine is answered here.
            Event::Call { id, call: Call::Ping } => {
                let answered = channel.connection().respond(*id, Reply::Pong);
                return answered.expect("the call was told this moment");
            }
            Event::Call { id, .. } => {
                self.conns.entry(conn).or_default().request = Some(*id);
                // What the one before has left.
                self.report(conn);
            }
            Event::Body { id, bytes } | Event::Input { id, bytes } => {
                let flow = self.conns.entry(conn).or_default();
                flow.untaken += bytes.len();
                if flow.untaken > INPUT_WINDOW {
                    channel.connection().pause_input(*id, true);
                }
            }
            _ => {}
        }
        let splices = channel.splices();
        (self.post)(FromGate::Event {
            conn: self.id.global(conn),
            event,
            splices,
        });
    }

    fn writable(&mut self, _: &mut D, conn: ConnId) {
        self.report(conn);
    }

    fn closed(&mut self, _: &mut D, conn: ConnId) {
        self.conns.remove(&conn);
        (self.post)(FromGate::Closed(self.id.global(conn)));
    }

    fn message(&mut self, driver: &mut D, message: ToGate) {
        match message {
            ToGate::Command(conn, id, command) => {
                let (Some(channel), Some(flow)) = (driver.protocol(conn), self.conns.get_mut(&conn)) else {
                    return;
                };
                let ends = matches!(command, Command::Finish | Command::Abort);
                let command = match command {
                    Command::PauseInput(paused) => {
                        flow.paused = paused;
                        Command::PauseInput(paused || flow.untaken > INPUT_WINDOW)
                    }
                    Command::Send(item) => {
                        flow.unreported += weight(&item);
                        Command::Send(item)
                    }
                    other => other,
                };
                if let Err(misuse) = command.run(channel, id) {
                    log::error!("request {} of connection {}: {misuse}", id.0, conn.0);
                }
                let has_room = channel.connection().has_room(id);
                if ends || has_room && flow.unreported >= OUTPUT_WINDOW / 4 {
                    self.report(conn);
                }
            }
            ToGate::EndSource(conn, source, after) => driver.end_source(conn, source, after),
            ToGate::OpenSource(conn, source, fd) => driver.open_source(conn, source, fd),
            ToGate::Taken(conn, bytes) => {
                let Some(flow) = self.conns.get_mut(&conn) else { return };
                let was_held_up = flow.untaken > INPUT_WINDOW;
                flow.untaken = flow.untaken.saturating_sub(bytes);
                if was_held_up
                    && flow.untaken <= INPUT_WINDOW
                    && !flow.paused
                    && let (Some(channel), Some(id)) = (driver.protocol(conn), flow.request)
                {
                    channel.connection().pause_input(id, false);
                }
            }
            ToGate::Stop => driver.stop(),
        }
    }

    fn pipe_input(&mut self, _: &mut D, _: PipeId, _: &[u8]) {
        unreachable!("pipes are on the first loop");
    }

    fn pipe_drained(&mut self, _: &mut D, _: PipeId) {
        unreachable!("pipes are on the first loop");
    }

    fn pipe_closed(&mut self, _: &mut D, _: PipeId, _: i32) {
        unreachable!("pipes are on the first loop");
    }

    fn timer(&mut self, _: &mut D, _: TimerId) {
        unreachable!("timers are on the first loop");
    }
}

#[cfg(test)]
mod tests;
