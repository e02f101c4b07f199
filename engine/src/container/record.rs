//! What is kept of a container on disk, and its life as a state machine.
//!
//! ```text
//!            create                start                 exit
//!   (nothing) ---> Created ------> Running ------> Exited ---.
//!                     |   ^                          |   ^   | start
//!                     |   '------ start failed ------'   '---'  (-> Running)
//!                     '--------- remove ---> (nothing) <-'
//! ```
//!
//! While an operation is under way (starting, removing), the phase is still the old one; the operation is kept in memory
//! only, because after a crash the truth is found outside: a keeper that lives means *running*, its exit record means
//! *exited*, and neither means that the start never happened. A start is stored when the program runs, and before anyone
//! is told; from then on, neither means that the run was *lost* (the machine stopped, or its keeper was killed).

use gantry_core::model::{ContainerConfig, HostConfig, Timestamp};
use serde::{Deserialize, Serialize};

use crate::network::Attachment;

/// A container as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without leading slash.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// Image id, `sha256:` and 64 hexadecimal digits.
    pub image: String,
    /// What runs, with the image's defaults filled in.
    pub config: ContainerConfig,
    /// What the host grants.
    pub host_config: HostConfig,
    /// Where it is in its life.
    pub phase: Phase,
    /// Start of the last run.
    pub started_at: Timestamp,
    /// End of the last run.
    pub finished_at: Timestamp,
    /// Exit code of the last run.
    pub exit_code: i32,
    /// The kernel killed it for want of memory.
    pub oom_killed: bool,
    /// Why the last start failed.
    pub error: String,
    /// Its place on the default bridge while it runs. Lies beside its keeper's socket, not in the store: after a crash it
    /// is needed as long as the keeper lives, also for a start that was not stored yet.
    #[serde(skip)]
    pub attachment: Option<Attachment>,
}

/// Where a container is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Phase {
    /// Never ran, or could not be started.
    Created,
    /// Its keeper lives.
    Running,
    /// Ran, and ended.
    Exited,
}

impl Phase {
    /// Docker's word (`State.Status`).
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Exited => "exited",
        }
    }
}

impl Record {
    /// Its program runs since `started_at_ns`, in nanoseconds since the Unix epoch; what is known of earlier runs is over.
    pub(crate) fn begin_run(&mut self, started_at_ns: i64) {
        self.phase = Phase::Running;
        self.started_at = Timestamp::from_nanos(i128::from(started_at_ns));
        self.exit_code = 0;
        self.oom_killed = false;
        self.error.clear();
    }

    /// Program and arguments: the entry point followed by the command.
    pub(crate) fn argv(&self) -> Vec<String> {
        let entrypoint = self.config.entrypoint.iter().flatten();
        entrypoint.chain(self.config.cmd.iter().flatten()).cloned().collect()
    }
}
