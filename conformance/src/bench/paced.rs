//! The load generator's open loop: requests are due at set times, whatever has become of those before them.
//!
//! Request n of R per second is due n / R after the beginning, on connection n modulo their number; if the one before it
//! on that connection is not answered yet, it is sent all the same (RFC 9112 §9.3.2, pipelining). Its latency counts from when it was
//! *due*: a daemon that stands still for a while pays for every request that fell into that while, and a generator that was
//! itself late does not hide it ("coordinated omission", the flaw of a closed loop). How late the generator was is told
//! apart: what is sent late, is also read late.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::bench::load::{GLANCE_MILLIS, Load, LoadError, REPORTS, own_cpu, saturated, unasked};
use crate::bench::ping::micros;
use crate::bench::table::{Unit, rank};
use crate::bench::{Contender, Samples};
use crate::client::ClientError;
use crate::interrupt;
use crate::procfs;
use crate::subject::{PATIENCE, SubjectError};

/// What epoll reports for the timer; no client has this number.
const TIMER: u64 = u64::MAX;

/// When each request is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Requests per second over all connections, `> 0`.
    pub(super) per_second: u32,
    /// How long they go on.
    pub(super) span: Duration,
}

impl Pace {
    fn requests(self) -> u64 {
        let requests = self.span.as_nanos() * u128::from(self.per_second) / NANOS_PER_SECOND;
        u64::try_from(requests).unwrap_or(u64::MAX).max(1)
    }

    /// From the beginning to request `number`.
    fn due(self, number: u64) -> Duration {
        let nanos = u128::from(number) * NANOS_PER_SECOND / u128::from(self.per_second);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// What a paced run was like.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PacedOutcome {
    /// From when each request was due to its whole answer, shortest first.
    pub(super) latencies: Vec<Duration>,
    /// From when each request was due to when it was sent, shortest first.
    pub(super) lateness: Vec<Duration>,
    /// Whether the generator used all the CPU it could get.
    pub(super) saturated: bool,
}

impl Load {
    /// Sends requests at this pace, evenly over the connections, and waits for the answer of each.
    ///
    /// # Errors
    /// When an answer fails to come, or is no success.
    pub(super) fn run_paced(&mut self, pace: Pace) -> Result<PacedOutcome, SubjectError> {
        self.run_paced_all(pace).map_err(|error| self.named(error))
    }

    fn run_paced_all(&mut self, pace: Pace) -> Result<PacedOutcome, LoadError> {
        let failed = |error: Errno| LoadError::from(ClientError::Io(error.into()));
        // epoll waits in whole milliseconds.
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC).map_err(failed)?;
        self.epoll
            .add(
                timer.as_fd(),
                EpollEvent::new(EpollFlags::EPOLLIN | EpollFlags::EPOLLET, TIMER),
            )
            .map_err(failed)?;
        let connections = self.clients.len() as u64;
        let requests = pace.requests();
        // By client: the request that its next answer belongs to.
        let mut awaited: Vec<u64> = (0..connections).collect();
        let mut latencies = Vec::with_capacity(requests as usize);
        let mut lateness = Vec::with_capacity(requests as usize);
        let mut armed_for = None;
        let mut reports = [EpollEvent::empty(); REPORTS];
        let cpu_before = own_cpu();
        let begin = Instant::now();
        let mut answered_at = begin;
        while (latencies.len() as u64) < requests {
            let mut sent = lateness.len() as u64;
            while sent < requests {
                let (due, now) = (pace.due(sent), begin.elapsed());
                if due > now {
                    if armed_for != Some(sent) {
                        let wait = Expiration::OneShot((due - now).into());
                        timer.set(wait, TimerSetTimeFlags::empty()).map_err(failed)?;
                        armed_for = Some(sent);
                    }
                    break;
                }
                self.clients[(sent % connections) as usize].send_again(&self.request)?;
                lateness.push(now - due);
                sent += 1;
            }
            let ready = match self.epoll.wait(&mut reports, EpollTimeout::from(GLANCE_MILLIS)) {
                Ok(ready) => ready,
                Err(Errno::EINTR) => 0,
                Err(error) => return Err(failed(error)),
            };
            if interrupt::requested() {
                return Err(ClientError::Interrupted.into());
            }
            if answered_at.elapsed() >= PATIENCE {
                return Err(ClientError::Silence(PATIENCE).into());
            }
            for report in &reports[..ready] {
                if report.data() == TIMER {
                    armed_for = None;
                    continue;
                }
                let number = report.data() as usize;
                let answers = self.clients[number].receive(&mut self.buffer)?;
                for _ in 0..answers {
                    if awaited[number] >= sent {
                        return Err(unasked());
                    }
                    answered_at = Instant::now();
                    latencies.push((answered_at - begin).saturating_sub(pace.due(awaited[number])));
                    awaited[number] += connections;
                }
            }
        }
        let saturated = saturated(own_cpu().saturating_sub(cpu_before), begin.elapsed());
        latencies.sort_unstable();
        lateness.sort_unstable();
        Ok(PacedOutcome {
            latencies,
            lateness,
            saturated,
        })
    }
}

