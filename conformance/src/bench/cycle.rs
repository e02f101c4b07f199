//! The whole life of a container that does nothing: create, start, wait, remove of `true`; one after the other for the
//! latency, many at once for the rate.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::Connection;
use crate::subject::{Subject, SubjectError};

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let boxed = |network: &String| {
        Box::new(Cycle {
            network: network.clone(),
        }) as Box<dyn Measure>
    };
    options.networks.iter().map(boxed).collect()
}

pub(super) fn parallel_measures(options: &Options) -> Vec<Box<dyn Measure>> {
    let boxed = |network: &String| {
        Box::new(Parallel {
            network: network.clone(),
            in_flight: options.parallel,
        }) as Box<dyn Measure>
    };
    options.networks.iter().map(boxed).collect()
}

struct Cycle {
    network: String,
}

impl Measure for Cycle {
    fn name(&self) -> String {
        format!("create+start+wait+remove, network {}", self.network)
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let mut connection = contender.subject.connect()?;
        let begin = Instant::now();
        let steps = cycle(&contender.subject, &mut connection, &self.network)?;
        let total = begin.elapsed();
        let millis = |duration: Duration| duration.as_nanos() as f64 / 1e6;
        samples.put(&self.name(), Unit::Millis, millis(total));
        for (step, duration) in STEPS.iter().zip(steps) {
            samples.put(
                &format!("· {step}, network {}", self.network),
                Unit::Millis,
                millis(duration),
            );
        }
        Ok(())
    }
}

const STEPS: [&str; 4] = ["create", "start", "wait", "remove"];

/// One cycle; the time of each of its [`STEPS`].
fn cycle(subject: &Subject, connection: &mut Connection, network: &str) -> Result<[Duration; 4], SubjectError> {
    let name = subject.container_name();
    let mut times = [Duration::ZERO; 4];
    let mut begin = Instant::now();
    let mut lap = |step: usize| {
        times[step] = begin.elapsed();
        begin = Instant::now();
    };
    let id = subject.create(connection, &name, &["true"], &json!({ "NetworkMode": network }))?;
    lap(0);
    subject.start(connection, &id)?;
    lap(1);
    let code = subject.wait(connection, &id)?;
    lap(2);
    subject.remove(connection, &name)?;
    lap(3);
    if code != 0 {
        let call = format!("exit code of true in {name}");
        return Err(SubjectError::Shape {
            call,
            lacks: format!("0, it is {code}"),
        });
    }
    Ok(times)
}

struct Parallel {
    network: String,
    in_flight: usize,
}

impl Measure for Parallel {
    fn name(&self) -> String {
        format!("cycles with {} in flight, network {}", self.in_flight, self.network)
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        const CYCLES_EACH: usize = 2;
        let begin = Instant::now();
        std::thread::scope(|scope| {
            let worker = || {
                let mut connection = contender.subject.connect()?;
                for _ in 0..CYCLES_EACH {
                    cycle(&contender.subject, &mut connection, &self.network)?;
                }
                Ok(())
            };
            let workers: Vec<_> = (0..self.in_flight).map(|_| scope.spawn(worker)).collect();
            let outcomes: Vec<Result<(), SubjectError>> = workers
                .into_iter()
                .map(|worker| worker.join().expect("a cycle does not panic"))
                .collect();
            outcomes.into_iter().collect::<Result<(), _>>()
        })?;
        let cycles = (self.in_flight * CYCLES_EACH) as f64;
        samples.put(&self.name(), Unit::PerSecond, cycles / begin.elapsed().as_secs_f64());
        Ok(())
    }
}
