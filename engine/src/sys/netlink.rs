//! Netlink sockets: datagrams to and from the kernel, nothing about what they mean.
//!
//! A socket belongs for ever to the network namespace of the thread that opened it, so it can be opened inside a
//! container's namespace and then be used from outside. The kernel handles a request within `send`: when `send`
//! returns, the whole answer is queued (of a dump: its first part, and each `recv` queues the next). So nothing here
//! ever blocks, and no deadline is needed.
//!
//! Source: netlink(7), rtnetlink(7); the kernel's `Documentation/userspace-api/netlink/intro.rst`.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, connect, getsockname, recv, send,
        socket,
    },
};

/// Which part of the kernel a socket speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Links, addresses, routes: rtnetlink(7).
    Route,
    /// nf_tables, by nfnetlink.
    Netfilter,
}

/// A socket to the kernel, and to nobody else.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
}

impl Socket {
    /// Opens a socket in the calling thread's network namespace that asks and is answered.
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let fd = create(family)?;
        // A connected netlink socket takes datagrams from its peer alone; port 0 is the kernel.
        connect(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        // Both only improve error messages, and old kernels do not know them.
        let _ = set_flag(fd.as_fd(), libc::NETLINK_EXT_ACK);
        let _ = set_flag(fd.as_fd(), libc::NETLINK_CAP_ACK);
        Ok(Self { fd })
    }

    /// Opens a socket that is told what happens to `groups` (a bit mask), in the calling thread's network namespace.
    pub(crate) fn subscribe(family: Family, groups: u32) -> io::Result<Self> {
        let fd = create(family)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { fd })
    }

    /// The number that the kernel knows this socket by; it marks what the socket has caused.
    pub(crate) fn port(&self) -> io::Result<u32> {
        Ok(getsockname::<NetlinkAddr>(self.fd.as_raw_fd())?.pid())
    }

    /// Gives the kernel one datagram; it has been carried out, or refused, on return.
    pub(crate) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        let sent = retry(|| send(self.fd.as_raw_fd(), datagram, MsgFlags::empty()))?;
        if sent == datagram.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::WriteZero.into())
        }
    }

    /// Takes the next queued datagram; `None` when there is none. A datagram that does not fit is an error.
    pub(crate) fn receive<'b>(&self, buffer: &'b mut [u8]) -> io::Result<Option<&'b [u8]>> {
        // With MSG_TRUNC the kernel tells the true length.
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        match retry(|| recv(self.fd.as_raw_fd(), buffer, flags)) {
            Ok(length) => match buffer.get(..length) {
                Some(datagram) => Ok(Some(datagram)),
                None => Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "netlink datagram larger than its buffer",
                )),
            },
            Err(Errno::EAGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn create(family: Family) -> nix::Result<OwnedFd> {
    let protocol = match family {
        Family::Route => SockProtocol::NetlinkRoute,
        Family::Netfilter => SockProtocol::NetlinkNetFilter,
    };
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
}

fn retry<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            done => return done,
        }
    }
}

/// Sets a netlink socket option to 1.
fn set_flag(fd: BorrowedFd<'_>, option: libc::c_int) -> nix::Result<()> {
    let one: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the kernel reads `length` bytes at the pointer, which is a live `c_int` of that size on this stack frame;
    // the descriptor is open for the duration of the borrow.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const one).cast(),
            length,
        )
    };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RTM_GETLINK for the loopback interface: a header, and `struct ifinfomsg` with number 1.
    fn ask_for_loopback(socket: &Socket) {
        let mut request = [0u8; 32];
        request[..4].copy_from_slice(&32u32.to_ne_bytes());
        request[4..6].copy_from_slice(&18u16.to_ne_bytes());
        request[6..8].copy_from_slice(&1u16.to_ne_bytes());
        request[20..24].copy_from_slice(&1u32.to_ne_bytes());
        socket.send(&request).unwrap();
    }

    #[test]
    fn answers_are_there_when_the_request_is_sent() {
        let socket = Socket::open(Family::Route).unwrap();
        let mut buffer = [0; 16 * 1024];
        assert_eq!(socket.receive(&mut buffer).unwrap(), None);
        ask_for_loopback(&socket);
        let answer = socket.receive(&mut buffer).unwrap().unwrap();
        // Length first, then RTM_NEWLINK.
        assert_eq!(answer[..4], u32::try_from(answer.len()).unwrap().to_ne_bytes());
        assert_eq!(answer[4..6], 16u16.to_ne_bytes());
        assert_eq!(socket.receive(&mut buffer).unwrap(), None);
    }

    #[test]
    fn a_datagram_is_never_cut_off_silently() {
        let socket = Socket::open(Family::Route).unwrap();
        ask_for_loopback(&socket);
        assert_eq!(
            socket.receive(&mut [0; 64]).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn each_socket_has_a_port_of_its_own() {
        let (one, two) = (
            Socket::open(Family::Route).unwrap(),
            Socket::open(Family::Route).unwrap(),
        );
        assert_ne!(one.port().unwrap(), two.port().unwrap());
        assert_ne!(one.port().unwrap(), 0);
    }
}
