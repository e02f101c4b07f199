//! Starting a container's process: the plan, and the child that carries it out.
//!
//! The daemon plans: [`capability`], [`seccomp`] and [`defaults`] turn what a client asked for into a [`Spec`], purely.
//! The keeper carries out: [`prepare`] makes the control groups and a process in new namespaces, and [`Prepared::run`]
//! lets it become the program. A start that fails leaves nothing behind.

pub mod capability;
mod child;
mod control;
pub mod defaults;
pub(crate) mod error;
mod program;
pub mod seccomp;
mod spec;
mod start;
mod user;

pub use self::{
    error::{StartError, StartErrorKind, Step},
    spec::{Bind, Cgroup, NetworkNamespace, Rlimit, Rootfs, Spec},
    start::{Prepared, START_TIME_MAX, Started, Stdio, prepare},
};
