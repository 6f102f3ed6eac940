//! How slots move between ring, magazine and depot: in batches, verified.

use super::build::limit_among;
use super::{Cache, Pending};
use crate::bin::Quarantined;
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::slot::{FREE, LIVE, Meta, NEVER, QUARANTINED, REPORTED, RETIRED, STATE};
use crate::sync::Ordering::*;
use crate::{config, poison, purge};

impl Cache {
    /// Gets slots into an empty magazine; false if only fresh slots are left.
    /// All of them may turn out damaged: look at the magazine again.
    pub fn refill(&mut self, class: usize) -> bool {
        self.step();
        if self.is_due(class) {
            self.leave(class, self.cold[class].batch);
            return true;
        }
        DEPOTS[class].count_hint() > 0 && self.take_from_depot(class)
    }

    /// Makes room in a full ring.
    pub fn make_room(&mut self, class: usize) {
        self.step();
        self.share_quarantine(class);
        let (batch, cap) = (self.cold[class].batch, self.cold[class].magazine_cap);
        loop {
            let n = self.bins[class].n.load(Relaxed);
            if n + batch > cap {
                self.give_to_depot(class, n / 2);
            }
            self.leave(class, batch);
            // More than one batch only if the limit has just become smaller.
            if self.queued(class) + batch <= self.cold[class].ring_limit {
                return;
            }
        }
    }

    /// Whether the ring has a batch more than it must keep.
    pub(super) fn is_due(&self, class: usize) -> bool {
        self.queued(class) >= self.cold[class].ring_limit - self.cold[class].batch
    }

    /// Entries of a class's ring.
    fn queued(&self, class: usize) -> u32 {
        self.bins[class].tail.load(Relaxed).wrapping_sub(self.cold[class].head.load(Relaxed))
    }

    /// Sets the limit of a full ring by the number of classes that fill theirs: all
    /// together hold what the settings say, or a program of many sizes would have a
    /// quarantine beyond the caches.
    fn share_quarantine(&mut self, class: usize) {
        let cold = &mut self.cold[class];
        self.sharers += (cold.sharers == 0) as u32;
        if cold.sharers != self.sharers {
            cold.sharers = self.sharers;
            let (sharers, batch) = (self.sharers as usize, cold.batch as usize);
            cold.ring_limit = limit_among(sharers, class, batch, self.quarantine_bytes) as u32;
        }
    }

