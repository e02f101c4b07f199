//! The benches: the same work on one or several daemons in one run, round by round in turn, so that the noise of the
//! machine hits all alike. Only ratios of one run mean anything; they are what the table ends with.
//!
//! Everything is measured from outside, by the socket and by /proc. See [`cycle`], [`ping`] and [`attach`].

pub mod attach;
pub mod cycle;
pub mod memory;
pub mod ping;
pub mod table;

use std::path::PathBuf;

use crate::bench::table::{Table, Unit};
use crate::interrupt;
use crate::subject::{Subject, SubjectError};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Output of a container through attach.
    Attach,
    /// Create, start, wait and remove of `true`, one after the other.
    Cycle,
    /// Memory of the idle daemon and its child processes.
    Memory,
    /// The cycle with many in flight.
    Parallel,
    /// Requests per second, latency and CPU of `_ping`.
    Ping,
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts to run, in the order of [`Part`].
    pub parts: Vec<Part>,
    /// Rounds of the cycle and of `_ping`; the streams and the parallel cycle run a fifth of it, at least 3.
    pub rounds: usize,
    /// `HostConfig.NetworkMode` values for the cycle.
    pub networks: Vec<String>,
    /// `_ping` requests per round.
    pub pings: usize,
    /// Connections of the second `_ping` figure.
    pub connections: usize,
    /// Cycles in flight at once.
    pub parallel: usize,
    /// Millions of bytes per stream.
    pub megabytes: usize,
}

impl Options {
    fn long_rounds(&self) -> usize {
        (self.rounds / 5).max(3)
    }
}

/// A daemon and the processes that count as it.
#[derive(Debug)]
pub struct Contender {
    /// The daemon.
    pub subject: Subject,
    /// Its processes, for CPU and memory.
    pub pids: Vec<i32>,
}

/// A daemon as named on the command line: `name=/path`, or the path alone.
///
/// ```
/// let (name, path) = gantry_conformance::bench::named_socket("dockerd=/run/docker.sock");
/// assert_eq!((name.as_str(), path.to_str()), ("dockerd", Some("/run/docker.sock")));
/// assert_eq!(gantry_conformance::bench::named_socket("unix:///run/docker.sock").0, "docker");
/// ```
pub fn named_socket(argument: &str) -> (String, PathBuf) {
    let (name, path) = match argument.split_once('=') {
        Some((name, path)) if !name.contains('/') => (Some(name), path),
        _ => (None, argument),
    };
    let path = PathBuf::from(path.strip_prefix("unix://").unwrap_or(path));
    let stem = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    (name.map_or(stem, str::to_owned), path)
}

/// One thing that is measured round by round.
trait Measure {
    /// Heading for messages.
    fn name(&self) -> String;
    /// One round on one daemon.
    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError>;
}

/// Where a round puts its figures.
struct Samples<'a> {
    table: &'a mut Table,
    contender: usize,
}

impl Samples<'_> {
    fn put(&mut self, what: &str, unit: Unit, value: f64) {
        self.table.put(what, unit, self.contender, value);
    }
}

/// Runs the parts and returns the figures; a daemon that fails at something is left out of it, and the failure is noted
/// in the table.
pub fn run(contenders: &[Contender], options: &Options) -> Table {
    let mut table = Table::new(
        contenders
            .iter()
            .map(|contender| contender.subject.name.clone())
            .collect(),
    );
    let mut parts = options.parts.clone();
    // Memory of an idle daemon is read before the work has made it grow.
    parts.sort_by_key(|part| (*part != Part::Memory, *part));
    parts.dedup();
    for part in parts {
        let (rounds, measures): (usize, Vec<Box<dyn Measure>>) = match part {
            Part::Attach => (options.long_rounds(), attach::measures(options)),
            Part::Cycle => (options.rounds, cycle::measures(options)),
            Part::Memory => (1, vec![Box::new(memory::Idle)]),
            Part::Parallel => (options.long_rounds(), cycle::parallel_measures(options)),
            Part::Ping => (options.rounds, ping::measures(options)),
        };
        for measure in measures {
            eprintln!("{}: {rounds} rounds", measure.name());
            measure_all(contenders, measure.as_ref(), rounds, &mut table);
            if interrupt::requested() {
                table.fail("the run was interrupted: what is above is incomplete".to_owned());
                return table;
            }
        }
    }
    table
}

fn measure_all(contenders: &[Contender], measure: &dyn Measure, rounds: usize, table: &mut Table) {
    let mut failed = vec![false; contenders.len()];
    // The first round of all warms caches and is thrown away, unless it is the only one.
    let mut warm_up = Table::new(table.names().to_vec());
    for round in 0..=rounds {
        if round == 0 && rounds == 1 {
            continue;
        }
        for (number, contender) in contenders.iter().enumerate() {
            if interrupt::requested() {
                return;
            }
            if failed[number] {
                continue;
            }
            let into = if round == 0 { &mut warm_up } else { &mut *table };
            let outcome = measure.round(
                contender,
                &mut Samples {
                    table: into,
                    contender: number,
                },
            );
            if let Err(error) = outcome
                && !error.is_interrupt()
            {
                failed[number] = true;
                table.fail(format!("{}: {}: {error}", contender.subject.name, measure.name()));
            }
        }
    }
}
