//! Every bound that all transports share: name, unit, and what happens when it is reached.
//!
//! What a protocol bounds (heads, bodies, its own output queue) is the protocol's business and not found here; nor are
//! the sizes of a transport's own buffers.

use core::time::Duration;

/// What whoever runs the loop may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are open at the same time, over all listeners. Further peers wait, unserved, until a connection
    /// ends.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 16_384 }
    }
}

/// Bytes of output a connection must have had queued for [`Service::writable`] to be called later. A protocol's own
/// high-water mark, the one at which its service stops feeding it, must not be below this one: otherwise the service
/// would stop, and never be called.
///
/// [`Service::writable`]: super::Service::writable
pub const OUTPUT_HIGH_WATER: usize = 32 * 1024;

/// Bytes of queued output below which [`Service::writable`] is called, once, after the high mark was reached.
///
/// [`Service::writable`]: super::Service::writable
pub const OUTPUT_LOW_WATER: usize = 16 * 1024;

/// A protocol is asked for further output only while this many bytes of the output buffer are free; otherwise what is
/// there is sent first.
pub const OUTPUT_ROOM_MIN: usize = 4 * 1024;

/// Bytes that one connection or pipe may move, in both directions together, before the others have their turn. The
/// last system call may overshoot it by one buffer.
pub const SERVE_BYTES: usize = 256 * 1024;

/// Packets of a pipe, or calls that moved nothing, in one turn; then the others have theirs.
pub const SERVE_STEPS: usize = 256;

/// Events of a protocol in one turn; then the others have theirs. Few, since an event may be a request, and nobody bounds
/// what its answer costs; enough for [`SERVE_BYTES`] in reads of 64 KiB.
pub const SERVE_EVENTS: usize = 4;

/// Bytes moved in a turn of the loop, over all connections and pipes, after which timers, messages and the kernel are
/// looked at again.
pub const TURN_BYTES: usize = 4 * 1024 * 1024;

/// Messages of other threads delivered in one turn of the loop.
pub const TURN_MESSAGES: usize = 1024;

/// Timers fired in one turn of the loop.
pub const TURN_TIMERS: usize = 1024;

/// Connections taken from one listener in one turn of the loop.
pub const TURN_ACCEPTS: usize = 64;

/// How long accepting rests when the process or the host is out of descriptors or memory.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Fruitless pauses after which waiting peers are turned away one by one, so that they see an end instead of silence.
pub const ACCEPT_PAUSES_MAX: u32 = 10;

/// How long a connection that the protocol has closed may go without sending any of its last bytes.
pub const CLOSE_LINGER: Duration = Duration::from_secs(10);

/// How long bytes of a vanished peer are kept for a protocol that takes none of them.
pub const GONE_LINGER: Duration = Duration::from_secs(10);

const _: () = assert!(SERVE_STEPS.is_multiple_of(SERVE_EVENTS));
const _: () = assert!(OUTPUT_LOW_WATER < OUTPUT_HIGH_WATER);
