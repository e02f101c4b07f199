//! What is left for others while containers write as fast as they can and their clients read all of it: `_ping` at a set
//! pace beside one and beside four of them, and what these move meanwhile.
//!
//! Containers, their readers and the generator share the machine with the daemon; how late the generator was stands
//! beside. The log driver is `none`, so that nothing but the daemon slows a container down.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::attach::{ZEROS_BLOCK, attach};
use crate::bench::load::Load;
use crate::bench::paced::Pace;
use crate::bench::ping;
use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Samples};
use crate::client::{ClientError, Connection};
use crate::subject::{PATIENCE, Subject, SubjectError};

/// Containers that write at once.
const HOSES: [usize; 2] = [1, 4];

/// `_ping` on one connection meanwhile.
const PACE: Pace = Pace {
    per_second: 1_000,
    span: Duration::from_secs(2),
};

pub(super) fn measures() -> Vec<Box<dyn Measure>> {
    let boxed = |hoses: usize| Box::new(Firehose { hoses }) as Box<dyn Measure>;
    HOSES.map(boxed).into()
}

struct Firehose {
    hoses: usize,
}

impl Measure for Firehose {
    fn name(&self) -> String {
        match self.hoses {
            1 => "one firehose".to_owned(),
            many => format!("{many} firehoses"),
        }
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let mut load = Load::open(subject, &ping::request(subject), 1)?;
        let (mut names, mut clients) = (Vec::new(), Vec::new());
        for _ in 0..self.hoses {
            let (name, client) = start(subject, &mut connection)?;
            names.push(name);
            clients.push(client);
        }
        let moved: Vec<AtomicU64> = clients.iter().map(|_| AtomicU64::new(0)).collect();
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let readers: Vec<_> = clients
                .into_iter()
                .zip(&moved)
                .map(|(client, moved)| scope.spawn(|| read_until(client, moved, &over)))
                .collect();
            let measured = self.measure(&mut load, &moved, samples);
            over.store(true, Ordering::Relaxed);
            for reader in readers {
                let read = reader.join().expect("a reader does not panic");
                read.map_err(|error| SubjectError::Client(self.name(), error))?;
            }
            measured
        })?;
        names
            .iter()
            .try_for_each(|name| subject.remove_running(&mut connection, name))
    }
}

impl Firehose {
    fn measure(&self, load: &mut Load, moved: &[AtomicU64], samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let total = || moved.iter().map(|moved| moved.load(Ordering::Relaxed)).sum::<u64>();
        let waiting_since = Instant::now();
        while moved.iter().any(|moved| moved.load(Ordering::Relaxed) < WARM_BYTES) {
            if waiting_since.elapsed() >= PATIENCE {
                return Err(SubjectError::Client(self.name(), ClientError::Silence(PATIENCE)));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let (begin, before) = (Instant::now(), total());
        let outcome = load.run_paced(PACE)?;
        let megabytes = (total() - before) as f64 / 1e6;
        let rate = megabytes / begin.elapsed().as_secs_f64();
        let name = format!("_ping paced at {}/s beside {}", PACE.per_second, self.name());
        outcome.put(&name, samples);
        let what = format!("attach of {} beside paced _ping", self.name());
        samples.put(&what, Unit::MegabytesPerSecond, rate);
        Ok(())
    }
}

/// That each has moved before the clock runs.
const WARM_BYTES: u64 = 1_000_000;

/// A container that writes zeros until it is removed, and its client.
fn start(subject: &Subject, connection: &mut Connection) -> Result<(String, Connection), SubjectError> {
    let name = subject.container_name();
    let command = format!("exec dd if=/dev/zero bs={ZEROS_BLOCK}");
    let host = json!({ "NetworkMode": "none", "LogConfig": { "Type": "none", "Config": {} } });
    let id = subject.create(connection, &name, &["sh", "-c", &command], &host)?;
    let client = attach(subject, &id, "stdout=1")?;
    subject.start(connection, &id)?;
    Ok((name, client))
}

/// Reads and counts until it is over, which the stream must not be before.
fn read_until(mut client: Connection, moved: &AtomicU64, over: &AtomicBool) -> Result<(), ClientError> {
    while !over.load(Ordering::Relaxed) {
        let piece = client.read_piece()?.ok_or(ClientError::Closed)?;
        moved.fetch_add(piece.len() as u64, Ordering::Relaxed);
    }
    Ok(())
}
