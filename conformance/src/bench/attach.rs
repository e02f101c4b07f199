//! Output of a container through attach: bytes per second and the daemon's CPU time for them, with and without a log
//! beside, as zeros in large writes and as lines of 100 bytes.
//!
//! The clock runs from the first byte of output to the end of the stream, so that the start of the container does not
//! count. What arrives is counted to the byte.

use std::time::Instant;

use serde_json::json;

use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::{Connection, Request};
use crate::frames::Splitter;
use crate::procfs;
use crate::rootfs::LINES_BYTES;
use crate::subject::{Subject, SubjectError};

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let bytes = options.megabytes * 1_000_000;
    let mut measures: Vec<Box<dyn Measure>> = Vec::new();
    for log in ["none", "json-file"] {
        for shape in [Shape::Zeros, Shape::Lines] {
            measures.push(Box::new(Attach { log, shape, bytes }));
        }
    }
    measures
}

#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// Zeros, written 64 KiB at a time.
    Zeros,
    /// Lines of 100 bytes, written many at a time.
    Lines,
}

impl Shape {
    fn label(self) -> &'static str {
        match self {
            Self::Zeros => "zeros",
            Self::Lines => "100-byte lines",
        }
    }

    /// A command that writes about `bytes` bytes of this shape, and how many it really writes.
    pub(super) fn command(self, bytes: usize) -> (String, u64) {
        match self {
            Self::Zeros => {
                let blocks = bytes.div_ceil(ZEROS_BLOCK);
                let command = format!("exec dd if=/dev/zero bs={ZEROS_BLOCK} count={blocks} 2>/dev/null");
                (command, (blocks * ZEROS_BLOCK) as u64)
            }
            Self::Lines => {
                let files = bytes.div_ceil(LINES_BYTES);
                let command = format!("exec cat{}", " /lines".repeat(files));
                (command, (files * LINES_BYTES) as u64)
            }
        }
    }
}

pub(super) const ZEROS_BLOCK: usize = 64 * 1024;

struct Attach {
    log: &'static str,
    shape: Shape,
    bytes: usize,
}

impl Measure for Attach {
    fn name(&self) -> String {
        format!("attach, log driver {}, {}", self.log, self.shape.label())
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let (command, expected) = self.shape.command(self.bytes);
        let name = subject.container_name();
        let host = json!({ "NetworkMode": "none", "LogConfig": { "Type": self.log, "Config": {} } });
        let id = subject.create(&mut connection, &name, &["sh", "-c", &command], &host)?;
        let attached = attach(subject, &id, "stdout=1&stderr=1")?;
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        subject.start(&mut connection, &id)?;
        let (received, seconds) = count(attached, &name)?;
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        let code = subject.wait(&mut connection, &id)?;
        subject.remove(&mut connection, &name)?;
        if (received, code) != (expected, 0) {
            let lacks = format!("{expected} bytes and exit code 0: {received} bytes, exit code {code}");
            return Err(SubjectError::Shape {
                call: self.name(),
                lacks,
            });
        }
        let megabytes = received as f64 / 1e6;
        samples.put(&self.name(), Unit::MegabytesPerSecond, megabytes / seconds);
        samples.put_cpu(&self.name(), cpu_before, cpu_after, megabytes);
        Ok(())
    }
}

/// Attaches to these streams, with an upgrade.
pub(super) fn attach(subject: &Subject, id: &str, streams: &str) -> Result<Connection, SubjectError> {
    let mut connection = subject.connect()?;
    connection.read_in_pieces_of(256 * 1024);
    let target = subject.target(&format!("/containers/{id}/attach?stream=1&{streams}"));
    let request = Request::new("POST", target).upgrade();
    let head = connection
        .begin(&request)
        .map_err(|error| SubjectError::Client(request.line(), error))?;
    if head.status != 101 {
        let (got, body) = (head.status, head.reason);
        return Err(SubjectError::Status {
            call: request.line(),
            wanted: 101,
            got,
            body,
        });
    }
    Ok(connection)
}

/// Reads to the end: payload bytes of stdout, and seconds from the first to the last of them.
fn count(mut connection: Connection, name: &str) -> Result<(u64, f64), SubjectError> {
    let call = || format!("output of {name}");
    let mut splitter = Splitter::default();
    let mut received = 0;
    let mut begin = None;
    while let Some(piece) = connection
        .read_piece()
        .map_err(|error| SubjectError::Client(call(), error))?
    {
        begin.get_or_insert_with(Instant::now);
        let sink = |stream, payload: &[u8]| {
            if stream == 1 {
                received += payload.len() as u64;
            }
        };
        splitter.feed(piece, sink).map_err(|error| SubjectError::Shape {
            call: call(),
            lacks: error.to_string(),
        })?;
    }
    if !splitter.at_boundary() {
        return Err(SubjectError::Shape {
            call: call(),
            lacks: "the end of its last frame".to_owned(),
        });
    }
    Ok((
        received,
        begin.map_or(f64::INFINITY, |begin| begin.elapsed().as_secs_f64()),
    ))
}
