//! The sweep: verifying what is free now instead of when it is used again.
//!
//! Ground rules. Other threads may be running. A finding in somebody else's
//! quarantine counts only if the entry is still in the ring after the bytes were
//! read (positions never come back) and is not the newest one (which may not be
//! filled yet). Slots in depots are verified under the depot's lock. Magazines of
//! other threads are left alone.

use core::sync::atomic::Ordering::*;

use crate::cache::{self, Cache};
use crate::class::{CLASSES, SMALL_CLASSES};
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::slot::{QUARANTINED, REPORTED, RETIRED, STATE};
use crate::{config, large, poison, report, tls};

/// Most bytes one sweep reads: a tenth of a second at worst.
const MOST_BYTES: usize = 256 << 20;

/// Verifies quarantined and free slots, tells of the damaged ones, retires them
/// and returns their number. Reads 256 MiB at most.
pub fn sweep() -> usize {
    if !config::poisons() {
        return 0;
    }
    let mut budget = MOST_BYTES;
    let mut damaged = 0;
    for cache in cache::all() {
        for class in 0..SMALL_CLASSES {
            damaged += sweep_ring(cache, class, &mut budget);
        }
    }
    for class in 0..SMALL_CLASSES {
        damaged += sweep_magazine(class, &mut budget) + sweep_depot(class, &mut budget);
    }
    for class in SMALL_CLASSES..CLASSES {
        damaged += large::sweep_class(class, &mut budget);
    }
    damaged
}

fn spend(budget: &mut usize, bytes: usize) -> bool {
    let enough = *budget >= bytes;
    *budget = budget.saturating_sub(bytes);
    enough
}

/// Whether a slot's poison is damaged.
fn is_damaged(slot: Slot) -> bool {
    // SAFETY: the slot exists; free slots may be read at any time.
    !unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) }
}

fn sweep_ring(cache: &Cache, class: usize, budget: &mut usize) -> usize {
    let (bin, cold) = (&cache.bins[class], &cache.cold[class]);
    let is_mine = core::ptr::eq(tls::cache(), cache);
    let head = cold.head.load(Acquire);
    let mut tail = bin.tail.load(Acquire);
    if !is_mine && !cache.is_idle() && tail != head {
        tail = tail.wrapping_sub(1);
    }
    let queued = tail.wrapping_sub(head);
    if queued > bin.mask {
        return 0;
    }
    let mut damaged = 0;
    for position in (0..queued).map(|at| head.wrapping_add(at)) {
        let entry = bin.entry(position);
        let slot = Slot { class, index: entry.slot as usize };
        if slot.index >= DEPOTS[class].bump() as usize || !spend(budget, slot.bytes()) {
            break;
        }
        let flags = slot.meta().load().flags();
        if flags & STATE != QUARANTINED || !is_damaged(slot) {
            continue;
        }
        let left = cold.head.load(Acquire).wrapping_sub(head);
        let still_there = position.wrapping_sub(head) >= left;
        // Dropped when it leaves the ring, as everything retired.
        if still_there && slot.meta().swap_flags(flags, flags & REPORTED | RETIRED) {
            counters::add(Counter::RetiredSlots, 1);
            report::tell_stale(slot, entry.free_site, 0);
            damaged += 1;
        }
    }
    damaged
}

/// The calling thread's magazine.
fn sweep_magazine(class: usize, budget: &mut usize) -> usize {
    let cache = tls::cache();
    if cache.is_null() {
        return 0;
    }
    // SAFETY: the cache is the calling thread's.
    let damaged = unsafe { (*cache).weed_magazine(class, budget) };
    // SAFETY: as above; no reference into it is alive.
    unsafe { report::tell_pending(cache) };
    damaged
}

fn sweep_depot(class: usize, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    let mut at = 0;
    loop {
        let mut inner = depot.lock();
        if inner.free.len() == 0 {
            return damaged;
        }
        let Some((first, bits)) = inner.free.scan(at) else { return damaged };
        at = first + 64;
        let mut stale = 0_u64;
        for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
            let slot = Slot { class, index: (first + bit) as usize };
            if !spend(budget, slot.bytes()) {
                return damaged;
            }
            if is_damaged(slot) {
                inner.free.remove(first + bit);
                slot.meta().set_flags(RETIRED);
                stale |= 1 << bit;
            }
        }
        depot.publish_count(&inner);
        drop(inner);
        for bit in (0..64).filter(|bit| stale & 1 << bit != 0) {
            counters::add(Counter::RetiredSlots, 1);
            report::tell_stale(Slot { class, index: (first + bit) as usize }, 0, 0);
            damaged += 1;
        }
    }
}
