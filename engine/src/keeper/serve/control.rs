//! The keeper's end of the control socket: one message per packet, with a bounded queue for a gantryd that is slow to read.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::keeper::wire::{FromKeeper, MESSAGE_MAX, SUBSCRIPTIONS_MAX, ToKeeper, VERSION, VERSION_OLDEST};
use crate::packet;

/// Messages that may wait before requests are no longer read. Each request has at most one answer, and each
/// subscription at most one message of its own, so no more than these two numbers together ever wait.
const WAITING_MAX: usize = 32;

/// The connection to gantryd, if there is one.
pub(super) struct Control {
    socket: Option<OwnedFd>,
    waiting: VecDeque<Vec<u8>>,
}

pub(super) enum Incoming {
    Nothing,
    /// The connection is of no more use.
    Gone,
    Message(ToKeeper, Vec<OwnedFd>),
}

impl Control {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self {
            socket: Some(socket),
            waiting: VecDeque::new(),
        }
    }

    pub(super) fn none() -> Self {
        Self {
            socket: None,
            waiting: VecDeque::new(),
        }
    }

    /// The socket and what it waits for.
    pub(super) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let socket = self.socket.as_ref()?;
        let mut events = PollFlags::empty();
        events.set(PollFlags::POLLOUT, !self.waiting.is_empty());
        events.set(PollFlags::POLLIN, self.waiting.len() < WAITING_MAX);
        Some((socket.as_fd(), events))
    }

    /// Sends a message now or, if gantryd does not read, later. Descriptors go now or not at all.
    pub(super) fn send(&mut self, message: &FromKeeper, descriptors: &[BorrowedFd<'_>]) {
        let Some(socket) = &self.socket else { return };
        if !descriptors.is_empty() {
            // Among the first on a connection, so there is room. When the kernel cannot pass descriptors, the message goes
            // without: gantryd sees that they are missing.
            if packet::send(socket.as_fd(), &[IoSlice::new(&message.encode())], descriptors, false).is_ok() {
                return;
            }
        }
        self.waiting.push_back(message.encode());
        self.flush();
    }

    pub(super) fn send_all(&mut self, messages: Vec<FromKeeper>) {
        messages.iter().for_each(|message| self.send(message, &[]));
    }

    /// Sends what waits, as far as there is room.
    pub(super) fn flush(&mut self) {
        debug_assert!(self.waiting.len() <= WAITING_MAX + 2 * SUBSCRIPTIONS_MAX + 8);
        let Some(socket) = &self.socket else { return };
        while let Some(message) = self.waiting.front() {
            match packet::send(socket.as_fd(), &[IoSlice::new(message)], &[], false) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A dead connection is noticed when it is read.
                _ => drop(self.waiting.pop_front()),
            }
        }
    }

    /// Whether messages wait for a gantryd that is still there.
    pub(super) fn is_behind(&self) -> bool {
        self.socket.is_some() && !self.waiting.is_empty()
    }

    /// Waits for room, until `deadline` if there is one, and uses it.
    pub(super) fn wait_and_flush(&mut self, deadline: Option<Instant>) {
        let Some(socket) = &self.socket else { return };
        let left = deadline.map_or(PollTimeout::NONE, |deadline| {
            let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left.as_millis()).unwrap_or(PollTimeout::MAX)
        });
        // Whatever the answer, the next send tells.
        let _ = poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], left);
        self.flush();
    }

    pub(super) fn receive(&self) -> Incoming {
        let Some(socket) = &self.socket else {
            return Incoming::Nothing;
        };
        match receive(socket.as_fd(), false) {
            Ok(Some((message, descriptors))) => Incoming::Message(message, descriptors),
            Ok(None) => Incoming::Nothing,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Incoming::Nothing,
            Err(_) => Incoming::Gone,
        }
    }

    /// The next message, waited for; `None` when the connection has ended or sent what is no message.
    pub(super) fn receive_waiting(&self) -> Option<(ToKeeper, Vec<OwnedFd>)> {
        let socket = self.socket.as_ref()?;
        loop {
            match receive(socket.as_fd(), true) {
                Ok(Some(message)) => return Some(message),
                Ok(None) => {}
                Err(_) => return None,
            }
        }
    }
}

/// The version that both sides speak, if the newcomer says hello and there is one.
pub(super) fn negotiate(newcomer: BorrowedFd<'_>) -> Option<u16> {
    match receive(newcomer, false) {
        Ok(Some((ToKeeper::Hello { oldest, newest }, _))) => {
            (oldest <= VERSION && newest >= VERSION_OLDEST).then(|| newest.min(VERSION))
        }
        _ => None,
    }
}

/// One message; `None` for a kind of a later protocol. The end of the connection is an error.
fn receive(socket: BorrowedFd<'_>, wait: bool) -> io::Result<Option<(ToKeeper, Vec<OwnedFd>)>> {
    let mut buffer = [0; MESSAGE_MAX];
    let packet = packet::receive(socket, &mut buffer, wait)?;
    let bytes = buffer
        .get(..packet.len)
        .filter(|bytes| !bytes.is_empty())
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let message = ToKeeper::decode(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(message.map(|message| (message, packet.descriptors)))
}
