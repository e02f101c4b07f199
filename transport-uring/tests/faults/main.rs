//! A transport whose operations fail as those of the kernel may, when they are told to: the cases of every transport, and none
//! of its own.
//!
//! `cargo test -p gantry-transport-uring --features faults --test faults`. Each run is another one: it takes its seed from the
//! process, and a failure names it. `GANTRY_SEED` plays it again, but for what the scheduler decides.

use std::io::Write;

extern crate alloc;
extern crate gantry_transport_uring as transport;

#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
#[path = "../../../transport-mio/tests/suite/common.rs"]
mod common;
#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
#[path = "../../../transport-mio/tests/suite/exchanges.rs"]
mod exchanges;
#[path = "../../../transport-mio/tests/faults/moments.rs"]
mod moments;
#[path = "../../../transport-mio/tests/faults/pipes.rs"]
mod pipes;
#[allow(unreachable_pub, reason = "shared by the modules of this program")]
#[path = "../../../transport-mio/tests/faults/scene.rs"]
mod scene;
#[path = "../../../transport-mio/tests/faults/sockets.rs"]
mod sockets;
#[path = "../../../transport-mio/tests/faults/splice.rs"]
mod splice;

/// Operations under way on a loop that has nothing to do but to listen: two that accept, and the watch of the mailbox.
const OPS_IDLE: usize = 3;

/// What it means that there can be no loop: this system does not allow io_uring, so there is nothing to be tested.
fn refused(error: &dyn std::error::Error) -> ! {
    // Past the test runner, which swallows what tests print.
    let _ = writeln!(std::io::stderr(), "skipped: {error}");
    std::process::exit(0)
}
