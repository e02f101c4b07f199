//! gantryd from outside: real sockets, real containers, each test with a daemon of its own in a network namespace of its own.
//!
//! The client's bytes are `gantry-conformance`'s, not core's. Everything is made by the tests: the image holds one static
//! program (`examples/probe.rs`). Without root the tests say so and are passed over.

mod attach;
mod clients;
mod copies;
mod crash;
mod download;
mod firehose;
mod groups;
mod harness;
mod lifecycle;
mod load;
mod refusals;
mod slow;
mod survival;
mod tls;
mod transport;
mod websocket;
