//! What the tests of faults share: the plans, one scenario at a time, and the count of what has to come back.

use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use transport::{
    Reactor,
    faults::{InUse, Plan, When, begin},
};

use crate::common::PATIENCE;

/// Runs a scenario that ends its loops; afterwards no more descriptors are open than before. One at a time, for they are
/// those of the whole process.
pub fn alone<T>(scenario: impl FnOnce() -> T) -> T {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let before = descriptors();
    let result = scenario();
    // The other end of a closed socket may be seen by a thread that has just ended.
    until(
        || descriptors() == before,
        || format!("{} descriptors instead of {before}", descriptors()),
    );
    result
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("/proc").count()
}

/// Waits for something that is sure to come.
pub fn until(mut is_true: impl FnMut() -> bool, otherwise: impl FnOnce() -> String) {
    let start = Instant::now();
    while !is_true() {
        assert!(start.elapsed() < PATIENCE, "{}", otherwise());
        thread::sleep(Duration::from_millis(1));
    }
}

/// The plan of a seed: from a fault at every other chance to a few among many.
pub fn often(seed: u64, resets: bool) -> Plan {
    let when = When::OneIn([3, 5, 10, 30][(seed % 4) as usize]);
    Plan { seed, when, resets }
}

/// A single fault.
pub fn only(seed: u64, number: u64, resets: bool) -> Plan {
    let when = When::Only(number);
    Plan { seed, when, resets }
}

/// Nothing goes wrong from now on, so that what is in use comes to rest.
pub fn calm() {
    begin(Plan {
        seed: 0,
        when: When::Never,
        resets: false,
    });
}

/// What is in use on a loop of two listeners and nothing else, once it has come to rest.
pub fn idle() -> InUse {
    InUse {
        conns: 0,
        pipes: 0,
        ops: crate::OPS_IDLE,
        buffers: 0,
    }
}

/// Waits until a loop has given everything back. `on_loop` runs its argument there.
pub fn comes_back<P: 'static>(what: &str, on_loop: impl Fn(fn(&mut Reactor<P>) -> InUse) -> InUse) {
    let mut found = idle();
    until(
        || {
            found = on_loop(|driver| {
                calm();
                driver.in_use()
            });
            found == idle()
        },
        || format!("{what}: something is still in use after {PATIENCE:?}"),
    );
}
