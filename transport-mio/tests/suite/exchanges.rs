//! The real protocol on a transport: one list of exchanges, the daemon that answers them, core in memory as the oracle of
//! every byte, and a loop that serves the same over sockets.
//!
//! Sources: `core/tests/cases`, the documented exchanges of v1.0 to v1.22 and the requests that are refused; and a table of
//! what HTTP and a hijack can do to a connection (RFC 9112; API documents, "attach").

use std::{
    collections::HashMap,
    fs::File,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::PathBuf,
    sync::mpsc::{Receiver, Sender, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use gantry_core::{
    Call, Connection, Event, Instant, Item, Limits as Bounds, Refusal, Reply, RequestId,
    driver::{ConnId, Driver, ListenerId, Output, PipeId, Protocol, Service, TimerId},
    framing::StreamKind,
};
use nix::sys::socket::{Shutdown, shutdown};
use serde_json::Value;
use transport::{Limits, Mailbox, Reactor, Server};

use crate::common::{PATIENCE, Scratch, TCP, UNIX, pattern};

#[path = "../../../core/tests/cases/daemon.rs"]
mod daemon;
#[path = "../../../core/tests/cases/documented.rs"]
mod documented;

/// What a client does, and when it ends its direction.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub name: String,
    pub input: Vec<u8>,
    pub end: ClientEnd,
}

/// When a client ends its sending direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEnd {
    /// Right behind its bytes.
    AtOnce,
    /// When it has seen the end of what the daemon sends.
    AfterAnswer,
}

/// All of them.
pub fn exchanges() -> Vec<Exchange> {
    let mut all = odd_exchanges();
    all.extend(documented_exchanges());
    all.extend(refused_exchanges());
    all.extend(websocket_exchanges());
    all
}

