//! The bare limit: what a daemon on one thread with epoll could reach if it had nothing to do.
//!
//! It answers each empty line after some bytes, which is how a request head ends, with one fixed answer to `_ping`. It
//! is a ceiling to hold daemons against and no HTTP server: it reads no request line, no length and no body.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::descriptors::{self, TooFew};
use crate::endpoint::Stream;
use crate::interrupt;

/// What every request gets; the fields that a daemon sends at the least.
pub const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\nOK";

/// Connections for which descriptors are asked for.
const CONNECTIONS_MAX: usize = 16_384;

/// Readiness reports taken from the kernel at once.
const REPORTS: usize = 1024;

/// Bytes taken from a connection at once.
const READ_BYTES: usize = 16 * 1024;

/// How often the loop looks whether it shall stop.
const GLANCE_MILLIS: u16 = 200;

/// The server: its listeners and connections.
#[derive(Debug)]
pub struct Echo {
    epoll: Epoll,
    listeners: Vec<Listener>,
    sockets: Vec<PathBuf>,
    /// By number; a free number is used again.
    connections: Vec<Option<(Stream, Heads)>>,
    free: Vec<usize>,
}

#[derive(Debug)]
enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Echo {
    /// A server that listens nowhere.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            listeners: Vec::new(),
            sockets: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
        })
    }

    /// Listens at a path where nothing is yet; the socket is removed at the end.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn listen_unix(&mut self, path: &Path) -> io::Result<()> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        self.sockets.push(path.to_owned());
        self.add_listener(Listener::Unix(listener))
    }

    /// Listens at `HOST:PORT`.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn listen_tcp(&mut self, address: &str) -> io::Result<()> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        self.add_listener(Listener::Tcp(listener))
    }

    fn add_listener(&mut self, listener: Listener) -> io::Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, LISTENER | self.listeners.len() as u64);
        match &listener {
            Listener::Unix(listener) => self.epoll.add(listener.as_fd(), event)?,
            Listener::Tcp(listener) => self.epoll.add(listener.as_fd(), event)?,
        }
        self.listeners.push(listener);
        Ok(())
    }

    /// Answers until the process is told to stop.
    ///
    /// # Errors
    /// When waiting fails. A connection that fails is closed.
    pub fn run(mut self) -> io::Result<()> {
        if let Err(TooFew { allowed, .. }) = descriptors::make_room(CONNECTIONS_MAX) {
            eprintln!("room for {allowed} open files alone");
        }
        let mut reports = [EpollEvent::empty(); REPORTS];
        let mut buffer = vec![0; READ_BYTES];
        while !interrupt::requested() {
            let ready = match self.epoll.wait(&mut reports, EpollTimeout::from(GLANCE_MILLIS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for report in &reports[..ready] {
                match report.data() {
                    data if data & LISTENER != 0 => self.accept((data & !LISTENER) as usize),
                    number => self.answer(number as usize, &mut buffer),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, listener: usize) {
        loop {
            let accepted = match &self.listeners[listener] {
                Listener::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
                Listener::Tcp(listener) => listener.accept().and_then(|(stream, _)| {
                    stream.set_nodelay(true)?;
                    Ok(Stream::Tcp(stream))
                }),
            };
            let Ok(stream) = accepted else { return };
            let number = self.free.pop().unwrap_or(self.connections.len());
            let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
            if stream.set_nonblocking().is_err() || self.epoll.add(&stream, event).is_err() {
                self.free.extend((number < self.connections.len()).then_some(number));
                continue;
            }
            let connection = Some((stream, Heads::default()));
            match self.connections.get_mut(number) {
                Some(slot) => *slot = connection,
                None => self.connections.push(connection),
            }
        }
    }

    fn answer(&mut self, number: usize, buffer: &mut [u8]) {
        let Some((stream, heads)) = self.connections[number].as_mut() else {
            return;
        };
        let outcome = match stream.read(buffer) {
            Ok(0) => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
            // A client that does not read what it asked for is closed by the failing write.
            Ok(received) => (0..heads.feed(&buffer[..received])).try_for_each(|_| stream.write_all(ANSWER)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            self.connections[number] = None;
            self.free.push(number);
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        for path in &self.sockets {
            // Nothing is lost when it is gone already.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Marks the number of a listener, in what epoll hands back.
const LISTENER: u64 = 1 << 63;

/// Counts the ends of request heads in pieces of any cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Heads {
    /// Bytes of the empty line that have come, 0 to 3.
    matched: usize,
}

impl Heads {
    fn feed(&mut self, bytes: &[u8]) -> usize {
        const END: &[u8; 4] = b"\r\n\r\n";
        let mut ended = 0;
        for &byte in bytes {
            self.matched = match byte {
                _ if byte == END[self.matched] => self.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            if self.matched == END.len() {
                self.matched = 0;
                ended += 1;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn heads_are_counted_at_any_cut(
            wire in prop::collection::vec(prop::sample::select(b"\r\nG".to_vec()), 0..60),
            cut in 1usize..20,
        ) {
            let mut heads = Heads::default();
            let sum: usize = wire.chunks(cut).map(|piece| heads.feed(piece)).sum();
            let text = String::from_utf8(wire).expect("ASCII");
            prop_assert_eq!(sum, text.matches("\r\n\r\n").count());
        }
    }

    #[test]
    fn the_answer_says_its_length() {
        let text = std::str::from_utf8(ANSWER).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
    }
    #[test]
    fn every_request_is_answered_at_any_cut() {
        let path = std::env::temp_dir().join(format!("conformance-echo-{}.sock", std::process::id()));
        let mut echo = Echo::new().expect("epoll");
        echo.listen_unix(&path).expect("listen");
        // It serves for as long as the tests run.
        std::thread::spawn(move || echo.run());
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connect");
        std::fs::remove_file(&path).expect("unlink");
        let requests = b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3);
        for piece in requests.chunks(5) {
            stream.write_all(piece).expect("send");
        }
        let mut answers = vec![0; ANSWER.len() * 3];
        stream.read_exact(&mut answers).expect("answers");
        assert_eq!(answers, ANSWER.repeat(3));
    }
}
