//! Fairness: who is served when, and how much at once.

use super::limits::{SERVE_BYTES, SERVE_EVENTS, SERVE_STEPS};

/// What one connection or pipe may still do in this turn of the loop.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    bytes: usize,
    steps: usize,
}

impl Budget {
    /// A whole share: [`SERVE_BYTES`], and [`SERVE_STEPS`] or [`SERVE_EVENTS`].
    pub const fn new() -> Self {
        Self {
            bytes: SERVE_BYTES,
            steps: SERVE_STEPS,
        }
    }

    /// Bytes have been moved.
    pub fn spend_bytes(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// An event has been told.
    pub fn spend_event(&mut self) {
        self.steps = self.steps.saturating_sub(SERVE_STEPS / SERVE_EVENTS);
    }

    /// A call-back has been made, or a system call that moved nothing.
    pub fn spend_step(&mut self) {
        self.steps = self.steps.saturating_sub(1);
    }

    /// Whether it is the others' turn.
    pub fn is_spent(&self) -> bool {
        self.bytes == 0 || self.steps == 0
    }

    /// Bytes moved so far, at most the share.
    pub fn moved(&self) -> usize {
        SERVE_BYTES - self.bytes
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// Where somebody stands in the loop's queue of those who can go on: in it at most once, and served at most once in a turn
/// of the loop.
#[derive(Debug, Clone, Copy, Default)]
pub struct Place {
    queued: bool,
    /// The turn in which it was served last; the first turn is 1.
    served: u64,
}

impl Place {
    /// Says whether it has to be put into the queue; from then on it counts as there.
    pub fn enter(&mut self) -> bool {
        !core::mem::replace(&mut self.queued, true)
    }

    /// It has come to the front of the queue. Says whether it may be served in this turn, and then it has left the queue;
    /// otherwise it stays, for the next turn.
    pub fn leave(&mut self, turn: u64) -> bool {
        let first = self.served != turn;
        if first {
            *self = Self {
                queued: false,
                served: turn,
            };
        }
        first
    }

    /// It is being served, and goes on until nothing of it moves: whatever is asked of it meanwhile is seen in this turn, so
    /// [`enter`](Self::enter) has nothing to do until the [`rest`](Self::rest).
    pub fn attend(&mut self) {
        self.queued = true;
    }

    /// Its turn is over.
    pub fn rest(&mut self) {
        self.queued = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_taken_once_and_served_once_a_turn() {
        let mut place = Place::default();
        assert!(place.enter());
        assert!(!place.enter(), "it is there already");
        assert!(place.leave(1));
        assert!(place.enter(), "it may queue again behind the others");
        assert!(!place.leave(1), "but it has been served");
        assert!(!place.enter(), "so it has stayed");
        assert!(place.leave(2));
        place.attend();
        assert!(!place.enter(), "it sees by itself what is asked of it in its turn");
        place.rest();
        assert!(place.enter());
        assert!(!place.leave(2) && place.leave(3));
    }

    #[test]
    fn a_budget_ends_by_bytes_steps_or_events() {
        let mut budget = Budget::new();
        budget.spend_bytes(SERVE_BYTES - 1);
        assert!(!budget.is_spent());
        budget.spend_bytes(100);
        assert!(budget.is_spent());
        assert_eq!(budget.moved(), SERVE_BYTES);

        let mut budget = Budget::new();
        (1..SERVE_STEPS).for_each(|_| budget.spend_step());
        assert!(!budget.is_spent());
        budget.spend_step();
        assert!(budget.is_spent());
        assert_eq!(budget.moved(), 0);

        let mut budget = Budget::new();
        (1..SERVE_EVENTS).for_each(|_| budget.spend_event());
        assert!(!budget.is_spent());
        budget.spend_event();
        assert!(budget.is_spent());
    }
}
