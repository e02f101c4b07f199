//! gantryd's side of a keeper: launch one, find it again, ask it for things.
//!
//! [`launch`] and [`reconnect`] block for a bounded time and belong on a worker thread. Everything after that happens on
//! the event loop: hand every packet of [`Launched::control`] to [`FromKeeper::decode`](super::wire::FromKeeper::decode),
//! send requests with [`request`] (never blocks), and when the control socket ends without `Exited`, call [`reconnect`]
//! again: it finds the exit record or reports the container as lost.
//!
//! # Following output
//!
//! 1. Make a `SOCK_SEQPACKET` pair, and a pipe if the bytes are only to be passed on; subscribe with one end of each, from [`From::Now`] or from a
//!    [`Position`](super::wire::Position) (the beginning of this run is `log_start` with nothing skipped).
//! 2. `Behind { log_offset }`: read the log with [`Reader`](super::log::Reader) up to `log_offset`, ask again.
//! 3. Each packet of the socket is a [`Chunk`](super::wire::Chunk): Docker's 8-byte frame header, then the output, of which
//!    the beginning may be in the pipe. Without a pipe it is all in the packet, ready for the client.
//! 4. The socket ends; the control socket says why: `Ended` (done), `Lagging { position }` (we were slow: read the log from
//!    there, go to 1), `Lost` (no log to read from).

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{self, AddressFamily, SockFlag, SockType};

use super::record::{self, ExitRecord};
use super::wire::{
    DecodeError, From, FromKeeper, MESSAGE_MAX, Running, SPEC_MAX, StartFailure, ToKeeper, VERSION, VERSION_OLDEST,
};
use super::{Paths, spec};
use crate::cgroup;
use crate::packet;
use crate::process::{NetworkNamespace, Spec};

/// How long a new keeper may take until the container's namespaces exist, and again until its program runs.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a keeper may take to answer a new connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The program `gantry-keeper`.
#[derive(Debug)]
pub enum KeeperExe {
    /// A file. Whoever can write it owns the host; it must be root's.
    Path(PathBuf),
    /// A sealed memory file, which nothing can change, not even a container that finds a way to it.
    Sealed(OwnedFd),
}

impl KeeperExe {
    /// Copies a program into a sealed memory file.
    ///
    /// # Errors
    ///
    /// The kernel refuses the file or its seals.
    pub fn seal(program: &[u8]) -> io::Result<Self> {
        let file = memory_file(c"gantry-keeper", program)?;
        let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        Ok(Self::Sealed(file))
    }
}

/// A running container and the way to its keeper.
#[derive(Debug)]
pub struct Launched {
    /// Requests and answers, one message per packet (`SOCK_SEQPACKET`).
    pub control: OwnedFd,
    /// The write end of the container's standard input, if it has a pipe that is still open.
    pub stdin: Option<OwnedFd>,
    /// The master of the container's terminal, for input and for its size. Output comes by subscription only.
    pub terminal: Option<OwnedFd>,
    /// The rest.
    pub running: Running,
}

/// What [`reconnect`] found.
#[derive(Debug)]
pub enum Reconnected {
    /// The container runs.
    Running(Launched),
    /// It has ended.
    Exited(ExitRecord),
    /// Its keeper is gone and left no record; what remained of the container has been ended. Exit status 255.
    Lost,
}

/// Why a container was not launched. Everything has been undone.
#[derive(Debug)]
pub enum LaunchError {
    /// The keeper could not be started or spoken to.
    Keeper {
        /// At this step.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The keeper sent something it must not send at this point.
    Protocol {
        /// At this step.
        step: &'static str,
        /// What was wrong with it; `None` when it was a message out of turn.
        source: Option<DecodeError>,
    },
    /// The spec is larger than [`SPEC_MAX`] when encoded.
    SpecTooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// The container's network could not be set up.
    Network(io::Error),
    /// The program did not run.
    Start(StartFailure),
    /// The keeper did not answer in time.
    Timeout {
        /// At this step.
        step: &'static str,
    },
}

impl fmt::Display for LaunchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keeper { step, source } => write!(f, "gantry-keeper: {step}: {source}"),
            Self::Protocol {
                step,
                source: Some(source),
            } => write!(f, "gantry-keeper: {step}: {source}"),
            Self::Protocol { step, source: None } => write!(f, "gantry-keeper: {step}: message out of turn"),
            Self::SpecTooLarge { bytes } => {
                write!(f, "the container's settings are {bytes} bytes, more than {SPEC_MAX}")
            }
            Self::Network(source) => write!(f, "set up network: {source}"),
            Self::Start(failure) => f.write_str(&failure.message),
            Self::Timeout { step } => write!(f, "gantry-keeper: {step}: no answer in time"),
        }
    }
}

