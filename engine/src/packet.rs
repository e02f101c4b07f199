//! Talk between our own processes on this machine: packets with descriptors, over a socket in a directory that only root can
//! enter. So keepers are spoken to, and a gantryd that takes the place of another.
//!
//! The address of a unix socket has room for 108 bytes (unix(7)), fewer than a run directory and a container id may
//! need. So both sides open the directory and name the socket through the descriptor.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::socket::{self, AddressFamily, Backlog, SockFlag, SockType, UnixAddr, sockopt};
use nix::sys::time::TimeVal;

use crate::sys::packet_socket;
pub use crate::sys::packet_socket::{DESCRIPTORS_MAX, Packet, receive, send};

/// Listens at `path`, replacing what a dead process left there. Non-blocking. The umask decides on the mode.
///
/// # Errors
///
/// The system refuses; `InvalidInput` for a path without a directory.
pub fn listen(path: &Path) -> io::Result<OwnedFd> {
    let (_directory, address) = resolve(path)?;
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = new_socket(SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK)?;
    socket::bind(listener.as_raw_fd(), &address)?;
    socket::listen(&listener, Backlog::new(8)?)?;
    Ok(listener)
}

/// Connects to `path`; `None` when nobody listens there. One whose queue is full is waited for.
///
/// # Errors
///
/// `TimedOut` when it stays full; otherwise the system refuses.
pub fn connect(path: &Path, timeout: Duration) -> io::Result<Option<OwnedFd>> {
    let (_directory, address) = match resolve(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        resolved => resolved?,
    };
    let connection = new_socket(SockFlag::SOCK_CLOEXEC)?;
    let timeout = TimeVal::new(timeout.as_secs().try_into().unwrap_or(i64::MAX), 0);
    socket::setsockopt(&connection, sockopt::SendTimeout, &timeout)?;
    match socket::connect(connection.as_raw_fd(), &address) {
        Ok(()) => Ok(Some(connection)),
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => Ok(None),
        Err(Errno::EAGAIN) => Err(io::ErrorKind::TimedOut.into()),
        Err(errno) => Err(errno.into()),
    }
}

/// Takes a connection; `None` when there is none, or when it is not from our own user.
#[must_use]
pub fn accept(listener: BorrowedFd<'_>) -> Option<OwnedFd> {
    let connection = packet_socket::accept(listener).ok()?;
    let peer = socket::getsockopt(&connection.as_fd(), sockopt::PeerCredentials).ok()?;
    (peer.uid() == nix::unistd::geteuid().as_raw()).then_some(connection)
}

fn new_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket::socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?)
}

fn resolve(path: &Path) -> io::Result<(File, UnixAddr)> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC)
        .open(directory)?;
    let through = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((directory, UnixAddr::new(&through)?))
}