/// The documented exchanges, in the order of the versions.
pub fn documented_exchanges() -> Vec<Exchange> {
    let exchange = |minor: usize, case: &Value| {
        let text = |key: &str| case[key].as_str();
        let (method, path) = (text("method").expect("method"), text("path").expect("path"));
        let body = match &case["request"] {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let mut head = format!("{method} /v1.{minor}{path} HTTP/1.1\r\nHost: docker\r\n");
        if let Some(typed) = text("content_type").or_else(|| (!body.is_empty()).then_some("application/json")) {
            head += &format!("Content-Type: {typed}\r\n");
        }
        if case["upgrade"].is_string() {
            head += UPGRADE;
        }
        if text("kind") == Some("websocket") {
            head += HANDSHAKE;
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        Exchange {
            name: text("id").expect("id").to_owned(),
            input: format!("{head}\r\n{body}").into_bytes(),
            end: ClientEnd::AtOnce,
        }
    };
    let mut all = Vec::new();
    for (minor, cases) in documented::DOCUMENTED.iter().enumerate() {
        let cases: Vec<Value> = serde_json::from_str(cases).expect("cases");
        all.extend(cases.iter().map(|case| exchange(minor, case)));
    }
    all
}

fn refused_exchanges() -> Vec<Exchange> {
    let refused = include_str!("../../../core/tests/cases/refused.tsv");
    let exchange = |line: &str| {
        let fields: Vec<_> = line.split('\t').collect();
        let [name, method, target, typed, body, ..] = fields[..] else {
            panic!("{line}")
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\n");
        if typed != "-" {
            head += &format!("Content-Type: {typed}\r\n");
        }
        let body = if body == "-" { "" } else { body };
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        Exchange {
            name: format!("refused: {name}: {target}"),
            input: format!("{head}\r\n{body}").into_bytes(),
            end: ClientEnd::AtOnce,
        }
    };
    refused.lines().skip(1).map(exchange).collect()
}

/// What a WebSocket can do to a connection.
fn websocket_exchanges() -> Vec<Exchange> {
    let frame = |&(first, payload): &(u8, &str)| {
        let masked = 0x80 | u8::try_from(payload.len()).expect("a short payload");
        // With a mask of zeros.
        [&[first, masked, 0, 0, 0, 0][..], payload.as_bytes()].concat()
    };
    /// Its name, the container, and frames: first byte and payload.
    type Row = (&'static str, &'static str, &'static [(u8, &'static str)]);
    let exchange = |(name, container, frames): Row| {
        let head = get(&format!("/containers/{container}/attach/ws?stream=1"), HANDSHAKE);
        Exchange {
            name: name.to_owned(),
            input: head
                .into_bytes()
                .into_iter()
                .chain(frames.iter().flat_map(frame))
                .collect(),
            end: ClientEnd::AtOnce,
        }
    };
    let rows: [Row; 6] = [
        ("WebSocket", "c", &[(0x01, "in"), (0x89, "ping"), (0x80, "put")]),
        ("WebSocket to a terminal", "tty", &[(0x82, "input")]),
        ("WebSocket, closed", "c", &[(0x82, "input"), (0x88, "")]),
        ("WebSocket, detached", "tty", &[(0x81, "ls\n\u{10}\u{11}more")]),
        (
            "WebSocket, broken",
            "c",
            &[(0x82, "input"), (0x83, "?"), (0x82, "more")],
        ),
        ("WebSocket to none", "none", &[(0x82, "input")]),
    ];
    rows.into_iter().map(exchange).collect()
}

/// What HTTP and a hijack can do to a connection.
fn odd_exchanges() -> Vec<Exchange> {
    let ping = get("/_ping", "");
    let logs = |container: &str| get(&format!("/containers/{container}/logs?stdout=1"), "");
    let slow = |headers| get("/containers/slow/logs?stdout=1", headers);
    let image = r#"{"Image":"busybox"}"#;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let create = |headers: &str, body: &str| post("/containers/create", &format!("{JSON}{headers}"), body);
    let load = |headers: &str, body: &str| post("/images/load", headers, body);
    let attach = |container: &str, headers: &str, input: &str| {
        let query = "stream=1&stdin=1&stdout=1&stderr=1";
        post(&format!("/containers/{container}/attach?{query}"), headers, input)
    };
    let exec = |headers: &str, body: &str, input: &str| {
        let headers = format!("{JSON}{headers}{}", length(body));
        post("/exec/e/start", &headers, body) + input
    };
    let form = ["Context", "Dockerfile"]
        .map(|name| format!("--B\r\nContent-Disposition: form-data; name={name}\r\n\r\n{image}\r\n"));
    let form = form.concat() + "--B--\r\n";
    let long = "x".repeat(60_000);
    let tar = String::from_utf8(pattern(300_000).iter().map(|byte| byte & 0x7f).collect()).expect("ASCII");
    let at_once = [
        ("nothing", String::new()),
        ("half a head", ping[..20].to_owned()),
        ("ping", ping.clone()),
        ("pipelined pings", ping.repeat(50)),
        (
            "pipelined, all sorts",
            [
                &ping,
                &logs("c"),
                &get("/info", ""),
                &logs("none"),
                &get("/containers/json", ""),
                &ping,
            ]
            .map(|it| &**it)
            .concat(),
        ),
        ("pipelined behind much output", logs("large").repeat(3) + &ping),
        ("close in the middle", get("/_ping", "Connection: close\r\n") + &ping),
        ("blank lines before", format!("\r\n\n{ping}")),
        ("bare line feeds", ping.replace("\r\n", "\n")),
        (
            "absolute form",
            "GET http://docker/v1.24/_ping HTTP/1.1\r\n\r\n".to_owned(),
        ),
        ("HTTP/1.0", "GET /v1.24/_ping HTTP/1.0\r\n\r\n".to_owned()),
        (
            "HTTP/1.0 that persists",
            "GET /v1.24/_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2),
        ),
        ("HTTP/1.0 stream", logs("c").replace("HTTP/1.1", "HTTP/1.0") + &ping),
        ("HEAD", ping.replace("GET", "HEAD") + &ping),
        ("OPTIONS", ping.replace("GET", "OPTIONS") + &ping),
        ("redirect", get("//_ping", "") + &ping),
        (
            "no such endpoint, with a body",
            post("/nowhere", "Content-Length: 4\r\n", "body") + &ping,
        ),
        ("wrong method", get("/containers/create", "") + &ping),
        ("no request line", "what?\r\n\r\n".to_owned() + &ping),
        ("no HTTP version of ours", "GET / HTTP/2.0\r\n\r\n".to_owned()),
        ("bad header", get("/_ping", "no colon\r\n")),
        ("control byte", get("/_ping", "X: \u{1}\r\n")),
        ("two hosts", get("/_ping", "Host: again\r\n")),
        ("line too long", format!("GET /{} HTTP/1.1\r\n\r\n", "q".repeat(17_000))),
        ("longest header", get("/_ping", &format!("X: {long}\r\n")) + &ping),
        ("headers too large", get("/_ping", &format!("X: {long}\r\n").repeat(3))),
        ("JSON body", create(&length(image), image) + &ping),
        (
            "JSON body, expected",
            create(&("Expect: 100-continue\r\n".to_owned() + &length(image)), image) + &ping,
        ),
        ("JSON body in chunks", create(chunked, &chunks(image, 5)) + &ping),
        ("broken JSON", create("Content-Length: 5\r\n", "{\"a\":") + &ping),
        ("JSON body too large", create("Content-Length: 99999999\r\n", "{")),
        (
            "two lengths",
            create("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"),
        ),
        (
            "length and chunks",
            create(&format!("Content-Length: 2\r\n{chunked}"), "{}"),
        ),
        (
            "unknown expectation",
            create("Expect: tea\r\nContent-Length: 2\r\n", "{}"),
        ),
        ("image", load(&length(&tar), &tar) + &ping),
        ("image in chunks", load(chunked, &chunks(&tar, 7_001)) + &ping),
        (
            "image, expected",
            load(&("Expect: 100-continue\r\n".to_owned() + &length("tar")), "tar") + &ping,
        ),
        ("image cut off", load("Content-Length: 10\r\n", "tar")),
        ("broken chunk", load(chunked, "5\r\nhello world\r\n0\r\n\r\n")),
        (
            "image nobody wants",
            post("/images/load?quiet=1", &length("tar"), "tar") + &ping,
        ),
        (
            "build from a form",
            post("/build", &format!("{FORM_TYPE}{chunked}"), &chunks(&form, 7)).replace("/v1.24", "/v1.2") + &ping,
        ),
        (
            "build from half a form",
            post("/build", &format!("{FORM_TYPE}{}", length(&form[..40])), &form[..40]).replace("/v1.24", "/v1.2"),
        ),
        (
            "build of v1.0",
            post("/build", "", "FROM busybox\nRUN true\n").replace("/v1.24", "/v1.0"),
        ),
        ("output", logs("c") + &ping),
        ("output of a terminal", logs("tty") + &ping),
        ("output of v1.0", logs("c").replace("/v1.24", "/v1.5") + &ping),
        ("much output", logs("large") + &ping),
        ("output that breaks off", logs("cut")),
        ("output of no container", logs("none") + &ping),
        ("events", get("/events", "") + &ping),
        ("pull", post("/images/create?fromImage=busybox", "", "") + &ping),
        (
            "pull of v1.0",
            post("/images/create?fromImage=busybox", "", "").replace("/v1.24", "/v1.0") + &ping,
        ),
        ("attach", attach("c", "", "input")),
        ("attach with upgrade", attach("c", UPGRADE, "input")),
        ("attach and much input", attach("c", UPGRADE, &tar)),
        (
            "attach with a body",
            attach("c", "Content-Length: 5\r\n", "body, and more"),
        ),
        ("attach to none", attach("none", UPGRADE, "input")),
        (
            "attach to a terminal, detached",
            attach("tty", UPGRADE, "ls\n\u{10}\u{11}more"),
        ),
        (
            "attach to a terminal, half of the keys",
            attach("tty", UPGRADE, "ls\n\u{10}"),
        ),
        ("exec", exec("", "{}", "input")),
        ("exec with upgrade", exec(UPGRADE, "{}", &tar)),
        (
            "exec of a terminal, detached",
            exec(UPGRADE, TTY, "ls\n\u{10}\u{11}more"),
        ),
        ("exec that nobody waits for", exec("", r#"{"Detach":true}"#, &ping)),
        ("exec and a broken body, then no request", exec("", "{", &ping)),
        ("stats", get("/containers/c/stats", "") + &ping),
    ];
    let after_answer = [
        ("output as there is room", slow("Connection: close\r\n")),
        (
            "output as there is room, behind others",
            ping.repeat(3) + &slow("Connection: close\r\n"),
        ),
        ("closed", get("/_ping", "Connection: close\r\n")),
        ("malformed", "what?\r\n\r\n".to_owned()),
    ];
    let exchange = |end| {
        move |(name, input): (&str, String)| Exchange {
            name: name.to_owned(),
            input: input.into_bytes(),
            end,
        }
    };
    let after_answer = after_answer.into_iter().map(exchange(ClientEnd::AfterAnswer));
    at_once
        .into_iter()
        .map(exchange(ClientEnd::AtOnce))
        .chain(after_answer)
        .collect()
}

const FORM_TYPE: &str = "Content-Type: multipart/form-data; boundary=B\r\n";
const JSON: &str = "Content-Type: application/json\r\n";
const TTY: &str = r#"{"Tty":true}"#;
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
const HANDSHAKE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

fn get(path: &str, headers: &str) -> String {
    format!("GET /v1.24{path} HTTP/1.1\r\nHost: docker\r\n{headers}\r\n")
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!("POST /v1.24{path} HTTP/1.1\r\nHost: docker\r\n{headers}\r\n{body}")
}

fn length(body: &str) -> String {
    format!("Content-Length: {}\r\n", body.len())
}

fn chunks(body: &str, len: usize) -> String {
    let chunk = |piece: &[u8]| format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    body.as_bytes().chunks(len).map(chunk).collect::<String>() + "0\r\n\r\n"
}

/// The daemon's side of one connection, and what it has been told.
#[derive(Debug, Default)]
pub struct Script {
    /// Events, with neighbouring bytes joined.
    told: Vec<String>,
    bytes: Vec<u8>,
    /// A stream that goes on as there is room, and how many of its items have been sent.
    slow: Option<(RequestId, usize)>,
}

const SLOW_ITEMS: usize = 400;
const SLOW_BYTES: usize = 2_000;

impl Script {
    /// Answers at once, whatever is asked. What arrives as input or body is given back at its end, so that answers do not
    /// show how it was cut.
    fn handle(&mut self, connection: &mut Connection, event: Event) {
        self.tell(&event);
        match event {
            Event::Call { id, call } => self.answer(connection, id, &call),
            Event::BodyEnd { id } => {
                let status = format!("{} bytes, {}", self.bytes.len(), checksum(&self.bytes));
                let progress = serde_json::json!({ "status": status });
                done(connection.respond(id, Reply::ProgressStream));
                let progress = serde_json::from_value(progress).expect("progress");
                done(connection.send(id, Item::Progress(progress)));
                done(connection.finish(id));
            }
            Event::InputEnd { id } => {
                let input = Bytes::from(std::mem::take(&mut self.bytes));
                done(connection.send(id, Item::Output(StreamKind::Stdout, input)));
                done(connection.finish(id));
            }
            Event::Body { bytes, .. } | Event::Input { bytes, .. } => self.bytes.extend_from_slice(&bytes),
            Event::ContextPart { .. } => {}
            Event::Detached { .. } | Event::Aborted { .. } => self.bytes.clear(),
        }
        self.go_on(connection);
    }

    fn answer(&mut self, connection: &mut Connection, id: RequestId, call: &Call) {
        let (container, is_attached) = match call {
            Call::ContainerAttach(attach) => (&*attach.container, true),
            Call::ContainerLogs(logs) => (&*logs.container, false),
            Call::ExecStart(start) if call.hijacks() => (if start.exec == "none" { "none" } else { "" }, true),
            Call::ImageLoad { quiet: true } => ("none", false),
            call if call.streams_body() => return,
            _ => ("", false),
        };
        let reply = match (container, is_attached) {
            ("none", _) => Reply::Refused(Refusal::NoSuchContainer { name: "none".into() }),
            ("tty", true) => Reply::Attached { tty: true },
            ("tty", false) => Reply::Logs { tty: true },
            _ => daemon::reply(call),
        };
        let opens_stream = reply.opens_stream();
        done(connection.respond(id, reply));
        if !opens_stream {
            return;
        }
        match container {
            "slow" => return self.slow = Some((id, 0)),
            "large" => (0..100).for_each(|number| done(connection.send(id, piece(number, 5_000)))),
            _ => daemon::items(call)
                .into_iter()
                .for_each(|item| done(connection.send(id, item))),
        }
        match container {
            "cut" => connection.abort(id),
            // An attached one goes on until its input ends.
            _ if is_attached => {}
            _ => done(connection.finish(id)),
        }
    }

    /// Sends as much of a slow stream as there is room for.
    fn go_on(&mut self, connection: &mut Connection) {
        while let Some((id, sent)) = self.slow
            && connection.has_room(id)
        {
            done(connection.send(id, piece(sent, SLOW_BYTES)));
            self.slow = Some((id, sent + 1));
            if sent + 1 == SLOW_ITEMS {
                self.slow = None;
                done(connection.finish(id));
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        match event {
            Event::Body { bytes, .. } | Event::Input { bytes, .. } => match self.told.last_mut() {
                Some(last) if last.starts_with(BYTES) => *last += &String::from_utf8_lossy(bytes),
                _ => self.told.push(BYTES.to_owned() + &String::from_utf8_lossy(bytes)),
            },
            other => self.told.push(format!("{other:?}")),
        }
    }
}

const BYTES: &str = "bytes: ";

/// Commands for a request that is over are harmless, and no other is wrong.
fn done(result: Result<(), gantry_core::Misuse>) {
    result.expect("the daemon keeps to the contract");
}

fn piece(number: usize, len: usize) -> Item {
    let kind = if number.is_multiple_of(3) {
        StreamKind::Stderr
    } else {
        StreamKind::Stdout
    };
    Item::Output(kind, pattern(len + number).into())
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

/// What has become of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// What the client got, up to the end.
    pub sent: Vec<u8>,
    /// What the daemon was told.
    pub told: Vec<String>,
}

/// Names the first difference; whole answers would fill the screen.
pub fn assert_same(what: &str, got: &Outcome, wanted: &Outcome) {
    let differs = got
        .sent
        .iter()
        .zip(&wanted.sent)
        .position(|(got, wanted)| got != wanted);
    let at = differs.unwrap_or_else(|| got.sent.len().min(wanted.sent.len()));
    let from =
        |bytes: &[u8]| String::from_utf8_lossy(&bytes[at.min(bytes.len())..bytes.len().min(at + 200)]).into_owned();
    assert!(
        got.sent == wanted.sent,
        "{what}: {} bytes instead of {}, and from {at} on {:?} instead of {:?}",
        got.sent.len(),
        wanted.sent.len(),
        from(&got.sent),
        from(&wanted.sent)
    );
    assert!(
        got.told == wanted.told,
        "{what}: told {:?} instead of {:?}",
        got.told,
        wanted.told
    );
}

/// The oracle: core in memory, given all bytes in one piece at one time.
pub fn in_memory(exchange: &Exchange) -> Outcome {
    let now = Instant(Duration::from_secs(1000));
    let mut connection = Connection::new(Bounds::default(), now);
    let mut script = Script::default();
    let (mut rest, mut sent, mut ended, mut shut) = (&*exchange.input, Vec::new(), false, false);
    let mut out = vec![0; 64 * 1024];
    loop {
        match connection.poll_output(now, &mut out) {
            Output::Event(event) => script.handle(&mut connection, event),
            Output::Splice { .. } => unreachable!("nothing is in a pipe"),
            Output::Transmit(len) => sent.extend_from_slice(&out[..len]),
            Output::Shutdown => shut = true,
            Output::Close => break,
            Output::Wait(_) => {
                let taken = connection.handle_input(now, rest);
                rest = &rest[taken..];
                script.go_on(&mut connection);
                let behind = rest.is_empty() && (exchange.end == ClientEnd::AtOnce || shut);
                if behind && !std::mem::replace(&mut ended, true) {
                    connection.handle_eof(now);
                } else if taken == 0 && connection.output_queued() == 0 {
                    panic!("{}: the connection waits for ever", exchange.name);
                }
            }
        }
    }
    let told = script.told;
    Outcome { sent, told }
}

/// How a client cuts what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    Whole,
    /// One byte at a time; of long inputs, the beginning and the end.
    Bytes,
    Random(u64),
}

impl Cut {
    fn pieces(self, input: &[u8]) -> Vec<&[u8]> {
        const LONG: usize = 2_000;
        let bytes = |input| <[u8]>::chunks(input, 1);
        match self {
            Self::Whole => vec![input],
            Self::Bytes if input.len() <= 2 * LONG => bytes(input).collect(),
            Self::Bytes => {
                let (head, rest) = input.split_at(LONG);
                let (middle, tail) = rest.split_at(rest.len() - LONG);
                bytes(head).chain([middle]).chain(bytes(tail)).collect()
            }
            Self::Random(seed) => {
                let (mut random, mut rest, mut pieces) = (Random(seed), input, Vec::new());
                let longest = 1 + input.len() / 20;
                while !rest.is_empty() {
                    let longest = if random.below(2) == 0 { longest } else { 40 };
                    let (piece, behind) = rest.split_at(rest.len().min(1 + random.below(longest)));
                    pieces.push(piece);
                    rest = behind;
                }
                pieces
            }
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// The seed of a run: `GANTRY_SEED` plays one again.
pub fn seed() -> u64 {
    match std::env::var("GANTRY_SEED") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("GANTRY_SEED={text}: want a number")),
        Err(_) => u64::from(std::process::id()),
    }
}

type Job = Box<dyn FnOnce(&mut Reactor<Connection>) + Send>;

/// Every connection is a [`Connection`] with a [`Script`].
struct Daemon {
    scripts: HashMap<ConnId, Script>,
    over: Sender<Vec<String>>,
}

impl Service<Reactor<Connection>> for Daemon {
    type Message = Job;

    fn accept(&mut self, driver: &mut Reactor<Connection>, conn: ConnId, _: ListenerId) -> Connection {
        self.scripts.insert(conn, Script::default());
        Connection::new(Bounds::default(), driver.now())
    }

    fn event(&mut self, driver: &mut Reactor<Connection>, conn: ConnId, event: Event) {
        let script = self.scripts.get_mut(&conn).expect("accepted, and not closed");
        script.handle(driver.protocol(conn).expect("the connection is there"), event);
    }

    fn writable(&mut self, driver: &mut Reactor<Connection>, conn: ConnId) {
        let script = self.scripts.get_mut(&conn).expect("accepted, and not closed");
        script.go_on(driver.protocol(conn).expect("the connection is there"));
    }

    fn closed(&mut self, _: &mut Reactor<Connection>, conn: ConnId) {
        let script = self.scripts.remove(&conn).expect("closed once");
        let _ = self.over.send(script.told);
    }

    fn pipe_input(&mut self, _: &mut Reactor<Connection>, pipe: PipeId, _: &[u8]) {
        unreachable!("{pipe:?}");
    }

    fn pipe_drained(&mut self, _: &mut Reactor<Connection>, pipe: PipeId) {
        unreachable!("{pipe:?}");
    }

    fn pipe_closed(&mut self, _: &mut Reactor<Connection>, pipe: PipeId, _: i32) {
        unreachable!("{pipe:?}");
    }

    fn timer(&mut self, _: &mut Reactor<Connection>, timer: TimerId) {
        unreachable!("{timer:?}");
    }

    fn message(&mut self, driver: &mut Reactor<Connection>, job: Job) {
        job(driver);
    }
}

/// A loop of the real protocol on a thread of its own, stopped when dropped.
pub struct Serving {
    unix: PathBuf,
    tcp: String,
    mailbox: Mailbox<Job>,
    /// What the daemon was told on each connection that is closed.
    over: Receiver<Vec<String>>,
    thread: Option<JoinHandle<()>>,
    _dir: Scratch,
}

impl Serving {
    pub fn start() -> Self {
        let dir = Scratch::new();
        let unix = dir.path.join("d.sock");
        let mut server: Server<Connection, Job> =
            Server::new(Limits::default()).unwrap_or_else(|error| crate::refused(&error));
        let socket = UnixListener::bind(&unix).expect("unix");
        server.listen(socket.into(), UNIX).expect("unix");
        let socket = TcpListener::bind("127.0.0.1:0").expect("tcp");
        let tcp = socket.local_addr().expect("tcp").to_string();
        server.listen(socket.into(), TCP).expect("tcp");
        let mailbox = server.mailbox();
        let (sender, over) = channel();
        let mut daemon = Daemon {
            scripts: HashMap::new(),
            over: sender,
        };
        let thread = thread::spawn(move || server.run(&mut daemon).expect("run"));
        Self {
            unix,
            tcp,
            mailbox,
            over,
            thread: Some(thread),
            _dir: dir,
        }
    }

    /// Does something on the loop and returns its result.
    pub fn on_loop<T: Send + 'static>(&self, job: impl FnOnce(&mut Reactor<Connection>) -> T + Send + 'static) -> T {
        let (results, result) = channel();
        let job: Job = Box::new(move |driver| {
            let _ = results.send(job(driver));
        });
        self.mailbox.send(job).expect("the loop runs");
        result.recv_timeout(PATIENCE).expect("the loop answers")
    }

    /// A client that does its part of the exchange.
    pub fn run(&self, listener: ListenerId, exchange: &Exchange, cut: Cut) -> Outcome {
        let socket = self.connect(listener);
        let mut sent = Vec::new();
        thread::scope(|scope| {
            scope.spawn(|| {
                for piece in cut.pieces(&exchange.input) {
                    // The daemon may have closed, as it does after an error.
                    if (&socket).write_all(piece).is_err() {
                        return;
                    }
                }
                if exchange.end == ClientEnd::AtOnce {
                    let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
                }
            });
            match (&socket).read_to_end(&mut sent) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
                Err(error) => panic!("{}, {cut:?}, after {} bytes: {error}", exchange.name, sent.len()),
            }
            // Whoever still writes is told that nobody reads.
            let _ = shutdown(socket.as_raw_fd(), Shutdown::Both);
        });
        drop(socket);
        let told = self.over.recv_timeout(PATIENCE);
        let told = told.unwrap_or_else(|_| panic!("{}, {cut:?}: never closed", exchange.name));
        assert!(self.over.try_recv().is_err(), "{}: closed once", exchange.name);
        Outcome { sent, told }
    }

    fn connect(&self, listener: ListenerId) -> File {
        if listener == UNIX {
            let socket = UnixStream::connect(&self.unix).expect("connect");
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.set_write_timeout(Some(PATIENCE)).unwrap();
            File::from(OwnedFd::from(socket))
        } else {
            let socket = TcpStream::connect(&self.tcp).expect("connect");
            socket.set_nodelay(true).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.set_write_timeout(Some(PATIENCE)).unwrap();
            File::from(OwnedFd::from(socket))
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.mailbox.send(Box::new(|driver| driver.stop()));
        let ended = self.thread.take().expect("joined once").join();
        if !thread::panicking() {
            ended.expect("the loop did not panic");
        }
    }
}