impl std::error::Error for LaunchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Keeper { source, .. } | Self::Network(source) => Some(source),
            Self::Protocol {
                source: Some(source), ..
            } => Some(source),
            _ => None,
        }
    }
}

/// A subscription from the first byte of output.
#[derive(Debug)]
pub struct Subscriber {
    /// Chosen by the caller.
    pub subscription: u64,
    /// One end of a `SOCK_SEQPACKET` pair.
    pub output: OwnedFd,
    /// The write end of a non-blocking pipe for output that is not to be copied.
    pub pipe: Option<OwnedFd>,
}

/// Starts a keeper and through it a container. The `subscribers`, of different numbers and no more than
/// [`SUBSCRIPTIONS_MAX`](super::wire::SUBSCRIPTIONS_MAX), get everything from the first byte; there is no `SubscribedAt`
/// for them. `network` is called with the container's network namespace, if it has its
/// own, before the program runs. Blocks.
///
/// # Errors
///
/// See [`LaunchError`]. The keeper is gone then, and so are the container's processes and control groups.
pub fn launch(
    paths: &Paths,
    exe: &KeeperExe,
    spec: &Spec,
    subscribers: Vec<Subscriber>,
    network: &mut dyn FnMut(BorrowedFd<'_>) -> io::Result<()>,
) -> Result<Launched, LaunchError> {
    let encoded = spec::encode(spec);
    let spec_bytes = u32::try_from(encoded.len()).ok().filter(|&bytes| bytes <= SPEC_MAX);
    let spec_bytes = spec_bytes.ok_or(LaunchError::SpecTooLarge { bytes: encoded.len() })?;

    let at = |step: &'static str| move |source| LaunchError::Keeper { step, source };
    let spec_file = memory_file(c"gantry-spec", &encoded).map_err(at("pass settings"))?;
    let (control, theirs) = packet_pair().map_err(at("make socket"))?;
    let mut first = spawn(exe, theirs).map_err(at("execute"))?;
    let talk = Talk {
        control,
        cgroup: &spec.cgroup.path,
        gone_ahead: Cell::new(false),
    };

    let hello = ToKeeper::Launch {
        spec_bytes,
        socket: paths.socket.as_os_str().as_bytes().to_vec(),
        exit_record: paths.exit_record.as_os_str().as_bytes().to_vec(),
    };
    let prepared = talk
        .send("pass settings", &hello, &[spec_file.as_fd()])
        .and_then(|()| talk.receive("prepare"));
    // The program has put its real process into the background by now, or has failed; either way this one ends at once.
    let _ = first.wait();
    let (FromKeeper::Prepared { .. }, namespace) = prepared? else {
        return Err(talk.out_of_turn("prepare"));
    };
    match (&spec.network, namespace.first()) {
        (NetworkNamespace::Host, _) => {}
        (NetworkNamespace::New, Some(namespace)) => {
            network(namespace.as_fd()).map_err(|source| talk.undo(LaunchError::Network(source)))?;
        }
        (NetworkNamespace::New, None) => return Err(talk.out_of_turn("prepare")),
    }
    drop(namespace);
    for Subscriber {
        subscription,
        output,
        pipe,
    } in subscribers
    {
        let descriptors: Vec<BorrowedFd<'_>> = [&output].into_iter().chain(&pipe).map(AsFd::as_fd).collect();
        talk.send(
            "subscribe",
            &ToKeeper::Subscribe {
                subscription,
                from: From::Now,
            },
            &descriptors,
        )?;
    }
    talk.gone_ahead.set(true);
    talk.send("go", &ToKeeper::Go, &[])?;
    let (FromKeeper::Started(running), descriptors) = talk.receive("start")? else {
        return Err(talk.out_of_turn("start"));
    };
    if !is_complete(&running, &descriptors) {
        return Err(talk.out_of_turn("start"));
    }
    Ok(Launched::new(talk.control, running, descriptors))
}

/// Finds a container's keeper again after gantryd was restarted or lost the connection. An older connection to the keeper
/// ends. `cgroup` is the container's control group path, to end what is left when the keeper is gone. Blocks.
///
/// # Errors
///
/// `TimedOut` when a keeper exists and does not answer; `InvalidData` when it answers nonsense or shares no protocol version;
/// others when the record cannot be read or what remained cannot be ended. The container may be running.
pub fn reconnect(paths: &Paths, cgroup: &str) -> io::Result<Reconnected> {
    if let Some(launched) = connect(&paths.socket)? {
        return Ok(Reconnected::Running(launched));
    }
    // The record is looked for after the keeper was found gone: it writes the one before it stops listening.
    if let Some(record) = ExitRecord::read(&paths.exit_record)? {
        return Ok(Reconnected::Exited(record));
    }
    cgroup::destroy(cgroup).map_err(io::Error::other)?;
    // Ending what remained takes time in which a keeper that was just going may have finished its record.
    Ok(ExitRecord::read(&paths.exit_record)?.map_or(Reconnected::Lost, Reconnected::Exited))
}

/// Sends a request. Never blocks.
///
/// # Errors
///
/// `WouldBlock` when the keeper does not read (it may be stopped by a debugger); `BrokenPipe` when it is gone.
pub fn request(control: BorrowedFd<'_>, request: &ToKeeper) -> io::Result<()> {
    packet::send(control, &[IoSlice::new(&request.encode())], &[], false)
}

/// Asks for output on `output`, one end of a `SOCK_SEQPACKET` pair. With `pipe`, the write end of a non-blocking pipe of
/// [`SPLICE_MAX`](super::wire::SPLICE_MAX) bytes, the keeper moves what it can through that instead of copying it; a keeper
/// of [version](Running::version) 1 closes it unused. Answered with `SubscribedAt`, `Behind` or `Refused`. Never blocks.
///
/// # Errors
///
/// As [`request`].
pub fn request_subscribe(
    control: BorrowedFd<'_>,
    subscription: u64,
    output: BorrowedFd<'_>,
    pipe: Option<BorrowedFd<'_>>,
    from: From,
) -> io::Result<()> {
    let message = ToKeeper::Subscribe { subscription, from }.encode();
    let descriptors: Vec<BorrowedFd<'_>> = [output].into_iter().chain(pipe).collect();
    packet::send(control, &[IoSlice::new(&message)], &descriptors, false)
}

/// Ends a container that was launched and is not wanted after all: as after a failed [`launch`], nothing of it is left.
/// Blocks.
///
/// # Errors
///
/// Something cannot be ended or removed.
pub fn revoke(launched: Launched, paths: &Paths, cgroup: &str) -> io::Result<()> {
    cgroup::destroy(cgroup).map_err(io::Error::other)?;
    await_end(launched.control.as_fd());
    forget(paths)
}

/// Removes what a keeper left behind, once the exit has been stored.
///
/// # Errors
///
/// A file cannot be removed.
pub fn forget(paths: &Paths) -> io::Result<()> {
    record::remove_all(&paths.exit_record)?;
    record::remove(&paths.socket)
}

/// A pair of connected packet sockets, close-on-exec.
///
/// # Errors
///
/// Out of descriptors or memory.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socket::socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?)
}

