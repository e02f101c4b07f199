//! Attach by WebSocket: real containers, and a client that writes its own frames (RFC 6455).

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
};

use gantry_conformance::client::{Connection, Request};
use serde_json::json;

use crate::harness::{Daemon, is_root};

const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

/// A client on a WebSocket.
struct Client {
    connection: Connection,
    received: Vec<u8>,
}

impl Client {
    fn attach(daemon: &Daemon, version: &str, id: &str, query: &str) -> Self {
        let request = Request::new("GET", format!("/{version}/containers/{id}/attach/ws?{query}"))
            .field("Connection", "Upgrade")
            .field("Upgrade", "websocket")
            .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .field("Sec-WebSocket-Version", "13");
        let mut connection = daemon.connect();
        let head = connection.begin(&request).expect("a head");
        assert_eq!(head.status, 101);
        Self {
            connection,
            received: Vec::new(),
        }
    }

    /// Sends a frame. The first byte is FIN and the opcode.
    fn send(&mut self, first: u8, payload: &[u8]) {
        self.connection.send(&frame(first, payload)).expect("a frame is taken");
    }

    /// The next frame: its first byte and payload; `None` at the end.
    fn receive(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((first, payload, len)) = split(&self.received) {
                let payload = payload.to_vec();
                self.received.drain(..len);
                return Some((first, payload));
            }
            match self.connection.read_piece().expect("the stream to its end") {
                Some(piece) => self.received.extend_from_slice(piece),
                None => {
                    assert!(self.received.is_empty(), "it ended inside a frame");
                    return None;
                }
            }
        }
    }

    /// All messages up to the close frame, which must be a good one, and the last.
    fn rest(&mut self) -> Vec<u8> {
        let mut output = Vec::new();
        loop {
            match self.receive() {
                Some((TEXT | BINARY, payload)) => output.extend(payload),
                Some((CLOSE, code)) => break assert_eq!(code, 1000_u16.to_be_bytes()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(self.receive(), None);
        output
    }
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        len @ ..126 => frame.push(0x80 | len as u8),
        len @ ..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The frame at the front, and its whole length.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (&[first, short], rest) = bytes.split_first_chunk()?;
    let (len, rest) = match short {
        126 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        127 => {
            let (len, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*len) as usize, rest)
        }
        short => (usize::from(short), rest),
    };
    assert!(short < 0x80, "a server's frame is not masked");
    let payload = rest.get(..len)?;
    Some((first, payload, bytes.len() - rest.len() + len))
}

const ALL: &str = "stream=1&stdin=1&stdout=1&stderr=1";

#[test]
fn what_goes_in_comes_back_and_a_close_ends_it() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["cat"], json!({"OpenStdin": true, "StdinOnce": true}));
    // A client that names no stream gets all of them.
    let mut client = Client::attach(&daemon, "v1.24", &id, "stream=1");
    daemon.start_container(&id);
    client.send(TEXT, b"gr\xc3\xbc\xc3\x9fe\n");
    assert_eq!(client.receive(), Some((TEXT, b"gr\xc3\xbc\xc3\x9fe\n".to_vec())));
    client.send(0x02, b"frag\xff");
    assert_eq!(client.receive(), Some((BINARY, b"frag\xff".to_vec())));
    client.send(PING, b"are you there?");
    assert_eq!(client.receive(), Some((PONG, b"are you there?".to_vec())));
    client.send(0x80, b"ments\n");
    assert_eq!(client.receive(), Some((TEXT, b"ments\n".to_vec())));
    // Every byte value, more than fits into any pipe or queue on the way.
    let block: Vec<u8> = (0..1_000_003_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let mut sender = client.connection.sender().expect("a second handle");
    let sent = frame(BINARY, &block);
    let sending = std::thread::spawn(move || sender.send(&sent).expect("the input is taken"));
    let mut echoed = Vec::new();
    while echoed.len() < block.len() {
        match client.receive() {
            Some((TEXT | BINARY, payload)) => echoed.extend(payload),
            other => panic!("{other:?}"),
        }
    }
    sending.join().expect("the sender");
    assert!(echoed == block, "what came back is not what was sent");
    // The end of input, for the container as well.
    client.send(CLOSE, &1001_u16.to_be_bytes());
    assert_eq!(client.receive(), Some((CLOSE, 1001_u16.to_be_bytes().to_vec())));
    assert_eq!(client.receive(), None);
    assert_eq!(daemon.wait(&id), 0);
}

