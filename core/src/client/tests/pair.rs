//! Both ends wired to each other in memory: cut, delayed and half-closed at random, never lost.

use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    ContainerAttach, ContainerLogs, EventsQuery, ExecStart, ImageImport, Instant, RequestId,
    driver::{Output, Protocol},
    framing::StreamKind,
    model::Progress,
};

const NOW: Instant = Instant(Duration::from_secs(1000));

/// Bytes on their way from one end to the other.
#[derive(Default)]
struct Wire {
    bytes: VecDeque<u8>,
    /// FIN follows.
    fin: bool,
    fin_told: bool,
}

/// What happens next, over and over: which end has its turn, how many bytes it may read and write.
type Turn = (bool, usize, usize);

struct Pair {
    client: Connection,
    server: crate::Connection,
    to_server: Wire,
    to_client: Wire,
    /// What the client heard.
    heard: Vec<Event>,
    /// What the server was asked.
    calls: Vec<Call>,
    /// What the server got as body or input.
    input: Vec<u8>,
}

impl Pair {
    fn new(limits: Limits) -> Self {
        Self {
            client: Connection::new(limits),
            server: crate::Connection::new(limits, NOW),
            to_server: Wire::default(),
            to_client: Wire::default(),
            heard: vec![],
            calls: vec![],
            input: vec![],
        }
    }

    /// One turn of the server's transport; a daemon that echoes.
    fn serve(&mut self, read: usize, write: usize) {
        let input = offered(&self.to_server, read, &self.server);
        let taken = self.server.handle_input(NOW, &input);
        self.to_server.bytes.drain(..taken);
        if self.to_server.bytes.is_empty() && self.to_server.fin && !self.to_server.fin_told {
            self.to_server.fin_told = true;
            self.server.handle_eof(NOW);
        }
        let mut out = vec![0; write];
        loop {
            match self.server.poll_output(NOW, &mut out) {
                Output::Event(event) => self.obey(event),
                Output::Transmit(len) => return self.to_client.bytes.extend(&out[..len]),
                Output::Shutdown | Output::Close => {
                    self.to_client.fin = true;
                    return;
                }
                Output::Wait(_) => return,
                Output::Splice { .. } => panic!("nothing is in a pipe here"),
            }
        }
    }

    fn obey(&mut self, event: crate::Event) {
        use crate::Event as Told;
        let server = &mut self.server;
        let stdout = |bytes| Item::Output(StreamKind::Stdout, bytes);
        match event {
            Told::Call { id, call } => {
                let reply = match &call {
                    Call::Ping => Reply::Pong,
                    Call::ContainerAttach(_) => Reply::Attached { tty: false },
                    Call::ExecStart(_) => Reply::ExecAttached {
                        tty: false,
                        detach_keys: None,
                    },
                    Call::ContainerLogs(_) => Reply::Logs { tty: false },
                    Call::Events(_) => Reply::EventStream,
                    Call::ImageImport(_) => Reply::ProgressStream,
                    Call::ContainerWait { .. } => Reply::ContainerExited { status_code: 7 },
                    other => panic!("{other:?}"),
                };
                let opens = reply.opens_stream();
                server.respond(id, reply).expect("an answer");
                let streams_input = call.hijacks() || call.streams_body();
                if opens && !streams_input {
                    for _ in 0..3 {
                        server
                            .send(id, stdout(Bytes::from_static(&[b'l'; 300])))
                            .expect("output");
                    }
                    server.finish(id).expect("the end");
                }
                self.calls.push(call);
            }
            Told::Body { bytes, .. } => self.input.extend_from_slice(&bytes),
            Told::BodyEnd { id } => {
                let progress = Progress {
                    status: Some("done".into()),
                    ..Progress::default()
                };
                server.send(id, Item::Progress(progress)).expect("progress");
                server.finish(id).expect("the end");
            }
            Told::Input { id, bytes } => {
                self.input.extend_from_slice(&bytes);
                server.send(id, stdout(bytes)).expect("echo");
            }
            // The container goes on a little after its input has ended.
            Told::InputEnd { id } => {
                server.send(id, stdout(Bytes::from_static(b"bye"))).expect("output");
                server.finish(id).expect("the end");
            }
            Told::ContextPart { .. } | Told::Detached { .. } | Told::Aborted { .. } => panic!("{event:?}"),
        }
    }

