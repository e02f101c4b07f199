//! A gate between a client in memory and a first loop that is this test: windows in both directions, and what is answered
//! without asking.

use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, channel},
};

use bytes::Bytes;
use gantry_core::{
    Instant,
    driver::{Direction, Output, Protocol, SourceId},
    framing::StreamKind,
};

use super::*;

/// A transport with connections that exist in memory only.
#[derive(Default)]
struct Memory {
    channels: HashMap<ConnId, Channel>,
    /// Sources opened and, with a place, ended.
    sources: Vec<(ConnId, SourceId, Option<u64>)>,
    stopped: bool,
}

impl Driver for Memory {
    type Protocol = Channel;
    type Fd = OwnedFd;

    fn now(&self) -> Instant {
        Instant::default()
    }

    fn protocol(&mut self, conn: ConnId) -> Option<&mut Channel> {
        self.channels.get_mut(&conn)
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn open_pipe(&mut self, _: OwnedFd, _: Direction) -> PipeId {
        unreachable!("a gate has no pipes")
    }

    fn pause_pipe(&mut self, _: PipeId, _: bool) {}

    fn write_pipe(&mut self, _: PipeId, _: Bytes) {}

    fn pipe_queued(&self, _: PipeId) -> usize {
        0
    }

    fn finish_pipe(&mut self, _: PipeId) {}

    fn close_pipe(&mut self, _: PipeId) {}

    fn open_source(&mut self, conn: ConnId, source: SourceId, _: OwnedFd) {
        self.sources.push((conn, source, None));
    }

    fn end_source(&mut self, conn: ConnId, source: SourceId, after: u64) {
        self.sources.push((conn, source, Some(after)));
    }

    fn set_timer(&mut self, _: TimerId, _: Option<Instant>) {}
}

struct Scene {
    gate: Gate,
    driver: Memory,
    told: Receiver<FromGate>,
}

const CONN: ConnId = ConnId(7);
const SOURCE: SourceId = SourceId(1);
const GLOBAL: ConnId = ConnId(3 << 61 | 7);

impl Scene {
    fn new() -> Self {
        let (tell, told) = channel();
        let post = Box::new(move |said| tell.send(said).expect("the test listens"));
        let mut scene = Self {
            gate: Gate::new(GateId::new(3), Arc::default(), post),
            driver: Memory::default(),
            told,
        };
        let channel = scene.gate.accept(&mut scene.driver, CONN, ListenerId(0));
        scene.driver.channels.insert(CONN, channel);
        scene
    }

    /// The client sends something; returns how much of it was taken.
    fn receive(&mut self, bytes: &[u8]) -> usize {
        let channel = self.driver.channels.get_mut(&CONN).expect("there");
        let taken = channel.handle_input(Instant::default(), bytes);
        self.drive(0);
        taken
    }

    /// Lets the client take so many bytes of output.
    fn drive(&mut self, bytes: usize) -> Vec<u8> {
        let mut out = vec![0; bytes];
        let mut filled = 0;
        loop {
            let channel = self.driver.channels.get_mut(&CONN).expect("there");
            match channel.poll_output(Instant::default(), &mut out[filled..]) {
                Output::Event(event) => self.gate.event(&mut self.driver, CONN, event),
                Output::Transmit(len) => filled += len,
                Output::Splice { source: SOURCE, len } => filled += len,
                Output::Splice { .. } | Output::Wait(_) | Output::Shutdown | Output::Close => break,
            }
        }
        out.truncate(filled);
        out
    }

    fn command(&mut self, id: RequestId, command: Command) {
        self.gate.message(&mut self.driver, ToGate::Command(CONN, id, command));
    }

    /// Bytes reported as taken since the last time.
    fn reported(&self) -> usize {
        let reports = self.told.try_iter().filter_map(|said| match said {
            FromGate::Taken(GLOBAL, bytes) => Some(bytes),
            _ => None,
        });
        reports.sum()
    }

