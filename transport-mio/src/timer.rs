//! Deadlines in order, and the time-out that the one blocking call gets from them. Knows no clock: time is an argument.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
    time::Duration,
};

use gantry_core::Instant;

/// At most one deadline per key; equal deadlines come in the order in which they were set.
#[derive(Debug)]
pub(crate) struct Deadlines<K> {
    /// The same deadlines as in `of`, in order.
    order: BTreeSet<(Instant, u64, K)>,
    of: HashMap<K, (Instant, u64)>,
    /// Number of the next deadline that is set; later ones are larger.
    next: u64,
}

impl<K: Copy + Ord + Hash> Deadlines<K> {
    pub(crate) fn new() -> Self {
        Self {
            order: BTreeSet::new(),
            of: HashMap::new(),
            next: 0,
        }
    }

    /// Sets, moves or clears the deadline of `key`.
    pub(crate) fn set(&mut self, key: K, at: Option<Instant>) {
        if let Some((old, number)) = self.of.remove(&key) {
            self.order.remove(&(old, number, key));
        }
        if let Some(at) = at {
            self.order.insert((at, self.next, key));
            self.of.insert(key, (at, self.next));
            self.next += 1;
        }
    }

    /// A mark between everything that has been set and everything that will be.
    pub(crate) fn mark(&self) -> u64 {
        self.next
    }

    /// Takes out the first deadline that has come at `now` and was set before `mark`.
    pub(crate) fn take_due(&mut self, now: Instant, mark: u64) -> Option<K> {
        // Those set after the mark for a time that has already come are few: a call-back has just set them.
        let due = self
            .order
            .iter()
            .take_while(|(at, ..)| *at <= now)
            .find(|(_, number, _)| *number < mark)
            .copied()?;
        self.order.remove(&due);
        self.of.remove(&due.2);
        Some(due.2)
    }

    pub(crate) fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, ..)| *at)
    }
}

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
    use std::collections::BTreeMap;

    use proptest::prelude::*;

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

    #[test]
    fn what_is_set_while_firing_waits_for_the_next_turn() {
        let mut deadlines = Deadlines::new();
        deadlines.set('a', Some(at(1)));
        let mark = deadlines.mark();
        assert_eq!(deadlines.take_due(at(5), mark), Some('a'));
        deadlines.set('a', Some(at(0)));
        assert_eq!(deadlines.take_due(at(5), mark), None);
        assert_eq!(deadlines.take_due(at(5), deadlines.mark()), Some('a'));
    }

    proptest! {
        /// The oracle is a plain map, searched from end to end.
        #[test]
        fn fires_like_a_map_that_is_searched(
            moves in prop::collection::vec((0u8..8, prop::option::of(0u64..50)), 0..60),
            now in 0u64..60,
        ) {
            let mut deadlines = Deadlines::new();
            let mut oracle = BTreeMap::new();
            for (number, (key, when)) in moves.into_iter().enumerate() {
                deadlines.set(key, when.map(at));
                match when {
                    Some(when) => { oracle.insert(key, (when, number)); }
                    None => { oracle.remove(&key); }
                }
            }
            let mut wanted: Vec<_> = oracle.iter().filter(|(_, (when, _))| *when <= now).map(|(k, v)| (*v, *k)).collect();
            wanted.sort_unstable();
            let mark = deadlines.mark();
            let got: Vec<u8> = std::iter::from_fn(|| deadlines.take_due(at(now), mark)).collect();
            prop_assert_eq!(got, wanted.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
            let left = oracle.values().map(|(when, _)| *when).filter(|when| *when > now).min();
            prop_assert_eq!(deadlines.first(), left.map(at));
        }
    }
}
