//! What this kernel allows. A refusal becomes a reason that can be read, so that the other transport can be chosen for it.

use std::{fmt, fs, io};

use io_uring::{IoUring, Parameters, Probe, Submitter, opcode};
use nix::errno::Errno;

use crate::limits::{CQ_ENTRIES, SQ_ENTRIES};

/// Why there is no io_uring for us.
#[derive(Debug)]
pub enum Refused {
    /// The kernel knows io_uring, but the system does not allow it to us (EPERM): by the sysctl
    /// `kernel.io_uring_disabled`, by a seccomp filter or by a security module.
    Forbidden {
        /// The value of the sysctl, where there is one: 0 allows it to all, 1 to some, 2 to none.
        sysctl: Option<u8>,
    },
    /// The kernel lacks something that this transport cannot do without.
    Missing {
        /// What it lacks, and since which Linux it is there.
        feature: &'static str,
    },
    /// The kernel has no io_uring at all (ENOSYS), or pretends so.
    Unknown,
    /// There is not enough of something: memory, locked memory, descriptors.
    System {
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { sysctl: Some(0) | None } => {
                f.write_str("io_uring is forbidden, by a seccomp filter or a security module")
            }
            Self::Forbidden { sysctl: Some(value) } => {
                write!(f, "io_uring is forbidden by kernel.io_uring_disabled={value}")
            }
            Self::Missing { feature } => write!(f, "io_uring of this kernel lacks {feature}"),
            Self::Unknown => f.write_str("this kernel has no io_uring"),
            Self::System { source } => write!(f, "io_uring cannot be set up: {source}"),
        }
    }
}

impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { source } => Some(source),
            Self::Forbidden { .. } | Self::Missing { .. } | Self::Unknown => None,
        }
    }
}

impl Refused {
    /// What a failure of `io_uring_setup(2)` says.
    fn of_setup(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOSYS) => Self::Unknown,
            Some(Errno::EPERM | Errno::EACCES) => Self::Forbidden { sysctl: sysctl() },
            // A flag that it does not know; the youngest of ours is this.
            Some(Errno::EINVAL) => Self::Missing {
                feature: "deferred task work (Linux 6.1)",
            },
            _ => Self::System { source: error },
        }
    }
}

impl From<io::Error> for Refused {
    fn from(source: io::Error) -> Self {
        Self::System { source }
    }
}

/// A ring with everything that is needed, and what else there is.
pub(crate) struct Granted {
    pub(crate) uring: IoUring,
    /// Pipes and terminals can be read until told otherwise (Linux 6.7).
    pub(crate) reads_many: bool,
}

/// Makes a ring, disabled until the thread of the loop enables it.
///
/// - One thread submits and completes (`SINGLE_ISSUER`), and the kernel does its part in that thread only when asked to
///   (`DEFER_TASKRUN`): no interrupts, no locks, and completions come in batches.
/// - It begins disabled (`R_DISABLED`), for that thread is whoever enables it, and not whoever makes it.
/// - One bad entry does not hold back those behind it (`SUBMIT_ALL`).
pub(crate) fn set_up() -> Result<Granted, Refused> {
    let uring: IoUring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_r_disabled()
        .setup_submit_all()
        .setup_cqsize(CQ_ENTRIES)
        .build(SQ_ENTRIES)
        .map_err(Refused::of_setup)?;
    let ops = supported(&uring.submitter())?;
    if let Some(feature) = missing_feature(uring.params()).or_else(|| missing_op(&ops)) {
        return Err(Refused::Missing { feature });
    }
    Ok(Granted {
        reads_many: ops.is_supported(opcode::ReadMulti::CODE),
        uring,
    })
}

fn supported(submitter: &Submitter<'_>) -> io::Result<Probe> {
    let mut probe = Probe::new();
    submitter.register_probe(&mut probe)?;
    Ok(probe)
}

fn missing_feature(params: &Parameters) -> Option<&'static str> {
    let features = [
        (
            params.is_feature_nodrop(),
            "completions that are never dropped (Linux 5.5)",
        ),
        (params.is_feature_fast_poll(), "polled reads and writes (Linux 5.7)"),
        (
            params.is_feature_rw_cur_pos(),
            "reads at the current position (Linux 5.6)",
        ),
        (params.is_feature_ext_arg(), "time-outs of the wait itself (Linux 5.11)"),
        (
            params.is_feature_skip_cqe_on_success(),
            "silent cancellation (Linux 5.17)",
        ),
    ];
    features.iter().find(|(there, _)| !there).map(|(_, name)| *name)
}

/// The operations; that accept and receive go on until told otherwise came before deferred task work.
fn missing_op(probe: &Probe) -> Option<&'static str> {
    let ops = [
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::AsyncCancel2::CODE, "cancel"),
        (opcode::PollAdd::CODE, "poll"),
        (opcode::Read::CODE, "read"),
        (opcode::Recv::CODE, "recv"),
        (opcode::Send::CODE, "send"),
        (opcode::Write::CODE, "write"),
    ];
    ops.iter()
        .find(|(code, _)| !probe.is_supported(*code))
        .map(|(_, name)| *name)
}

fn sysctl() -> Option<u8> {
    let text = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_why() {
        let of = |errno: Errno| Refused::of_setup(errno.into());
        assert_eq!(of(Errno::ENOSYS).to_string(), "this kernel has no io_uring");
        assert_eq!(
            of(Errno::EINVAL).to_string(),
            "io_uring of this kernel lacks deferred task work (Linux 6.1)"
        );
        assert_eq!(
            of(Errno::ENOMEM).to_string(),
            "io_uring cannot be set up: Cannot allocate memory (os error 12)"
        );
        let texts = [
            (Some(2), "io_uring is forbidden by kernel.io_uring_disabled=2"),
            (Some(1), "io_uring is forbidden by kernel.io_uring_disabled=1"),
            (
                Some(0),
                "io_uring is forbidden, by a seccomp filter or a security module",
            ),
            (None, "io_uring is forbidden, by a seccomp filter or a security module"),
        ];
        for (sysctl, text) in texts {
            assert_eq!(Refused::Forbidden { sysctl }.to_string(), text);
        }
        assert!(matches!(of(Errno::EPERM), Refused::Forbidden { .. }));
    }
}
