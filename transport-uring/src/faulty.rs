//! Operations that fail as those of the kernel do, when a test wants it. Truth: io_uring_enter(2), io_uring_prep_cancel(3),
//! and what the kernel has been seen to say.
//!
//! | operation | mild | harsh |
//! | --- | --- | --- |
//! | accept | ECANCELED, EINTR, ECONNABORTED, EMFILE | |
//! | read | fewer bytes, ECANCELED, EINTR, ENOBUFS | ECONNRESET |
//! | watch for room | ECANCELED | |
//! | send | fewer bytes, EAGAIN, EINTR | ECANCELED, ECONNRESET, EPIPE |
//! | watch | ECANCELED | |
//! | write | fewer bytes, EINTR | ECANCELED, EPIPE |
//! | send, splice and writev, as system calls | fewer bytes, EAGAIN, EINTR | EPIPE |
//!
//! Nothing is made up that the kernel would not stand by. An operation that is to fail is really cancelled, behind its entry
//! or at any later completion, and only if the kernel says that it has done nothing is it given another reason. One that goes on
//! by itself may end with any of its completions, as it does when the completion queue is full: then it is cancelled as well,
//! and what it has brought meanwhile is held back until its end is known, so the slab still frees nothing too early.
#![deny(unsafe_code)]

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    io::IoSlice,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use io_uring::cqueue;
use nix::{
    errno::Errno,
    sys::{
        socket::{self, MsgFlags, SockType, getsockopt, sockopt},
        uio,
    },
};

use super::{Report, Ring, Wait};
use crate::{
    faults::{EMFILE_ONE_IN, InUse, below, deal},
    op::{Kind, OpId},
    reactor::Reactor,
};

/// What is in store for operations of this thread's ring, by their keys.
#[derive(Default)]
struct Store {
    /// Why they will have failed.
    fates: BTreeMap<u64, Errno>,
    /// What operations that are to end early have brought.
    ending: BTreeMap<u64, Vec<Report>>,
    /// What operations that have ended early have brought.
    ended: VecDeque<Report>,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

impl Ring {
    /// The next completion, as the driver gets to see it.
    pub(super) fn distorted(&mut self) -> Option<Report> {
        loop {
            if let Some(report) = STORE.with_borrow_mut(|store| store.ended.pop_front()) {
                return Some(report);
            }
            let report = self.reported()?;
            self.doom_any();
            if let Some(report) = self.distort(report) {
                return Some(report);
            }
        }
    }

    /// Completions that wait although the kernel's queue is empty.
    pub(super) fn held_back() -> usize {
        STORE.with_borrow(|store| store.ended.len())
    }

    /// Nobody waits for the kernel while there are any.
    pub(super) fn wait_unless_held_back(wait: Wait) -> Wait {
        if Self::held_back() > 0 { Wait::No } else { wait }
    }

    /// One chance for this operation to fail.
    pub(super) fn doom(&mut self, id: OpId) {
        let Some(op) = self.ops.get(id.0) else { return };
        let (mild, harsh): (&[Errno], &[Errno]) = match op.kind {
            Kind::Accept => (
                &[Errno::ECANCELED, Errno::EINTR, Errno::ECONNABORTED, Errno::EMFILE],
                &[],
            ),
            Kind::Read(_) => (&[Errno::ECANCELED, Errno::EINTR, Errno::ENOBUFS], &[Errno::ECONNRESET]),
            Kind::Send => (
                &[Errno::EAGAIN, Errno::EINTR],
                &[Errno::ECANCELED, Errno::ECONNRESET, Errno::EPIPE],
            ),
            Kind::WatchRoom | Kind::Watch => (&[Errno::ECANCELED], &[]),
            Kind::Write => (&[Errno::EINTR], &[Errno::ECANCELED, Errno::EPIPE]),
        };
        if let Some(mut errno) = deal(mild, harsh) {
            if errno == Errno::EMFILE && below(EMFILE_ONE_IN) > 0 {
                errno = Errno::EINTR;
            }
            STORE.with_borrow_mut(|store| store.fates.insert(id.0, errno));
            self.cancel(id);
        }
    }

