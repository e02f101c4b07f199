//! The load generator: one thread, many connections that do not block, one request prepared beforehand.
//!
//! The loop here is closed: each connection has one request in flight, and sends the next when its answer is whole. A
//! latency is the time between the two, and holds the time in which the answer lay unread behind those of the other
//! connections: with N connections it is not below N divided by the rate. The open loop is in [`paced`](super::paced).

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::time::ClockId;

use crate::bench::answers::{Answers, BadAnswer};
use crate::client::{ClientError, Request};
use crate::descriptors;
use crate::endpoint::Stream;
use crate::interrupt;
use crate::subject::{PATIENCE, Subject, SubjectError};

/// Share of a core from which the generator itself is the limit: it used all it could get.
const SATURATED_SHARE: f64 = 0.95;

/// Readiness reports taken from the kernel at once.
pub(super) const REPORTS: usize = 1024;

/// Bytes taken from a connection at once; longer than any answer to `_ping`.
const READ_BYTES: usize = 16 * 1024;

/// How often a wait looks whether it shall stop.
pub(super) const GLANCE_MILLIS: u16 = 200;

/// Connections to one daemon, and the request that goes over them.
pub(super) struct Load {
    line: String,
    pub(super) request: Vec<u8>,
    /// Reports the number of the client that can be read.
    pub(super) epoll: Epoll,
    pub(super) clients: Vec<Client>,
    pub(super) buffer: Vec<u8>,
}

pub(super) struct Client {
    stream: Stream,
    answers: Answers,
    sent: Instant,
}

/// What a run was like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Outcome {
    /// Answers, each whole and of status 200.
    pub(super) answers: u64,
    /// From the first request to the last answer.
    pub(super) elapsed: Duration,
    /// CPU time of the generator in it.
    pub(super) own_cpu: Duration,
    /// One per answer, shortest first.
    pub(super) latencies: Vec<Duration>,
}

impl Outcome {
    /// Whether the generator was the limit: the daemon may be able to do more.
    pub(super) fn saturated(&self) -> bool {
        saturated(self.own_cpu, self.elapsed)
    }
}

/// Whether a generator with so much CPU time in a span was the limit of what happened.
pub(super) fn saturated(own_cpu: Duration, elapsed: Duration) -> bool {
    own_cpu.as_secs_f64() >= SATURATED_SHARE * elapsed.as_secs_f64()
}

