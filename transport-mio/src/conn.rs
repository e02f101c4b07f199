//! Connections and the slab that gives them ids which are never used again. What happens on a connection is in `drive`.

use std::os::fd::OwnedFd;

use gantry_core::Instant;
use mio::Interest;

/// Values under keys that are never used again: a slot number and the generation of the slot, which grows each time the
/// slot is emptied. A slot whose generations are used up is given up.
///
/// ```text
///   63    61 60                   32 31                    0
///  |  kind  |      generation       |         slot          |
/// ```
///
/// The three highest bits stay 0 in a key; [`Source`](crate::reactor::Source) uses them in the kernel's copy.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    /// Slots that are neither filled nor reserved.
    free: Vec<u32>,
    /// Slots that are filled or reserved.
    live: usize,
}

#[derive(Debug)]
struct Slot<T> {
    /// 1 <= generation <= GENERATION_MAX, or the slot is given up.
    generation: u32,
    value: Option<T>,
}

impl<T> Slab<T> {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// A new key, under which [`fill`](Self::fill) puts the value.
    pub(crate) fn reserve(&mut self) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 1,
                value: None,
            });
            u32::try_from(self.slots.len() - 1).expect("descriptors are far fewer than 2^32")
        });
        self.live += 1;
        key(slot, self.slots[slot as usize].generation)
    }

    /// Puts a value under a key that was reserved; on a key that has been removed since, gives it back.
    pub(crate) fn fill(&mut self, key: u64, value: T) -> Result<(), T> {
        match self.slot_mut(key) {
            Some(slot) => {
                slot.value = Some(value);
                Ok(())
            }
            None => Err(value),
        }
    }

    pub(crate) fn get(&self, key: u64) -> Option<&T> {
        let (number, generation) = parts(key);
        self.slots
            .get(number as usize)
            .filter(|slot| slot.generation == generation)?
            .value
            .as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        self.slot_mut(key)?.value.as_mut()
    }

    /// Ends a key, filled or only reserved.
    pub(crate) fn remove(&mut self, key: u64) -> Option<T> {
        let slot = self.slot_mut(key)?;
        let value = slot.value.take();
        slot.generation += 1;
        if slot.generation <= GENERATION_MAX {
            self.free.push(parts(key).0);
        }
        self.live -= 1;
        value
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    fn slot_mut(&mut self, key: u64) -> Option<&mut Slot<T>> {
        let (number, generation) = parts(key);
        self.slots
            .get_mut(number as usize)
            .filter(|slot| slot.generation == generation && generation <= GENERATION_MAX)
    }
}

const GENERATION_MAX: u32 = (1 << 29) - 1;

fn key(slot: u32, generation: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(slot)
}

fn parts(key: u64) -> (u32, u32) {
    ((key & u64::from(u32::MAX)) as u32, (key >> 32) as u32)
}

/// Bytes in a row that are used up from the front, without moving the rest. Holds no memory while it is empty.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// 0 <= from < bytes.len(), or both are 0.
    from: usize,
}

