//! The Docker Remote API as a state machine: no I/O, no clock, no threads, no randomness, no unsafe.
//!
//! A [`Connection`] takes the bytes of one client and turns them into typed calls; a daemon answers, and the connection
//! turns that into bytes again. Whoever has the sockets drives it:
//!
//! ```
//! use core::time::Duration;
//! use gantry_core::{Call, Connection, Event, Instant, Limits, Reply, driver::{Output, Protocol}};
//!
//! let now = Instant(Duration::ZERO); // any monotonic clock
//! let mut connection = Connection::new(Limits::default(), now);
//!
//! let received = b"GET /v1.24/_ping HTTP/1.1\r\nHost: docker\r\n\r\n";
//! assert_eq!(connection.handle_input(now, received), received.len());
//!
//! let (mut out, mut sent) = ([0; 512], Vec::new());
//! let deadline = loop {
//!     match connection.poll_output(now, &mut out) {
//!         Output::Event(Event::Call { id, call: Call::Ping }) => connection.respond(id, Reply::Pong)?,
//!         Output::Event(event) => unreachable!("{event:?}"),
//!         Output::Transmit(len) => sent.extend_from_slice(&out[..len]),
//!         Output::Wait(deadline) => break deadline, // until then, or until bytes come
//!         Output::Splice { .. } => unreachable!("nothing was put into a pipe"),
//!         Output::Shutdown | Output::Close => unreachable!("the connection persists"),
//!     }
//! };
//! assert!(sent.starts_with(b"HTTP/1.1 200 OK\r\n") && sent.ends_with(b"\r\n\r\nOK"));
//! assert_eq!(deadline, Some(now + Limits::default().idle_timeout));
//! # Ok::<(), gantry_core::Misuse>(())
//! ```
//!
//! - [`driver`] is the contract between a protocol, a transport and a daemon.
//! - [`Connection`] joins [`http`] (framing, keep-alive, hijack) with what requests mean.
//! - [`client`] is the other end: calls to bytes, bytes to replies, in any version.
//! - [`Call`], [`Reply`], [`Refusal`] and [`model`] are the API in its newest shape.
//! - [`grammar`] reads what stands inside: image references, ports, binds, signals, …
//! - [`websocket`] is what an attach may be carried by, usable by itself.
//! - [`framing`] is the multiplexed stream, usable without anything else: with `default-features = false` it is all
//!   there is.
//! - [`Limits`] holds every bound.
#![no_std]
#![forbid(unsafe_code)]
// A test that panics has failed, which is what it is for; and tests have std.
#![cfg_attr(
    test,
    allow(
        clippy::cast_possible_truncation,
        clippy::indexing_slicing,
        clippy::std_instead_of_alloc,
        clippy::type_complexity,
        clippy::unwrap_used
    )
)]

#[cfg(feature = "api")]
extern crate alloc;
#[cfg(test)]
extern crate std;
// Files that are shared with other crates' tests call it so.
#[cfg(all(test, feature = "api"))]
extern crate self as gantry_core;

pub mod framing;

#[cfg(feature = "api")]
mod base64;
#[cfg(feature = "api")]
mod buffer;
#[cfg(feature = "api")]
mod call;
#[cfg(feature = "api")]
pub mod client;
#[cfg(feature = "api")]
mod connection;
#[cfg(feature = "api")]
mod cycle;
#[cfg(feature = "api")]
mod decode;
#[cfg(feature = "api")]
mod detach;
#[cfg(feature = "api")]
mod dialect;
#[cfg(all(test, feature = "api"))]
#[path = "../tests/cases/documented.rs"]
mod documented;
#[cfg(feature = "api")]
pub mod driver;
#[cfg(feature = "api")]
mod error;
#[cfg(feature = "api")]
mod exchange;
#[cfg(feature = "api")]
pub mod grammar;
#[cfg(feature = "api")]
pub mod http;
#[cfg(feature = "api")]
mod json;
#[cfg(feature = "api")]
mod limits;
#[cfg(feature = "api")]
pub mod model;
#[cfg(feature = "api")]
mod multipart;
#[cfg(feature = "api")]
mod query;
#[cfg(feature = "api")]
mod refusal;
#[cfg(feature = "api")]
mod reply;
#[cfg(feature = "api")]
mod route;
#[cfg(feature = "api")]
mod secret;
#[cfg(feature = "api")]
mod time;
#[cfg(feature = "api")]
mod upload;
#[cfg(feature = "api")]
pub mod websocket;

#[cfg(feature = "api")]
pub use crate::{
    call::{
        AuthCheck, Build, BuildLimits, Call, Commit, ContainerArchivePut, ContainerAttach, ContainerCreate,
        ContainerList, ContainerLogs, ContainerRemove, ContextPart, EventsQuery, ExecCreate, ExecStart, ImageCached,
        ImageImport, ImageInsert, ImageList, ImagePull, ImagePush, ImageSearch, Labels, Login, NetworkConnect,
        NetworkDisconnect, RegistryAuth,
    },
    connection::{Connection, Event, RequestId},
    dialect::{API_VERSION_NEWEST, API_VERSION_OLDEST},
    error::{AnswerError, Misuse, PeerError},
    limits::Limits,
    refusal::{ImageUse, Refusal, RegistryLack, StartFailure},
    reply::{Item, Reply},
    secret::Secret,
    time::Instant,
};