#[test]
fn output_is_whole_and_never_framed_by_docker() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let lines: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
    for version in ["v1.0", "v1.24"] {
        for driver in ["none", "json-file"] {
            let id = daemon.create(
                &["lines", "20000"],
                json!({"HostConfig": {"LogConfig": {"Type": driver}}}),
            );
            let mut client = Client::attach(&daemon, version, &id, "stream=1&stdout=1&stderr=1");
            daemon.start_container(&id);
            assert!(client.rest() == lines.as_bytes(), "{version}, {driver}");
        }
    }
    let id = daemon.create(&["both", "out", "err"], json!({}));
    daemon.start_container(&id);
    daemon.wait(&id);
    assert_eq!(
        Client::attach(&daemon, "v1.24", &id, "logs=1&stderr=1").rest(),
        b"err\n"
    );
    assert_eq!(
        Client::attach(&daemon, "v1.24", &id, "").rest(),
        b"",
        "neither replayed nor followed"
    );
}

#[test]
fn a_terminal_is_left_by_its_keys() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["talk"], json!({"Tty": true, "OpenStdin": true}));
    let mut client = Client::attach(&daemon, "v1.24", &id, ALL);
    daemon.start_container(&id);
    assert_eq!(client.receive(), Some((TEXT, b"> ".to_vec())));
    client.send(TEXT, b"\x10");
    client.send(TEXT, b"\x11");
    assert_eq!(client.rest(), b"");
    assert_eq!(daemon.inspect(&id)["State"]["Running"], true);
    let mut client = Client::attach(&daemon, "v1.24", &id, ALL);
    client.send(TEXT, b"exit\n");
    assert!(client.rest().starts_with(b"exit\r\n"), "the terminal echoes");
    assert_eq!(daemon.wait(&id), 7);
}

#[test]
fn a_client_that_breaks_the_rules_is_taken_off() {
    if !is_root() {
        return;
    }
    let daemon = Daemon::start();
    let id = daemon.create(&["cat"], json!({"OpenStdin": true}));
    daemon.start_container(&id);
    let rows: [(&str, Vec<u8>, u16); 3] = [
        ("not masked", b"\x81\x01a".to_vec(), 1002),
        ("reserved bit", frame(0xc1, b"a"), 1002),
        ("no text", frame(TEXT, b"\xff"), 1007),
    ];
    for (name, broken, code) in rows {
        let mut client = Client::attach(&daemon, "v1.24", &id, ALL);
        client.connection.send(&broken).expect("it is read");
        assert_eq!(client.receive(), Some((CLOSE, code.to_be_bytes().to_vec())), "{name}");
        assert_eq!(client.receive(), None, "{name}");
    }
    assert_eq!(daemon.inspect(&id)["State"]["Running"], true);
    let mut client = Client::attach(&daemon, "v1.24", &id, ALL);
    client.send(TEXT, b"well\n");
    assert_eq!(client.receive(), Some((TEXT, b"well\n".to_vec())));
}

#[test]
fn pages_of_others_get_no_websocket_by_tcp() {
    if !is_root() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let arguments = ["--host", "fd://"].map(str::to_owned).to_vec();
    let daemon = Daemon::start_with(arguments, Some(listener.into()));
    let id = daemon.create(&["true"], json!({}));
    let rows = [
        ("no page", String::new(), "101"),
        ("a page of ours", format!("Origin: http://{address}\r\n"), "101"),
        ("a page of others", "Origin: http://evil.example\r\n".to_owned(), "403"),
    ];
    for (name, origin, status) in rows {
        let mut stream = TcpStream::connect(address).expect("a connection");
        let request = format!(
            "GET /v1.24/containers/{id}/attach/ws HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
             {origin}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("the request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the answer");
        let head = String::from_utf8_lossy(&answer);
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{name}: {head}");
    }
}
