//! Listening sockets, and the rules by which a path is taken over. Which addresses there are is in `endpoint`.
//!
//! A Unix socket appears with its final mode or a narrower one, never a wider one, and never takes the place of one that
//! somebody listens on: a lock beside it keeps two of us apart, and connecting to it tells the live from the left-over.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    net::TcpListener,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use gantry_core::driver::ListenerId;
use listenfd::ListenFd;
use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag},
    sys::{
        socket::{
            AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, connect, getsockopt, listen, setsockopt,
            socket, sockopt,
        },
        stat::{FchmodatFlags, Mode, fchmod, fchmodat},
    },
    unistd::{Gid, fchownat},
};

use crate::endpoint::{Endpoint, INHERITED_FIRST};

/// An open listening socket. Whoever accepts gets a copy; the address stays taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    // Dropped in this order: the path goes before anybody can find it refused.
    path: Option<SocketPath>,
    socket: OwnedFd,
    address: String,
    is_tcp: bool,
    id: ListenerId,
}

impl Listener {
    /// Listens on an endpoint; `fd://` takes the sockets it names out of `inherited`.
    ///
    /// A Unix socket is removed when this is dropped. One that was left behind is replaced, one that somebody listens on
    /// is not. Beside it lies a lock, `PATH.lock`, for as long. An inherited one belongs to whoever has made it.
    pub(crate) fn open(endpoint: &Endpoint, inherited: &mut ListenFd) -> Result<Vec<Self>, ListenError> {
        let failed = |source| ListenError::Address {
            endpoint: endpoint.clone(),
            source,
        };
        let listener = match endpoint {
            Endpoint::Inherited(Some(number)) => Self::inherit(*number, inherited)
                .map_err(failed)?
                .ok_or(ListenError::NotInherited { number: Some(*number) })?,
            Endpoint::Inherited(None) => {
                let count = u32::try_from(inherited.len()).unwrap_or(u32::MAX);
                let all = (0..count).filter_map(|index| Self::inherit(INHERITED_FIRST + index, inherited).transpose());
                let all = all.collect::<io::Result<Vec<_>>>().map_err(failed)?;
                return match all.is_empty() {
                    true => Err(ListenError::NotInherited { number: None }),
                    false => Ok(all),
                };
            }
            Endpoint::Tcp(address) => {
                // SO_REUSEADDR and close-on-exec are set by the standard library.
                let listener = TcpListener::bind(address).map_err(failed)?;
                listen(&listener, Backlog::MAXALLOWABLE).map_err(|errno| failed(errno.into()))?;
                Self::of_tcp(listener).map_err(failed)?
            }
            Endpoint::Unix { path, mode, gid } => {
                let (socket, path) = SocketPath::listen(path, *mode, *gid, &failed)?;
                Self {
                    path: Some(path),
                    socket,
                    address: endpoint.to_string(),
                    is_tcp: false,
                    id: ListenerId(0),
                }
            }
        };
        Ok(vec![listener])
    }

    fn of_tcp(listener: TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        set_tcp_options(listener.as_fd());
        Ok(Self {
            path: None,
            address: Endpoint::Tcp(listener.local_addr()?).to_string(),
            socket: listener.into(),
            is_tcp: true,
            id: ListenerId(0),
        })
    }

    /// Takes an inherited socket of either kind; `None` if there is none with this number, or it was taken before.
    fn inherit(number: u32, inherited: &mut ListenFd) -> io::Result<Option<Self>> {
        let index = (number - INHERITED_FIRST) as usize;
        let listener = match inherited.take_unix_listener(index) {
            Ok(None) => return Ok(None),
            Ok(Some(listener)) => {
                listener.set_nonblocking(true)?;
                let name = listener.local_addr()?;
                let address = match name.as_pathname() {
                    Some(path) => format!("unix://{}", path.display()),
                    None => format!("fd://{number}"),
                };
                Self {
                    path: None,
                    socket: listener.into(),
                    address,
                    is_tcp: false,
                    id: ListenerId(0),
                }
            }
            Err(_other_kind) => match inherited.take_tcp_listener(index)? {
                Some(listener) => Self::of_tcp(listener)?,
                None => return Ok(None),
            },
        };
        if !getsockopt(&listener.socket, sockopt::AcceptConn)? {
            return Err(io::Error::other(format!("descriptor {number} does not listen")));
        }
        Ok(Some(listener))
    }

