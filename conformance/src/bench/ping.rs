//! `_ping` in a closed loop: latency on one connection that is kept alive; requests per second and CPU time of the
//! daemon per request on one and on many connections.
//!
//! With many connections, one thread writes to all of them before it reads from any: the daemon sees them all ready.

use std::time::Instant;

use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::Request;
use crate::procfs;
use crate::subject::SubjectError;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let mut measures: Vec<Box<dyn Measure>> = vec![Box::new(Ping {
        connections: 1,
        requests: options.pings,
    })];
    if options.connections > 1 {
        measures.push(Box::new(Ping {
            connections: options.connections,
            requests: options.pings,
        }));
    }
    measures
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

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let request = Request::new("GET", subject.target("/_ping"));
        let bytes = request.encode();
        let client = |error| SubjectError::Client(request.line(), error);
        let mut connections = (0..self.connections)
            .map(|_| subject.connect())
            .collect::<Result<Vec<_>, _>>()?;
        let turns = self.requests.div_ceil(self.connections);
        // The answer is looked at once; in the loop only its status counts.
        for connection in &mut connections {
            subject.call(connection, &request, 200)?;
        }
        let mut latencies = Vec::with_capacity(turns);
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        let begin = Instant::now();
        for _ in 0..turns {
            let sent = Instant::now();
            for connection in &mut connections {
                connection.send(&bytes).map_err(client)?;
            }
            for connection in &mut connections {
                let status = connection.skip_response().map_err(client)?;
                if status != 200 {
                    let call = request.line();
                    return Err(SubjectError::Status {
                        call,
                        wanted: 200,
                        got: status,
                        body: String::new(),
                    });
                }
            }
            latencies.push(sent.elapsed());
        }
        let elapsed = begin.elapsed();
        let cpu_after = procfs::cpu_nanos(&contender.pids);
        let requests = (turns * self.connections) as f64;
        let name = self.name();
        samples.put(&name, Unit::PerSecond, requests / elapsed.as_secs_f64());
        if let (Some(before), Some(after)) = (cpu_before, cpu_after) {
            let micros = after.saturating_sub(before) as f64 / 1000.0;
            samples.put(
                &format!("{name}: CPU of the daemon per request"),
                Unit::Micros,
                micros / requests,
            );
        }
        if self.connections == 1 {
            for latency in latencies {
                samples.put(
                    &format!("{name}: latency"),
                    Unit::Micros,
                    latency.as_nanos() as f64 / 1000.0,
                );
            }
        }
        Ok(())
    }
}
