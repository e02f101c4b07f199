//! A client, a daemon and a transport around one connection, for the tests beside this file.

use std::time::Duration;

use bytes::Bytes;
use gantry_core::{
    Call, Connection, Event, Instant, Item, Limits, Refusal, Reply, RequestId,
    driver::{Output, Protocol, SourceId},
    framing::StreamKind,
};

/// Where spliced output comes from.
pub(crate) const PIPE: SourceId = SourceId(3);

/// What the daemon of a scenario does by itself when it is told something.
pub(crate) type Daemon = fn(&mut Connection, &Event);

/// Answers ping, create, kill and load; attaches, starts execs and opens logs without sending anything. Containers and execs
/// named `none` do not exist, and a container named `tty` has a terminal.
pub(crate) fn obliging(connection: &mut Connection, event: &Event) {
    match event {
        Event::Call { id, call } => {
            let reply = match call {
                Call::Ping => Reply::Pong,
                Call::ContainerCreate(_) => Reply::ContainerCreated {
                    id: "c".repeat(64),
                    warnings: vec![],
                },
                Call::ContainerKill { .. } => Reply::Done,
                Call::ContainerAttach(attach) if attach.container == "none" => missing(),
                Call::ContainerAttach(attach) => Reply::Attached {
                    tty: attach.container == "tty",
                },
                Call::ContainerLogs(logs) if logs.container == "none" => missing(),
                Call::ContainerLogs(logs) => Reply::Logs {
                    tty: logs.container == "tty",
                },
                Call::ExecStart(start) if start.exec == "none" => {
                    Reply::Refused(Refusal::NoSuchExec { id: "none".into() })
                }
                Call::ExecStart(start) if start.detach => Reply::Done,
                Call::ExecStart(start) => Reply::ExecAttached {
                    tty: start.tty,
                    detach_keys: Some("ctrl-a,b".into()),
                },
                Call::Build(_) | Call::ImageLoad { .. } | Call::ImageImport(_) => return,
                other => panic!("no scenario asks {other:?}"),
            };
            connection.respond(*id, reply).unwrap();
        }
        Event::BodyEnd { id } => {
            connection.respond(*id, Reply::ProgressStream).unwrap();
            connection.finish(*id).unwrap();
        }
        _ => {}
    }
}

/// Waits for the test to act.
pub(crate) fn passive(_: &mut Connection, _: &Event) {}

pub(crate) fn missing() -> Reply {
    Reply::Refused(Refusal::NoSuchContainer { name: "none".into() })
}

/// One connection and everything that was seen of it.
pub(crate) struct Scenario {
    pub(crate) connection: Connection,
    pub(crate) now: Instant,
    pub(crate) sent: Vec<u8>,
    pub(crate) events: Vec<Event>,
    /// FIN was said.
    pub(crate) is_shut: bool,
    pub(crate) is_closed: bool,
    pub(crate) deadline: Option<Instant>,
    /// Bytes the client has sent and the connection has not taken.
    pub(crate) untaken: Vec<u8>,
    /// Bytes of each write; 0 sends nothing.
    pub(crate) write_bytes: usize,
    daemon: Daemon,
}

impl Scenario {
    pub(crate) fn new(daemon: Daemon) -> Self {
        Self::with_limits(daemon, Limits::default())
    }

    /// With a connection that is not as usual.
    pub(crate) fn prepared(daemon: Daemon, prepare: fn(Connection) -> Connection) -> Self {
        let scenario = Self::new(daemon);
        Self {
            connection: prepare(scenario.connection),
            ..scenario
        }
    }

    pub(crate) fn with_limits(daemon: Daemon, limits: Limits) -> Self {
        let now = Instant(Duration::from_secs(1000));
        Self {
            connection: Connection::new(limits, now),
            now,
            sent: vec![],
            events: vec![],
            is_shut: false,
            is_closed: false,
            deadline: None,
            untaken: vec![],
            write_bytes: 4096,
            daemon,
        }
    }

    /// The client sends bytes in one piece.
    pub(crate) fn receive(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.untaken.extend_from_slice(bytes.as_ref());
        self.drive()
    }

    pub(crate) fn eof(&mut self) -> &mut Self {
        assert!(self.untaken.is_empty(), "FIN comes after the bytes");
        self.connection.handle_eof(self.now);
        self.drive()
    }

    pub(crate) fn reset(&mut self) -> &mut Self {
        self.connection.handle_reset(self.now);
        self.drive()
    }

    /// Time goes on; the connection is told once at the end.
    pub(crate) fn pass(&mut self, span: Duration) -> &mut Self {
        self.now = self.now + span;
        self.connection.handle_timeout(self.now);
        self.drive()
    }

    pub(crate) fn respond(&mut self, id: RequestId, reply: Reply) -> &mut Self {
        self.connection.respond(id, reply).unwrap();
        self.drive()
    }

