//! Faults on purpose, for tests: when the next one comes, and which. What a fault is, and what the kernel could have meant by
//! it, is in `faulty`, which each transport has for itself.
//!
//! Compiled with the feature `faults` alone, so no released program contains any of it. A plan holds for the loops of the
//! thread that [`begin`]s it; until then nothing goes wrong. All transports compile this one file.

use std::cell::RefCell;

/// What is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Whatever is left to chance is decided by this number alone.
    pub seed: u64,
    /// How often.
    pub when: When,
    /// Connections and pipes may also fail for good. Otherwise everything that goes wrong can be made good, and nobody but
    /// the transport may notice.
    pub resets: bool,
}

/// Which of the chances for a fault are taken. Each system call, entry or completion is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// None.
    Never,
    /// On average one in so many.
    OneIn(u64),
    /// This one alone, counted from 0; with [`Plan::resets`] a failure for good, where there is one.
    Only(u64),
}

/// What has happened since [`begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Chances there were.
    pub chances: u64,
    /// Faults, resets included.
    pub faults: u64,
    /// Faults that end a connection or pipe.
    pub resets: u64,
}

/// What a loop has not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InUse {
    /// Connections.
    pub conns: usize,
    /// Pipes.
    pub pipes: usize,
    /// Operations under way in the kernel.
    pub ops: usize,
    /// Receive buffers that are neither with the kernel nor in reserve.
    pub buffers: usize,
}

/// From now on the plan holds on this thread.
pub fn begin(plan: Plan) {
    DEALER.with_borrow_mut(|dealer| *dealer = Dealer::new(plan));
}

/// What has happened on this thread.
pub fn tally() -> Tally {
    DEALER.with_borrow(|dealer| dealer.tally)
}

/// One chance: a fault of `mild`, which can be made good, or of `harsh`, which cannot.
pub(crate) fn deal<F: Copy>(mild: &[F], harsh: &[F]) -> Option<F> {
    DEALER.with_borrow_mut(|dealer| dealer.deal(mild, harsh))
}

/// A number below `limit`, which is not 0.
pub(crate) fn below(limit: usize) -> usize {
    DEALER.with_borrow_mut(|dealer| dealer.below(limit as u64) as usize)
}

thread_local! {
    static DEALER: RefCell<Dealer> = const {
        RefCell::new(Dealer::new(Plan { seed: 0, when: When::Never, resets: false }))
    };
}

struct Dealer {
    plan: Plan,
    state: u64,
    tally: Tally,
}

impl Dealer {
    const fn new(plan: Plan) -> Self {
        let tally = Tally {
            chances: 0,
            faults: 0,
            resets: 0,
        };
        Self {
            plan,
            state: plan.seed,
            tally,
        }
    }

    fn deal<F: Copy>(&mut self, mild: &[F], harsh: &[F]) -> Option<F> {
        let number = self.tally.chances;
        self.tally.chances += 1;
        let (taken, sure) = match self.plan.when {
            When::Never => (false, false),
            When::OneIn(often) => (self.below(often) == 0, false),
            When::Only(only) => (number == only, true),
        };
        if !taken {
            return None;
        }
        let resets = self.plan.resets && !harsh.is_empty() && (sure || self.below(RESETS_ONE_IN) == 0);
        let faults = if resets { harsh } else { mild };
        if faults.is_empty() {
            return None;
        }
        let fault = faults[self.below(faults.len() as u64) as usize];
        self.tally.faults += 1;
        self.tally.resets += u64::from(resets);
        Some(fault)
    }

    /// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
    fn below(&mut self, limit: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Of so many times when a peer could be told that there is no descriptor for it, one: everybody has to wait for a while then.
pub(crate) const EMFILE_ONE_IN: usize = 16;

/// Of faults where a reset is possible, one in so many is one: otherwise no connection would live to see another fault.
const RESETS_ONE_IN: u64 = 3;
