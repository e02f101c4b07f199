//! Room for many connections: the limit on open descriptors. Source: getrlimit(2).

use std::fmt;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that a process has open beside its connections, rounded up.
const OTHERS: u64 = 64;

/// The limit is too low and cannot be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooFew {
    /// Descriptors that are needed.
    pub needed: u64,
    /// What this process may have at most.
    pub allowed: u64,
}

impl fmt::Display for TooFew {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, allowed } = self;
        write!(
            f,
            "{needed} open files are needed, {allowed} allowed: raise it with `ulimit -Hn {needed}`"
        )
    }
}

impl std::error::Error for TooFew {}

/// Makes room for so many connections at once: raises the soft limit, and the hard one if that is not enough and we may.
///
/// # Errors
/// [`TooFew`].
pub fn make_room(connections: usize) -> Result<(), TooFew> {
    let needed = connections as u64 + OTHERS;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((0, 0));
    if soft >= needed {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard.max(needed)).map_err(|_| TooFew { needed, allowed: hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_enough() {
        assert_eq!(make_room(1), Ok(()));
    }

    #[test]
    fn more_than_the_kernel_has_is_refused_in_words() {
        // fs.nr_open is at most 2^31 or so.
        let error = make_room(usize::MAX / 2).expect_err("too many");
        assert!(error.to_string().contains("open files are needed"), "{error}");
    }
}
