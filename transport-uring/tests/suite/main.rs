//! The behaviour of a transport, over real sockets, pipes and threads: the cases of every transport, and none of its own.

extern crate gantry_transport_uring as transport;

#[allow(unreachable_pub, reason = "shared by the modules of this program")]
#[path = "../../../transport-mio/tests/suite/common.rs"]
mod common;
#[path = "../../../transport-mio/tests/suite/many.rs"]
mod many;
#[path = "../../../transport-mio/tests/suite/pipes.rs"]
mod pipes;
#[path = "../../../transport-mio/tests/suite/sockets.rs"]
mod sockets;
#[path = "../../../transport-mio/tests/suite/turns.rs"]
mod turns;
