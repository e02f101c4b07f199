//! The system calls that move bytes, one to one. With the feature `faults` those of `faulty` stand in for them, which go wrong
//! when a test wants it.

#[cfg(not(feature = "faults"))]
pub(crate) use self::kernel::{read, recv, send, shutdown, writev};
#[cfg(feature = "faults")]
pub(crate) use crate::faulty::{read, recv, send, shutdown, spliceable, writev};

#[cfg(not(feature = "faults"))]
mod kernel {
    use std::os::fd::{AsFd, AsRawFd};

    use nix::{
        errno::Errno,
        sys::socket::{self, MsgFlags, Shutdown},
    };
    pub(crate) use nix::{sys::uio::writev, unistd::read};

    pub(crate) fn recv<Fd: AsFd>(fd: Fd, room: &mut [u8], flags: MsgFlags) -> Result<usize, Errno> {
        socket::recv(fd.as_fd().as_raw_fd(), room, flags)
    }

    pub(crate) fn send<Fd: AsFd>(fd: Fd, bytes: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
        socket::send(fd.as_fd().as_raw_fd(), bytes, flags)
    }

    pub(crate) fn shutdown<Fd: AsFd>(fd: Fd, how: Shutdown) -> Result<(), Errno> {
        socket::shutdown(fd.as_fd().as_raw_fd(), how)
    }
}
