//! The container engine: images, containers, networks, and the programs `gantryd` and `gantry-keeper`.
//!
//! The engine knows no HTTP, no JSON shapes and no API versions. It takes typed calls
//! ([`Call`](gantry_core::Call)) and gives typed replies, through a [`Port`].
//!
//! | module | what it is |
//! | --- | --- |
//! | `engine` | the state machine that lives on the reactor thread and never waits |
//! | `container` | the registry and one file per verb |
//! | [`keeper`] | the process that holds a container while gantryd may die |
//! | [`process`], [`rootfs`], [`cgroup`] | from a [`process::Spec`] to a running, confined process |
//! | [`image`], [`archive`] | images, layers, tar streams |
//! | [`network`] | the default bridge, by netlink and nftables |
//! | [`packet`] | how our own processes talk to each other |
//! | [`store`], [`trash`] | what lasts, and what is on its way out |
//! | `sys` | the only system calls that need `unsafe` |
//!
//! ```text
//!   calls, bytes, deadlines --> Engine --> Port (replies, streams, pipes, timers)
//!                               |   ^
//!                         jobs  v   | messages
//!                              Workers --> store, images, bridge, keepers
//! ```

pub mod archive;
pub mod cgroup;
mod clock;
mod config;
mod container;
mod disk;
mod download;
mod engine;
mod event;
pub mod image;
mod image_calls;
pub mod keeper;
mod message;
pub mod network;
mod open;
pub mod packet;
mod port;
pub mod process;
pub mod rootfs;
mod shared;
#[cfg(test)]
mod skip;
pub mod store;
mod sys;
mod system;
pub mod trash;
mod upload;
mod worker;

pub use self::{
    clock::now,
    config::Config,
    engine::Engine,
    message::Message,
    open::OpenError,
    port::{CallId, Port},
};
