//! The time-out that the one blocking call gets from the first deadline. Knows no clock: time is an argument.

use std::time::Duration;

use gantry_core::Instant;

/// How long to block at `now` until `deadline`: whole milliseconds, the unit of epoll_wait(2), rounded up. Rounded down,
/// the loop would wake before the deadline and spin until it has come.
pub(crate) fn time_until(now: Instant, deadline: Instant) -> Duration {
    let span = deadline.0.saturating_sub(now.0);
    let whole = Duration::from_secs(span.as_secs());
    let millis = u64::from(span.subsec_nanos().div_ceil(1_000_000));
    whole.saturating_add(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant(Duration::from_nanos(nanos))
    }

    #[test]
    fn waiting_is_rounded_up() {
        let cases = [
            ("none left", 5, 5, 0),
            ("long past", 9_000_000, 5, 0),
            ("one nanosecond", 0, 1, 1),
            ("exactly one", 0, 1_000_000, 1),
            ("just over one", 0, 1_000_001, 2),
            ("between two moments", 999_999, 2_000_000, 2),
            ("over a second", 0, 1_999_000_001, 2_000),
        ];
        for (name, now, deadline, millis) in cases {
            assert_eq!(
                time_until(at(now), at(deadline)),
                Duration::from_millis(millis),
                "{name}"
            );
        }
        assert!(
            time_until(at(0), Instant(Duration::MAX)) >= Duration::from_secs(u64::MAX),
            "no overflow"
        );
    }
}
