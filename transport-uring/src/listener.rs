//! Listening sockets on the loop. Whoever opens them knows their addresses; here they only accept.
//!
//! One operation accepts until it is told otherwise, so peers may be accepted that there is no room for yet. They wait in
//! the listener's lobby instead of the kernel's backlog, and no further ones are accepted: a peer sees no difference.

use std::{
    collections::VecDeque,
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
};

use gantry_core::driver::{ListenerId, limits::ACCEPT_PAUSES_MAX, turn::Place};
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{SockFlag, accept4, getsockopt, sockopt},
    unistd,
};

use crate::{
    accept::AcceptFailure,
    op::{OpId, Owner},
    ring::{Completion, Ring},
};

/// One listening socket on the loop.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: Arc<OwnedFd>,
    /// The caller's name for it.
    pub(crate) id: ListenerId,
    /// The accepting that is under way.
    armed: Option<OpId>,
    cancelled: bool,
    /// Accepted, and not served yet.
    lobby: VecDeque<OwnedFd>,
    /// Accepting has failed for everybody, and rests.
    resting: bool,
    /// Pauses of accepting since the last success, while somebody was waiting.
    pauses: u32,
    pub(crate) place: Place,
}

impl Listener {
    pub(crate) fn new(socket: OwnedFd, id: ListenerId) -> io::Result<Self> {
        if !getsockopt(&socket, sockopt::AcceptConn)? {
            return Err(Errno::EINVAL.into());
        }
        let flags = OFlag::from_bits_retain(fcntl(&socket, FcntlArg::F_GETFL)?);
        fcntl(&socket, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        Ok(Self {
            socket: Arc::new(socket),
            id,
            armed: None,
            cancelled: false,
            lobby: VecDeque::new(),
            resting: false,
            pauses: 0,
            place: Place::default(),
        })
    }

    /// The next peer to be served.
    pub(crate) fn next_peer(&mut self) -> Option<OwnedFd> {
        self.lobby.pop_front()
    }

    /// Accepts as long as there is `room` for those who come.
    pub(crate) fn settle(&mut self, ring: &mut Ring, owner: Owner, room: bool) {
        match self.armed {
            Some(op) if !room && !std::mem::replace(&mut self.cancelled, true) => ring.cancel(op),
            None if room && self.lobby.is_empty() && !self.resting => {
                self.armed = Some(ring.accept(owner, &self.socket));
                self.cancelled = false;
            }
            _ => {}
        }
    }

    /// Notes a completion; says whether accepting has to rest for a moment.
    pub(crate) fn note(&mut self, completion: Completion, spare: &mut Option<File>) -> bool {
        if completion.op.is_some() {
            self.armed = None;
        }
        if let Some(peer) = completion.accepted {
            self.pauses = 0;
            self.lobby.push_back(peer);
            return false;
        }
        let Err(errno) = completion.result else { return false };
        match AcceptFailure::of(errno) {
            AcceptFailure::Nobody | AcceptFailure::OnePeer => return false,
            AcceptFailure::Everybody => {}
        }
        if !self.somebody_waits() {
            self.pauses = 0;
        } else if self.pauses < ACCEPT_PAUSES_MAX {
            self.pauses += 1;
        } else if self.turn_one_away(spare) {
            return false;
        }
        self.resting = true;
        true
    }

    /// The pause is over.
    pub(crate) fn resume(&mut self) {
        self.resting = false;
    }

    fn somebody_waits(&self) -> bool {
        let mut fds = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).is_ok_and(|count| count > 0)
    }

    /// Accepts a peer in place of the spare descriptor and drops it, so that it sees an end instead of silence. Says whether
    /// that worked.
    fn turn_one_away(&self, spare: &mut Option<File>) -> bool {
        *spare = None;
        let turned_away = accept4(self.socket.as_raw_fd(), SockFlag::SOCK_CLOEXEC).and_then(unistd::close);
        *spare = spare_descriptor().ok();
        turned_away.is_ok()
    }
}

/// A descriptor that can be given up when there is no other.
pub(crate) fn spare_descriptor() -> io::Result<File> {
    File::open("/dev/null")
}