impl Held {
    /// Keeps `bytes`; only when nothing is held.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        debug_assert!(self.is_empty(), "one piece at a time");
        *self = Self {
            bytes: bytes.to_vec(),
            from: 0,
        };
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.bytes[self.from..]
    }

    pub(crate) fn consume(&mut self, len: usize) {
        self.from += len;
        if self.from >= self.bytes.len() {
            *self = Self::default();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// One accepted socket and its protocol.
#[derive(Debug)]
pub(crate) struct Conn<P> {
    pub(crate) fd: OwnedFd,
    pub(crate) protocol: P,
    /// What the kernel reports on this socket.
    pub(crate) interest: Interest,
    /// Reading may give something: true from a report of the kernel until a read finds nothing.
    pub(crate) readable: bool,
    /// The kernel has reported the end of the peer's sending direction; bytes may still lie before it.
    pub(crate) fin_seen: bool,
    /// Received, offered, and not taken.
    pub(crate) held: Held,
    /// Handed out by the protocol, and not taken by the socket.
    pub(crate) unsent: Held,
    /// The socket took less than it was given, and has not reported room since.
    pub(crate) blocked: bool,
    /// The queue was above the high-water mark and has not been below the low one since.
    pub(crate) above_high: bool,
    /// The protocol wants our direction ended, or has got it.
    pub(crate) sending: Sending,
    pub(crate) peer: Peer,
    /// The protocol has said [`Close`](gantry_core::driver::Output::Close); what is unsent still goes out.
    pub(crate) closing: bool,
    /// When the protocol wants to hear of the time.
    pub(crate) deadline: Option<Instant>,
    /// When patience ends, with a peer that takes no last bytes or a protocol that takes none of a vanished peer.
    pub(crate) linger: Option<Instant>,
    /// The deadline in the loop's list, which is never later than `deadline` and `linger`.
    pub(crate) armed: Option<Instant>,
    pub(crate) place: Place,
}

/// Our direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    Open,
    /// To be ended behind the unsent piece.
    Ending,
    Ended,
}

/// What is known of the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    /// May send and read.
    Here,
    /// Has ended its sending direction, and the protocol knows.
    Finished,
    /// Takes nothing any more; what it sent before may still be unread, and the protocol does not know yet.
    Gone,
    /// Is gone, and the protocol knows.
    Lost,
}

/// Where a connection or pipe stands in the loop's queue.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// It is in the queue.
    pub(crate) queued: bool,
    /// The turn in which it was served last.
    pub(crate) served: u64,
}

impl<P> Conn<P> {
    pub(crate) fn new(fd: OwnedFd, protocol: P) -> Self {
        Self {
            fd,
            protocol,
            interest: Interest::READABLE,
            readable: false,
            fin_seen: false,
            held: Held::default(),
            unsent: Held::default(),
            blocked: false,
            above_high: false,
            sending: Sending::Open,
            peer: Peer::Here,
            closing: false,
            deadline: None,
            linger: None,
            armed: None,
            place: Place::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The oracle is a map that never forgets which keys there have been.
        #[test]
        fn keys_are_never_used_again(steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..200)) {
            let mut slab = Slab::new();
            let mut oracle = BTreeMap::new();
            let mut ever = BTreeSet::new();
            for (value, (add, which)) in steps.into_iter().enumerate() {
                if add || oracle.is_empty() {
                    let key = slab.reserve();
                    prop_assert!(ever.insert(key), "{key:x} was used before");
                    prop_assert_eq!(slab.get(key), None);
                    prop_assert_eq!(slab.fill(key, value), Ok(()));
                    oracle.insert(key, value);
                } else {
                    let key = *which.get(&oracle.keys().copied().collect::<Vec<_>>());
                    prop_assert_eq!(slab.remove(key), oracle.remove(&key));
                }
                prop_assert_eq!(slab.len(), oracle.len());
                for key in &ever {
                    prop_assert_eq!(slab.get(*key), oracle.get(key));
                }
            }
        }

        #[test]
        fn what_is_held_comes_out_in_order(bytes in prop::collection::vec(any::<u8>(), 1..100), cuts in prop::collection::vec(1usize..9, 100)) {
            let mut held = Held::default();
            held.keep(&bytes);
            let mut out = Vec::new();
            for cut in cuts {
                let piece = held.rest()[..cut.min(held.rest().len())].to_vec();
                held.consume(piece.len());
                out.extend(piece);
            }
            prop_assert_eq!(out, bytes);
            prop_assert!(held.is_empty());
            prop_assert_eq!(held.bytes.capacity(), 0);
        }
    }

    #[test]
    fn a_slot_without_generations_left_is_given_up() {
        let mut slab = Slab::new();
        let first = slab.reserve();
        slab.slots[0].generation = GENERATION_MAX;
        let last = key(parts(first).0, GENERATION_MAX);
        assert_eq!(slab.fill(last, 'x'), Ok(()));
        assert_eq!(slab.remove(last), Some('x'));
        assert_eq!(slab.fill(key(0, GENERATION_MAX + 1), 'y'), Err('y'));
        assert_eq!(parts(slab.reserve()).0, 1, "another slot is used");
    }
}
