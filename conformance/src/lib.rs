//! Judges a container daemon from outside, by its socket alone.
//!
//! Nothing here shares code with the daemon it judges, and nothing here knows which daemon it is: the same cases and
//! benches run against gantryd, dockerd and podman, so the suite itself can be put to the test.
//!
//! - [`endpoint`], [`client`], [`http`], [`frames`]: a client of its own, bytes on a unix socket, TCP or TLS
//! - [`subject`]: a daemon under test and the clean-up behind it
//! - [`rootfs`]: the image that is run, made of one static busybox
//! - [`mod@bench`]: figures of several daemons in one run
//! - [`case`], [`check`], [`judge`], [`version`]: case files, what they expect, and the run over them
//! - [`mod@echo`]: the bare limit, a server that does nothing but answer
//! - [`procfs`], [`descriptors`], [`interrupt`]: what the kernel says about a daemon, what it lets us have; ctrl-c

pub mod bench;
pub mod case;
pub mod check;
pub mod client;
pub mod descriptors;
pub mod echo;
pub mod endpoint;
pub mod frames;
pub mod http;
pub mod interrupt;
pub mod judge;
pub mod procfs;
pub mod rootfs;
pub mod subject;
pub mod version;
