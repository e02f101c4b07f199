//! Memory of the idle daemon: its own process, and the processes below it (dockerd's containerd, for one).

use crate::bench::table::Unit;
use crate::bench::{Contender, Measure, Samples};
use crate::procfs;
use crate::subject::SubjectError;

pub(super) struct Idle;

impl Measure for Idle {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn rounds_max(&self) -> usize {
        1
    }

    fn round(&self, contender: &Contender, samples: &mut Samples<'_>) -> Result<(), SubjectError> {
        let mebibytes = |kib: u64| kib as f64 / 1024.0;
        let mut below = 0;
        for &pid in &contender.pids {
            for process in procfs::tree(pid) {
                let Some(memory) = procfs::memory(process) else {
                    continue;
                };
                if contender.pids.contains(&process) {
                    samples.put("RSS of the idle daemon", Unit::Mebibytes, mebibytes(memory.rss_kib));
                    samples.put("PSS of the idle daemon", Unit::Mebibytes, mebibytes(memory.pss_kib));
                } else {
                    below += memory.rss_kib;
                }
            }
        }
        samples.put("RSS of its child processes", Unit::Mebibytes, mebibytes(below));
        Ok(())
    }
}
