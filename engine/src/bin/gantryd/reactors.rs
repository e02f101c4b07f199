//! The threads of the further loops.

use std::{
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use gantry_core::driver::limits::Limits;

use crate::{
    Error,
    front::Front,
    gate::{Gate, GateId, ToGate},
    listener::Listener,
    service::Note,
    transport::{Loop, Sender, Transport},
};

/// The loops beside the first one.
pub(crate) struct Reactors {
    further: Vec<Reactor>,
}

struct Reactor {
    sender: Sender<ToGate>,
    thread: JoinHandle<()>,
}

impl Reactors {
    /// Starts `count` loops that accept from the same listeners. Whoever is free takes the next client.
    pub(crate) fn start<T: Transport>(
        count: u8,
        limits: Limits,
        front: &Arc<Front>,
        listeners: &[Listener],
        first: &Sender<Note>,
    ) -> Result<Self, Error> {
        let start = |number| {
            let mut sockets = Vec::new();
            for listener in listeners {
                sockets.push((listener.socket()?, listener.id()));
            }
            let first = Arc::clone(first);
            let post = Box::new(move |said| first(Note::Gate(said)));
            let mut gate = Gate::new(GateId::new(number), Arc::clone(front), post);
            let (opened, opening) = mpsc::channel();
            let thread = thread::Builder::new().name(format!("reactor-{number}"));
            // Everything of a loop is made on its own thread, as transports may ask for.
            let thread = thread.spawn(move || {
                let open = || {
                    let mut own = T::Loop::<ToGate>::open(limits)?;
                    for (socket, id) in sockets {
                        own.listen(socket, id)?;
                    }
                    Ok::<_, Error>(own)
                };
                let own = match open() {
                    Ok(own) => own,
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok(own.sender())).is_ok()
                    && let Err(error) = own.run(&mut gate)
                {
                    log::error!("reactor {number}: {error}");
                }
            })?;
            let sender = opening.recv()??;
            Ok(Reactor { sender, thread })
        };
        Ok(Self {
            further: (1..=count).map(start).collect::<Result<_, Error>>()?,
        })
    }

    /// How the gates are told something, in their order.
    pub(crate) fn senders(&self) -> Vec<Sender<ToGate>> {
        self.further.iter().map(|reactor| Arc::clone(&reactor.sender)).collect()
    }

    /// Ends the loops and waits for their threads.
    pub(crate) fn stop(self) {
        for reactor in self.further {
            (reactor.sender)(ToGate::Stop);
            if reactor.thread.join().is_err() {
                log::error!("a reactor's thread panicked");
            }
        }
    }
}
