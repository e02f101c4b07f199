//! The benches: the same work on any number of daemons in one run, round by round in turn, so that the noise of the
//! machine hits all alike. Only ratios of one run mean anything; they are what a table ends with.
//!
//! Everything is measured from outside, by the endpoint and by /proc. A daemon may listen in several places, on a unix
//! socket, TCP and TLS: `_ping` and the streams are measured in each of them, everything else in the first.
//!
//! - [`cycle`]: the life of a container; [`memory`]: the idle daemon
//! - [`ping`] by the generator in [`load`], which counts [`answers`], or at a set pace ([`paced`]); [`connections`] that do
//!   nothing
//! - [`attach`], [`stdin`], [`upload`], [`logs`], [`download`]: streams; [`big_image`] is what they move
//! - [`followers`], [`firehose`]: streams beside other work
//! - [`arguments`], [`report`], [`table`]: what goes in and what comes out

pub mod answers;
pub mod arguments;
pub mod attach;
pub mod big_image;
pub mod connections;
pub mod cycle;
pub mod download;
pub mod firehose;
pub mod followers;
pub mod load;
pub mod logs;
pub mod memory;
pub mod paced;
pub mod ping;
pub mod report;
pub mod stdin;
pub mod table;
pub mod upload;

use crate::bench::report::Report;
use crate::bench::table::{Table, Unit};
use crate::endpoint::Transport;
use crate::interrupt;
use crate::subject::{Subject, SubjectError};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Part {
    /// Output of a container through attach.
    Attach,
    /// Memory per idle connection; `_ping` beside the most of them, as fast as it goes and at a set pace.
    Connections,
    /// Create, start, wait and remove of `true`, one after the other.
    Cycle,
    /// Large bodies out: export of a container, save of an image.
    Download,
    /// `_ping` while clients attach to containers that write as fast as they can.
    Firehose,
    /// 1,000 idle followers of logs and a busy one.
    Followers,
    /// A large body out: the log of a container that has written much.
    Logs,
    /// Memory of the idle daemon and its child processes.
    Memory,
    /// The cycle with many in flight.
    Parallel,
    /// Requests per second, latency and CPU of `_ping`.
    Ping,
    /// Input of a container through attach.
    Stdin,
    /// A large body in: the import of a tar.
    Upload,
}

impl Part {
    /// The order of a run: the memory of an idle daemon is read before work has made it grow, and that of connections
    /// before those of `_ping` have.
    pub const RUN_ORDER: [Self; 12] = [
        Self::Memory,
        Self::Connections,
        Self::Ping,
        Self::Cycle,
        Self::Parallel,
        Self::Attach,
        Self::Stdin,
        Self::Upload,
        Self::Logs,
        Self::Download,
        Self::Followers,
        Self::Firehose,
    ];

    /// What its figures stand under. Those of one section follow each other in [`Self::RUN_ORDER`].
    fn section(self) -> &'static str {
        match self {
            Self::Memory | Self::Connections | Self::Ping => "Requests",
            Self::Cycle | Self::Parallel => "Containers",
            Self::Attach | Self::Stdin | Self::Upload | Self::Logs | Self::Download => "Streams",
            Self::Followers | Self::Firehose => "Streams beside other work",
        }
    }

    /// Whether it is measured wherever the daemon listens, or in the first place alone.
    fn is_of_every_endpoint(self) -> bool {
        match self {
            Self::Attach | Self::Download | Self::Logs | Self::Ping | Self::Stdin | Self::Upload => true,
            Self::Connections | Self::Cycle | Self::Firehose | Self::Followers | Self::Memory | Self::Parallel => false,
        }
    }

    /// Whether it needs more of the daemon than `_ping`.
    fn needs_containers(self) -> bool {
        !matches!(self, Self::Connections | Self::Memory | Self::Ping)
    }

    fn measures(self, options: &Options) -> Vec<Box<dyn Measure>> {
        match self {
            Self::Attach => attach::measures(options),
            Self::Connections => connections::measures(options),
            Self::Cycle => cycle::measures(options),
            Self::Download => download::measures(options),
            Self::Firehose => firehose::measures(),
            Self::Followers => followers::measures(options),
            Self::Logs => logs::measures(options),
            Self::Memory => vec![Box::new(memory::Idle)],
            Self::Parallel => cycle::parallel_measures(options),
            Self::Ping => ping::measures(options),
            Self::Stdin => stdin::measures(options),
            Self::Upload => upload::measures(options),
        }
    }
}

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts to run, in [`Part::RUN_ORDER`].
    pub parts: Vec<Part>,
    /// Rounds of the short measures; the long ones run a fifth of it, at least 3.
    pub rounds: usize,
    /// `HostConfig.NetworkMode` values for the cycle.
    pub networks: Vec<String>,
    /// `_ping` requests per round.
    pub pings: usize,
    /// Connections of each `_ping` figure.
    pub connections: Vec<usize>,
    /// Idle connections to hold at once.
    pub idle: Vec<usize>,
    /// `_ping` requests per second on busy connections beside idle ones.
    pub paced: u32,
    /// Cycles in flight at once.
    pub parallel: usize,
    /// Millions of bytes per stream.
    pub megabytes: usize,
    /// Daemons to hold against each other, by name, beside each against the first.
    pub ratios: Vec<(String, String)>,
}

