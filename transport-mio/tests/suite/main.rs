//! The behaviour of a transport, over real sockets, pipes and threads. Every transport compiles these same files, each under
//! the name `transport`, and so the list of cases is one.

extern crate alloc;
extern crate gantry_transport_mio as transport;

#[allow(unreachable_pub, reason = "shared by the modules of this program")]
mod common;
#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
mod exchanges;
mod many;
mod pipes;
mod same;
mod sockets;
mod splice;
mod turns;

/// What it means that there can be no loop.
fn refused(error: &dyn std::error::Error) -> ! {
    panic!("every kernel has epoll: {error}");
}