impl Launched {
    fn new(control: OwnedFd, running: Running, descriptors: Vec<OwnedFd>) -> Self {
        let mut descriptors = descriptors.into_iter();
        let stdin = if running.stdin { descriptors.next() } else { None };
        Self {
            control,
            stdin,
            terminal: descriptors.next(),
            running,
        }
    }
}

/// Whether the descriptors that a message announces have come with it.
fn is_complete(running: &Running, descriptors: &[OwnedFd]) -> bool {
    descriptors.len() == usize::from(running.stdin) + usize::from(running.terminal)
}

/// The conversation of a launch. Dropping the control socket before `Go` tells the keeper to undo everything.
struct Talk<'a> {
    control: OwnedFd,
    cgroup: &'a str,
    /// `Go` has been sent.
    gone_ahead: Cell<bool>,
}

impl Talk<'_> {
    fn send(&self, step: &'static str, message: &ToKeeper, descriptors: &[BorrowedFd<'_>]) -> Result<(), LaunchError> {
        packet::send(
            self.control.as_fd(),
            &[IoSlice::new(&message.encode())],
            descriptors,
            true,
        )
        .map_err(|source| self.undo(LaunchError::Keeper { step, source }))
    }

    fn receive(&self, step: &'static str) -> Result<(FromKeeper, Vec<OwnedFd>), LaunchError> {
        loop {
            let (message, descriptors) = receive(self.control.as_fd(), LAUNCH_TIMEOUT).map_err(|source| {
                self.undo(match source {
                    ReceiveError::Decode(source) => LaunchError::Protocol {
                        step,
                        source: Some(source),
                    },
                    ReceiveError::Io(source) if source.kind() == io::ErrorKind::TimedOut => {
                        LaunchError::Timeout { step }
                    }
                    ReceiveError::Io(source) => LaunchError::Keeper { step, source },
                })
            })?;
            match message {
                FromKeeper::Failed(failure) => return Err(self.undo(LaunchError::Start(failure))),
                // Answers to the subscriptions of the launch: they cannot be refused but for their number.
                FromKeeper::SubscribedAt { .. } | FromKeeper::Refused { .. } | FromKeeper::Unknown { .. } => {}
                message => return Ok((message, descriptors)),
            }
        }
    }

    fn out_of_turn(&self, step: &'static str) -> LaunchError {
        self.undo(LaunchError::Protocol { step, source: None })
    }

    /// Waits until the keeper has undone everything and is gone; ends the container itself if the keeper does not.
    fn undo(&self, error: LaunchError) -> LaunchError {
        let _ = socket::shutdown(self.control.as_raw_fd(), socket::Shutdown::Write);
        // After the go-ahead a keeper that loses us holds its container, unless it has said that it failed.
        let undoes = !self.gone_ahead.get() || matches!(error, LaunchError::Start(_));
        let gone = await_end(self.control.as_fd());
        if !(gone && undoes) {
            // The first error says more than what follows from it.
            let _ = cgroup::destroy(self.cgroup);
            await_end(self.control.as_fd());
        }
        error
    }
}