impl Options {
    fn long_rounds(&self) -> usize {
        (self.rounds / 5).max(3)
    }
}

/// A daemon at one of its endpoints, and the processes that count as it. All with one name share a column.
#[derive(Debug)]
pub struct Contender {
    /// The daemon.
    pub subject: Subject,
    /// Its processes, for CPU and memory.
    pub pids: Vec<i32>,
    /// Whether it answers `_ping` and nothing else, as [`crate::echo`] does.
    pub is_bare: bool,
}

impl Contender {
    /// `gantry, tcp`, for messages.
    pub fn label(&self) -> String {
        match self.subject.endpoint.transport() {
            Transport::Unix => self.subject.name.clone(),
            transport => format!("{}, {transport}", self.subject.name),
        }
    }
}

/// One thing that is measured round by round.
trait Measure {
    /// Heading for messages.
    fn name(&self) -> String;

    /// Whether a round takes so long that a fifth of the rounds has to do.
    fn is_long(&self) -> bool {
        false
    }

    /// More rounds than these say nothing.
    fn rounds_max(&self) -> usize {
        usize::MAX
    }

    /// One round on one daemon.
    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError>;
}

/// Where a round puts its figures.
struct Samples<'a> {
    table: &'a mut Table,
    column: usize,
    transport: Transport,
}

impl Samples<'_> {
    fn put(&mut self, what: &str, unit: Unit, value: f64) {
        self.table.put(&self.row(what), unit, self.column, value);
    }

    /// CPU time of the daemon for so many megabytes, from two readings in nanoseconds.
    fn put_cpu(&mut self, what: &str, before: Option<u64>, after: Option<u64>, megabytes: f64) {
        if let (Some(before), Some(after)) = (before, after) {
            let micros = after.saturating_sub(before) as f64 / 1000.0;
            let what = format!("{what}: CPU of the daemon");
            self.put(&what, Unit::MicrosPerMegabyte, micros / megabytes);
        }
    }

    /// CPU time of the daemon for so many requests, from two readings in nanoseconds.
    fn put_cpu_per_request(&mut self, what: &str, before: Option<u64>, after: Option<u64>, requests: usize) {
        if let (Some(before), Some(after)) = (before, after) {
            let micros = after.saturating_sub(before) as f64 / 1000.0;
            let what = format!("{what}: CPU of the daemon per request");
            self.put(&what, Unit::Micros, micros / requests as f64);
        }
    }

    /// As [`Table::mark_saturated`].
    fn mark_saturated(&mut self, what: &str, unit: Unit) {
        self.table.mark_saturated(&self.row(what), unit, self.column);
    }

    /// As [`Table::mark_not_served`].
    fn mark_not_served(&mut self, what: &str, unit: Unit) {
        self.table.mark_not_served(&self.row(what), unit, self.column);
    }

    fn row(&self, what: &str) -> String {
        row_of(what, self.transport)
    }
}

/// The heading of a row names the transport if it is not the usual one, before what follows a colon.
fn row_of(what: &str, transport: Transport) -> String {
    match (transport, what.split_once(": ")) {
        (Transport::Unix, _) => what.to_owned(),
        (transport, Some((heading, detail))) => format!("{heading}, {transport}: {detail}"),
        (transport, None) => format!("{what}, {transport}"),
    }
}

