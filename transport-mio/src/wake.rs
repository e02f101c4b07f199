//! Messages from other threads, and how they wake the loop. Not a channel for bulk: what waits here is bounded only by
//! what the senders have in flight, so each of them must have a bound of its own.
//!
//! Nothing here knows how a transport waits; it watches an eventfd(2) that is written and never read, so every write is a
//! report of its own. All transports compile this one file.

use std::{
    collections::VecDeque,
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::sys::eventfd::{EfdFlags, EventFd};

/// The sending side: hands messages to [`Service::message`] on the thread of the loop.
///
/// Messages of one sender arrive in their order. A batch costs one wake-up: only the message that finds the box empty
/// makes the system call.
///
/// [`Service::message`]: gantry_core::driver::Service::message
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
}

impl<M> Mailbox<M> {
    /// Sends a message; never blocks on the loop.
    ///
    /// # Errors
    ///
    /// [`LoopEnded`] gives the message back when the loop is over.
    pub fn send(&self, message: M) -> Result<(), LoopEnded<M>> {
        let first = {
            let mut queue = self.shared.lock();
            if queue.ended {
                return Err(LoopEnded(message));
            }
            queue.messages.push_back(message);
            queue.messages.len() == 1
        };
        if first {
            // Nothing can fail on one that is open: 2^64 messages are never reached.
            let _ = self.shared.wakes.write(1);
        }
        Ok(())
    }
}

impl<M> Clone for Mailbox<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> fmt::Debug for Mailbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

/// The loop has ended; the message that can no longer be delivered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoopEnded<M>(pub M);

// Not derived: a message need not be printable for its sender to expect that the loop runs.
impl<M> fmt::Debug for LoopEnded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopEnded").finish_non_exhaustive()
    }
}

impl<M> fmt::Display for LoopEnded<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the loop has ended")
    }
}

impl<M> std::error::Error for LoopEnded<M> {}

/// The loop's side.
pub(crate) struct Inbox<M> {
    shared: Arc<Shared<M>>,
    /// Taken out of the shared queue, not delivered yet.
    batch: VecDeque<M>,
}

impl<M> Inbox<M> {
    pub(crate) fn new() -> io::Result<Self> {
        let wakes = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        let queue = Mutex::new(Queue {
            messages: VecDeque::new(),
            ended: false,
        });
        Ok(Self {
            shared: Arc::new(Shared { queue, wakes }),
            batch: VecDeque::new(),
        })
    }

    /// What is written to when the loop has to wake up.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.shared.wakes.as_fd()
    }

    pub(crate) fn mailbox(&self) -> Mailbox<M> {
        Mailbox {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Takes over what has been sent so far. What is sent from now on, be it in answer to one of these, waits for the next
    /// turn.
    ///
    /// The shared queue must be empty behind this even if the batch is not: the wake-up for what is in it may be the one
    /// that began this turn, and no other comes before it has been empty.
    pub(crate) fn begin_turn(&mut self) {
        let mut queue = self.shared.lock();
        if self.batch.is_empty() {
            std::mem::swap(&mut self.batch, &mut queue.messages);
        } else {
            self.batch.append(&mut queue.messages);
        }
    }

    /// The next message of this turn.
    pub(crate) fn take(&mut self) -> Option<M> {
        self.batch.pop_front()
    }

    /// Whether a message waits here for which no wake-up will come any more.
    pub(crate) fn is_behind(&self) -> bool {
        !self.batch.is_empty()
    }
}

impl<M> Drop for Inbox<M> {
    fn drop(&mut self) {
        // The messages are dropped outside the lock: their destructors may send.
        let _unread = {
            let mut queue = self.shared.lock();
            queue.ended = true;
            std::mem::take(&mut queue.messages)
        };
    }
}

struct Shared<M> {
    queue: Mutex<Queue<M>>,
    wakes: EventFd,
}

impl<M> Shared<M> {
    /// Nothing under this lock can leave the queue half-changed, so a panic elsewhere in its holder does no harm.
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Queue<M> {
    messages: VecDeque<M>,
    /// The loop is over: nothing is taken any more.
    ended: bool,
}
