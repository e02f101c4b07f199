//! Every bound of a connection, in one table.
//!
//! What is bounded is what a peer can make us hold or wait for. The values are the project's security rules (H2, H5, F3);
//! where a genuine daemon is more generous, the field says so.

use core::time::Duration;

/// The bounds of one connection: name, unit, default, and what the peer sees when it is hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the request line without its line end. Default 16 KiB. Beyond: 414 and close.
    pub request_line_bytes_max: usize,
    /// Bytes of one header line, name to value. Default 64 KiB. Beyond: 431 and close. (Docker's daemons take 100 kB.)
    pub header_bytes_max: usize,
    /// Bytes of all header lines with their line ends. Default 128 KiB. Beyond: 431 and close.
    pub headers_bytes_max: usize,
    /// Number of header lines. Default 256. Beyond: 431 and close.
    pub headers_max: usize,
    /// Bytes of empty lines before a request line. Default 64. Beyond: 400 and close.
    pub blank_bytes_max: usize,
    /// Bytes of a JSON body. Default 4 MiB. Beyond: 413 and close.
    pub json_body_bytes_max: usize,
    /// In the client role: bytes of an answer that is told as a whole (JSON, an error). Default 16 MiB. Beyond: the request
    /// fails.
    pub answer_bytes_max: usize,
    /// In the client role: bytes of one value of a JSON stream. Default 1 MiB. Beyond: the request fails.
    pub item_bytes_max: usize,
    /// Bytes of the extensions of one chunk. Default 256. Beyond: 400 and close.
    pub chunk_extension_bytes_max: usize,
    /// Bytes of the extensions of all chunks of a body. Default 16 KiB. Beyond: 400 and close.
    pub chunk_extensions_bytes_max: usize,
    /// Bytes of all trailer lines after a chunked body. Default 8 KiB. Beyond: 400 and close.
    pub trailer_bytes_max: usize,
    /// From the first byte of a request to the end of its head, whatever arrives meanwhile. Default 30 s. Beyond: 408
    /// and close.
    pub head_timeout: Duration,
    /// Between two requests. Default 5 min. Beyond: close.
    pub idle_timeout: Duration,
    /// Without any byte of a request body that is waited for. Default 60 s. Beyond: 408 (if nothing was answered yet)
    /// and close.
    pub body_timeout: Duration,
    /// Without any byte of an ordinary reply being taken. Streams may rest for ever. Default 5 min. Beyond: close.
    pub stall_timeout: Duration,
    /// After our last byte and FIN, how long we wait for the peer's FIN so that a reset cannot destroy what it has not
    /// read. Default 30 s. Beyond: close.
    pub linger_timeout: Duration,
    /// Bytes of a request body that nobody wants (after an early answer) which are read to save the connection. Default
    /// 256 KiB, as Docker's HTTP library. Beyond: close.
    pub drain_bytes_max: u64,
    /// Received bytes held while a request is being answered: pipelined requests, or early input of a hijack. Default
    /// 64 KiB. Beyond: not read from the socket until there is room.
    pub early_bytes_max: usize,
    /// Received bytes of a streamed body or hijacked input that are held. Default 64 KiB. Beyond: not read from the
    /// socket until there is room.
    pub input_bytes_max: usize,
    /// Bytes waiting to be sent from which on a stream has no room and no further pipelined request is begun. Default
    /// 256 KiB. The transport says when the queue is short again; its own mark must not lie above this one.
    pub output_high_water: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_line_bytes_max: 16 * KIB,
            header_bytes_max: 64 * KIB,
            headers_bytes_max: 128 * KIB,
            headers_max: 256,
            blank_bytes_max: 64,
            json_body_bytes_max: 4 * 1024 * KIB,
            answer_bytes_max: 16 * 1024 * KIB,
            item_bytes_max: 1024 * KIB,
            chunk_extension_bytes_max: 256,
            chunk_extensions_bytes_max: 16 * KIB,
            trailer_bytes_max: 8 * KIB,
            head_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            body_timeout: Duration::from_secs(60),
            stall_timeout: Duration::from_secs(300),
            linger_timeout: Duration::from_secs(30),
            drain_bytes_max: 256 * 1024,
            early_bytes_max: 64 * KIB,
            input_bytes_max: 64 * KIB,
            output_high_water: 256 * KIB,
        }
    }
}

const KIB: usize = 1024;

/// How deep arrays and objects may be nested.
pub(crate) const JSON_DEPTH_MAX: u32 = 64;

/// How many values one text may hold.
pub(crate) const JSON_VALUES_MAX: usize = 32_768;

/// How many values an answer may hold. A thousand containers are listed in less than a tenth of it.
pub(crate) const ANSWER_VALUES_MAX: usize = 1 << 20;

/// Interim answers (status 1xx) before the real one.
pub(crate) const INTERIM_ANSWERS_MAX: u8 = 16;

/// What fits into 64 bits without being looked at for overflow.
pub(crate) const CHUNK_SIZE_DIGITS_MAX: u8 = 16;

/// The longest payload of a frame. The wire allows 4 GiB.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 24;

/// Bytes of the head of one part of a form. Beyond: 400 and close.
pub(crate) const PART_HEAD_BYTES_MAX: usize = 8 * KIB;
