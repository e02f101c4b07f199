//! Why an archive could not be read or unpacked, split by who must act.

use std::{fmt, io};

use nix::errno::Errno;

/// Why an archive could not be read or unpacked. The member is named as the archive does, with odd bytes escaped.
#[derive(Debug)]
pub enum ArchiveError {
    /// The archive breaks the format, or readers disagree about its meaning.
    Malformed {
        /// Member, or what was read last; empty before the first.
        member: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The archive is well formed and asks for something gantry does not do.
    Unsupported {
        /// Member.
        member: String,
        /// What it asks for.
        what: &'static str,
    },
    /// A bound was hit.
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is allowed.
        max: u64,
    },
    /// The disk would be filled beyond its reserve.
    DiskReserve {
        /// Bytes that must stay free.
        reserve: u64,
    },
    /// The stream could not be read or decompressed.
    Read(io::Error),
    /// What is kept of the stream beside its files could not be written.
    Record(io::Error),
    /// The host refused a step.
    Host {
        /// The step.
        step: &'static str,
        /// Member.
        member: String,
        /// The operating system's error.
        errno: Errno,
    },
}

impl ArchiveError {
    /// Whether the archive (and so the client who sent it) is to blame, not the host.
    pub fn is_clients(&self) -> bool {
        match self {
            Self::Malformed { .. } | Self::Unsupported { .. } | Self::TooMuch { .. } | Self::Read(_) => true,
            Self::DiskReserve { .. } | Self::Host { .. } | Self::Record(_) => false,
        }
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { member, what } if member.is_empty() => write!(f, "archive refused: {what}"),
            Self::Malformed { member, what } => write!(f, "archive refused: {what}: {member}"),
            Self::Unsupported { member, what } => write!(f, "archive refused: {what} is not supported: {member}"),
            Self::TooMuch { what, max } => write!(f, "archive refused: more than {max} {what}"),
            Self::DiskReserve { reserve } => write!(f, "no space left: {reserve} bytes of the disk are kept free"),
            Self::Read(error) => write!(f, "archive could not be read: {error}"),
            Self::Record(error) => write!(f, "the headers of the archive could not be kept: {error}"),
            Self::Host { step, member, errno } => write!(f, "{step} failed: {member}: {}", errno.desc()),
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(error) | Self::Record(error) => Some(error),
            Self::Host { errno, .. } => Some(errno),
            Self::Malformed { .. } | Self::Unsupported { .. } | Self::TooMuch { .. } | Self::DiskReserve { .. } => None,
        }
    }
}

/// A name for people: printable ASCII as it is, the rest escaped, at most 256 bytes of it.
pub(crate) fn shown(name: &[u8]) -> String {
    let cut = name.len().min(256);
    let mut text = name[..cut].escape_ascii().to_string();
    if cut < name.len() {
        text.push('…');
    }
    text
}
