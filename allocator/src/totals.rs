//! What the heap holds, for `mallinfo` and its like; and giving some of it back.
//!
//! Ground rules. Everything is read while other threads go on: exact for the
//! caller's own blocks, good to a batch for theirs. Differences of two numbers
//! saturate.

use crate::class::{CLASSES, SLOT_SIZE, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::signal::{self, Busy};
use crate::slot::{REPORTED, RETIRED};
use crate::{huge, large, purge, report};

/// What the heap holds, in bytes and blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapTotals {
    /// Bytes of slots: small ones that exist, and large ones with memory behind
    /// them.
    pub slot_bytes: usize,
    /// Of these, bytes in the program's hands.
    pub live_bytes: usize,
    /// Free slots that no thread keeps to itself.
    pub free_slots: usize,
    /// Of `slot_bytes`, what [`trim`] would give back of large ones.
    pub retained_bytes: usize,
    /// Blocks that are mapped directly.
    pub huge_blocks: usize,
    /// Bytes of their mappings.
    pub huge_bytes: usize,
    /// The most that was in the program's hands at a time.
    pub peak_live_bytes: usize,
}

/// Counts.
pub fn totals() -> HeapTotals {
    let _busy = Busy::new();
    counters::flush_counters();
    let small = (0..SMALL_CLASSES).map(|class| DEPOTS[class].bump() as usize * SLOT_SIZE[class]);
    let (large_live, retained_bytes) = large::held_bytes();
    let (huge_blocks, huge_bytes, huge_live) = huge::live();
    let live = counters::read(Counter::LiveBytes) as usize;
    HeapTotals {
        slot_bytes: small.sum::<usize>() + large_live + retained_bytes,
        live_bytes: live.saturating_sub(huge_live),
        free_slots: free_slots().map(|(_, count)| count).sum(),
        retained_bytes,
        huge_blocks,
        huge_bytes,
        peak_live_bytes: counters::read(Counter::PeakLiveBytes) as usize,
    }
}

/// The free slots that no thread keeps to itself: size and number.
pub fn free_slots() -> impl Iterator<Item = (usize, usize)> {
    let counts = (0..CLASSES).map(|class| (SLOT_SIZE[class], DEPOTS[class].count_hint() as usize));
    counts.filter(|&(_, count)| count > 0)
}

/// Gives the memory of free blocks back to the system; whether there was any. What
/// is damaged is told, as at reuse. What threads keep to themselves stays.
pub fn trim() -> bool {
    let _busy = Busy::new();
    if signal::is_nested() {
        return false;
    }
    let small = (0..SMALL_CLASSES).map(|class| {
        purge::trim(class, |index| {
            let slot = Slot { class, index: index as usize };
            slot.meta().set_flags(REPORTED | RETIRED);
            counters::add(Counter::RetiredSlots, 1);
            report::tell_stale(slot, 0, 0);
        })
    });
    small.fold(large::trim(), |any, gave| any | gave)
}