    /// One chance for somebody who is under way.
    fn doom_any(&mut self) {
        let keys: Vec<u64> = self.ops.keys().collect();
        if !keys.is_empty() {
            self.doom(OpId(keys[below(keys.len())]));
        }
    }

    fn distort(&mut self, mut report: Report) -> Option<Report> {
        let id = report.id;
        if self.ops.get(id).is_none() {
            return Some(report);
        }
        let last = !cqueue::more(report.flags);
        let cancelled = report.result == -(Errno::ECANCELED as i32);
        STORE.with_borrow_mut(|store| {
            if let Some(mut brought) = store.ending.remove(&id) {
                if !cancelled {
                    brought.push(report);
                }
                if last {
                    if let Some(report) = brought.last_mut() {
                        report.flags &= !MORE;
                    }
                    store.ended.extend(brought);
                } else {
                    store.ending.insert(id, brought);
                }
                return None;
            }
            if last {
                let fate = store.fates.remove(&id).filter(|_| cancelled);
                if let Some(errno) = fate {
                    report.result = -(errno as i32);
                }
            } else if deal(&[()], &[]).is_some() {
                store.ending.insert(id, vec![report]);
                self.cancel(OpId(id));
                return None;
            }
            Some(report)
        })
    }
}

/// `IORING_CQE_F_MORE`.
const MORE: u32 = 1 << 1;

/// The length of an entry's memory, or of a part of it.
pub(super) fn len_u32(file: &OwnedFd, len: usize) -> u32 {
    let len = u32::try_from(len).unwrap_or(1 << 30);
    if keeps_packets(file.as_fd()) || len < 2 || deal(&[()], &[]).is_none() {
        return len;
    }
    // A few bytes as often as many.
    let limit = if below(2) == 0 { len.min(16) } else { len };
    1 + below(limit as usize - 1) as u32
}

pub(crate) fn send<Fd: AsFd>(fd: Fd, bytes: &[u8], flags: MsgFlags) -> Result<usize, Errno> {
    let len = taken(bytes.len())?;
    socket::send(fd.as_fd().as_raw_fd(), &bytes[..len], flags)
}

/// How many of so many bytes a splice gets.
pub(crate) fn spliceable(_socket: BorrowedFd<'_>, len: usize) -> Result<usize, Errno> {
    taken(len)
}

pub(crate) fn writev<Fd: AsFd>(fd: Fd, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let first = pieces.first().map_or(0, |piece| piece.len());
    match taken(first)? {
        len if len < first && !keeps_packets(fd.as_fd()) => uio::writev(fd, &[IoSlice::new(&pieces[0][..len])]),
        _ => uio::writev(fd, pieces),
    }
}

/// How many of so many bytes a system call gets.
fn taken(len: usize) -> Result<usize, Errno> {
    match deal(&[None, Some(Errno::EAGAIN), Some(Errno::EINTR)], &[Some(Errno::EPIPE)]) {
        Some(None) if len > 1 => Ok(1 + below(len - 1)),
        Some(Some(errno)) => Err(errno),
        None | Some(None) => Ok(len),
    }
}

fn keeps_packets(fd: BorrowedFd<'_>) -> bool {
    matches!(
        getsockopt(&fd, sockopt::SockType),
        Ok(SockType::SeqPacket | SockType::Datagram)
    )
}

impl<P> Reactor<P> {
    /// What has not been given back.
    pub fn in_use(&self) -> InUse {
        InUse {
            conns: self.conns.len(),
            pipes: self.pipes.len(),
            ops: self.ring.ops.len(),
            buffers: self.ring.buffers.out(),
        }
    }
}
