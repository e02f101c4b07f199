//! What a request costs: how often the loop comes round for it. Every round is a system call and a look at everything, so
//! one too many is a good part of what a small answer costs. All transports compile this one file.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
};

use gantry_core::driver::{Driver, Output, TimerId};

use super::*;

/// Asks the service about each input, and sends what that answers.
#[derive(Debug, Default)]
pub(crate) struct Asking {
    asked: usize,
    answers: Vec<u8>,
}

impl Protocol for Asking {
    type Event = ();

    fn handle_input(&mut self, _: Instant, bytes: &[u8]) -> usize {
        self.asked += 1;
        bytes.len()
    }

    fn handle_eof(&mut self, _: Instant) {}
    fn handle_reset(&mut self, _: Instant) {}
    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_output(&mut self, _: Instant, out: &mut [u8]) -> Output<()> {
        if self.asked > 0 {
            self.asked -= 1;
            return Output::Event(());
        }
        let len = self.answers.len().min(out.len());
        out[..len].copy_from_slice(&self.answers[..len]);
        self.answers.drain(..len);
        if len > 0 {
            Output::Transmit(len)
        } else {
            Output::Wait(None)
        }
    }

    fn output_queued(&self) -> usize {
        self.answers.len()
    }

    fn wants_input(&self) -> bool {
        true
    }
}

/// Answers at once.
pub(super) struct Answering;

pub(super) const QUESTION: &[u8] = b"question";
pub(super) const ANSWER: &[u8] = b"answer";

impl Service<Reactor<Asking>> for Answering {
    type Message = ();

    fn accept(&mut self, _: &mut Reactor<Asking>, _: ConnId, _: ListenerId) -> Asking {
        Asking::default()
    }

    fn event(&mut self, driver: &mut Reactor<Asking>, conn: ConnId, (): ()) {
        driver.protocol(conn).expect("it asks").answers.extend(ANSWER);
    }

    fn writable(&mut self, _: &mut Reactor<Asking>, _: ConnId) {}
    fn closed(&mut self, _: &mut Reactor<Asking>, _: ConnId) {}
    fn pipe_input(&mut self, _: &mut Reactor<Asking>, _: PipeId, _: &[u8]) {}
    fn pipe_drained(&mut self, _: &mut Reactor<Asking>, _: PipeId) {}
    fn pipe_closed(&mut self, _: &mut Reactor<Asking>, _: PipeId, _: i32) {}
    fn timer(&mut self, _: &mut Reactor<Asking>, _: TimerId) {}
    fn message(&mut self, _: &mut Reactor<Asking>, (): ()) {}
}

/// A loop that is driven by hand, and clients of it that have been answered once; `None`, said aloud, where the system
/// refuses it.
pub(super) fn served(clients: usize) -> Option<(Server<Asking, ()>, Vec<UnixStream>)> {
    let mut server = match Server::new(Limits::default()) {
        Ok(server) => server,
        Err(refused) => {
            let _ = writeln!(io::stderr(), "skipped: {refused}");
            return None;
        }
    };
    let path = std::env::temp_dir().join(format!("gantry-rounds-{}-{clients}", std::process::id()));
    let socket = UnixListener::bind(&path).expect("bind");
    server.listen(socket.into(), ListenerId(0)).expect("listen");
    server.start().expect("start");
    let clients = (0..clients)
        .map(|_| {
            let mut client = UnixStream::connect(&path).expect("connect");
            client.set_nonblocking(true).expect("nonblocking");
            client.write_all(QUESTION).expect("write");
            while !is_answered(&mut client) {
                server.round(&mut Answering).expect("round");
            }
            client
        })
        .collect();
    std::fs::remove_file(path).expect("remove");
    Some((server, clients))
}

/// Whether an answer is there at this moment.
pub(super) fn is_answered(client: &mut UnixStream) -> bool {
    let mut room = [0; ANSWER.len() + 1];
    match client.read(&mut room) {
        Ok(len) => {
            assert_eq!(&room[..len], ANSWER);
            true
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            false
        }
    }
}

#[test]
fn a_lone_request_costs_one_round() {
    let Some((mut server, mut clients)) = served(1) else {
        return;
    };
    for request in 0..3 {
        assert!(server.is_at_rest(), "request {request}");
        clients[0].write_all(QUESTION).expect("write");
        server.round(&mut Answering).expect("round");
        assert!(is_answered(&mut clients[0]), "request {request}");
    }
    assert!(server.is_at_rest());
}
