//! Every bound of this transport in one table: name, unit, and what happens when it is reached.
//!
//! What a protocol bounds (heads, bodies, its own output queue) is the protocol's business and not found here.

use std::time::Duration;

use gantry_core::driver::PIPE_PACKET_MAX;

/// What whoever runs the loop may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time, over all listeners. Further peers wait, unaccepted, in the kernel's
    /// backlog until a connection ends.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 8192 }
    }
}

/// Bytes of output a connection must have had queued for [`Service::writable`] to be called later. A protocol's own
/// high-water mark, the one at which its service stops feeding it, must not be below this one: otherwise the service
/// would stop, and never be called.
///
/// [`Service::writable`]: gantry_core::driver::Service::writable
pub const OUTPUT_HIGH_WATER: usize = 32 * 1024;

/// Bytes of queued output below which [`Service::writable`] is called, once, after the high mark was reached.
///
/// [`Service::writable`]: gantry_core::driver::Service::writable
pub const OUTPUT_LOW_WATER: usize = 16 * 1024;

/// Bytes of the one buffer through which everything passes; no connection or pipe has one of its own. It bounds what
/// one system call sends, and with it what a connection keeps when the socket takes only a part.
pub(crate) const SCRATCH_BYTES: usize = 128 * 1024;

/// Bytes that one `recv` takes from a connection, and so the most a connection holds back for a protocol that does not
/// take them.
pub(crate) const CONN_READ_BYTES: usize = 64 * 1024;

/// Bytes that one `read` takes from a pipe, and so the largest piece that a service gets.
pub(crate) const PIPE_READ_BYTES: usize = 64 * 1024;

/// A protocol is asked for further output only while this much of the scratch buffer is free; otherwise what is
/// there is sent first.
pub(crate) const OUTPUT_ROOM_MIN: usize = 4 * 1024;

/// Bytes that one connection or pipe may move, in both directions together, before the others have their turn. The
/// last system call may overshoot it by one buffer.
pub(crate) const SERVE_BYTES: usize = 256 * 1024;

/// Events of a protocol, or packets of a pipe, in one turn; then the others have theirs.
pub(crate) const SERVE_STEPS: usize = 256;

/// Bytes moved in a turn, over all connections and pipes, after which timers, messages and the kernel are looked at
/// again.
pub(crate) const TURN_BYTES: usize = 4 * 1024 * 1024;

/// Messages of other threads delivered in one turn.
pub(crate) const TURN_MESSAGES: usize = 1024;

/// Timers fired in one turn.
pub(crate) const TURN_TIMERS: usize = 1024;

/// Connections accepted from one listener in one turn.
pub(crate) const TURN_ACCEPTS: usize = 64;

/// Readiness reports taken from the kernel in one turn.
pub(crate) const TURN_REPORTS: usize = 1024;

/// Pieces of a pipe's queue that go into one `writev`.
pub(crate) const WRITE_PIECES: usize = 16;

/// How long accepting rests when the process or the host is out of descriptors or memory.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Fruitless pauses after which waiting peers are turned away one by one, so that they see an end instead of silence.
pub(crate) const ACCEPT_PAUSES_MAX: u32 = 10;

/// How long a connection that the protocol has closed may go without sending any of its last bytes.
pub(crate) const CLOSE_LINGER: Duration = Duration::from_secs(10);

/// How long bytes of a vanished peer are kept for a protocol that takes none of them.
pub(crate) const GONE_LINGER: Duration = Duration::from_secs(10);

// One packet must fit, and a read must leave the protocol's output a sensible room.
const _: () = assert!(PIPE_PACKET_MAX <= SCRATCH_BYTES && OUTPUT_ROOM_MIN < SCRATCH_BYTES);
const _: () = assert!(OUTPUT_LOW_WATER < OUTPUT_HIGH_WATER);
