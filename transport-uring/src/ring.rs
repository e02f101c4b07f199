//! The ring: entries to the kernel, completions back, and an end at which nothing is lent any more. Together with `buffer`
//! the only place with unsafe code; everything else gives owned memory and descriptors, and gets them back.
#![allow(unsafe_code, reason = "the kernel is handed addresses and hands out descriptors")]

use std::{
    collections::VecDeque,
    fmt, io,
    mem::ManuallyDrop,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    sync::Arc,
    time::Duration,
};

use gantry_core::driver::slab::Slab;
use io_uring::{
    IoUring, cqueue, opcode,
    squeue::{self, Flags},
    types::{CancelBuilder, Fd, SubmitArgs, Timespec},
};
use nix::{errno::Errno, libc};

use crate::{
    buffer::{Buffers, Size, Taken},
    limits::{OUTPUT_BYTES, OUTPUT_SPARE, REAP_PATIENCE},
    op::{Kind, Memory, Op, OpId, Output, Owner},
    probe::{Granted, Refused, set_up},
};

#[cfg(feature = "faults")]
#[path = "faulty.rs"]
pub(crate) mod faulty;
#[cfg(feature = "faults")]
use faulty::len_u32;

/// The kernel's side of the loop.
pub(crate) struct Ring {
    uring: IoUring,
    /// Everything that is under way. Given up rather than freed if the kernel does not give it back.
    ops: ManuallyDrop<Slab<Op>>,
    pub(crate) buffers: ManuallyDrop<Buffers>,
    /// Entries for which the submission queue had no room; they keep their order. So no entry is ever lost, least of all
    /// a cancellation.
    backlog: VecDeque<squeue::Entry>,
    /// Output buffers to be used again.
    spare: Vec<Box<[u8]>>,
    reads_many: bool,
    /// The thread of the loop has enabled the ring: the kernel may be at work.
    enabled: bool,
}

/// How long to wait for a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    No,
    For(Duration),
    Forever,
}

/// How a descriptor is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// `read`, at the current position.
    File,
    /// `recv`, one packet at a time, with the length it really had.
    Packet,
    /// `recv`.
    Stream,
}

/// How often a read completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shots {
    /// Until it is told otherwise.
    Many,
    One,
}

/// What the kernel says of an operation.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) owner: Owner,
    pub(crate) kind: Kind,
    pub(crate) result: Result<usize, Errno>,
    /// A buffer with `result` bytes.
    pub(crate) taken: Option<Taken>,
    /// A peer's socket.
    pub(crate) accepted: Option<OwnedFd>,
    /// The operation, if this was its last completion.
    pub(crate) op: Option<Op>,
}

/// An entry of the completion queue.
#[derive(Debug, Clone, Copy)]
struct Report {
    /// The `user_data`.
    id: u64,
    result: i32,
    flags: u32,
}

/// The `user_data` of entries that complete to nobody: cancellations. No key of a slab has these high bits.
const NOBODY: u64 = u64::MAX;

impl Ring {
    pub(crate) fn new() -> Result<Self, Refused> {
        let Granted { uring, reads_many } = set_up()?;
        let mut buffers = Buffers::new();
        buffers.register(&uring.submitter())?;
        Ok(Self {
            uring,
            ops: ManuallyDrop::new(Slab::new()),
            buffers: ManuallyDrop::new(buffers),
            backlog: VecDeque::new(),
            spare: Vec::new(),
            reads_many,
            enabled: false,
        })
    }

    /// Makes this thread the one that submits and completes.
    pub(crate) fn enable(&mut self) -> io::Result<()> {
        self.uring.submitter().register_enable_rings()?;
        self.enabled = true;
        Ok(())
    }

