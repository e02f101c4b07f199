//! Receive buffers that are lent to the kernel: a ring of them for each size (`IORING_REGISTER_PBUF_RING`).
//!
//! A buffer is in exactly one place: with the kernel, which may write to it; out, as a [`Taken`] that a completion has
//! brought; or in reserve. Idle sources hold no memory at all, however many there are.
//!
//! ```text
//!               completion names it
//!     kernel ------------------------> Taken  (read here, and only here)
//!        ^                               |
//!        |  as many as are wanted        | give_back
//!        '------------- reserve <--------'
//!                  last in, first out
//! ```
//!
//! How many the kernel has grows when readers find none ([`Buffers::widen`]), and shrinks again by and by.
#![allow(unsafe_code, reason = "memory that the kernel writes to")]

use std::{
    cell::UnsafeCell,
    fmt, io,
    mem::MaybeUninit,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use io_uring::{Submitter, types::BufRingEntry};

use crate::limits::{LARGE_BYTES, LARGE_COUNT, LARGE_LENT, SMALL_BYTES, SMALL_COUNT};

/// Which size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Large,
}

impl Size {
    /// The kernel's number of the ring.
    pub(crate) fn group(self) -> u16 {
        self as u16
    }

    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Small => SMALL_BYTES,
            Self::Large => LARGE_BYTES,
        }
    }
}

/// A buffer that the kernel has filled and that is ours until it is given back. There is one for each buffer that is out.
#[derive(Debug)]
#[must_use = "the buffer is lost if it is not given back"]
pub(crate) struct Taken {
    size: Size,
    number: u16,
    /// len <= size.bytes()
    len: usize,
}

/// The buffers of all sizes, and which of them are with the kernel.
#[derive(Debug)]
pub(crate) struct Buffers {
    memory: Arc<Memory>,
    small: Lending,
    large: Lending,
}

impl Buffers {
    pub(crate) fn new() -> Self {
        Self {
            memory: Arc::new(Memory {
                small: Pool::new(SMALL_BYTES, SMALL_COUNT),
                large: Pool::new(LARGE_BYTES, LARGE_COUNT),
            }),
            small: Lending::new(SMALL_COUNT, SMALL_COUNT),
            large: Lending::new(LARGE_COUNT, LARGE_LENT),
        }
    }

    /// Makes the rings known to the kernel, and lends it its first buffers.
    pub(crate) fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        for (size, count) in [(Size::Small, SMALL_COUNT), (Size::Large, LARGE_COUNT)] {
            let address = self.memory.pool(size).entries.as_ptr().expose_provenance() as u64;
            // SAFETY: the entries are page-aligned, hold `count` of them, and live until `memory` is dropped. `Ring` drops
            // it behind the ring, and not at all while an operation is under way.
            unsafe { submitter.register_buf_ring_with_flags(address, count, size.group(), 0)? };
            self.lend(size);
        }
        Ok(())
    }

    /// A completion has named this buffer, and `len` bytes in it; `None` if the kernel does not have it, which would be a
    /// fault of the kernel.
    pub(crate) fn take(&mut self, size: Size, number: u16, len: usize) -> Option<Taken> {
        self.lending(size).take(number).then_some(Taken {
            size,
            number,
            len: len.min(size.bytes()),
        })
    }

    /// The buffer is not needed any more.
    pub(crate) fn give_back(&mut self, taken: Taken) {
        self.lending(taken.size).reserve.push(taken.number);
        self.lend(taken.size);
    }

    /// A reader has found no buffer: the kernel gets twice as many, as far as there are.
    pub(crate) fn widen(&mut self, size: Size) {
        self.lending(size).widen();
        self.lend(size);
    }

    /// No reader waits for a buffer: the kernel gets one fewer from now on, down to what it began with.
    pub(crate) fn narrow(&mut self) {
        self.small.narrow();
        self.large.narrow();
    }

    /// Whether the kernel has any buffer of this size.
    pub(crate) fn has_any(&self, size: Size) -> bool {
        match size {
            Size::Small => self.small.lent > 0,
            Size::Large => self.large.lent > 0,
        }
    }

    /// How many are neither with the kernel nor in reserve.
    #[cfg(feature = "faults")]
    pub(crate) fn out(&self) -> usize {
        let out = |lending: &Lending| lending.with_kernel.len() - lending.lent - lending.reserve.len();
        out(&self.small) + out(&self.large)
    }

    /// What the buffers contain. It outlives a call-back that owns the rest of the loop.
    pub(crate) fn memory(&self) -> Arc<Memory> {
        Arc::clone(&self.memory)
    }

    pub(crate) fn bytes(&self, taken: &Taken) -> &[u8] {
        self.memory.bytes(taken)
    }

    /// Lends as many as are wanted.
    fn lend(&mut self, size: Size) {
        while let Some((tail, number)) = self.lending(size).lend() {
            self.memory.pool(size).publish(tail, number);
        }
    }

    fn lending(&mut self, size: Size) -> &mut Lending {
        match size {
            Size::Small => &mut self.small,
            Size::Large => &mut self.large,
        }
    }
}

