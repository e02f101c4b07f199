//! A large body out: the log of a container that has written much. It is written once and read several times, because the
//! writing takes so much longer. The clock runs from the request to the end of the body.

use serde_json::json;

use crate::bench::attach::Shape;
use crate::bench::download::Download;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::Request;
use crate::frames::Splitter;
use crate::subject::SubjectError;

/// Readings that count.
const READINGS: usize = 5;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    vec![Box::new(Logs {
        bytes: options.megabytes * 1_000_000,
    })]
}

struct Logs {
    bytes: usize,
}

impl Measure for Logs {
    fn name(&self) -> String {
        "logs, 100-byte lines".to_owned()
    }

    fn rounds_max(&self) -> usize {
        1
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let (command, expected) = Shape::Lines.command(self.bytes);
        let name = subject.container_name();
        let host = json!({ "NetworkMode": "none", "LogConfig": { "Type": "json-file", "Config": {} } });
        let id = subject.create(&mut connection, &name, &["sh", "-c", &command], &host)?;
        subject.start(&mut connection, &id)?;
        subject.wait(&mut connection, &id)?;
        let request = Request::new("GET", subject.target(&format!("/containers/{id}/logs?stdout=1")));
        for reading in 0..=READINGS {
            let mut splitter = Splitter::default();
            let mut received = 0;
            let download = Download::run(contender, &request, |piece| {
                let counted = splitter.feed(piece, |_, payload| received += payload.len() as u64);
                counted.map_err(|error| error.to_string())
            })?;
            if received != expected {
                return Err(SubjectError::Shape {
                    call: request.line(),
                    lacks: format!("{expected} bytes: {received}"),
                });
            }
            // The first one warms the caches.
            if reading > 0 {
                download.put(&self.name(), received, samples);
            }
        }
        subject.remove(&mut connection, &name)
    }
}
