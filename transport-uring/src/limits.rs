//! The bounds that are this transport's own; those of every transport are in [`gantry_core::driver::limits`].

use std::time::Duration;

use gantry_core::driver::{PIPE_PACKET_MAX, limits::OUTPUT_ROOM_MIN};

/// Entries of the submission queue. What does not fit waits in a list of ours for the next submission.
pub(crate) const SQ_ENTRIES: u32 = 512;

/// Entries of the completion queue. What does not fit is kept by the kernel (`IORING_FEAT_NODROP`).
pub(crate) const CQ_ENTRIES: u32 = 4096;

/// Bytes of a small receive buffer. Requests, log lines and keystrokes fit; who fills one is a stream.
pub(crate) const SMALL_BYTES: usize = 4 * 1024;

/// Small receive buffers, for all sources together.
pub(crate) const SMALL_COUNT: u16 = 128;

/// Bytes of a large receive buffer: a whole packet, and the largest piece that a service gets.
pub(crate) const LARGE_BYTES: usize = PIPE_PACKET_MAX;

/// Large receive buffers, for all sources together. Their memory is used only once they have been needed.
pub(crate) const LARGE_COUNT: u16 = 64;

/// Large buffers that the kernel gets to choose from, unless readers have found none. It uses them in turn, so with more of
/// them than needed every byte would come by way of main memory instead of the processor's cache.
pub(crate) const LARGE_LENT: u16 = 2;

/// Small buffers that may wait for one source before it counts as a stream, and is read one large buffer at a time.
pub(crate) const ARRIVED_MAX: usize = 8;

/// Bytes of an output buffer. It bounds what one operation sends, and with it what a connection keeps when the socket
/// takes only a part.
pub(crate) const OUTPUT_BYTES: usize = 128 * 1024;

/// Bytes of output up to which a send gets memory of its own size instead of the whole output buffer.
pub(crate) const OUTPUT_COPY_MAX: usize = 4 * 1024;

/// Bytes of output up to which a connection that is alone in its turn sends directly: an answer, not a stream.
pub(crate) const DIRECT_MAX: usize = OUTPUT_COPY_MAX;

/// Output buffers that are kept for the next send.
pub(crate) const OUTPUT_SPARE: usize = 16;

/// Bytes that are read at once from a connection or pipe whose other end is gone.
pub(crate) const LAST_READ_BYTES: usize = 64 * 1024;

/// Pieces of a pipe's queue that go into one `writev`.
pub(crate) const WRITE_PIECES: usize = 16;

/// Pieces of a pipe's queue shorter than this are gathered, up to this much, into one write.
pub(crate) const WRITE_GATHER_BYTES: usize = 16 * 1024;

/// How long the end of the ring waits for one more operation to be given back before it gives up their memory.
pub(crate) const REAP_PATIENCE: Duration = Duration::from_secs(5);

const _: () = assert!(SMALL_COUNT.is_power_of_two() && LARGE_COUNT.is_power_of_two());
// What is left of a direct send is copied.
const _: () = assert!(DIRECT_MAX <= OUTPUT_COPY_MAX);
const _: () = assert!(OUTPUT_ROOM_MIN < OUTPUT_BYTES && LAST_READ_BYTES <= OUTPUT_BYTES);
