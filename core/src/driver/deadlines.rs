//! Deadlines in order. Knows no clock: time is an argument.

use alloc::collections::{BTreeMap, BTreeSet};

use crate::time::Instant;

/// At most one deadline per key; equal deadlines come in the order in which they were set.
#[derive(Debug)]
pub struct Deadlines<K> {
    /// The same deadlines as in `of`, in order.
    order: BTreeSet<(Instant, u64, K)>,
    of: BTreeMap<K, (Instant, u64)>,
    /// Number of the next deadline that is set; later ones are larger.
    next: u64,
}

impl<K: Copy + Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// None.
    pub fn new() -> Self {
        Self {
            order: BTreeSet::new(),
            of: BTreeMap::new(),
            next: 0,
        }
    }

    /// Sets, moves or clears the deadline of `key`.
    pub fn set(&mut self, key: K, at: Option<Instant>) {
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
    pub fn mark(&self) -> u64 {
        self.next
    }

    /// Takes out the first deadline that has come at `now` and was set before `mark`.
    pub fn take_due(&mut self, now: Instant, mark: u64) -> Option<K> {
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

    /// The time of the first deadline.
    pub fn first(&self) -> Option<Instant> {
        self.order.first().map(|(at, ..)| *at)
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant(Duration::from_nanos(nanos))
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
            let got: Vec<u8> = core::iter::from_fn(|| deadlines.take_due(at(now), mark)).collect();
            prop_assert_eq!(got, wanted.into_iter().map(|(_, key)| key).collect::<Vec<_>>());
            let left = oracle.values().map(|(when, _)| *when).filter(|when| *when > now).min();
            prop_assert_eq!(deadlines.first(), left.map(at));
        }
    }
}