/// Whether the keeper closes the connection in time.
fn await_end(control: BorrowedFd<'_>) -> bool {
    loop {
        if let Err(ReceiveError::Io(error)) = receive(control, ANSWER_TIMEOUT) {
            return is_end(&error);
        }
    }
}

enum ReceiveError {
    Decode(DecodeError),
    Io(io::Error),
}

fn receive(control: BorrowedFd<'_>, timeout: Duration) -> Result<(FromKeeper, Vec<OwnedFd>), ReceiveError> {
    wait_readable(control, timeout).map_err(ReceiveError::Io)?;
    let mut buffer = [0; MESSAGE_MAX];
    let packet = packet::receive(control, &mut buffer, false).map_err(ReceiveError::Io)?;
    let bytes = buffer.get(..packet.len).unwrap_or_default();
    if bytes.is_empty() {
        return Err(ReceiveError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    let message = FromKeeper::decode(bytes).map_err(ReceiveError::Decode)?;
    Ok((message, packet.descriptors))
}

fn is_end(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
    )
}

fn wait_readable(fd: BorrowedFd<'_>, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], left) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Executes the keeper with its control socket as standard input. The process that we are the parent of ends at once.
fn spawn(exe: &KeeperExe, control: OwnedFd) -> io::Result<std::process::Child> {
    let path = match exe {
        KeeperExe::Path(path) => path.clone(),
        // Looked up by the new process itself just before it executes, while it still has our descriptors.
        KeeperExe::Sealed(file) => PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd())),
    };
    Command::new(path)
        .env_clear()
        .stdin(control)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
}

/// `None`: nobody listens, so the keeper is gone.
fn connect(path: &Path) -> io::Result<Option<Launched>> {
    let Some(control) = packet::connect(path, ANSWER_TIMEOUT)? else {
        return Ok(None);
    };
    let hello = ToKeeper::Hello {
        oldest: VERSION_OLDEST,
        newest: VERSION,
    };
    match request(control.as_fd(), &hello) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(None),
        result => result?,
    }
    let (message, descriptors) = match receive(control.as_fd(), ANSWER_TIMEOUT) {
        Ok(answer) => answer,
        Err(ReceiveError::Decode(error)) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        Err(ReceiveError::Io(error)) => {
            // It may have ended between our connecting and its answer.
            return if is_end(&error) { Ok(None) } else { Err(error) };
        }
    };
    match message {
        FromKeeper::Welcome(running) if is_complete(&running, &descriptors) => {
            Ok(Some(Launched::new(control, running, descriptors)))
        }
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "gantry-keeper: unexpected answer to hello",
        )),
    }
}

fn memory_file(name: &std::ffi::CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?);
    file.write_all(bytes)?;
    Ok(file.into())
}
