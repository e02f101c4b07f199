//! The log file of a container: Docker's json-file format, written by the keeper alone and read by gantryd.
//!
//! One entry per line of output, each a flat JSON object on a line of its own:
//!
//! ```text
//! {"log":"hello\n","stream":"stdout","time":"2014-05-13T16:53:20.500000000Z"}
//! ```
//!
//! - A line of more than [`LINE_MAX`] bytes is split into entries of that size whose `log` does not end in a newline.
//! - The escapes are those of Docker's own encoder (Go's): `\"`, `\\`, `\n`, `\r`, `\u00XX` for other control
//!   characters and for `<`, `>`, `&`, `\u2028`, `\u2029`, and `\ufffd` for each byte that is not UTF-8.
//! - A replacement character that the program itself wrote is not escaped. So `\ufffd` stands for a lost byte, and the
//!   additional member `"invalid":"ff80…"` lists those bytes in hexadecimal: Docker's readers ignore it, ours gives back
//!   exactly what the program wrote. A subscriber that was too slow relies on it.
//! - `{"log":"","stream":"stdout","time":"…","lost":123}` says that 123 bytes of that stream could not be written here.
//!
//! A file may end in the middle of an entry while the keeper is writing, or after a keeper was killed. Readers take
//! whole lines only; the next run cuts a torn end off.

mod encode;
mod read;
mod write;

pub(super) use self::encode::clean_blocks;
pub use self::read::{CatchUp, Entry, Reader};
pub(super) use self::write::LogFile;

/// Most bytes of output in one entry, newline included; Docker's copier has the same size.
pub const LINE_MAX: usize = 16 * 1024;

/// Largest encoded entry: each byte as `\ufffd` plus two hexadecimal digits, and what stands around it.
pub(super) const ENTRY_MAX: usize = LINE_MAX * 8 + 256;

/// Names of the streams, by index.
pub(super) const STREAMS: [&str; 2] = ["stdout", "stderr"];
