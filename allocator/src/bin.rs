//! A thread's slots of one class: magazine and quarantine ring.
//!
//! ```text
//!   free --> [ tail  ring, FIFO  head ] --verified--> [ magazine, LIFO ] --> malloc
//!                                                        ^         |
//!                                                        +- depot -+
//! ```
//!
//! Ground rules. Written by the owning thread only. `n`, `tail` and `head` may
//! be read by others at any time (activity probe, counters, sweep, look-up of
//! free sites), hence relaxed atomics: plain moves on x86-64. Magazine entries
//! are the owner's alone.
//! A signal handler that interrupts the owner between a load and the store of `n`
//! or `tail` does not touch the bin (`signal.rs`).

use crate::poison;
use crate::slot::{Meta, Word};
use crate::sync::{AtomicU32, AtomicU64, Ordering::*, OwnU32};

/// The hot part: one cache line, of which malloc touches the first half.
///
/// # Invariants
///
/// 1. `n <= mag_cap`; magazine entries `0..n` are slots in state Free.
/// 2. Ring entries `head..tail` (positions wrap) are in quarantine, and
///    `tail - head <= stop - head <= mask + 1`.
/// 3. Slots below `limit` have metadata.
#[repr(C, align(64))]
pub struct Bin {
    /// Entries in the magazine.
    pub n: OwnU32,
    /// Slot size in bytes.
    pub slot: u32,
    /// The magazine.
    pub magazine: *mut u32,
    /// Address of slot 0.
    pub base: usize,
    /// Metadata of slot 0.
    pub meta: *const Meta,
    /// See [`crate::class::INVERSE`].
    pub inverse: u64,
    /// The ring: slot in the low half, free site in the high half.
    pub ring: *const AtomicU64,
    /// Position behind the newest entry.
    pub tail: AtomicU32,
    /// Ring length minus one.
    pub mask: u32,
    /// The `tail` at which the ring is full.
    pub stop: u32,
    /// Slots known to exist.
    pub limit: OwnU32,
}

/// A slot in the quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Its index.
    pub slot: u32,
    /// Who freed it.
    pub free_site: u32,
}

impl Bin {
    /// Address of a slot.
    #[inline(always)]
    pub fn address(&self, slot: usize) -> *mut u8 {
        (self.base + slot * self.slot as usize) as *mut u8
    }

    /// Metadata of a slot.
    ///
    /// # Safety
    ///
    /// * `slot` is below the depot's bump.
    #[inline(always)]
    pub unsafe fn meta_of(&self, slot: usize) -> &Meta {
        // SAFETY: metadata is mapped for all slots that exist.
        unsafe { &*self.meta.add(slot) }
    }

    /// Takes the newest slot of the magazine for a block of `size` bytes. Null
    /// if there is none, or if a stale write hit it since it was verified: its
    /// canary would then accuse the new owner.
    ///
    /// # Safety
    ///
    /// * The caller owns the bin; `size` is smaller than the class's slots.
    #[inline(always)]
    pub unsafe fn take(&self, size: usize, site: usize) -> *mut u8 {
        let n = self.n.load(Relaxed);
        if n == 0 {
            return core::ptr::null_mut();
        }
        // SAFETY: invariant 1; the slot is free, so the heap may read it.
        unsafe {
            let slot = *self.magazine.add(n as usize - 1) as usize;
            let block = self.address(slot);
            if !poison::word_holds(block, size, self.slot as usize) {
                return core::ptr::null_mut();
            }
            self.n.store(n - 1, Relaxed);
            self.meta_of(slot).store(Word::live(size, site));
            block
        }
    }

    /// Whether it ever held a slot. (A bin that has one knows that it exists.)
    pub fn is_used(&self) -> bool {
        self.limit.load(Relaxed) != 0
    }

    /// Whether the ring takes no more.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.tail.load(Relaxed) == self.stop
    }

    /// Appends to the quarantine.
    ///
    /// # Safety
    ///
    /// * The caller owns the bin, and the ring is not full.
    #[inline(always)]
    pub unsafe fn push(&self, slot: usize, site: usize) {
        let tail = self.tail.load(Relaxed);
        // SAFETY: the index is masked.
        let entry = unsafe { &*self.ring.add((tail & self.mask) as usize) };
        // Behind the `head` that made room: who reads the new entry sees that the old
        // one left. A plain store on x86-64.
        entry.store(slot as u64 | (site as u64) << 32, Release);
        self.tail.store(tail.wrapping_add(1), Release);
    }

    /// The entry at a position; stale unless the position is in `head..tail`.
    pub fn entry(&self, position: u32) -> Quarantined {
        // SAFETY: the index is masked.
        let entry = unsafe { (*self.ring.add((position & self.mask) as usize)).load(Acquire) };
        Quarantined { slot: entry as u32, free_site: (entry >> 32) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    proptest! {
        #[test]
        fn quarantine_matches_a_deque(steps in prop::collection::vec(any::<u8>(), 1..400), start in any::<u32>()) {
            let ring: Vec<AtomicU64> = (0..16).map(|_| AtomicU64::new(0)).collect();
            let bin = Bin {
                n: OwnU32::new(0), slot: 16, magazine: core::ptr::null_mut(), base: 0,
                meta: core::ptr::null(), inverse: 0, ring: ring.as_ptr(),
                tail: AtomicU32::new(start), mask: 15, stop: 0, limit: OwnU32::new(0),
            };
            let mut bin = bin;
            let mut head = start;
            bin.stop = head.wrapping_add(13);
            let mut model = VecDeque::new();
            for (number, step) in steps.iter().enumerate() {
                if step % 3 != 0 {
                    prop_assert_eq!(bin.is_full(), model.len() == 13);
                    if !bin.is_full() {
                        // SAFETY: the ring is this test's and not full.
                        unsafe { bin.push(number, *step as usize) };
                        model.push_back(Quarantined { slot: number as u32, free_site: *step as u32 });
                    }
                } else if let Some(oldest) = model.pop_front() {
                    prop_assert_eq!(bin.entry(head), oldest);
                    head = head.wrapping_add(1);
                    bin.stop = head.wrapping_add(13);
                }
                let live = (0..model.len()).map(|at| bin.entry(head.wrapping_add(at as u32)));
                prop_assert!(live.eq(model.iter().copied()));
            }
        }
    }
}
