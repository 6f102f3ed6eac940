//! Slots never used before: a thread reserves some at a time.

use super::Cache;
use crate::class::SLOT_SIZE;
use crate::depot::DEPOTS;
use crate::sync::Ordering::*;

/// Fresh slots a thread reserves at a time: an eighth of what exists, in bytes ...
const FRESH: core::ops::RangeInclusive<usize> = (8 << 10)..=(128 << 10);
/// ... but so few at first, and twice as many each time: a thousand threads with a
/// few blocks each shall not have a page each for every size.
const FIRST_FRESH: usize = 512;

impl Cache {
    /// A slot never used before that is at hand, if it is the turn of one: what was
    /// freed goes first. For functions of the section `deadwalk_heap`: once it
    /// returned, a signal handler finds the cache consistent.
    #[inline(always)]
    pub fn fresh_at_hand(&mut self, class: usize) -> Option<u32> {
        let cold = &self.cold[class];
        let is_turn = self.bins[class].n.load(Relaxed) == 0
            && cold.fresh < cold.fresh_end
            && cold.fresh >= cold.fresh_used
            && !self.is_due(class)
            && DEPOTS[class].count_hint() == 0;
        is_turn.then(|| self.count_fresh(class))
    }

    #[inline(always)]
    fn count_fresh(&mut self, class: usize) -> u32 {
        let cold = &mut self.cold[class];
        let slot = cold.fresh;
        cold.fresh += 1;
        cold.filled.store(cold.filled.load(Relaxed) + 1, Relaxed);
        slot
    }

    /// The next fresh slot, and whether it was in use once. Its memory reads as zero.
    /// None without memory.
    pub fn next_fresh(&mut self, class: usize) -> Option<(u32, bool)> {
        if self.cold[class].fresh >= self.cold[class].fresh_end {
            let slot = SLOT_SIZE[class];
            let depot = &DEPOTS[class];
            let mut inner = depot.lock();
            let bump = depot.bump();
            let have = bump as usize * slot;
            let most = (have / 8).clamp(*FRESH.start(), *FRESH.end());
            let step = (self.cold[class].fresh_step as usize * 2).clamp(FIRST_FRESH, most);
            let want = (step / slot).max(1);
            let (first, end) = depot.grow(class, want as u32, &mut inner)?;
            self.cold[class].fresh_step = step as u32;
            // Under the lock, so that a fork sees both or neither.
            self.cold[class].fresh = first;
            self.cold[class].fresh_end = end;
            self.cold[class].fresh_used = bump;
            self.bins[class].limit.store(depot.bump(), Relaxed);
        }
        let slot = self.count_fresh(class);
        Some((slot, slot < self.cold[class].fresh_used))
    }

    /// A fresh slot was not handed out.
    pub fn drop_fresh(&mut self, class: usize) {
        let filled = &self.cold[class].filled;
        filled.store(filled.load(Relaxed).wrapping_sub(1), Relaxed);
    }

    /// Gives the reserved fresh slots to the depot, as slots whose memory was given
    /// back: else they would keep the pages that they share with others.
    pub(super) fn give_fresh_back(&mut self, class: usize) {
        let cold = &mut self.cold[class];
        let slots = cold.fresh..cold.fresh_end;
        // The memory of sets is not made anew for each run of a model.
        if slots.is_empty() || cfg!(loom) {
            return;
        }
        let depot = &DEPOTS[class];
        let mut inner = depot.lock();
        if inner.cover_purged(class, depot.bump()) {
            cold.fresh = cold.fresh_end;
            inner.purged.insert_run(slots);
        }
    }

    /// Fresh slots that the cache holds.
    #[cfg(loom)]
    pub fn fresh_left(&self, class: usize) -> u32 {
        self.cold[class].fresh_end - self.cold[class].fresh
    }
}
