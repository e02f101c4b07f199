//! Values under ids that are never used again.

use alloc::vec::Vec;

/// Values under keys that are never used again: a slot number and the generation of the slot, which grows each time the
/// slot is emptied. A slot whose generations are used up is given up.
///
/// ```text
///   63    61 60                   32 31                    0
///  |  kind  |      generation       |         slot          |
/// ```
///
/// The three highest bits of a key are 0: a transport may use them in the kernel's copy.
#[derive(Debug)]
pub struct Slab<T> {
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

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Slab<T> {
    /// Nothing.
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// A new key, under which [`fill`](Self::fill) puts the value.
    pub fn reserve(&mut self) -> u64 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 1,
                value: None,
            });
            u32::try_from(self.slots.len() - 1).expect("what lives at the same time is far fewer than 2^32")
        });
        self.live += 1;
        key(slot, self.slots.get(slot as usize).map_or(0, |slot| slot.generation))
    }

    /// Puts a value under a key that was reserved; on a key that has been removed since, gives it back.
    pub fn fill(&mut self, key: u64, value: T) -> Result<(), T> {
        match self.slot_mut(key) {
            Some(slot) => {
                slot.value = Some(value);
                Ok(())
            }
            None => Err(value),
        }
    }

    /// The value under a key; `None` for a key that is only reserved, and for one that has been removed.
    pub fn get(&self, key: u64) -> Option<&T> {
        let (number, generation) = parts(key);
        self.slots
            .get(number as usize)
            .filter(|slot| slot.generation == generation)?
            .value
            .as_ref()
    }

    /// As [`get`](Self::get), to be changed.
    pub fn get_mut(&mut self, key: u64) -> Option<&mut T> {
        self.slot_mut(key)?.value.as_mut()
    }

    /// Ends a key, filled or only reserved.
    pub fn remove(&mut self, key: u64) -> Option<T> {
        let slot = self.slot_mut(key)?;
        let value = slot.value.take();
        slot.generation += 1;
        if slot.generation <= GENERATION_MAX {
            self.free.push(parts(key).0);
        }
        self.live -= 1;
        value
    }

    /// Keys that are filled or reserved.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether no key is filled or reserved.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The keys that are filled, in the order of their slots.
    pub fn keys(&self) -> impl Iterator<Item = u64> {
        (0..)
            .zip(&self.slots)
            .filter(|(_, slot)| slot.value.is_some())
            .map(|(number, slot)| key(number, slot.generation))
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
    let [a, b, c, d, e, f, g, h] = key.to_be_bytes();
    (u32::from_be_bytes([e, f, g, h]), u32::from_be_bytes([a, b, c, d]))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, BTreeSet},
        vec::Vec,
    };

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
                prop_assert_eq!(slab.keys().collect::<BTreeSet<_>>(), oracle.keys().copied().collect());
                for key in &ever {
                    prop_assert_eq!(slab.get(*key), oracle.get(key));
                }
            }
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
