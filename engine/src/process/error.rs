//! Why a container did not start: the step, the kernel's answer, and the sentence a client gets to read.
//!
//! The sentences about the program are those of Docker's runtime, because clients look for them.

use std::{fmt, io};

use nix::errno::Errno;

/// A container could not be started; everything begun for it has been undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError {
    /// What it means for the exit code of the client's command.
    pub kind: StartErrorKind,
    /// Where it happened.
    pub step: Step,
    /// The kernel's error number, 0 if it was not the kernel that refused.
    pub errno: i32,
    /// The whole sentence, lower case, no full stop, at most [`StartError::MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

/// What a failed start means for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum StartErrorKind {
    /// The program does not exist (Docker's exit code 127).
    NotFound = 1,
    /// The program cannot be executed (Docker's exit code 126).
    NotExecutable = 2,
    /// Anything else (Docker's exit code 128 or 125).
    Other = 3,
}

/// The steps of a start, in the order they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// The spec contradicts itself or cannot be passed to the kernel.
    Spec = 1,
    /// Control groups and limits.
    Cgroup = 2,
    /// A process in new namespaces.
    Clone = 3,
    /// The overlay that becomes the root.
    Root = 4,
    /// `/proc`, `/dev`, `/sys` and what lies below them.
    Mounts = 5,
    /// Host files bound into the container.
    Binds = 6,
    /// Masked and read-only paths.
    Masks = 7,
    /// Host name, kernel parameters, limits, OOM score.
    Settings = 8,
    /// Making the overlay the root.
    Pivot = 9,
    /// The pseudo-terminal or the three streams.
    Streams = 10,
    /// The user and the groups named in the spec.
    User = 11,
    /// The directory to start in.
    WorkingDirectory = 12,
    /// Credentials, capabilities, seccomp.
    Confinement = 13,
    /// Finding and executing the program.
    Program = 14,
    /// The child ended without saying why.
    Child = 15,
}

impl StartError {
    /// The longest message in bytes; a longer one is cut.
    pub const MESSAGE_BYTES_MAX: usize = 1024;

    /// A failure of `step`: `what` and the kernel's words.
    pub(crate) fn kernel(step: Step, what: impl fmt::Display, error: &io::Error) -> Self {
        Self::new(
            StartErrorKind::Other,
            step,
            error.raw_os_error().unwrap_or(0),
            format!("{what}: {}", words(error)),
        )
    }

    /// A failure of `step` that is not the kernel's.
    pub(crate) fn other(step: Step, message: impl Into<String>) -> Self {
        Self::new(StartErrorKind::Other, step, 0, message.into())
    }

    pub(crate) fn new(kind: StartErrorKind, step: Step, errno: i32, mut message: String) -> Self {
        if message.len() > Self::MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(Self::MESSAGE_BYTES_MAX));
        }
        Self {
            kind,
            step,
            errno,
            message,
        }
    }

    /// Kind, step, error number (4 bytes, little endian), message: what the child writes to its parent.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut wire = vec![self.kind as u8, self.step as u8];
        wire.extend(self.errno.to_le_bytes());
        wire.extend(self.message.as_bytes());
        wire
    }

    /// The reverse of [`Self::encode`]; `None` if the bytes are none of ours.
    pub(crate) fn decode(wire: &[u8]) -> Option<Self> {
        let (&[kind, step, a, b, c, d], message) = wire.split_first_chunk::<6>()?;
        let kind = StartErrorKind::ALL.into_iter().find(|&known| known as u8 == kind)?;
        let step = Step::ALL.into_iter().find(|&known| known as u8 == step)?;
        let message = std::str::from_utf8(message).ok()?.to_owned();
        (message.len() <= Self::MESSAGE_BYTES_MAX).then_some(())?;
        Some(Self {
            kind,
            step,
            errno: i32::from_le_bytes([a, b, c, d]),
            message,
        })
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StartError {}

impl StartErrorKind {
    /// Every kind, by number.
    pub const ALL: [Self; 3] = [Self::NotFound, Self::NotExecutable, Self::Other];
}

impl Step {
    /// Every step, by number.
    pub const ALL: [Self; 15] = [
        Self::Spec,
        Self::Cgroup,
        Self::Clone,
        Self::Root,
        Self::Mounts,
        Self::Binds,
        Self::Masks,
        Self::Settings,
        Self::Pivot,
        Self::Streams,
        Self::User,
        Self::WorkingDirectory,
        Self::Confinement,
        Self::Program,
        Self::Child,
    ];
}

/// Adds step and subject to a system call's failure.
pub(crate) trait At<T> {
    /// `what` is what was attempted: `mount proc`.
    fn at(self, step: Step, what: impl fmt::Display) -> Result<T, StartError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: Step, what: impl fmt::Display) -> Result<T, StartError> {
        self.map_err(|error| StartError::kernel(step, what, &error))
    }
}

/// The kernel's error in the words Docker's clients know: `no such file or directory`.
pub(crate) fn words(error: &io::Error) -> String {
    let Some(number) = error.raw_os_error() else {
        return error.to_string();
    };
    let words = Errno::from_raw(number).desc();
    // "I/O error" and the like keep their capitals.
    let lower = words.chars().nth(1).is_some_and(|second| second.is_ascii_lowercase());
    if lower {
        words[..1].to_ascii_lowercase() + &words[1..]
    } else {
        words.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn errors_read_like_those_of_docker() {
        let cases = [
            (libc::ENOENT, "no such file or directory"),
            (libc::EACCES, "permission denied"),
            (libc::EPERM, "operation not permitted"),
            (libc::ENOEXEC, "exec format error"),
            (libc::EIO, "I/O error"),
        ];
        for (errno, expected) in cases {
            assert_eq!(words(&io::Error::from_raw_os_error(errno)), expected, "errno {errno}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(kind in 0usize..3, step in 0usize..15, errno: i32, message in ".{0,1100}") {
            let error = StartError::new(StartErrorKind::ALL[kind], Step::ALL[step], errno, message);
            prop_assert!(error.message.len() <= StartError::MESSAGE_BYTES_MAX);
            prop_assert_eq!(StartError::decode(&error.encode()), Some(error));
        }

        #[test]
        fn no_bytes_break_the_decoder(wire: Vec<u8>) {
            if let Some(error) = StartError::decode(&wire) {
                prop_assert_eq!(error.encode(), wire);
            }
        }
    }
}