impl Load {
    /// Connects so often; nothing is sent yet.
    ///
    /// # Errors
    /// When the daemon lets in fewer, or we may not have so many.
    pub(super) fn open(subject: &Subject, request: &Request, connections: usize) -> Result<Self, SubjectError> {
        let line = request.line();
        let failed = |error| SubjectError::Client(request.line(), ClientError::Io(error));
        descriptors::make_room(connections).map_err(|error| failed(io::Error::other(error)))?;
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|error| failed(error.into()))?;
        let mut clients = Vec::with_capacity(connections);
        for number in 0..connections {
            let refused = |error| {
                let name = format!("{}, connection {}", subject.endpoint, number + 1);
                SubjectError::Client(line.clone(), ClientError::Connect(name, error))
            };
            if interrupt::requested() {
                return Err(SubjectError::Client(line, ClientError::Interrupted));
            }
            let stream = subject.endpoint.connect(PATIENCE).map_err(refused)?;
            stream.set_nonblocking().map_err(refused)?;
            epoll
                .add(&stream, EpollEvent::new(EpollFlags::EPOLLIN, number as u64))
                .map_err(|error| refused(error.into()))?;
            clients.push(Client {
                stream,
                answers: Answers::new(),
                sent: Instant::now(),
            });
        }
        Ok(Self {
            line,
            request: request.encode(),
            epoll,
            clients,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Sends so many requests, at least one on each connection, and waits for the answer of each.
    ///
    /// # Errors
    /// When an answer fails to come, or is no success.
    pub(super) fn run(&mut self, requests: usize) -> Result<Outcome, SubjectError> {
        self.run_all(requests.max(self.clients.len()))
            .map_err(|error| self.named(error))
    }

    /// An error, and the request it was about.
    pub(super) fn named(&self, error: LoadError) -> SubjectError {
        let line = self.line.clone();
        match error {
            LoadError::Client(error) => SubjectError::Client(line, error),
            LoadError::Status(got) => SubjectError::Status {
                call: line,
                wanted: 200,
                got,
                body: String::new(),
            },
        }
    }

    fn run_all(&mut self, requests: usize) -> Result<Outcome, LoadError> {
        let mut latencies = Vec::with_capacity(requests);
        let mut unsent = requests - self.clients.len();
        let mut reports = [EpollEvent::empty(); REPORTS];
        let cpu_before = own_cpu();
        let begin = Instant::now();
        for client in &mut self.clients {
            client.send(&self.request)?;
        }
        let mut answered_at = begin;
        while latencies.len() < requests {
            let ready = match self.epoll.wait(&mut reports, EpollTimeout::from(GLANCE_MILLIS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(ClientError::Io(error.into()).into()),
            };
            if ready == 0 {
                if interrupt::requested() {
                    return Err(ClientError::Interrupted.into());
                }
                if answered_at.elapsed() >= PATIENCE {
                    return Err(ClientError::Silence(PATIENCE).into());
                }
            }
            for report in &reports[..ready] {
                let client = &mut self.clients[report.data() as usize];
                match client.receive(&mut self.buffer)? {
                    0 => continue,
                    1 => {}
                    _ => return Err(unasked()),
                }
                answered_at = Instant::now();
                latencies.push(answered_at - client.sent);
                if unsent > 0 {
                    unsent -= 1;
                    client.sent = answered_at;
                    client.send_again(&self.request)?;
                }
            }
        }
        let elapsed = answered_at - begin;
        let own_cpu = own_cpu().saturating_sub(cpu_before);
        latencies.sort_unstable();
        Ok(Outcome {
            answers: latencies.len() as u64,
            elapsed,
            own_cpu,
            latencies,
        })
    }
}

impl Client {
    fn send(&mut self, request: &[u8]) -> Result<(), LoadError> {
        self.sent = Instant::now();
        self.send_again(request)
    }

    /// As [`Self::send`], with the time noted already. Requests are short, and hundreds of them fit into the buffer of a
    /// socket: that there is no room for one is an error.
    pub(super) fn send_again(&mut self, request: &[u8]) -> Result<(), LoadError> {
        let sent = self.stream.write_all(request).and_then(|()| self.stream.flush());
        sent.map_err(|error| ClientError::Io(error).into())
    }

    /// How many answers have become whole.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> Result<u64, LoadError> {
        let received = match self.stream.read(buffer) {
            Ok(0) => return Err(ClientError::Closed.into()),
            Ok(received) => received,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Ok(0);
            }
            Err(error) => return Err(ClientError::Io(error).into()),
        };
        self.answers.feed(&buffer[..received]).map_err(|error| match error {
            BadAnswer::Http(error) => ClientError::Http(error).into(),
            BadAnswer::Status(status) => LoadError::Status(status),
        })
    }
}

/// An answer that no request has asked for.
pub(super) fn unasked() -> LoadError {
    ClientError::Io(io::Error::other("more answers than requests")).into()
}

pub(super) enum LoadError {
    Client(ClientError),
    Status(u16),
}

impl From<ClientError> for LoadError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// CPU time of this thread.
pub(super) fn own_cpu() -> Duration {
    ClockId::CLOCK_THREAD_CPUTIME_ID
        .now()
        .map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::echo::Echo;
    use crate::endpoint::Endpoint;

    #[test]
    fn saturation_is_a_share_of_one_core() {
        let table = [
            (1000, 949, false),
            (1000, 950, true),
            (1000, 1000, true),
            (1000, 0, false),
        ];
        for (elapsed, cpu, expected) in table {
            let outcome = Outcome {
                answers: 1,
                elapsed: Duration::from_millis(elapsed),
                own_cpu: Duration::from_millis(cpu),
                latencies: Vec::new(),
            };
            assert_eq!(outcome.saturated(), expected, "{cpu} ms of {elapsed} ms");
        }
    }
    #[test]
    fn every_request_has_its_answer() {
        let path = std::env::temp_dir().join(format!("conformance-load-{}.sock", std::process::id()));
        let mut echo = Echo::new().expect("epoll");
        echo.listen_unix(&path).expect("listen");
        // It serves for as long as the tests run.
        std::thread::spawn(move || echo.run());
        let subject = Subject::new("echo", &Endpoint::Unix(path.clone()), "1.24", "none");
        let mut load = Load::open(&subject, &Request::new("GET", "/_ping"), 7).expect("connect");
        std::fs::remove_file(&path).expect("unlink");
        for (wanted, expected) in [(1, 7), (7, 7), (100, 100)] {
            let outcome = load.run(wanted).expect("answers");
            assert_eq!(
                (outcome.answers, outcome.latencies.len()),
                (expected, expected as usize)
            );
            assert!(outcome.latencies.is_sorted());
        }
    }
}
