//! The bounds that are this transport's own; those of every transport are in [`gantry_core::driver::limits`].

use gantry_core::driver::{PIPE_PACKET_MAX, limits::OUTPUT_ROOM_MIN};

/// Bytes of the one buffer through which everything passes; no connection or pipe has one of its own. It bounds what
/// one system call sends, and with it what a connection keeps when the socket takes only a part.
pub(crate) const SCRATCH_BYTES: usize = 128 * 1024;

/// Bytes that one `recv` takes from a connection, and so the most a connection holds back for a protocol that does not
/// take them.
pub(crate) const CONN_READ_BYTES: usize = 64 * 1024;

/// Bytes that one `read` takes from a pipe, and so the largest piece that a service gets.
pub(crate) const PIPE_READ_BYTES: usize = 64 * 1024;

/// Readiness reports taken from the kernel in one turn.
pub(crate) const TURN_REPORTS: usize = 1024;

/// Pieces of a pipe's queue that go into one `writev`.
pub(crate) const WRITE_PIECES: usize = 16;

// One packet must fit, and a read must leave the protocol's output a sensible room.
const _: () = assert!(PIPE_PACKET_MAX <= SCRATCH_BYTES && OUTPUT_ROOM_MIN < SCRATCH_BYTES);