    /// One turn of the client's transport.
    fn turn(&mut self, read: usize, write: usize) {
        let input = offered(&self.to_client, read, &self.client);
        let taken = self.client.handle_input(NOW, &input);
        self.to_client.bytes.drain(..taken);
        if self.to_client.bytes.is_empty() && self.to_client.fin && !self.to_client.fin_told {
            self.to_client.fin_told = true;
            self.client.handle_eof(NOW);
        }
        let mut out = vec![0; write];
        loop {
            match self.client.poll_output(NOW, &mut out) {
                Output::Event(event) => self.heard.push(event),
                Output::Transmit(len) => return self.to_server.bytes.extend(&out[..len]),
                Output::Shutdown | Output::Close => {
                    self.to_server.fin = true;
                    return;
                }
                Output::Wait(_) => return,
                Output::Splice { .. } => panic!("a client has no pipes"),
            }
        }
    }

    /// Runs the turns again and again until the client has heard the end of request `id`.
    fn until_over(&mut self, id: RequestId, turns: &[Turn], mut between: impl FnMut(&mut Connection, &[Event])) {
        for round in 0..20_000 {
            let (client, read, write) = turns[round % turns.len()];
            match client {
                true => self.turn(read, write),
                false => self.serve(read, write),
            }
            // Whoever is not named gets its turn in the end.
            if round % 7 == 0 {
                self.serve(1 + read, 1 + write);
                self.turn(1 + read, 1 + write);
            }
            between(&mut self.client, &self.heard);
            let over = |event: &Event| match event {
                Event::Reply { id: of, reply } => *of == id && !reply.opens_stream(),
                Event::Refused { id: of, .. } | Event::StreamEnd { id: of } | Event::Failed { id: of, .. } => *of == id,
                Event::Item { .. } | Event::Closed => false,
            };
            if self.heard.iter().any(over) {
                return;
            }
        }
        panic!("it never ends: {:?}", self.heard);
    }

    fn output(&self) -> Vec<u8> {
        let bytes = |event: &Event| match event {
            Event::Item {
                item: Item::Output(_, bytes),
                ..
            } => bytes.to_vec(),
            _ => vec![],
        };
        self.heard.iter().flat_map(bytes).collect()
    }
}

/// What the wire delivers: at most `read` bytes, and none to an end that wants none.
fn offered(wire: &Wire, read: usize, end: &impl Protocol) -> Vec<u8> {
    let wanted = if end.wants_input() { read } else { 0 };
    wire.bytes.iter().take(wanted).copied().collect()
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    prop::collection::vec((any::<bool>(), 0usize..200, 0usize..200), 1..12)
}

