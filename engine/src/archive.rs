//! Archives: one strict reader for tar, the compressions around it, and placement of members into a directory.
//!
//! There is one parser for all tars, with one reading ([`Members`]); it is used for layers, imports and image bundles
//! alike. What other readers would read differently is refused, not guessed at. [`unpack_layer`] puts the members of a
//! layer into a directory through descriptors only, so that no name, link or device of the archive reaches outside.
//!
//! ```text
//!   body -> Decoder (gzip, zstd, bzip2, xz, none) -> DigestReader (sha256) -> Members -> unpack_layer -> files
//!                                                                                             '-> Recorder -> skeleton
//!   files -> pack_tree -> Sink
//!   files, skeleton -----> Sink
//! ```
//!
//! No decompressor is ever executed; all are linked in.

mod compression;
mod digest;
mod encode;
mod error;
mod header;
mod members;
mod pack;
mod pax;
mod sink;
mod skeleton;
#[cfg(test)]
mod tests;
mod unpack;

pub use self::{
    compression::{Compression, Decoder},
    digest::{Digest, DigestError, DigestReader},
    error::ArchiveError,
    members::{Kind, Member, MemberData, Members, Mtime, PEEK_MAX},
    unpack::{Limits, Unpacked, unpack_layer},
};
pub(crate) use self::{
    encode::header,
    pack::{finish, pack_member, pack_tree},
    sink::Sink,
    skeleton::{Piece, Recorder, Skeleton},
    unpack::unpack_and_record,
};

/// Whether `start`, the first [`PEEK_MAX`] bytes of something, begin a tar stream, compressed or not. Nothing at all is
/// an empty one, as is the block of zeros that ends every tar.
pub(crate) fn looks_like_layer(start: &[u8]) -> bool {
    let compressed = Compression::detect(start) != Compression::None;
    let block: Result<&[u8; PEEK_MAX], _> = start.try_into();
    compressed
        || start.is_empty()
        || block.is_ok_and(|block| *block == [0; PEEK_MAX] || header::Header::decode(block).is_ok())
}