impl PacedOutcome {
    /// Latencies of a round, and what of them may be the generator's own.
    pub(super) fn put(&self, name: &str, samples: &mut Samples<'_>) {
        let shares = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
        for (label, share) in shares {
            if let Some(latency) = rank(&self.latencies, share) {
                let what = format!("{name}: latency {label}");
                samples.put(&what, Unit::Micros, micros(latency));
                if self.saturated {
                    samples.mark_saturated(&what, Unit::Micros);
                }
            }
        }
        for (label, share) in [("p99", 0.99), ("max", 1.0)] {
            if let Some(late) = rank(&self.lateness, share) {
                let what = format!("{name}: the generator itself was late, {label}");
                samples.put(&what, Unit::Micros, micros(late));
            }
        }
    }
}

/// One slice at this pace: its latencies, and the CPU time of the daemon per request.
pub(super) fn measure(
    load: &mut Load,
    pace: Pace,
    name: &str,
    contender: &Contender,
    samples: &mut Samples<'_>,
) -> Result<(), SubjectError> {
    let cpu_before = procfs::cpu_nanos(&contender.pids);
    let outcome = load.run_paced(pace)?;
    let cpu_after = procfs::cpu_nanos(&contender.pids);
    outcome.put(name, samples);
    samples.put_cpu_per_request(name, cpu_before, cpu_after, outcome.latencies.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Request;
    use crate::endpoint::Endpoint;
    use crate::subject::Subject;
    use std::io::{BufReader, Read, Write};
    use std::os::unix::net::UnixListener;

    #[test]
    fn requests_are_due_evenly_and_without_drift() {
        let table = [
            (10_000, 2_000, 20_000, 1, 100_000),
            (3, 1_000, 3, 2, 666_666_666),
            (3, 1_000, 3, 3_000_000, 1_000_000_000_000_000),
            (1, 10, 1, 0, 0),
        ];
        for (per_second, millis, requests, number, due_nanos) in table {
            let pace = Pace {
                per_second,
                span: Duration::from_millis(millis),
            };
            assert_eq!(pace.requests(), requests, "{pace:?}");
            assert_eq!(pace.due(number), Duration::from_nanos(due_nanos), "{pace:?}");
        }
    }

    /// A server that answers only when it has so many requests of a connection, or the last of them.
    fn answer_in_batches(listener: UnixListener, batch: usize, requests: usize) {
        let (mut stream, _) = listener.accept().expect("a client");
        let (mut heads, mut answered, mut last) = (0, 0, [0; 4]);
        let received = BufReader::new(stream.try_clone().expect("a handle"));
        for byte in received.bytes() {
            last.rotate_left(1);
            last[3] = byte.expect("bytes");
            heads += usize::from(last == *b"\r\n\r\n");
            if heads - answered == batch || heads == requests {
                stream
                    .write_all(&crate::echo::ANSWER.repeat(heads - answered))
                    .expect("send");
                answered = heads;
            }
            if heads == requests {
                return;
            }
        }
    }

    #[test]
    fn a_daemon_that_stands_still_pays_for_what_was_due_meanwhile() {
        // 40 requests 2 ms apart, answered ten at a time: the first of ten waits 18 ms, and a closed loop would never have
        // sent the second.
        let path = std::env::temp_dir().join(format!("conformance-paced-{}.sock", std::process::id()));
        let listener = UnixListener::bind(&path).expect("listen");
        let server = std::thread::spawn(move || answer_in_batches(listener, 10, 40));
        let subject = Subject::new("batches", &Endpoint::Unix(path.clone()), "1.24", "none");
        let mut load = Load::open(&subject, &Request::new("GET", "/_ping"), 1).expect("connect");
        std::fs::remove_file(&path).expect("unlink");
        let pace = Pace {
            per_second: 500,
            span: Duration::from_millis(80),
        };
        let outcome = load.run_paced(pace).expect("answers");
        server.join().expect("the server");
        assert_eq!((outcome.latencies.len(), outcome.lateness.len()), (40, 40));
        for (place, latency) in outcome.latencies.iter().enumerate() {
            let least = Duration::from_millis(2) * (place as u32 / 4);
            assert!(*latency >= least, "number {place}: {latency:?} of at least {least:?}");
        }
    }

    #[test]
    fn every_connection_has_its_share() {
        let path = std::env::temp_dir().join(format!("conformance-shares-{}.sock", std::process::id()));
        let mut echo = crate::echo::Echo::new().expect("epoll");
        echo.listen_unix(&path).expect("listen");
        // It serves for as long as the tests run.
        std::thread::spawn(move || echo.run());
        let subject = Subject::new("echo", &Endpoint::Unix(path.clone()), "1.24", "none");
        let mut load = Load::open(&subject, &Request::new("GET", "/_ping"), 7).expect("connect");
        std::fs::remove_file(&path).expect("unlink");
        let pace = Pace {
            per_second: 2_000,
            span: Duration::from_millis(50),
        };
        // Twice: nothing of the first run is left over.
        for _ in 0..2 {
            let outcome = load.run_paced(pace).expect("answers");
            assert_eq!((outcome.latencies.len(), outcome.lateness.len()), (100, 100));
            assert!(outcome.latencies.is_sorted() && outcome.lateness.is_sorted());
            assert!(outcome.lateness[0] <= outcome.latencies[99]);
        }
    }
}