    pub(crate) fn send(&mut self, id: RequestId, bytes: &'static str) -> &mut Self {
        let item = Item::Output(StreamKind::Stdout, Bytes::from_static(bytes.as_bytes()));
        self.connection.send(id, item).unwrap();
        self.drive()
    }

    pub(crate) fn finish(&mut self, id: RequestId) -> &mut Self {
        self.connection.finish(id).unwrap();
        self.drive()
    }

    /// Does what a transport does, until nothing moves any more.
    pub(crate) fn drive(&mut self) -> &mut Self {
        let mut out = vec![0; self.write_bytes];
        loop {
            match self.connection.poll_output(self.now, &mut out) {
                Output::Event(event) => {
                    assert!(!self.is_closed, "{event:?} after the end");
                    (self.daemon)(&mut self.connection, &event);
                    self.events.push(event);
                }
                // The pipe of the scenario is full of tildes.
                Output::Splice { source, len } => {
                    assert!(source == PIPE && len > 0 && !self.is_shut && !self.is_closed && !out.is_empty());
                    self.sent.resize(self.sent.len() + len, b'~');
                }
                Output::Transmit(len) => {
                    assert!(len > 0 && !self.is_shut && !self.is_closed, "{len} bytes after FIN");
                    self.sent.extend_from_slice(&out[..len]);
                }
                Output::Shutdown => {
                    assert!(!self.is_shut, "FIN twice");
                    assert_eq!(self.connection.output_queued(), 0);
                    self.is_shut = true;
                }
                Output::Close => {
                    self.is_closed = true;
                    assert_eq!(
                        self.connection.poll_output(self.now, &mut out),
                        Output::Close,
                        "it is said on"
                    );
                    return self;
                }
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    if self.untaken.is_empty() {
                        return self;
                    }
                    let wants_input = self.connection.wants_input();
                    let taken = self.connection.handle_input(self.now, &self.untaken);
                    assert!(taken <= self.untaken.len());
                    self.untaken.drain(..taken);
                    if taken == 0 {
                        assert!(!wants_input, "wanted input is taken");
                        return self;
                    }
                }
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.sent).into_owned()
    }

    /// What was sent since the last time this was asked.
    pub(crate) fn take_text(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.sent)).unwrap()
    }

    /// The status of every answer, interim ones included.
    pub(crate) fn statuses(&self) -> Vec<u16> {
        let text = self.text();
        let after = |(at, mark): (usize, &str)| text[at + mark.len()..].get(..3).and_then(|status| status.parse().ok());
        // Bodies of these tests hold no status line, so it may be looked for anywhere.
        let mut found: Vec<_> = text
            .match_indices("HTTP/1.1 ")
            .chain(text.match_indices("HTTP/1.0 "))
            .collect();
        found.sort_unstable();
        found.into_iter().filter_map(after).collect()
    }

    /// The calls that were told.
    pub(crate) fn calls(&self) -> Vec<&Call> {
        let mut calls = vec![];
        for event in &self.events {
            if let Event::Call { call, .. } = event {
                calls.push(call);
            }
        }
        calls
    }

    /// The bytes of `Body` and `Input` events, joined.
    pub(crate) fn input(&self) -> Vec<u8> {
        let bytes = |event: &Event| match event {
            Event::Body { bytes, .. } | Event::Input { bytes, .. } => bytes.to_vec(),
            _ => vec![],
        };
        self.events.iter().flat_map(bytes).collect()
    }

    pub(crate) fn count(&self, wanted: fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| wanted(event)).count()
    }
}

pub(crate) const PING: &str = "GET /v1.24/_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
pub(crate) const KILL: &str = "POST /v1.24/containers/c/kill HTTP/1.1\r\nHost: docker\r\nContent-Length: 0\r\n\r\n";
pub(crate) const LOGS: &str = "GET /v1.24/containers/c/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: docker\r\n\r\n";
pub(crate) const CREATE_HEAD: &str =
    "POST /v1.24/containers/create HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n";
pub(crate) const LOAD_HEAD: &str = "POST /v1.24/images/load HTTP/1.1\r\nHost: docker\r\n";
pub(crate) const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
pub(crate) const FIRST: RequestId = RequestId(0);

pub(crate) fn attach(container: &str, headers: &str) -> String {
    let query = "stream=1&stdin=1&stdout=1&stderr=1";
    format!("POST /v1.24/containers/{container}/attach?{query} HTTP/1.1\r\nHost: docker\r\n{headers}\r\n")
}

pub(crate) fn exec_start(exec: &str, headers: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "POST /v1.24/exec/{exec}/start HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nContent-Length: {len}\r\n\
         {headers}\r\n{body}"
    )
}

pub(crate) fn websocket(container: &str, headers: &str) -> String {
    let query = "stream=1&stdin=1&stdout=1&stderr=1";
    format!(
        "GET /v1.24/containers/{container}/attach/ws?{query} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n"
    )
}