    /// What a successor needs to go on in our place: the socket, and the lock of its path if that is ours.
    pub(crate) fn descriptors(&self) -> Vec<BorrowedFd<'_>> {
        let lock = self.path.as_ref().map(|path| path.lock.file.as_fd());
        [self.socket.as_fd()].into_iter().chain(lock).collect()
    }

    /// Leaves everything to a successor: nothing is removed, and the descriptors go with this process.
    pub(crate) fn give_up(self) {
        std::mem::forget(self);
    }

    /// Goes on with what [`descriptors`](Self::descriptors) of a predecessor were.
    pub(crate) fn adopt(address: &str, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let socket = descriptors.next().ok_or(io::ErrorKind::InvalidData)?;
        let path = match (address.strip_prefix("unix://"), descriptors.next()) {
            (Some(path), Some(lock)) => Some(SocketPath::adopt(Path::new(path), lock)?),
            _ => None,
        };
        Ok(Self {
            path,
            socket,
            address: address.to_owned(),
            is_tcp: address.starts_with("tcp://"),
            id: ListenerId(0),
        })
    }

    /// Whether it is reached by TCP, so that TLS applies.
    pub(crate) fn is_tcp(&self) -> bool {
        self.is_tcp
    }

    /// What it listens on: the endpoint, with the port that the kernel has chosen.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// How it is known to the loops.
    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// Gives it its place among all listeners.
    pub(crate) fn set_number(&mut self, number: u64) {
        self.id = ListenerId(number);
    }

    /// The socket, for whoever accepts: non-blocking and close-on-exec.
    pub(crate) fn socket(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }
}

/// No delay, and keep-alive: set once here, as an accepted socket inherits them (tcp(7), socket(7)).
fn set_tcp_options(listener: BorrowedFd<'_>) {
    // A socket that refuses an option still carries bytes.
    let _ = setsockopt(&listener, sockopt::TcpNoDelay, &true);
    let _ = setsockopt(&listener, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE_SECS);
    let _ = setsockopt(&listener, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL_SECS);
    let _ = setsockopt(&listener, sockopt::TcpKeepCount, &KEEPALIVE_PROBES);
    let _ = setsockopt(&listener, sockopt::KeepAlive, &true);
}

/// Silence after which the first probe is sent.
const KEEPALIVE_IDLE_SECS: u32 = 15;

/// Time between probes.
const KEEPALIVE_INTERVAL_SECS: u32 = 15;

/// Unanswered probes after which the peer counts as gone.
const KEEPALIVE_PROBES: u32 = 9;

/// A path that is ours: removed when dropped, unless somebody has put something else there.
#[derive(Debug)]
struct SocketPath {
    path: PathBuf,
    /// Device and inode of our socket.
    identity: (u64, u64),
    // Dropped last.
    lock: PathLock,
}

impl SocketPath {
    /// Goes on with the path and the lock of a predecessor.
    fn adopt(path: &Path, lock: OwnedFd) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
            lock: PathLock {
                path: PathLock::beside(path),
                file: lock.into(),
            },
        })
    }

    fn listen(
        path: &Path,
        mode: u32,
        gid: Option<u32>,
        failed: &dyn Fn(io::Error) -> ListenError,
    ) -> Result<(OwnedFd, Self), ListenError> {
        let failed_errno = |errno: Errno| failed(errno.into());
        let in_use = || ListenError::InUse { path: path.to_owned() };
        let lock = PathLock::take(path).map_err(failed)?.ok_or_else(in_use)?;

        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(failed_errno)?;
        // bind(2) gives the file the mode of the socket, less the umask: nobody else gets in before the group is set.
        fchmod(&fd, Mode::from_bits_truncate(mode & 0o700)).map_err(failed_errno)?;
        let address = UnixAddr::new(path).map_err(failed_errno)?;
        match bind(fd.as_raw_fd(), &address) {
            Err(Errno::EADDRINUSE) => {
                remove_stale(path, &address)?;
                bind(fd.as_raw_fd(), &address).map_err(failed_errno)?;
            }
            result => result.map_err(failed_errno)?,
        }
        let metadata = fs::symlink_metadata(path).map_err(failed)?;
        let owned = Self {
            path: path.to_owned(),
            identity: (metadata.dev(), metadata.ino()),
            lock,
        };
        // From here on the path is removed again if anything fails.
        if let Some(gid) = gid {
            fchownat(
                AT_FDCWD,
                path,
                None,
                Some(Gid::from_raw(gid)),
                AtFlags::AT_SYMLINK_NOFOLLOW,
            )
            .map_err(failed_errno)?;
        }
        fchmodat(
            AT_FDCWD,
            path,
            Mode::from_bits_truncate(mode & 0o777),
            FchmodatFlags::FollowSymlink,
        )
        .map_err(failed_errno)?;
        listen(&fd, Backlog::MAXALLOWABLE).map_err(failed_errno)?;
        Ok((fd, owned))
    }
}