    /// Accepts peers of a listening socket until it is cancelled or fails.
    pub(crate) fn accept(&mut self, owner: Owner, socket: &Arc<OwnedFd>) -> OpId {
        let entry = opcode::AcceptMulti::new(Fd(socket.as_raw_fd()))
            .flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK)
            .build();
        self.start(owner, Kind::Accept, socket, Memory::None, entry)
    }

    /// Reads into buffers of this size.
    pub(crate) fn read(&mut self, owner: Owner, file: &Arc<OwnedFd>, way: Way, shots: Shots, size: Size) -> OpId {
        /// "If offset is set to -1, the offset will use (and advance) the file position" (`io_uring_enter(2)`).
        const CURRENT: u64 = u64::MAX;
        let (fd, group, len) = (Fd(file.as_raw_fd()), size.group(), len_u32(file, size.bytes()));
        let (one, nowhere) = (Flags::BUFFER_SELECT, std::ptr::null_mut());
        let entry = match (way, shots) {
            (Way::File, Shots::Many) => opcode::ReadMulti::new(fd, 0, group).offset(CURRENT).build(),
            (Way::File, Shots::One) => opcode::Read::new(fd, nowhere, len)
                .offset(CURRENT)
                .buf_group(group)
                .build()
                .flags(one),
            (Way::Stream, Shots::Many) => opcode::RecvMulti::new(fd, group).build(),
            (Way::Stream, Shots::One) => opcode::Recv::new(fd, nowhere, len).buf_group(group).build().flags(one),
            // With MSG_TRUNC the length is the packet's own, and what did not fit is already lost.
            (Way::Packet, _) => opcode::Recv::new(fd, nowhere, len)
                .buf_group(group)
                .flags(libc::MSG_TRUNC)
                .build()
                .flags(one),
        };
        self.start(owner, Kind::Read(size), file, Memory::None, entry)
    }

    /// Whether a descriptor can be read with [`Shots::Many`]; a file that cannot be polled refuses it all the same.
    pub(crate) fn reads_many(&self, way: Way) -> bool {
        match way {
            Way::File => self.reads_many,
            Way::Packet => false,
            Way::Stream => true,
        }
    }

    /// Sends what is left of `output`, or a part of it.
    pub(crate) fn send(&mut self, owner: Owner, socket: &Arc<OwnedFd>, output: Output) -> OpId {
        let bytes = output.rest();
        let entry = opcode::Send::new(Fd(socket.as_raw_fd()), bytes.as_ptr(), len_u32(socket, bytes.len()))
            .flags(libc::MSG_NOSIGNAL)
            .build();
        self.start(owner, Kind::Send, socket, Memory::Output(output), entry)
    }

    /// Reports errors, hang-ups and the events of `poll(2)` in `events` as they happen, and once if they are there already.
    pub(crate) fn watch(&mut self, owner: Owner, file: &Arc<OwnedFd>, events: libc::c_short) -> OpId {
        let entry = opcode::PollAdd::new(Fd(file.as_raw_fd()), events as u32)
            .multi(true)
            .build();
        self.start(owner, Kind::Watch, file, Memory::None, entry)
    }

    /// Reports that a socket has room, or has failed, once.
    pub(crate) fn watch_room(&mut self, owner: Owner, socket: &Arc<OwnedFd>) -> OpId {
        let entry = opcode::PollAdd::new(Fd(socket.as_raw_fd()), libc::POLLOUT as u32).build();
        self.start(owner, Kind::WatchRoom, socket, Memory::None, entry)
    }

    /// Writes what `memory` holds, or a part of it.
    pub(crate) fn write(&mut self, owner: Owner, file: &Arc<OwnedFd>, memory: Memory) -> OpId {
        let bytes = memory.bytes();
        let entry = opcode::Write::new(Fd(file.as_raw_fd()), bytes.as_ptr(), len_u32(file, bytes.len()))
            .offset(u64::MAX)
            .build();
        self.start(owner, Kind::Write, file, memory, entry)
    }

    /// Ends an operation early. Its last completion still comes.
    pub(crate) fn cancel(&mut self, id: OpId) {
        if self.ops.get(id.0).is_some() {
            let entry = opcode::AsyncCancel2::new(CancelBuilder::user_data(id.0)).build();
            self.push(entry.user_data(NOBODY).flags(Flags::SKIP_SUCCESS));
        }
    }

    fn start(&mut self, owner: Owner, kind: Kind, file: &Arc<OwnedFd>, memory: Memory, entry: squeue::Entry) -> OpId {
        let key = self.ops.reserve();
        let op = Op {
            owner,
            kind,
            file: Arc::clone(file),
            memory,
        };
        let filled = self.ops.fill(key, op);
        debug_assert!(filled.is_ok(), "the key was reserved above");
        self.push(entry.user_data(key));
        #[cfg(feature = "faults")]
        self.doom(OpId(key));
        OpId(key)
    }

    fn push(&mut self, entry: squeue::Entry) {
        if self.backlog.is_empty() && self.push_now(&entry) {
            return;
        }
        self.backlog.push_back(entry);
    }

    fn push_now(&mut self, entry: &squeue::Entry) -> bool {
        let mut queue = self.uring.submission();
        // SAFETY: what the entry points to is owned by the op under its `user_data`, on the heap, and the op stays in
        // `ops` until `completed` has seen its last completion; it owns the descriptor as well. An entry without an op
        // points to nothing. Receive buffers are the kernel's own choice, from those that `buffers` has lent.
        unsafe { queue.push(entry) }.is_ok()
    }

    /// Hands all entries to the kernel, lets it do its part, and waits for a completion as long as `wait` says.
    ///
    /// # Errors
    ///
    /// The kernel refuses to work at all. An interruption, a time-out and a want of memory are not errors: the loop comes
    /// back.
    pub(crate) fn enter(&mut self, wait: Wait) -> io::Result<()> {
        #[cfg(feature = "faults")]
        let wait = Self::wait_unless_held_back(wait);
        self.refill();
        while !self.backlog.is_empty() {
            // More than the queue holds: hand over what is there, and go on.
            if !self.call(Wait::No)? {
                return Ok(());
            }
            self.refill();
        }
        self.call(wait).map(drop)
    }

    fn refill(&mut self) {
        while let Some(entry) = self.backlog.pop_front() {
            if !self.push_now(&entry) {
                return self.backlog.push_front(entry);
            }
        }
    }

    /// One `io_uring_enter(2)`; says whether the kernel took the entries.
    fn call(&mut self, wait: Wait) -> io::Result<bool> {
        let (submitter, queue, _) = self.uring.split();
        let result = match wait {
            // Nothing to hand over and nothing to be done in the kernel: no call.
            Wait::No if queue.is_empty() && !queue.taskrun() && !queue.cq_overflow() => return Ok(true),
            Wait::No => submitter.submit_and_wait(0),
            Wait::For(span) => {
                let span = Timespec::from(span);
                submitter.submit_with_args(1, &SubmitArgs::new().timespec(&span))
            }
            Wait::Forever => submitter.submit_and_wait(1),
        };
        match result {
            Ok(_) => Ok(true),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                Some(Errno::ETIME | Errno::EINTR) => Ok(true),
                // Completions have to be taken first, or memory has to come back.
                Some(Errno::EBUSY | Errno::EAGAIN) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// How many completions are at hand.
    pub(crate) fn completions(&mut self) -> usize {
        let at_hand = self.uring.completion().len();
        #[cfg(feature = "faults")]
        let at_hand = at_hand + Self::held_back();
        at_hand
    }

    /// How many entries the kernel does not have yet.
    #[cfg(test)]
    pub(crate) fn unsubmitted(&mut self) -> usize {
        self.uring.submission().len() + self.backlog.len()
    }

    /// Takes the next completion.
    pub(crate) fn completed(&mut self) -> Option<Completion> {
        loop {
            #[cfg(not(feature = "faults"))]
            let report = self.reported()?;
            #[cfg(feature = "faults")]
            let report = self.distorted()?;
            if let Some(completion) = self.complete(report) {
                return Some(completion);
            }
        }
    }

    fn reported(&mut self) -> Option<Report> {
        let entry = self.uring.completion().next()?;
        Some(Report {
            id: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        })
    }

    fn complete(&mut self, report: Report) -> Option<Completion> {
        let id = OpId(report.id);
        let &Op { owner, kind, .. } = self.ops.get(id.0)?;
        let last = !cqueue::more(report.flags);
        let result = match report.result {
            failed @ ..0 => Err(Errno::from_raw(-failed)),
            done => Ok(done as usize),
        };
        let taken = match (kind, cqueue::buffer_select(report.flags)) {
            (Kind::Read(size), Some(number)) => self.buffers.take(size, number, result.unwrap_or(0)),
            _ => None,
        };
        let accepted = match (kind, result) {
            // SAFETY: the kernel has just made this descriptor for us, and says so once.
            (Kind::Accept, Ok(fd)) => Some(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
            _ => None,
        };
        Some(Completion {
            owner,
            kind,
            result,
            taken,
            accepted,
            op: if last { self.ops.remove(id.0) } else { None },
        })
    }

    /// An output buffer of [`OUTPUT_BYTES`].
    pub(crate) fn output_buffer(&mut self) -> Box<[u8]> {
        self.spare
            .pop()
            .unwrap_or_else(|| vec![0; OUTPUT_BYTES].into_boxed_slice())
    }

    /// Takes back an output buffer, to be used again.
    pub(crate) fn recycle(&mut self, memory: Memory) {
        if let Memory::Output(output) = memory {
            let bytes = output.into_memory();
            if bytes.len() == OUTPUT_BYTES && self.spare.len() < OUTPUT_SPARE {
                self.spare.push(bytes);
            }
        }
    }

    /// Takes back what a completion brings whose owner is gone.
    pub(crate) fn abandon(&mut self, completion: Completion) {
        if let Some(taken) = completion.taken {
            self.buffers.give_back(taken);
        }
        if let Some(op) = completion.op {
            self.recycle(op.memory);
        }
    }

    /// Ends everything that is under way, and waits until the kernel touches nothing of ours any more.
    fn reap(&mut self) -> io::Result<()> {
        // What was to be sent before still goes first.
        self.enter(Wait::No)?;
        let all = opcode::AsyncCancel2::new(CancelBuilder::any().all()).build();
        self.push(all.user_data(NOBODY).flags(Flags::SKIP_SUCCESS));
        self.enter(Wait::No)?;
        loop {
            let before = self.ops.len();
            // What completes now has nobody to hear of it: descriptors are closed, memory is freed.
            while self.completed().is_some() {}
            if self.ops.is_empty() {
                return Ok(());
            }
            if self.ops.len() == before && self.completions() == 0 {
                self.enter(Wait::For(REAP_PATIENCE))?;
                if self.completions() == 0 {
                    return Err(io::ErrorKind::TimedOut.into());
                }
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Before it is enabled the kernel has been given nothing.
        if self.enabled && self.reap().is_err() {
            // It may still write to what it has been lent: better lost than freed.
            #[cfg(feature = "faults")]
            assert!(std::thread::panicking(), "the kernel gives everything back: {self:?}");
            return;
        }
        for size in [Size::Small, Size::Large] {
            // The kernel lets go of the buffers at the latest when the ring is closed, and writes to none of them before.
            let _ = self.uring.submitter().unregister_buf_ring(size.group());
        }
        // SAFETY: taken once, here, and never used again.
        drop(unsafe { ManuallyDrop::take(&mut self.ops) });
        // SAFETY: taken once, here, and never used again.
        drop(unsafe { ManuallyDrop::take(&mut self.buffers) });
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("ops", &self.ops.len())
            .field("backlog", &self.backlog.len())
            .finish_non_exhaustive()
    }
}

/// The length of an entry's memory. What is longer is sent in parts.
#[cfg(not(feature = "faults"))]
fn len_u32(_: &OwnedFd, len: usize) -> u32 {
    u32::try_from(len).unwrap_or(1 << 30)
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write, os::fd::OwnedFd};

    use bytes::Bytes;
    use gantry_core::driver::PipeId;

    use super::*;
    use crate::limits::CQ_ENTRIES;

    const OWNER: Owner = Owner::Pipe(PipeId(0));

    /// A ring that runs; `None`, said aloud, where the system refuses it.
    fn ring() -> Option<Ring> {
        match Ring::new() {
            Ok(mut ring) => {
                ring.enable().expect("enable");
                Some(ring)
            }
            Err(refused) => {
                let _ = writeln!(io::stderr(), "skipped: {refused}");
                None
            }
        }
    }

    fn pipe() -> (Arc<OwnedFd>, Arc<OwnedFd>) {
        let (reader, writer) = io::pipe().expect("pipe");
        (Arc::new(reader.into()), Arc::new(writer.into()))
    }

    fn all_completions(ring: &mut Ring) -> Vec<Completion> {
        ring.enter(Wait::No).expect("enter");
        std::iter::from_fn(|| {
            if ring.completions() == 0 {
                ring.enter(Wait::No).expect("enter");
            }
            ring.completed()
        })
        .collect()
    }

    #[test]
    fn more_operations_than_either_queue_holds_lose_nothing() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = pipe();
        File::from(writer.try_clone().unwrap()).write_all(b"x").unwrap();
        // Each reports at once, and goes on.
        let count = 2 * CQ_ENTRIES as usize;
        let ids: Vec<OpId> = (0..count).map(|_| ring.watch(OWNER, &reader, libc::POLLIN)).collect();
        assert!(!ring.backlog.is_empty(), "the submission queue is full");
        let reports = all_completions(&mut ring);
        assert!(reports.iter().all(|report| report.result == Ok(libc::POLLIN as usize)));
        // What did not fit into the completion queue has ended instead of going on.
        let ended = reports.iter().filter(|report| report.op.is_some()).count();
        assert_eq!(reports.len(), count);
        for id in ids {
            ring.cancel(id);
        }
        let cancelled = all_completions(&mut ring);
        assert_eq!(cancelled.len(), count - ended);
        assert!(
            cancelled
                .iter()
                .all(|last| last.op.is_some() && last.result == Err(Errno::ECANCELED))
        );
        assert!(ring.ops.is_empty());
    }

    #[test]
    fn what_is_lent_comes_back_with_the_last_completion() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = pipe();
        let piece = Bytes::from(vec![7; 300_000]);
        let id = ring.write(OWNER, &writer, Memory::Piece(piece.clone()));
        drop(writer);
        assert!(!piece.is_unique(), "the operation has its share");
        let [first] = <[_; 1]>::try_from(all_completions(&mut ring)).expect("the pipe takes a part");
        assert!(first.result.is_ok_and(|len| 0 < len && len < piece.len()));
        assert!(matches!(&first.op, Some(Op { memory: Memory::Piece(back), .. }) if back.as_ptr() == piece.as_ptr()));
        let writer = Arc::clone(&first.op.as_ref().expect("checked above").file);
        drop(first);
        assert!(piece.is_unique());

        // The pipe is full: this one waits, keeps its memory and its descriptor, and gives both back when cancelled.
        ring.cancel(id);
        let id = ring.write(OWNER, &writer, Memory::Piece(piece.clone()));
        drop(writer);
        assert!(all_completions(&mut ring).is_empty());
        assert!(!piece.is_unique() && ring.ops.get(id.0).is_some());
        ring.cancel(id);
        let [last] = <[_; 1]>::try_from(all_completions(&mut ring)).expect("cancelled");
        assert_eq!((last.result, last.op.is_some()), (Err(Errno::ECANCELED), true));
        drop(last);
        assert!(piece.is_unique());
        let mut rest = Vec::new();
        io::Read::read_to_end(&mut File::from(reader.try_clone().unwrap()), &mut rest).expect("an end");
        assert!(!rest.is_empty(), "the writer's end is closed, behind what was written");
    }

    #[test]
    fn the_end_of_a_ring_leaves_nothing_with_the_kernel() {
        let Some(mut ring) = ring() else { return };
        let (reader, writer) = pipe();
        let piece = Bytes::from(vec![7; 300_000]);
        ring.write(OWNER, &writer, Memory::Piece(piece.clone()));
        ring.enter(Wait::No).expect("enter");
        ring.write(OWNER, &writer, Memory::Piece(piece.clone()));
        let (idle, _kept_open) = pipe();
        ring.read(OWNER, &idle, Way::File, Shots::Many, Size::Small);
        ring.watch(OWNER, &reader, 0);
        ring.enter(Wait::No).expect("enter");
        drop(ring);
        assert!(piece.is_unique());
        assert_eq!(
            (
                Arc::strong_count(&reader),
                Arc::strong_count(&writer),
                Arc::strong_count(&idle)
            ),
            (1, 1, 1)
        );
    }
}
