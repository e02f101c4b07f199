//! Large bodies out: the export of a container's files, the save of an image. The clock runs from the request to the end
//! of the body.

use std::time::Instant;

use serde_json::json;

use crate::bench::big_image::BigImage;
use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::client::{Connection, Request};
use crate::procfs;
use crate::subject::{Subject, SubjectError};

/// Bytes read at once.
const READ_BYTES: usize = 256 * 1024;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    vec![Box::new(Archive {
        image: BigImage::of(options.megabytes),
    })]
}

/// The export of a container and the save of its image, both of one big file.
struct Archive {
    image: BigImage,
}

impl Measure for Archive {
    fn name(&self) -> String {
        "export and save".to_owned()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let mut connection = subject.connect()?;
        let name = subject.container_name();
        self.image.import(subject, &name)?;
        let body = json!({ "Image": name, "Cmd": ["/big"], "HostConfig": { "NetworkMode": "none" } });
        let id = subject.create_from(&mut connection, &name, &body)?;
        for (what, path) in [
            ("export of a container", format!("/containers/{id}/export")),
            ("save of an image", format!("/images/{name}/get")),
        ] {
            let request = Request::new("GET", subject.target(&path));
            let mut received = 0;
            let outcome = Download::run(contender, &request, |piece| {
                received += piece.len() as u64;
                Ok(())
            });
            match outcome {
                Ok(_) if received < self.image.file_bytes() => {
                    return Err(SubjectError::Shape {
                        call: request.line(),
                        lacks: format!("{} bytes: {received}", self.image.file_bytes()),
                    });
                }
                Ok(download) => download.put(what, received, samples),
                Err(SubjectError::Status { got: 404 | 501, .. }) => {
                    samples.mark_not_served(what, Unit::MegabytesPerSecond);
                }
                Err(error) => return Err(error),
            }
        }
        subject.remove(&mut connection, &name)?;
        subject.remove_image(&mut connection, &format!("{name}:latest"))
    }
}

/// What a body took.
pub(super) struct Download {
    seconds: f64,
    cpu: [Option<u64>; 2],
}

impl Download {
    /// Sends the request and reads all of the body, piece by piece.
    pub(super) fn run(
        contender: &Contender,
        request: &Request,
        mut sink: impl FnMut(&[u8]) -> Result<(), String>,
    ) -> Result<Self, SubjectError> {
        let mut connection = open(&contender.subject)?;
        let client = |error| SubjectError::Client(request.line(), error);
        let cpu_before = procfs::cpu_nanos(&contender.pids);
        let begin = Instant::now();
        let head = connection.begin(request).map_err(client)?;
        if head.status != 200 {
            let body = connection.read_rest().map_err(client)?;
            return Err(SubjectError::Status {
                call: request.line(),
                wanted: 200,
                got: head.status,
                body: String::from_utf8_lossy(&body).into_owned(),
            });
        }
        while let Some(piece) = connection.read_piece().map_err(client)? {
            sink(piece).map_err(|lacks| SubjectError::Shape {
                call: request.line(),
                lacks,
            })?;
        }
        Ok(Self {
            seconds: begin.elapsed().as_secs_f64(),
            cpu: [cpu_before, procfs::cpu_nanos(&contender.pids)],
        })
    }

    /// Rate and CPU of it, for a body that counts so many bytes.
    pub(super) fn put(&self, what: &str, bytes: u64, samples: &mut Samples<'_>) {
        let megabytes = bytes as f64 / 1e6;
        let [before, after] = self.cpu;
        samples.put(what, Unit::MegabytesPerSecond, megabytes / self.seconds);
        samples.put_cpu(what, before, after, megabytes);
    }
}

fn open(subject: &Subject) -> Result<Connection, SubjectError> {
    let mut connection = subject.connect()?;
    connection.read_in_pieces_of(READ_BYTES);
    Ok(connection)
}