impl Drop for SocketPath {
    fn drop(&mut self) {
        let still_ours = fs::symlink_metadata(&self.path).is_ok_and(|at| (at.dev(), at.ino()) == self.identity);
        if still_ours {
            // A path that cannot be removed is found stale by whoever comes next.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens on; refuses everything else.
fn remove_stale(path: &Path, address: &UnixAddr) -> Result<(), ListenError> {
    let failed = |source| ListenError::Stale {
        path: path.to_owned(),
        source,
    };
    if !fs::symlink_metadata(path).map_err(failed)?.file_type().is_socket() {
        return Err(ListenError::NotASocket { path: path.to_owned() });
    }
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let probe = socket(AddressFamily::Unix, SockType::Stream, flags, None).map_err(|errno| failed(errno.into()))?;
    match connect(probe.as_raw_fd(), address) {
        Err(Errno::ECONNREFUSED) => fs::remove_file(path).map_err(failed),
        // EAGAIN: a full backlog has an owner. EPROTOTYPE: so has a socket of another type.
        Ok(()) | Err(Errno::EAGAIN | Errno::EPROTOTYPE) => Err(ListenError::InUse { path: path.to_owned() }),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// The lock beside a socket path, `<path>.lock`: held while we listen, so that two daemons which start together do not both
/// find the same left-over socket, and one removes the new socket of the other.
#[derive(Debug)]
struct PathLock {
    path: PathBuf,
    file: File,
}

impl PathLock {
    fn beside(socket: &Path) -> PathBuf {
        let mut name = socket.as_os_str().to_owned();
        name.push(".lock");
        PathBuf::from(name)
    }

    /// `None`: somebody else holds it.
    fn take(socket: &Path) -> io::Result<Option<Self>> {
        let path = Self::beside(socket);
        loop {
            let mut options = OpenOptions::new();
            // Mode 0600: nobody else can open it, and so nobody else can hold it.
            options
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlag::O_NOFOLLOW.bits());
            let file = options.open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // Its last holder may have removed it while we opened it; a lock on a removed file locks nothing.
            let held = file.metadata()?;
            match fs::symlink_metadata(&path) {
                Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => {
                    return Ok(Some(Self { path, file }));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Removed while it is still held; a file that is left behind does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why an endpoint cannot be listened on.
#[derive(Debug)]
pub(crate) enum ListenError {
    /// The system refused.
    Address {
        /// The whole endpoint.
        endpoint: Endpoint,
        /// What it said.
        source: io::Error,
    },
    /// Another process listens on this path.
    InUse {
        /// The path of the socket.
        path: PathBuf,
    },
    /// The service manager has not given us this socket, or any.
    NotInherited {
        /// Its descriptor.
        number: Option<u32>,
    },
    /// Something that is no socket is at this path; it is left alone.
    NotASocket {
        /// The path that was to become a socket.
        path: PathBuf,
    },
    /// There is a socket at this path already, and it could not be found out whether it is in use, or not be removed.
    Stale {
        /// The path of the socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address { endpoint, source } => write!(f, "cannot listen on {endpoint}: {source}"),
            Self::InUse { path } => {
                write!(
                    f,
                    "cannot listen on unix://{}: another process listens there",
                    path.display()
                )
            }
            Self::NotInherited { number: None } => {
                f.write_str("cannot listen on fd://: no socket was inherited (LISTEN_FDS is not set for this process)")
            }
            Self::NotInherited { number: Some(number) } => {
                write!(f, "cannot listen on fd://{number}: no such socket was inherited")
            }
            Self::NotASocket { path } => {
                write!(
                    f,
                    "cannot listen on unix://{}: the path exists and is no socket",
                    path.display()
                )
            }
            Self::Stale { path, source } => {
                write!(f, "cannot take over the socket at unix://{}: {source}", path.display())
            }
        }
    }
}

impl std::error::Error for ListenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Address { source, .. } | Self::Stale { source, .. } => Some(source),
            Self::InUse { .. } | Self::NotInherited { .. } | Self::NotASocket { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
