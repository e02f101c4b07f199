//! What a connection costs that is open and does nothing: memory of the daemon for some and for many of them, and what
//! `_ping` is like on 1,000 others beside, first as fast as it goes and then at a set pace: a full loop says what the
//! daemon can do, a paced one how promptly it does what is asked of it.
//!
//! Each connection has had one `_ping` answered before it falls idle, as that of a client with a pool has. A second
//! round would find the memory of the first one still there: there is only one.

use std::time::Duration;

use crate::bench::load::Load;
use crate::bench::paced::{self, Pace};
use crate::bench::ping::{put_latencies, request};
use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::descriptors;
use crate::procfs;
use crate::subject::SubjectError;

/// Connections that are busy beside the most idle ones.
const BUSY: usize = 1_000;

/// Requests on each of them in a slice.
const TURNS: usize = 10;

/// Slices of the busy time, each with figures of its own.
const SLICES: usize = 5;

/// How long a paced slice takes: at 10,000 in a second, 20 requests are slower than the p99.9.
const PACED_SPAN: Duration = Duration::from_secs(2);

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let mut idle = options.idle.clone();
    idle.sort_unstable();
    idle.dedup();
    vec![Box::new(Connections {
        idle,
        pace: Pace {
            per_second: options.paced,
            span: PACED_SPAN,
        },
    })]
}

struct Connections {
    /// How many, in ascending order.
    idle: Vec<usize>,
    pace: Pace,
}

impl Measure for Connections {
    fn name(&self) -> String {
        "idle connections".to_owned()
    }

    fn rounds_max(&self) -> usize {
        1
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let request = request(&contender.subject);
        // Room for all at once, so that a lack of it shows before thousands are open.
        let most = self.idle.last().copied().unwrap_or_default();
        descriptors::make_room(most + BUSY)
            .map_err(|error| SubjectError::Client(self.name(), std::io::Error::other(error).into()))?;
        let before = rss_kib(contender);
        let mut idle = Vec::new();
        let mut open = 0;
        for &wanted in &self.idle {
            let mut load = Load::open(&contender.subject, &request, wanted - open)?;
            load.run(wanted - open)?;
            idle.push(load);
            open = wanted;
            let growth = rss_kib(contender).saturating_sub(before) as f64;
            let what = format!("RSS per idle connection, of {wanted}");
            samples.put(&what, Unit::Kibibytes, growth / wanted as f64);
        }
        let name = format!("_ping on {BUSY} connections beside {open} idle");
        let mut busy = Load::open(&contender.subject, &request, BUSY)?;
        busy.run(BUSY)?;
        for _ in 0..SLICES {
            let outcome = busy.run(BUSY * TURNS)?;
            let rate = outcome.answers as f64 / outcome.elapsed.as_secs_f64();
            samples.put(&name, Unit::PerSecond, rate);
            if outcome.saturated() {
                samples.mark_saturated(&name, Unit::PerSecond);
            }
            put_latencies(&name, &outcome, samples);
        }
        let per_second = self.pace.per_second;
        let name = format!("_ping paced at {per_second}/s on {BUSY} connections beside {open} idle");
        for _ in 0..SLICES {
            paced::measure(&mut busy, self.pace, &name, contender, samples)?;
        }
        Ok(())
    }
}

fn rss_kib(contender: &Contender) -> u64 {
    let memory = contender.pids.iter().filter_map(|pid| procfs::memory(*pid));
    memory.map(|memory| memory.rss_kib).sum()
}
