//! The behaviour of a transport, over real sockets, pipes and threads: the cases of every transport, and none of its own.

use std::io::Write;

extern crate alloc;
extern crate gantry_transport_uring as transport;

#[allow(unreachable_pub, reason = "shared by the modules of this program")]
#[path = "../../../transport-mio/tests/suite/common.rs"]
mod common;
#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
#[path = "../../../transport-mio/tests/suite/exchanges.rs"]
mod exchanges;
#[path = "../../../transport-mio/tests/suite/many.rs"]
mod many;
#[path = "../../../transport-mio/tests/suite/pipes.rs"]
mod pipes;
#[path = "../../../transport-mio/tests/suite/same.rs"]
mod same;
#[path = "../../../transport-mio/tests/suite/sockets.rs"]
mod sockets;
#[path = "../../../transport-mio/tests/suite/splice.rs"]
mod splice;
#[path = "../../../transport-mio/tests/suite/turns.rs"]
mod turns;

/// What it means that there can be no loop: this system does not allow io_uring, so there is nothing to be tested.
fn refused(error: &dyn std::error::Error) -> ! {
    // Past the test runner, which swallows what tests print.
    let _ = writeln!(std::io::stderr(), "skipped: {error}");
    std::process::exit(0)
}
