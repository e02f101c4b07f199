//! The threads of the further loops.

use std::{
    io,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use gantry_transport_mio::{Limits, Mailbox, Server};

use crate::{
    front::Front,
    gate::{Gate, GateId, ToGate},
    listener::Listener,
    service::{GateSender, Note},
};

/// The loops beside the first one.
pub(crate) struct Reactors {
    further: Vec<Reactor>,
}

struct Reactor {
    mailbox: Mailbox<ToGate>,
    thread: JoinHandle<()>,
}

impl Reactors {
    /// Starts `count` loops that accept from the same listeners. Whoever is free takes the next client.
    pub(crate) fn start(
        count: u8,
        limits: Limits,
        front: &Arc<Front>,
        listeners: &[Listener],
        first: &Mailbox<Note>,
    ) -> io::Result<Self> {
        let start = |number| {
            let mut sockets = Vec::new();
            for listener in listeners {
                sockets.push((listener.socket()?, listener.id()));
            }
            let first = first.clone();
            // When the first loop has ended, this one is about to be told so.
            let post = Box::new(move |said| drop(first.send(Note::Gate(said))));
            let mut gate = Gate::new(GateId::new(number), Arc::clone(front), post);
            let (opened, opening) = mpsc::channel();
            let thread = thread::Builder::new().name(format!("reactor-{number}"));
            // Everything of a loop is made on its own thread, as transports may ask for.
            let thread = thread.spawn(move || {
                let open = || {
                    let mut server = Server::new(limits)?;
                    for (socket, id) in sockets {
                        server.listen(socket, id)?;
                    }
                    Ok::<_, io::Error>(server)
                };
                let server = match open() {
                    Ok(server) => server,
                    Err(error) => return drop(opened.send(Err(error))),
                };
                if opened.send(Ok(server.mailbox())).is_ok()
                    && let Err(error) = server.run(&mut gate)
                {
                    log::error!("reactor {number}: {error}");
                }
            })?;
            let mailbox = opening.recv().map_err(io::Error::other)??;
            Ok(Reactor { mailbox, thread })
        };
        Ok(Self {
            further: (1..=count).map(start).collect::<io::Result<_>>()?,
        })
    }

    /// How the gates are told something, in their order.
    pub(crate) fn senders(&self) -> Vec<GateSender> {
        let sender = |reactor: &Reactor| -> GateSender {
            let mailbox = reactor.mailbox.clone();
            // A loop that has ended has no clients left.
            Box::new(move |message| drop(mailbox.send(message)))
        };
        self.further.iter().map(sender).collect()
    }

    /// Ends the loops and waits for their threads.
    pub(crate) fn stop(self) {
        for reactor in self.further {
            // It may have ended by itself.
            let _ = reactor.mailbox.send(ToGate::Stop);
            if reactor.thread.join().is_err() {
                log::error!("a reactor's thread panicked");
            }
        }
    }
}
