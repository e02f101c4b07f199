//! The reading side of a connection or pipe: what has arrived, and whether the kernel is to bring more.
//!
//! ```text
//!                 wanted                      fills small buffers, or is not wanted any more
//!    at rest -----------------> trickle ----------------------------------------------.
//!       ^                    many reads, small buffers                                | cancelled
//!       |                                                                             v
//!       '------------------------- stream: one read at a time, large buffers <--------'
//!            a short read                 (again, as long as it is wanted)
//! ```
//!
//! Most sources say little and seldom: one operation serves them for as long as they live, and they hold no memory in
//! between. But an operation that goes on by itself also goes on when nobody wants the bytes. So a source that brings much,
//! or that has been told to stop, is read once for each time its bytes are wanted, and nothing has to be cancelled.
//!
//! What arrives although it is not wanted is copied out of the shared buffers, so that no source keeps them from others. It
//! is bounded by what the kernel had at hand when it was told to stop: what a socket or pipe holds.

use std::{collections::VecDeque, os::fd::OwnedFd, sync::Arc};

use gantry_core::driver::PIPE_PACKET_MAX;
use nix::errno::Errno;

use crate::{
    buffer::{Size, Taken},
    limits::{ARRIVED_MAX, SMALL_BYTES},
    op::{Kind, OpId, Owner},
    ring::{Completion, Ring, Shots, Way},
};

/// The reading side.
#[derive(Debug)]
pub(crate) struct Intake {
    way: Way,
    /// The read that is under way.
    armed: Option<Armed>,
    arrived: VecDeque<Arrival>,
    /// Why there is nothing behind what has arrived.
    end: Option<End>,
    /// It is read one large buffer at a time.
    streaming: bool,
    /// Many reads at once are refused for this descriptor.
    single: bool,
    /// The last read found no free buffer; the loop says when there is one.
    starved: bool,
}

#[derive(Debug, Clone, Copy)]
struct Armed {
    op: OpId,
    shots: Shots,
    cancelled: bool,
}

/// Bytes that have arrived.
#[derive(Debug)]
pub(crate) enum Arrival {
    /// In a buffer that is given back as soon as they are used.
    Lent(Taken),
    /// In memory of their own, because nobody wanted them yet.
    Kept(Box<[u8]>),
}

/// How reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The read gave nothing.
    Bare,
    Failed(Errno),
}

impl Intake {
    pub(crate) fn new(way: Way) -> Self {
        Self {
            way,
            armed: None,
            arrived: VecDeque::new(),
            end: None,
            streaming: false,
            single: false,
            starved: false,
        }
    }

