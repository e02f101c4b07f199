//! How one gantryd takes the place of another without a moment in which nobody listens.
//!
//! ```text
//!   successor                                   running gantryd
//!   connects to handover.sock, SIGUSR1 ------>  finds who knocks; leaves its loop; closes its stores
//!                  <------------ one packet for each listening socket, with the socket and the lock of its path
//!                  <------------ end of the connection, as the process ends
//!   opens the stores, accepts
//! ```
//!
//! Between the two, clients wait in the kernel's backlog of sockets that never close. Connections that were accepted end with
//! the old process, as at any restart; containers do not notice. A successor that dies before it has knocked changes nothing.

use std::{
    io::{self, ErrorKind, IoSlice},
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Duration,
};

use gantry_engine::packet;
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        signal::{Signal, kill},
        socket::{getsockopt, sockopt},
    },
    unistd::Pid,
};

use crate::listener::Listener;

/// How long the running gantryd may take from one packet to the next, and to its end.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of the longest address.
const ADDRESS_MAX: usize = 4096;

/// Where a successor knocks.
#[derive(Debug)]
pub(crate) struct Door {
    listener: OwnedFd,
}

impl Door {
    /// Opens the door of this process, in the place of that of its predecessor.
    pub(crate) fn open(exec_root: &Path) -> io::Result<Self> {
        Ok(Self {
            listener: packet::listen(&path(exec_root))?,
        })
    }

    /// Who has knocked, if somebody has who may.
    pub(crate) fn answer(&self) -> Option<OwnedFd> {
        packet::accept(self.listener.as_fd())
    }
}

/// Gives the listening sockets away. What cannot be given is closed: the successor opens it itself.
pub(crate) fn hand_over(successor: &OwnedFd, listeners: Vec<Listener>) {
    for listener in listeners {
        let address = listener.address().to_owned();
        let sent = packet::send(
            successor.as_fd(),
            &[IoSlice::new(address.as_bytes())],
            &listener.descriptors(),
            true,
        );
        match sent {
            Ok(()) => listener.give_up(),
            Err(error) => log::error!("handing over {address}: {error}"),
        }
    }
}

/// Takes the listening sockets of the gantryd that runs with this directory, and waits for its end. Empty when none runs.
///
/// # Errors
///
/// It does not answer, or does not end.
pub(crate) fn take_over(exec_root: &Path) -> io::Result<Vec<Listener>> {
    let Some(predecessor) = packet::connect(&path(exec_root), PATIENCE)? else {
        return Ok(Vec::new());
    };
    let pid = getsockopt(&predecessor, sockopt::PeerCredentials)?.pid();
    kill(Pid::from_raw(pid), Signal::SIGUSR1)?;
    let mut taken = Vec::new();
    let mut address = [0; ADDRESS_MAX];
    loop {
        wait_for(&predecessor)?;
        let packet = match packet::receive(predecessor.as_fd(), &mut address, true) {
            Ok(packet) => packet,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(taken),
            Err(error) => return Err(error),
        };
        match std::str::from_utf8(&address[..packet.len]) {
            Ok("") => return Ok(taken),
            Ok(address) => taken.push(Listener::adopt(address, packet.descriptors)?),
            Err(_) => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

fn wait_for(predecessor: &OwnedFd) -> io::Result<()> {
    let patience = PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(predecessor.as_fd(), PollFlags::POLLIN)], patience)? {
        0 => Err(ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

fn path(exec_root: &Path) -> PathBuf {
    exec_root.join("handover.sock")
}