    /// Moves the `count` oldest of the ring into the magazine, verified. The
    /// caller made sure that both have them and room for them.
    fn leave(&mut self, class: usize, count: u32) {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) as usize;
        let head = self.cold[class].head.load(Relaxed);
        let mut kept = 0;
        // One bit per entry whose slot was freed twice; a batch is 32 at most.
        let mut freed_twice = 0_u32;
        for at in 0..count {
            let slot = bin.entry(head.wrapping_add(at)).slot;
            // SAFETY: slots in the ring exist.
            let meta = unsafe { bin.meta_of(slot as usize) };
            let flags = meta.load().flags();
            // Exactly one copy of a slot leaves in state Quarantined.
            if flags == QUARANTINED || may_leave(meta, flags) {
                meta.set_flags(FREE);
                // SAFETY: the magazine has room for the batch.
                unsafe { *bin.magazine.add(n + kept) = slot };
                kept += 1;
            } else if matches!(flags & STATE, LIVE | FREE | NEVER) {
                freed_twice |= 1 << at;
            }
        }
        // SAFETY: `kept` entries behind the old ones were just written.
        let slots = unsafe { core::slice::from_raw_parts_mut(bin.magazine.add(n), kept) };
        if freed_twice != 0 {
            for at in (0..count).filter(|at| freed_twice & 1 << at != 0) {
                let slot = self.bins[class].entry(head.wrapping_add(at));
                self.note(Pending { class, slot, is_double_free: true });
            }
        }
        let kept = self.verify(class, slots, Some((head, count)));
        let (bin, cold) = (&mut self.bins[class], &self.cold[class]);
        cold.filled.store(cold.filled.load(Relaxed) + kept as u64, Relaxed);
        bin.n.store((n + kept) as u32, Relaxed);
        cold.head.store(head.wrapping_add(count), Release);
        bin.stop = head.wrapping_add(count).wrapping_add(cold.ring_limit);
    }

    /// Verifies slots, weeds out the damaged ones and returns how many are left.
    /// `from` says which ring positions they came from, for their free sites.
    fn verify(&mut self, class: usize, slots: &mut [u32], from: Option<(u32, u32)>) -> usize {
        if !config::poisons() {
            return slots.len();
        }
        let cold = &self.cold[class];
        cold.verified.store(cold.verified.load(Relaxed) + slots.len() as u64, Relaxed);
        let bin = &self.bins[class];
        // SAFETY: the caller's slots: they exist and are free.
        if unsafe { poison::batch_holds(bin.base as *const u8, bin.slot as usize, slots) } {
            return slots.len();
        }
        self.weed(class, slots, from)
    }

    #[cold]
    #[inline(never)]
    fn weed(&mut self, class: usize, slots: &mut [u32], from: Option<(u32, u32)>) -> usize {
        let mut kept = 0;
        for at in 0..slots.len() {
            let slot = slots[at];
            let bin = &self.bins[class];
            // SAFETY: as in `verify`.
            if unsafe { poison::holds(bin.address(slot as usize), bin.slot as usize) } {
                slots[kept] = slot;
                kept += 1;
                continue;
            }
            let (head, count) = from.unwrap_or((0, 0));
            let entries = (0..count).map(|at| bin.entry(head.wrapping_add(at)));
            let entry = entries.into_iter().find(|entry| entry.slot == slot);
            let entry = entry.unwrap_or(Quarantined { slot, free_site: 0 });
            self.retire_slot(class, entry);
        }
        kept
    }

    /// Takes a damaged free slot out of use and notes it.
    fn retire_slot(&mut self, class: usize, slot: Quarantined) {
        // SAFETY: the slot exists.
        let meta = unsafe { self.bins[class].meta_of(slot.slot as usize) };
        meta.set_flags(REPORTED | RETIRED);
        counters::add(Counter::RetiredSlots, 1);
        self.note(Pending { class, slot, is_double_free: false });
    }

    /// Throws the newest slot of the magazine away, which `Bin::take` refused.
    #[cold]
    pub fn discard_top(&mut self, class: usize) {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) - 1;
        // SAFETY: the magazine was not empty.
        let slot = unsafe { *bin.magazine.add(n as usize) };
        bin.n.store(n, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed) - 1, Relaxed);
        self.retire_slot(class, Quarantined { slot, free_site: 0 });
    }

    /// Verifies the magazine; returns how many slots were damaged.
    pub fn weed_magazine(&mut self, class: usize, budget: &mut usize) -> usize {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed);
        let bytes = n as usize * bin.slot as usize;
        if n == 0 || *budget < bytes {
            return 0;
        }
        *budget -= bytes;
        // SAFETY: invariant 1 of `Bin`: entries `0..n`.
        let slots = unsafe { core::slice::from_raw_parts_mut(bin.magazine, n as usize) };
        let kept = self.verify(class, slots, None) as u32;
        self.bins[class].n.store(kept, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub((n - kept) as u64), Relaxed);
        (n - kept) as usize
    }

    /// Takes the newest slot of the magazine unseen: without poison there is no
    /// canary to compare.
    #[cold]
    pub fn take_unpoisoned(&mut self, class: usize) -> u32 {
        let bin = &self.bins[class];
        let n = bin.n.load(Relaxed) - 1;
        bin.n.store(n, Relaxed);
        // SAFETY: the magazine was not empty.
        unsafe { *bin.magazine.add(n as usize) }
    }

    /// Gives the `count` oldest of the magazine to the depot.
    fn give_to_depot(&mut self, class: usize, count: u32) {
        let (bin, cold) = (&self.bins[class], &self.cold[class]);
        let depot = &DEPOTS[class];
        let mut inner = depot.lock();
        let n = bin.n.load(Relaxed);
        for at in 0..count as usize {
            // SAFETY: `count <= n`.
            inner.free.insert(unsafe { *bin.magazine.add(at) });
        }
        let rest = (n - count) as usize;
        // SAFETY: both ranges lie in the magazine.
        unsafe { core::ptr::copy(bin.magazine.add(count as usize), bin.magazine, rest) };
        bin.n.store(rest as u32, Relaxed);
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub(count as u64), Relaxed);
        depot.publish_count(&inner);
        let is_due = depot.note_freed(class, count, &mut inner);
        drop(inner);
        if is_due && let Some(slot) = purge::look(class) {
            self.retire_slot(class, Quarantined { slot, free_site: 0 });
        }
    }

    /// Fills the empty magazine from the depot, verifying again: a stale write
    /// may have hit a slot since it was verified first.
    fn take_from_depot(&mut self, class: usize) -> bool {
        let batch = self.cold[class].batch as usize;
        let magazine = self.bins[class].magazine;
        // SAFETY: the magazine is empty and holds at least a batch.
        let room = unsafe { core::slice::from_raw_parts_mut(magazine, batch) };
        let depot = &DEPOTS[class];
        let got = {
            let mut inner = depot.lock();
            let got = inner.free.take(room);
            room.copy_within(batch - got.., 0);
            // Published under the lock, before verification: see the depot's
            // rule that a slot is in one place only.
            self.bins[class].n.store(got as u32, Relaxed);
            let cold = &self.cold[class];
            cold.filled.store(cold.filled.load(Relaxed).wrapping_add(got as u64), Relaxed);
            depot.publish_count(&inner);
            got
        };
        let kept = self.verify(class, &mut room[..got], None);
        self.bins[class].n.store(kept as u32, Relaxed);
        let cold = &self.cold[class];
        cold.filled.store(cold.filled.load(Relaxed).wrapping_sub((got - kept) as u64), Relaxed);
        self.bins[class].limit.store(depot.bump(), Relaxed);
        got > 0
    }

    /// Empties ring and magazine of a class into the depot.
    pub(super) fn drain(&mut self, class: usize) {
        loop {
            let queued = self.queued(class);
            let n = self.bins[class].n.load(Relaxed);
            if n > 0 {
                self.give_to_depot(class, n);
            }
            if queued == 0 {
                return self.give_fresh_back(class);
            }
            self.leave(class, queued.min(self.cold[class].batch));
        }
    }
}

/// Whether a slot whose flags are not the plain ones may leave the quarantine.
#[cold]
fn may_leave(meta: &Meta, flags: u8) -> bool {
    let is_quarantined = flags & STATE == QUARANTINED;
    // An object that was misused once is not trusted any more. Retired ones were
    // told of before and just drop out.
    if is_quarantined && flags & REPORTED != 0 {
        meta.set_flags(REPORTED | RETIRED);
        counters::add(Counter::RetiredSlots, 1);
        return false;
    }
    is_quarantined
}
