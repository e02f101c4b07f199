//! Bytes into a container through attach: its stdin, read by `dd` and thrown away.
//!
//! The clock runs from the first byte sent until `dd` says how many blocks it has read, which is also how they are
//! counted; the end of the container does not count.

use std::time::Instant;

use serde_json::json;

use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::frames::Splitter;
use crate::procfs;
use crate::subject::SubjectError;

/// Bytes that `dd` counts as one, and that one call sends.
const BLOCK_BYTES: usize = 64 * 1024;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let blocks = (options.megabytes * 1_000_000).div_ceil(BLOCK_BYTES);
    vec![Box::new(Stdin { blocks })]
}

struct Stdin {
    blocks: usize,
}

impl Measure for Stdin {
    fn name(&self) -> String {
        "attach, stdin".to_owned()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let name = subject.container_name();
        let command = format!("exec dd of=/dev/null bs={BLOCK_BYTES} iflag=fullblock");
        let body = json!({
            "Image": subject.image, "Cmd": ["sh", "-c", command],
            "OpenStdin": true, "StdinOnce": true, "AttachStdin": true, "AttachStdout": true, "AttachStderr": true,
            "HostConfig": { "NetworkMode": "none", "LogConfig": { "Type": "none", "Config": {} } },
        });
        let id = subject.create_from(&mut connection, &name, &body)?;
        let mut attached = super::attach::attach(subject, &id, "stdin=1&stdout=1&stderr=1")?;
        subject.start(&mut connection, &id)?;
        let call = || format!("stdin of {name}");
        let client = |error| SubjectError::Client(call(), error);
        let block = vec![b'x'; BLOCK_BYTES];
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        let begin = Instant::now();
        for _ in 0..self.blocks {
            attached.send(&block).map_err(client)?;
        }
        attached.half_close().map_err(client)?;
        let (mut splitter, mut said, mut end) = (Splitter::default(), Vec::new(), None);
        while let Some(piece) = attached.read_piece().map_err(client)? {
            end.get_or_insert_with(Instant::now);
            splitter
                .feed(piece, |_, payload| said.extend_from_slice(payload))
                .map_err(|error| SubjectError::Shape {
                    call: call(),
                    lacks: error.to_string(),
                })?;
        }
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        let code = subject.wait(&mut connection, &id)?;
        subject.remove(&mut connection, &name)?;
        let said = String::from_utf8_lossy(&said);
        let (Some(end), 0, true) = (end, code, said.starts_with(&format!("{}+0 ", self.blocks))) else {
            let lacks = format!("exit code 0 and {} blocks: exit code {code}, {said:?}", self.blocks);
            return Err(SubjectError::Shape { call: call(), lacks });
        };
        let megabytes = (self.blocks * BLOCK_BYTES) as f64 / 1e6;
        let rate = megabytes / (end - begin).as_secs_f64();
        samples.put(&self.name(), Unit::MegabytesPerSecond, rate);
        samples.put_cpu(&self.name(), cpu_before, cpu_after, megabytes);
        Ok(())
    }
}
