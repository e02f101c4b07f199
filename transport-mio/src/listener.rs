//! Listening sockets on the loop. Whoever opens them knows their addresses; here they only accept.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use gantry_core::driver::{ListenerId, turn::Place};
use mio::net::{TcpListener, UnixListener};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname};

/// One listening socket on the loop.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Socket,
    /// The caller's name for it.
    pub(crate) id: ListenerId,
    /// Peers may be waiting to be accepted: true from a report of the kernel until there are none.
    pub(crate) waiting: bool,
    /// Pauses of accepting since the last success.
    pub(crate) pauses: u32,
    pub(crate) place: Place,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Listener {
    pub(crate) fn new(socket: OwnedFd, id: ListenerId) -> io::Result<Self> {
        let address: SockaddrStorage = getsockname(socket.as_raw_fd())?;
        let socket = match address.family() {
            Some(AddressFamily::Inet | AddressFamily::Inet6) => {
                let listener = std::net::TcpListener::from(socket);
                listener.set_nonblocking(true)?;
                Socket::Tcp(TcpListener::from_std(listener))
            }
            Some(AddressFamily::Unix) => {
                let listener = std::os::unix::net::UnixListener::from(socket);
                listener.set_nonblocking(true)?;
                Socket::Unix(UnixListener::from_std(listener))
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self {
            socket,
            id,
            waiting: true,
            pauses: 0,
            place: Place::default(),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(listener) => listener.as_fd(),
            Socket::Unix(listener) => listener.as_fd(),
        }
    }

    /// Accepts one peer: close-on-exec and non-blocking.
    pub(crate) fn accept(&self) -> io::Result<OwnedFd> {
        #[cfg(feature = "faults")]
        crate::faulty::accept(self.fd())?;
        match &self.socket {
            Socket::Tcp(listener) => Ok(listener.accept()?.0.into()),
            Socket::Unix(listener) => Ok(listener.accept()?.0.into()),
        }
    }
}