    fn call(&self) -> RequestId {
        match self.told.try_recv() {
            Ok(FromGate::Event {
                conn: GLOBAL,
                event: Event::Call { id, .. },
                splices: true,
            }) => id,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn connections_are_known_by_their_gate() {
    assert_eq!(GateId::of(CONN), None);
    assert_eq!(GateId::of(GLOBAL), Some((GateId::new(3), CONN)));
    let last = GateId::new(REACTORS_MAX - 1);
    assert_eq!(GateId::of(last.global(CONN)), Some((last, CONN)));
}

#[test]
fn a_ping_needs_nobody_else() {
    let mut scene = Scene::new();
    scene.receive(b"GET /v1.24/_ping HTTP/1.1\r\nHost: d\r\n\r\n");
    assert!(scene.drive(1000).ends_with(b"\r\n\r\nOK"));
    assert!(scene.told.try_recv().is_err());
    scene.gate.message(&mut scene.driver, ToGate::Stop);
    assert!(scene.driver.stopped);
}

#[test]
fn output_is_reported_as_far_as_the_client_takes_it() {
    let mut scene = Scene::new();
    scene.receive(b"GET /v1.24/containers/x/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: d\r\n\r\n");
    let id = scene.call();
    scene.command(id, Command::Respond(Reply::Logs { tty: true }));
    let piece = Bytes::from(vec![0; 64 * 1024]);
    let mut unreported = 0;
    // Nobody reads: what fits into the client's own queue is reported, the rest is not.
    for _ in 0..16 {
        scene.command(id, Command::Send(Item::Output(StreamKind::Stdout, piece.clone())));
        unreported += piece.len();
        unreported -= scene.reported();
    }
    assert!(unreported >= OUTPUT_WINDOW, "only {unreported} bytes are held back");
    scene.drive(2_000_000);
    scene.gate.writable(&mut scene.driver, CONN);
    assert_eq!(scene.reported(), unreported);
    // What is left at the end of a stream is reported with it, or the next one would have less room.
    scene.command(id, Command::Send(Item::Output(StreamKind::Stdout, piece.slice(..10))));
    assert_eq!(scene.reported(), 0);
    scene.command(id, Command::Finish);
    assert_eq!(scene.reported(), 10);
}

#[test]
fn a_source_is_opened_where_the_connection_is() {
    let mut scene = Scene::new();
    scene.receive(b"POST /v1.24/containers/x/attach?stdout=1&stream=1 HTTP/1.1\r\nHost: d\r\n\r\n");
    let id = scene.call();
    scene.command(id, Command::Respond(Reply::Attached { tty: true }));
    let (reader, _writer) = std::io::pipe().expect("pipe");
    let open = ToGate::OpenSource(CONN, SOURCE, reader.into());
    scene.gate.message(&mut scene.driver, open);
    scene.drive(1000);
    let item = Item::Spliced {
        kind: StreamKind::Stdout,
        source: SOURCE,
        len: OUTPUT_WINDOW,
    };
    scene.command(id, Command::Send(item));
    assert_eq!(scene.reported(), 0, "it counts as any other output");
    assert_eq!(scene.drive(OUTPUT_WINDOW).len(), OUTPUT_WINDOW);
    scene.gate.writable(&mut scene.driver, CONN);
    assert_eq!(scene.reported(), OUTPUT_WINDOW);
    scene
        .gate
        .message(&mut scene.driver, ToGate::EndSource(CONN, SOURCE, 9));
    assert_eq!(scene.driver.sources, [(CONN, SOURCE, None), (CONN, SOURCE, Some(9))]);
}

#[test]
fn a_websocket_is_not_spliced() {
    let mut scene = Scene::new();
    scene.receive(
        b"GET /v1.24/containers/x/attach/ws?stream=1 HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    );
    let told = scene.told.try_recv();
    let call = matches!(
        told,
        Ok(FromGate::Event {
            event: Event::Call { .. },
            splices: false,
            ..
        })
    );
    assert!(call, "{told:?}");
}

#[test]
fn input_stops_until_the_engine_has_taken_it() {
    let mut scene = Scene::new();
    scene.receive(b"POST /v1.24/images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 100000000\r\n\r\n");
    scene.call();
    let piece = vec![0; 64 * 1024];
    let mut sent = 0;
    loop {
        let taken = scene.receive(&piece);
        sent += taken;
        if taken < piece.len() {
            break;
        }
    }
    assert!(
        (INPUT_WINDOW..=INPUT_WINDOW + 4 * piece.len()).contains(&sent),
        "{sent} bytes went in"
    );
    let passed: usize = scene
        .told
        .try_iter()
        .map(|said| match said {
            FromGate::Event {
                conn: GLOBAL,
                event: Event::Body { bytes, .. },
                ..
            } => bytes.len(),
            other => panic!("{other:?}"),
        })
        .sum();
    assert!(passed <= sent);
    scene.gate.message(&mut scene.driver, ToGate::Taken(CONN, passed));
    scene.drive(0);
    assert_eq!(scene.receive(&piece), piece.len(), "it goes on");
}