/// The memory of all buffers.
pub(crate) struct Memory {
    small: Pool,
    large: Pool,
}

// SAFETY: of what is behind the cells, buffers are read only through their one `Taken`, and entries are written only by
// `Buffers`, of which there is one to each `Memory`. Neither can be used by two threads at once.
unsafe impl Sync for Memory {}

impl Memory {
    /// What the kernel has written.
    pub(crate) fn bytes(&self, taken: &Taken) -> &[u8] {
        let pool = self.pool(taken.size);
        let from = usize::from(taken.number) * pool.bytes;
        let buffer = &pool.buffers[from..from + taken.len];
        // SAFETY: the kernel has initialised `len` bytes of this buffer before it told us of them, and writes to it no
        // more until `give_back` has consumed `taken`, which is borrowed for as long as the slice.
        unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), taken.len) }
    }

    fn pool(&self, size: Size) -> &Pool {
        match size {
            Size::Small => &self.small,
            Size::Large => &self.large,
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

/// A byte that the kernel may write.
type Shared = MaybeUninit<UnsafeCell<u8>>;

/// The buffers of one size, and the ring by which the kernel gets them.
struct Pool {
    /// Bytes of a buffer.
    bytes: usize,
    count: u16,
    /// Untouched, and so not in memory, until the kernel has something to put there.
    buffers: Box<[Shared]>,
    /// `count` entries of 16 bytes; the last two bytes of the first are the tail that the kernel reads.
    entries: Box<[Page]>,
}

/// The ring has to begin on a page (`io_uring_register_buf_ring(3)`).
#[repr(C, align(4096))]
struct Page(UnsafeCell<[u8; 4096]>);

const ENTRY_BYTES: usize = size_of::<BufRingEntry>();

impl Pool {
    fn new(bytes: usize, count: u16) -> Self {
        let pages = (usize::from(count) * ENTRY_BYTES).div_ceil(size_of::<Page>());
        Self {
            bytes,
            count,
            buffers: Box::new_uninit_slice(bytes * usize::from(count)),
            entries: (0..pages).map(|_| Page(UnsafeCell::new([0; 4096]))).collect(),
        }
    }

    /// Puts a buffer into the ring's place `tail` and moves the tail on.
    fn publish(&self, tail: u16, number: u16) {
        let base = self.entries.as_ptr().cast::<BufRingEntry>().cast_mut();
        let place = usize::from(tail & (self.count - 1));
        let buffer = &self.buffers[usize::from(number) * self.bytes..];
        // SAFETY: the place is below `count`, so the entry lies in `entries`, whose cells may be written through a shared
        // reference. The kernel does not read it until the tail has moved, and any bytes are a valid entry.
        let entry = unsafe { &mut *base.wrapping_add(place) };
        entry.set_addr(buffer.as_ptr().expose_provenance() as u64);
        entry.set_len(self.bytes as u32);
        entry.set_bid(number);
        // SAFETY: `base` is the address of the first entry.
        let kernels_tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: it is aligned, lies in `entries`, and is written by nobody else.
        let kernels_tail = unsafe { AtomicU16::from_ptr(kernels_tail.cast_mut()) };
        // Release: the kernel must see the entry before the tail.
        kernels_tail.store(tail.wrapping_add(1), Ordering::Release);
    }
}

/// Which buffers of one size are with the kernel: the bookkeeping, without the memory.
#[derive(Debug)]
struct Lending {
    /// By number: the kernel has it.
    with_kernel: Vec<bool>,
    /// Neither with the kernel nor out. The last to come is the first to go: it is still in the processor's cache.
    reserve: Vec<u16>,
    /// How many the kernel has.
    lent: usize,
    /// How many it is to have: least <= wanted <= with_kernel.len()
    wanted: usize,
    least: usize,
    /// Where the next one goes in the ring.
    tail: u16,
}

impl Lending {
    /// All in reserve.
    fn new(count: u16, least: u16) -> Self {
        Self {
            with_kernel: vec![false; count.into()],
            reserve: (0..count).rev().collect(),
            lent: 0,
            wanted: least.into(),
            least: least.into(),
            tail: 0,
        }
    }

    /// The kernel says that it has used a buffer; says whether it had it.
    fn take(&mut self, number: u16) -> bool {
        let had = self
            .with_kernel
            .get_mut(usize::from(number))
            .is_some_and(std::mem::take);
        self.lent -= usize::from(had);
        had
    }

    /// The next buffer for the kernel, if it is to have one more, and its place in the ring, to be taken modulo its length.
    fn lend(&mut self) -> Option<(u16, u16)> {
        if self.lent >= self.wanted {
            return None;
        }
        let number = self.reserve.pop()?;
        let before = std::mem::replace(&mut self.with_kernel[usize::from(number)], true);
        debug_assert!(!before, "buffer {number} is lent twice");
        self.lent += 1;
        let place = self.tail;
        self.tail = place.wrapping_add(1);
        Some((place, number))
    }

    fn widen(&mut self) {
        self.wanted = (self.wanted * 2).min(self.with_kernel.len());
    }

    fn narrow(&mut self) {
        self.wanted = self.wanted.saturating_sub(1).max(self.least);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// What the kernel would see of a ring: the entry in a place, and the tail.
    fn read(pool: &Pool, place: u16) -> (u64, u16, u16) {
        let base = pool.entries.as_ptr().cast::<BufRingEntry>();
        // SAFETY: as in `publish`; nobody writes meanwhile.
        let entry = unsafe { &*base.wrapping_add(usize::from(place & (pool.count - 1))) };
        // SAFETY: as in `publish`.
        let tail = unsafe { BufRingEntry::tail(base) };
        // SAFETY: as in `publish`.
        (entry.addr(), entry.bid(), unsafe { *tail })
    }

    #[derive(Debug, Clone)]
    enum Step {
        Use,
        GiveBack(prop::sample::Index),
        Widen,
        Narrow,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Use),
            4 => any::<prop::sample::Index>().prop_map(Step::GiveBack),
            1 => Just(Step::Widen),
            1 => Just(Step::Narrow),
        ]
    }

    proptest! {
        /// The oracle is the kernel: it takes buffers in the order of the ring, and each of them is in one place.
        #[test]
        fn every_buffer_is_in_one_place(steps in prop::collection::vec(step(), 0..400)) {
            const COUNT: u16 = 8;
            let pool = Pool::new(16, COUNT);
            let mut lending = Lending::new(COUNT, 2);
            let mut kernel: VecDeque<u16> = VecDeque::new();
            let mut head = 0u16;
            let mut out: Vec<u16> = Vec::new();
            for step in steps {
                match step {
                    Step::Use => if let Some(number) = kernel.pop_front() {
                        let (address, bid, tail) = read(&pool, head);
                        prop_assert_eq!(bid, number);
                        prop_assert_eq!(address, pool.buffers[usize::from(number) * 16..].as_ptr().addr() as u64);
                        prop_assert_eq!(tail.wrapping_sub(head), kernel.len() as u16 + 1);
                        head = head.wrapping_add(1);
                        prop_assert!(lending.take(number));
                        prop_assert!(!lending.take(number), "it is out already");
                        out.push(number);
                    },
                    Step::GiveBack(which) => if !out.is_empty() {
                        lending.reserve.push(out.swap_remove(which.index(out.len())));
                    },
                    Step::Widen => lending.widen(),
                    Step::Narrow => lending.narrow(),
                }
                while let Some((tail, number)) = lending.lend() {
                    pool.publish(tail, number);
                    kernel.push_back(number);
                }
                prop_assert_eq!(lending.lent, kernel.len());
                prop_assert!(kernel.len() >= lending.wanted || lending.reserve.is_empty());
                let mut all: Vec<u16> = kernel.iter().chain(&out).chain(&lending.reserve).copied().collect();
                all.sort_unstable();
                prop_assert_eq!(all, (0..COUNT).collect::<Vec<_>>());
            }
            prop_assert!(!lending.take(COUNT), "there is no such buffer");
        }
    }
}
