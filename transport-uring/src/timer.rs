//! The time-out that the one blocking call gets from the first deadline. Knows no clock: time is an argument.

use std::time::Duration;

use gantry_core::Instant;

/// How long to block at `now` until `deadline`. The kernel counts nanoseconds here, so nothing is rounded.
pub(crate) fn time_until(now: Instant, deadline: Instant) -> Duration {
    // What does not fit into the kernel's signed seconds is never reached.
    deadline
        .0
        .saturating_sub(now.0)
        .min(Duration::from_secs(u32::MAX.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_exact_and_bounded() {
        let at = |nanos| Instant(Duration::from_nanos(nanos));
        assert_eq!(time_until(at(9), at(5)), Duration::ZERO, "long past");
        assert_eq!(time_until(at(5), at(6)), Duration::from_nanos(1));
        assert!(time_until(at(0), Instant(Duration::MAX)) < Duration::from_secs(1 << 33));
    }
}
