//! The system calls that move bytes without the ring, one to one. With the feature `faults` those of `ring::faulty` stand in for
//! them, which go wrong when a test wants it.

#[cfg(not(feature = "faults"))]
pub(crate) use self::kernel::{send, writev};
#[cfg(feature = "faults")]
pub(crate) use crate::ring::faulty::{send, spliceable, writev};

#[cfg(not(feature = "faults"))]
mod kernel {
    use std::os::fd::{AsFd, AsRawFd};

    pub(crate) use nix::sys::uio::writev;
    use nix::{
        errno::Errno,
        sys::socket::{self, MsgFlags},
    };

    pub(crate) fn send<Fd: AsFd>(fd: Fd, bytes: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
        socket::send(fd.as_fd().as_raw_fd(), bytes, flags)
    }
}
