//! How many descriptors this process may have: as many as it is allowed to, for each connection is one.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that are left to everything that is no connection: containers' pipes, stores, images being unpacked.
const OTHERS_MIN: u64 = 4096;

/// Limits on the descriptors of a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Descriptors {
    /// The soft and hard limit this process was started with.
    pub(crate) inherited: (u64, u64),
    /// What it has now.
    now: u64,
}

impl Descriptors {
    /// Raises the soft limit to the hard one.
    ///
    /// # Errors
    ///
    /// The kernel does not tell the limits.
    pub(crate) fn raise() -> nix::Result<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        // What the kernel refuses here is found out later, descriptor by descriptor, and survived.
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
        Ok(Self {
            inherited: (soft, hard),
            now: if raised.is_ok() { hard } else { soft },
        })
    }

    /// Connections that fit, of `wanted`.
    pub(crate) fn connections(self, wanted: usize) -> usize {
        let room = self.now.saturating_sub(OTHERS_MIN).max(self.now / 2);
        wanted.min(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_to_the_rest() {
        let of = |now| Descriptors {
            inherited: (now, now),
            now,
        };
        let cases = [
            (1024, 512),
            (10_000, 5_904),
            (20_000, 15_904),
            (1 << 20, 16_384),
            (u64::MAX, 16_384),
        ];
        for (now, expected) in cases {
            assert_eq!(of(now).connections(16_384), expected, "{now}");
        }
    }
}