/// Runs the parts and returns the figures; a daemon that fails at something is left out of it, and the failure is noted
/// in the report. `image` is imported before the first part that needs containers.
pub fn run(contenders: &[Contender], options: &Options, image: Option<&[u8]>) -> Report {
    let columns = columns(contenders);
    let mut report = Report::new(columns.clone(), &options.ratios);
    let column = |contender: &Contender| {
        let at = columns.iter().position(|name| *name == contender.subject.name);
        at.expect("every name has a column")
    };
    let firsts: Vec<usize> = columns
        .iter()
        .filter_map(|name| contenders.iter().position(|contender| contender.subject.name == *name))
        .collect();
    let mut without_image = vec![false; contenders.len()];
    let mut image = image;
    for part in Part::RUN_ORDER {
        if !options.parts.contains(&part) {
            continue;
        }
        let table = report.section(part.section());
        if part.needs_containers()
            && let Some(image) = image.take()
        {
            for (number, contender) in contenders.iter().enumerate().filter(|(_, it)| !it.is_bare) {
                if let Err(error) = contender.subject.import(image) {
                    without_image[number] = true;
                    table.fail(format!("{}: everything with containers: {error}", contender.label()));
                }
            }
        }
        let entrants: Vec<(usize, &Contender)> = contenders
            .iter()
            .enumerate()
            .filter(|(number, _)| part.is_of_every_endpoint() || firsts.contains(number))
            .filter(|(number, it)| !part.needs_containers() || !(it.is_bare || without_image[*number]))
            .map(|(_, contender)| (column(contender), contender))
            .collect();
        for measure in part.measures(options) {
            let rounds = if measure.is_long() {
                options.long_rounds()
            } else {
                options.rounds
            };
            let rounds = rounds.min(measure.rounds_max());
            eprintln!("{}: {rounds} rounds", measure.name());
            measure_all(&entrants, measure.as_ref(), rounds, table);
            if interrupt::requested() {
                table.fail("the run was interrupted: what is above is incomplete".to_owned());
                return report;
            }
        }
    }
    report
}

/// Names of the daemons, each once, in the order in which they first come.
fn columns(contenders: &[Contender]) -> Vec<String> {
    let mut columns: Vec<String> = Vec::new();
    for contender in contenders {
        if !columns.contains(&contender.subject.name) {
            columns.push(contender.subject.name.clone());
        }
    }
    columns
}

fn measure_all(entrants: &[(usize, &Contender)], measure: &dyn Measure, rounds: usize, table: &mut Table) {
    let mut failed = vec![false; entrants.len()];
    // The first round of all warms caches and is thrown away, unless it is the only one.
    let mut warm_up = Table::new(table.names().to_vec(), Vec::new());
    for round in 0..=rounds {
        if round == 0 && rounds == 1 {
            continue;
        }
        for ((column, contender), failed) in entrants.iter().zip(&mut failed) {
            if interrupt::requested() {
                return;
            }
            if *failed {
                continue;
            }
            let into = if round == 0 { &mut warm_up } else { &mut *table };
            let mut samples = Samples {
                table: into,
                column: *column,
                transport: contender.subject.endpoint.transport(),
            };
            if let Err(error) = measure.round(contender, &mut samples)
                && !error.is_interrupt()
            {
                *failed = true;
                table.fail(format!("{}: {}: {error}", contender.label(), measure.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum as _;

    #[test]
    fn every_part_has_its_turn_once() {
        let mut order = Part::RUN_ORDER.to_vec();
        order.sort();
        assert_eq!(order, Part::value_variants());
    }

    #[test]
    fn sections_are_not_torn() {
        let mut sections: Vec<&str> = Part::RUN_ORDER.map(Part::section).to_vec();
        sections.dedup();
        let begun = sections.len();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections.len(), begun, "{sections:?}");
    }

    #[test]
    fn a_row_names_the_transport_before_its_detail() {
        let table = [
            ("_ping", Transport::Unix, "_ping"),
            ("_ping", Transport::Tcp, "_ping, tcp"),
            ("_ping: latency p50", Transport::Tls, "_ping, tls: latency p50"),
        ];
        for (what, transport, expected) in table {
            assert_eq!(row_of(what, transport), expected);
        }
    }
}
