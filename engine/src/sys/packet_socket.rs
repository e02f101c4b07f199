//! Sequenced packets with descriptors over unix sockets; who speaks so, and where, is in [`packet`](crate::packet).
//!
//! One `send` is one packet, received whole or not at all (unix(7), `SOCK_SEQPACKET`). Descriptors travel as
//! `SCM_RIGHTS`; the received ones are close-on-exec from the first instant.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{self, ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr};

/// Most descriptors in one packet.
pub const DESCRIPTORS_MAX: usize = 4;

/// Sends one packet made of `parts`. Never blocks if the socket is non-blocking or `wait` is false.
///
/// # Errors
///
/// Also `InvalidInput`, for more than [`DESCRIPTORS_MAX`] descriptors.
pub fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
    wait: bool,
) -> io::Result<()> {
    let mut flags = MsgFlags::MSG_NOSIGNAL;
    if !wait {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    let mut raw: [RawFd; DESCRIPTORS_MAX] = [-1; DESCRIPTORS_MAX];
    let raw = raw.get_mut(..descriptors.len()).ok_or(io::ErrorKind::InvalidInput)?;
    for (slot, descriptor) in raw.iter_mut().zip(descriptors) {
        *slot = descriptor.as_raw_fd();
    }
    let rights = [ControlMessage::ScmRights(raw)];
    let control: &[ControlMessage<'_>] = if raw.is_empty() { &[] } else { &rights };
    loop {
        match socket::sendmsg::<UnixAddr>(socket.as_raw_fd(), parts, control, flags, None) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// A received packet: its length in the caller's buffer and its descriptors in the sender's order.
#[derive(Debug)]
pub struct Packet {
    /// Bytes in the buffer.
    pub len: usize,
    /// As they were sent; close-on-exec.
    pub descriptors: Vec<OwnedFd>,
}

/// Receives one packet; a length of 0 is the end of the connection.
///
/// # Errors
///
/// Also `InvalidData`, when the packet is longer than `buffer` or carried more than [`DESCRIPTORS_MAX`] descriptors: the
/// rest is gone, so the connection is of no more use.
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], wait: bool) -> io::Result<Packet> {
    let mut flags = MsgFlags::MSG_CMSG_CLOEXEC;
    if !wait {
        flags |= MsgFlags::MSG_DONTWAIT;
    }
    let mut space = nix::cmsg_space!([RawFd; DESCRIPTORS_MAX]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = loop {
        match socket::recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
            Ok(message) => break message,
        }
    };
    let mut descriptors = Vec::new();
    // A truncated control message has delivered no list we could close, but the kernel installs only what fits.
    let controls = message.cmsgs().map_err(|_| io::ErrorKind::InvalidData)?;
    for control in controls {
        if let ControlMessageOwned::ScmRights(raw) = control {
            for fd in raw {
                // SAFETY: the kernel has just made this descriptor for us in recvmsg(2) and nothing else knows its
                // number; each number is visited once.
                descriptors.push(unsafe { OwnedFd::from_raw_fd(fd) });
            }
        }
    }
    if message.flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Packet {
        len: message.bytes,
        descriptors,
    })
}

/// Takes a connection from a listening socket.
pub(crate) fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let fd = socket::accept4(
        listener.as_raw_fd(),
        socket::SockFlag::SOCK_CLOEXEC | socket::SockFlag::SOCK_NONBLOCK,
    )?;
    // SAFETY: accept4(2) has just made this descriptor and nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
