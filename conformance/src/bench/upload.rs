//! A large body in: `POST /images/create?fromSrc=-` with a tar of one big file.
//!
//! The clock runs from the connection to the end of the answer: what is measured is the import, with its digest and its
//! writing, and the transport is a part of it. CPU of processes that the daemon starts for it and waits for counts.

use std::time::Instant;

use crate::bench::big_image::BigImage;
use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Options, Samples};
use crate::procfs;
use crate::subject::SubjectError;

pub(super) fn measures(options: &Options) -> Vec<Box<dyn Measure>> {
    vec![Box::new(Upload {
        image: BigImage::of(options.megabytes),
    })]
}

struct Upload {
    image: BigImage,
}

impl Measure for Upload {
    fn name(&self) -> String {
        "import of a tar".to_owned()
    }

    fn is_long(&self) -> bool {
        true
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let subject = &contender.subject;
        let repository = subject.container_name();
        subject.forget_container(&repository);
        let cpu = || Some(procfs::cpu_nanos(&contender.pids)? + procfs::cpu_nanos_of_children(&contender.pids)?);
        let cpu_before = cpu();
        let begin = Instant::now();
        self.image.import(subject, &repository)?;
        let seconds = begin.elapsed().as_secs_f64();
        let cpu_after = cpu();
        subject.remove_image(&mut subject.connect()?, &format!("{repository}:latest"))?;
        let megabytes = self.image.bytes() as f64 / 1e6;
        samples.put(&self.name(), Unit::MegabytesPerSecond, megabytes / seconds);
        samples.put_cpu(&self.name(), cpu_before, cpu_after, megabytes);
        Ok(())
    }
}
