//! The connection seen from its wire: bytes in, bytes and events out, in invented time.
//!
//! What endpoints mean is tested elsewhere; here it is HTTP, the hijack, and time. `hostile` and `odd` are tables of
//! single requests, `any_cut` the property that sizes of reads and writes never matter, the rest walks through states.
#![allow(
    clippy::indexing_slicing,
    clippy::std_instead_of_alloc,
    clippy::std_instead_of_core,
    clippy::unwrap_used
)]
#![allow(clippy::type_complexity, missing_docs)]

mod any_cut;
mod bodies;
mod build;
mod cors;
mod hijack;
mod hostile;
mod odd;
mod persistence;
mod scenario;
mod times;
mod websocket;
