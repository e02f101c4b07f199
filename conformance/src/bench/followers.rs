//! A thousand clients that follow the logs of containers which say nothing, and one that follows a busy one: what the
//! quiet ones cost the daemon, what is left for the busy one, and what `_ping` is like meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bench::attach::Shape;
use crate::bench::ping::{self, micros};
use crate::bench::table::{Unit, rank};
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::{ClientError, Connection, Request};
use crate::descriptors;
use crate::frames::Splitter;
use crate::procfs;
use crate::subject::{Subject, SubjectError};

/// Containers that say nothing after their first line.
const QUIET: usize = 4;

/// Followers of each of them.
const FOLLOWERS_EACH: usize = 250;

/// How long the daemon is watched doing nothing.
const IDLE_SPAN: Duration = Duration::from_secs(2);

/// Pause between two `_ping` beside the busy container.
const PING_PAUSE: Duration = Duration::from_millis(1);

/// The first line of every container; who has got it follows.
const READY: &str = "ready\n";

/// Bytes read at once from the busy one.
const READ_BYTES: usize = 256 * 1024;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    vec![Box::new(Followers {
        bytes: options.megabytes * 1_000_000,
    })]
}

struct Followers {
    /// That the busy container writes.
    bytes: usize,
}

impl Measure for Followers {
    fn name(&self) -> String {
        format!("{} followers of quiet logs", QUIET * FOLLOWERS_EACH)
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        descriptors::make_room(QUIET * FOLLOWERS_EACH)
            .map_err(|error| SubjectError::Client(self.name(), std::io::Error::other(error).into()))?;
        let mut names = Vec::new();
        let mut followers = Vec::new();
        for _ in 0..QUIET {
            let (name, id) = start(subject, &mut connection, "echo ready; exec sleep 1000000")?;
            for _ in 0..FOLLOWERS_EACH {
                followers.push(follow(subject, &id)?);
            }
            names.push(name);
        }
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        std::thread::sleep(IDLE_SPAN);
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
            let micros = after.saturating_sub(before) as f64 / 1000.0;
            let what = format!("{}: CPU of the idle daemon", self.name());
            samples.put(&what, Unit::MicrosPerSecond, micros / IDLE_SPAN.as_secs_f64());
        }
        self.busy(contender, samples)?;
        drop(followers);
        for name in names {
            subject.remove_running(&mut connection, &name)?;
        }
        Ok(())
    }
}

impl Followers {
    fn busy(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let (lines, lines_bytes) = Shape::Lines.command(self.bytes);
        // It begins when its follower is there.
        let (name, id) = start(subject, &mut connection, &format!("echo ready; read go; {lines}"))?;
        let mut follower = follow(subject, &id)?;
        follower.connection.read_in_pieces_of(READ_BYTES);
        let mut stdin = super::attach::attach(subject, &id, "stdin=1")?;
        let over = AtomicBool::new(false);
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        let (seconds, latencies) = std::thread::scope(|scope| {
            let pings = scope.spawn(|| ping_until(subject, &over));
            let seconds = stdin
                .send(b"go\n")
                .map_err(|error| SubjectError::Client(format!("stdin of {name}"), error))
                .and_then(|()| follower.read_to_end(lines_bytes));
            over.store(true, Ordering::Relaxed);
            let latencies = pings.join().expect("a ping does not panic");
            Ok::<_, SubjectError>((seconds?, latencies?))
        })?;
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        subject.wait(&mut connection, &id)?;
        subject.remove(&mut connection, &name)?;
        let megabytes = lines_bytes as f64 / 1e6;
        let beside = format!("beside {}", self.name());
        let what = format!("logs of a busy container {beside}");
        samples.put(&what, Unit::MegabytesPerSecond, megabytes / seconds);
        samples.put_cpu(&what, cpu_before, cpu_after, megabytes);
        for (label, share) in [("p50", 0.5), ("p99", 0.99)] {
            if let Some(latency) = rank(&latencies, share) {
                let what = format!("_ping {beside} and a busy one: latency {label}");
                samples.put(&what, Unit::Micros, micros(latency));
            }
        }
        Ok(())
    }
}

/// Creates and starts a container; name and id.
fn start(subject: &Subject, connection: &mut Connection, script: &str) -> Result<(String, String), SubjectError> {
    let name = subject.container_name();
    let body: Value = json!({
        "Image": subject.image, "Cmd": ["sh", "-c", script], "OpenStdin": true,
        "HostConfig": { "NetworkMode": "none", "LogConfig": { "Type": "json-file", "Config": {} } },
    });
    let id = subject.create_from(connection, &name, &body)?;
    subject.start(connection, &id)?;
    Ok((name, id))
}

/// A client that has got the first line.
struct Follower {
    line: String,
    connection: Connection,
    splitter: Splitter,
    /// Payload that came.
    received: u64,
}

fn follow(subject: &Subject, id: &str) -> Result<Follower, SubjectError> {
    let target = subject.target(&format!("/containers/{id}/logs?follow=1&stdout=1&stderr=1"));
    let request = Request::new("GET", target);
    let mut connection = subject.connect()?;
    let head = connection
        .begin(&request)
        .map_err(|error| SubjectError::Client(request.line(), error))?;
    if head.status != 200 {
        return Err(SubjectError::Status {
            call: request.line(),
            wanted: 200,
            got: head.status,
            body: head.reason,
        });
    }
    let mut follower = Follower {
        line: request.line(),
        connection,
        splitter: Splitter::default(),
        received: 0,
    };
    while follower.received < READY.len() as u64 {
        if !follower.read()? {
            return Err(SubjectError::Client(follower.line, ClientError::Closed));
        }
    }
    Ok(follower)
}

impl Follower {
    /// Reads once; whether there was anything.
    fn read(&mut self) -> Result<bool, SubjectError> {
        let piece = self
            .connection
            .read_piece()
            .map_err(|error| SubjectError::Client(self.line.clone(), error))?;
        let Some(piece) = piece else {
            return Ok(false);
        };
        let received = &mut self.received;
        self.splitter
            .feed(piece, |_, payload| *received += payload.len() as u64)
            .map_err(|error| SubjectError::Shape {
                call: self.line.clone(),
                lacks: error.to_string(),
            })?;
        Ok(true)
    }

    /// Seconds from the next byte to the last of `expected` more.
    fn read_to_end(&mut self, expected: u64) -> Result<f64, SubjectError> {
        let expected = self.received + expected;
        self.read()?;
        let begin = Instant::now();
        while self.received < expected && self.read()? {}
        let seconds = begin.elapsed().as_secs_f64();
        while self.read()? {}
        if self.received != expected {
            return Err(SubjectError::Shape {
                call: self.line.clone(),
                lacks: format!("{expected} bytes: {}", self.received),
            });
        }
        Ok(seconds)
    }
}

/// One `_ping` after the other until it is over, at least one; latencies, shortest first.
fn ping_until(subject: &Subject, over: &AtomicBool) -> Result<Vec<Duration>, SubjectError> {
    let request = ping::request(subject);
    let bytes = request.encode();
    let mut connection = subject.connect()?;
    let mut latencies = Vec::new();
    while latencies.is_empty() || !over.load(Ordering::Relaxed) {
        let begin = Instant::now();
        connection
            .send(&bytes)
            .and_then(|()| connection.skip_response())
            .map_err(|error| SubjectError::Client(request.line(), error))?;
        latencies.push(begin.elapsed());
        std::thread::sleep(PING_PAUSE);
    }
    latencies.sort_unstable();
    Ok(latencies)
}