fn tight() -> Limits {
    Limits {
        input_bytes_max: 64,
        early_bytes_max: 64,
        ..Limits::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn calls_follow_each_other(turns in turns(), which in prop::collection::vec(0usize..4, 1..5), version in any_version()) {
        let calls = [
            Call::Ping,
            Call::ContainerWait { container: "c".into() },
            Call::ContainerLogs(ContainerLogs { container: "c".into(), stdout: true, ..ContainerLogs::default() }),
            Call::Events(EventsQuery::default()),
        ];
        let mut pair = Pair::new(tight());
        let mut asked = vec![];
        for call in which.into_iter().map(|at| calls[at].clone()) {
            let Ok(id) = pair.client.ask(&call, &at(version)) else { continue };
            pair.heard.clear();
            pair.until_over(id, &turns, |_, _| {});
            let last = pair.heard.last();
            let expected = match &call {
                Call::Ping => Event::Reply { id, reply: Reply::Pong },
                Call::ContainerWait { .. } => Event::Reply { id, reply: Reply::ContainerExited { status_code: 7 } },
                _ => Event::StreamEnd { id },
            };
            prop_assert_eq!(last, Some(&expected));
            if let Call::ContainerLogs(_) = call {
                prop_assert_eq!(pair.output().len(), 900);
            }
            asked.push(call);
            prop_assert!(pair.client.is_idle());
        }
        prop_assert_eq!(&pair.calls, &asked);
    }

    #[test]
    fn bodies_arrive(
        turns in turns(),
        pieces in prop::collection::vec(0usize..300, 0..6),
        known in any::<bool>(),
        version in any_version(),
    ) {
        let call = Call::ImageImport(ImageImport { source: "-".into(), ..ImageImport::default() });
        let total: usize = pieces.iter().sum();
        let options = Options { body_len: known.then_some(total as u64), ..at(version) };
        let mut pair = Pair::new(tight());
        let id = pair.client.ask(&call, &options).expect("a call");
        let mut rest = pieces.into_iter();
        let mut finished = known && total == 0;
        pair.until_over(id, &turns, |client, _| {
            if !finished {
                match rest.next() {
                    Some(len) => client.send(id, vec![b'b'; len].into()).expect("a body"),
                    None => {
                        finished = true;
                        client.finish(id).expect("the end");
                    }
                }
            }
        });
        prop_assert_eq!(pair.input.len(), total);
        let ended = pair.heard.contains(&Event::StreamEnd { id });
        prop_assert!(ended);
        let items = pair.heard.iter().filter(|event| matches!(event, Event::Item { .. })).count();
        prop_assert_eq!(items, 1);
    }

    #[test]
    fn a_hijacked_stream_goes_both_ways(
        turns in turns(),
        pieces in prop::collection::vec(1usize..100, 0..6),
        upgrade in any::<bool>(),
        is_exec in any::<bool>(),
        pauses in prop::collection::vec(any::<bool>(), 1..9),
        version in any_version(),
    ) {
        let call = Call::ContainerAttach(ContainerAttach {
            container: "c".into(),
            stream: true,
            stdin: true,
            stdout: true,
            ..ContainerAttach::default()
        });
        let start = Call::ExecStart(ExecStart { exec: "e".into(), ..ExecStart::default() });
        let call = if is_exec { start } else { call };
        let options = Options { upgrade, ..at(version) };
        if encode(&call, &options).is_err() {
            return Ok(());
        }
        let mut pair = Pair::new(tight());
        let id = pair.client.ask(&call, &options).expect("a call");
        let total: usize = pieces.iter().sum();
        let mut rest = pieces.into_iter().enumerate();
        let (mut sent, mut finished, mut round) = (vec![], false, 0);
        pair.until_over(id, &turns, |client, heard| {
            client.pause(id, pauses[round % pauses.len()] && round < 500);
            round += 1;
            if !finished && heard.iter().any(|event| matches!(event, Event::Reply { .. })) {
                match rest.next() {
                    Some((at, len)) => {
                        let bytes = vec![b'a' + at as u8; len];
                        sent.extend_from_slice(&bytes);
                        client.send(id, bytes.into()).expect("input");
                    }
                    None => {
                        finished = true;
                        client.finish(id).expect("the end of the input");
                    }
                }
            }
        });
        prop_assert_eq!(pair.input.len(), total);
        prop_assert_eq!(&pair.input, &sent);
        sent.extend_from_slice(b"bye");
        prop_assert_eq!(pair.output(), sent);
        for _ in 0..3 {
            pair.turn(100, 100);
            pair.serve(100, 100);
        }
        prop_assert_eq!(pair.heard.last(), Some(&Event::Closed));
    }
}
