//! A transport whose system calls fail as those of the kernel may, when they are told to: nobody but the transport may notice
//! what can be made good, and what cannot ends one connection or pipe, once. Every transport compiles these same files, each
//! under the name `transport`.
//!
//! `cargo test -p gantry-transport-mio --features faults --test faults`. Each run is another one: it takes its seed from the
//! process, and a failure names it. `GANTRY_SEED` plays it again, but for what the scheduler decides.

extern crate alloc;
extern crate gantry_transport_mio as transport;

#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
#[path = "../suite/common.rs"]
mod common;
#[allow(dead_code, unreachable_pub, reason = "shared by the programs of the tests")]
#[path = "../suite/exchanges.rs"]
mod exchanges;
mod moments;
mod pipes;
#[allow(unreachable_pub, reason = "shared by the modules of this program")]
mod scene;
mod sockets;
mod splice;

/// Operations under way on a loop that has nothing to do but to listen.
const OPS_IDLE: usize = 0;

/// What it means that there can be no loop.
fn refused(error: &dyn std::error::Error) -> ! {
    panic!("every kernel has epoll: {error}");
}