    /// Whether a read is under way.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed.is_some()
    }

    /// Whether something has arrived that has not been taken.
    pub(crate) fn has_arrived(&self) -> bool {
        !self.arrived.is_empty()
    }

    /// Why nothing follows what has arrived.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// The next bytes. A lent buffer is to be given back.
    pub(crate) fn take(&mut self) -> Option<Arrival> {
        self.arrived.pop_front()
    }

    /// Notes a completion of the read.
    pub(crate) fn note(&mut self, ring: &mut Ring, completion: Completion) {
        let shots = self.armed.map_or(Shots::One, |armed| armed.shots);
        if completion.op.is_some() {
            self.armed = None;
        }
        match (completion.result, completion.taken) {
            (Ok(len @ 1..), Some(taken)) if self.way != Way::Packet || len <= PIPE_PACKET_MAX => {
                self.note_len(shots, len);
                self.arrived.push_back(Arrival::Lent(taken));
            }
            (result, taken) => {
                taken.into_iter().for_each(|taken| ring.buffers.give_back(taken));
                if result == Err(Errno::ENOBUFS)
                    && let Kind::Read(size) = completion.kind
                {
                    ring.buffers.widen(size);
                }
                self.note_without_bytes(shots, result);
            }
        }
    }

    /// A short read ends a stream, and a full buffer begins one.
    fn note_len(&mut self, shots: Shots, len: usize) {
        let full = len >= SMALL_BYTES;
        self.streaming = match shots {
            Shots::Many => self.streaming || (full && self.arrived.len() >= ARRIVED_MAX),
            Shots::One => full,
        };
    }

    fn note_without_bytes(&mut self, shots: Shots, result: Result<usize, Errno>) {
        match result {
            Ok(0) => self.end = Some(End::Bare),
            // A packet that did not fit.
            Ok(_) => self.end = Some(End::Failed(Errno::EMSGSIZE)),
            // Cancelled by us, or interrupted: it is armed again when it is wanted.
            Err(Errno::ECANCELED | Errno::EINTR) => {}
            Err(Errno::ENOBUFS) => {
                self.starved = true;
                self.streaming = true;
            }
            // What cannot be polled cannot be read many times.
            Err(Errno::EBADFD) if shots == Shots::Many => self.single = true,
            Err(errno) => self.end = Some(End::Failed(errno)),
        }
    }

    /// There are free buffers again.
    pub(crate) fn feed(&mut self) {
        self.starved = false;
    }

    /// Whether it waits for a free buffer.
    pub(crate) fn is_starved(&self) -> bool {
        self.starved
    }

    /// Lets the kernel bring more, if it is `wanted` and everything that has arrived is used; otherwise stops it.
    pub(crate) fn settle(&mut self, ring: &mut Ring, owner: Owner, file: &Arc<OwnedFd>, wanted: bool) {
        if !wanted {
            self.stop(ring);
            return self.keep(ring);
        }
        let flooded = self.streaming && self.arrived.len() >= ARRIVED_MAX;
        match self.armed {
            Some(armed) if armed.shots == Shots::Many && flooded => self.disarm(ring),
            None if self.arrived.is_empty() && self.end.is_none() && !self.starved => self.arm(ring, owner, file),
            _ => {}
        }
    }

    fn arm(&mut self, ring: &mut Ring, owner: Owner, file: &Arc<OwnedFd>) {
        let many = !self.streaming && !self.single && ring.reads_many(self.way);
        let (shots, size) = if many {
            (Shots::Many, Size::Small)
        } else {
            (Shots::One, Size::Large)
        };
        self.armed = Some(Armed {
            op: ring.read(owner, file, self.way, shots, size),
            shots,
            cancelled: false,
        });
    }

    /// The descriptor reports an end, which a receive that goes on by itself may miss if it comes right behind bytes: two
    /// wake-ups count as one, and it looks only once (seen with Linux 6.18). A new one finds it.
    pub(crate) fn note_end(&mut self, ring: &mut Ring) {
        self.stop(ring);
    }

    /// Stops a read that would go on by itself. One that ends with the next bytes is left: they will be wanted some time.
    fn stop(&mut self, ring: &mut Ring) {
        if self.armed.is_some_and(|armed| armed.shots == Shots::Many) {
            self.streaming = true;
            self.disarm(ring);
        }
    }

    /// Ends the read that is under way, whatever it is. Its last completion still comes.
    pub(crate) fn disarm(&mut self, ring: &mut Ring) {
        if let Some(armed) = &mut self.armed
            && !std::mem::replace(&mut armed.cancelled, true)
        {
            ring.cancel(armed.op);
        }
    }

    /// Gives the shared buffers back, and keeps what is in them.
    fn keep(&mut self, ring: &mut Ring) {
        for arrival in &mut self.arrived {
            if let Arrival::Lent(taken) = arrival {
                let kept = Arrival::Kept(ring.buffers.bytes(taken).into());
                if let Arrival::Lent(taken) = std::mem::replace(arrival, kept) {
                    ring.buffers.give_back(taken);
                }
            }
        }
    }

    /// Gives everything back; the owner is gone.
    pub(crate) fn abandon(&mut self, ring: &mut Ring) {
        self.disarm(ring);
        for arrival in self.arrived.drain(..) {
            if let Arrival::Lent(taken) = arrival {
                ring.buffers.give_back(taken);
            }
        }
    }
}
