//! `_ping` in a closed loop over one, some and many connections that are kept alive: requests per second, latency, and
//! CPU time of the daemon per request.

use std::time::Duration;

use crate::bench::load::{Load, Outcome};
use crate::bench::table::{Unit, rank};
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::Request;
use crate::procfs;
use crate::subject::{Subject, SubjectError};

/// Requests on each connection of a round, at the least.
const TURNS_MIN: usize = 10;

/// From so many connections on, opening them takes longer than using them, and a round is a long one.
const MANY: usize = 500;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let boxed = |connections: &usize| {
        Box::new(Ping {
            connections: *connections,
            requests: options.pings.max(connections * TURNS_MIN),
        }) as Box<dyn Measure>
    };
    options.connections.iter().map(boxed).collect()
}

struct Ping {
    connections: usize,
    requests: usize,
}

impl Measure for Ping {
    fn name(&self) -> String {
        match self.connections {
            1 => "_ping on one connection".to_owned(),
            many => format!("_ping on {many} connections"),
        }
    }

    fn is_long(&self) -> bool {
        self.connections >= MANY
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let mut load = Load::open(&contender.subject, &request(&contender.subject), self.connections)?;
        // The first turn makes the daemon's side of every connection.
        load.run(self.connections)?;
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        let outcome = load.run(self.requests)?;
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        let name = self.name();
        let rate = outcome.answers as f64 / outcome.elapsed.as_secs_f64();
        samples.put(&name, Unit::PerSecond, rate);
        if outcome.saturated() {
            samples.mark_saturated(&name, Unit::PerSecond);
        }
        put_latencies(&name, &outcome, samples);
        samples.put_cpu_per_request(&name, cpu_before, cpu_after, outcome.latencies.len());
        Ok(())
    }
}

/// The request of every load.
pub(super) fn request(subject: &Subject) -> Request {
    Request::new("GET", subject.target("/_ping"))
}

/// p50 and p99 of a round.
pub(super) fn put_latencies(name: &str, outcome: &Outcome, samples: &mut Samples<'_>) {
    for (label, share) in [("p50", 0.5), ("p99", 0.99)] {
        if let Some(latency) = rank(&outcome.latencies, share) {
            samples.put(&format!("{name}: latency {label}"), Unit::Micros, micros(latency));
        }
    }
}

pub(super) fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}
