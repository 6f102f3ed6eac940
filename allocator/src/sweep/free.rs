//! What is free: quarantines, the caller's magazines, depots.
//!
//! Ground rules. A finding in somebody else's quarantine counts only if the
//! entry is still in the ring after the bytes were read (positions never come
//! back) and is not the newest one (which may not be filled yet). Slots in
//! depots are verified under the depot's lock, a few at a time. All bytes are read
//! under that lock, for the memory of slots may go back from the depot to the
//! system; one in quarantine cannot get there meanwhile. Magazines of
//! other threads are left alone: what is damaged in them is found when it is
//! handed out, or freed again.

use core::sync::atomic::{Ordering::*, fence};

use super::spend;
use crate::cache::Cache;
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::slot::{QUARANTINED, REPORTED, RETIRED, STATE};
use crate::{poison, report, tls};

/// Most bytes verified while a depot's lock is held (or one slot): 10 us.
const LOCKED_BYTES: usize = 64 << 10;

/// Whether a slot's poison is damaged.
fn is_damaged(slot: Slot) -> bool {
    // SAFETY: the caller holds the class's lock and saw under it that the slot is in
    // quarantine or in the depot: it is mapped.
    !unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) }
}

/// Verifies a ring from its entry number `done` on; how many were damaged.
pub fn sweep_ring(cache: &Cache, class: usize, done: &mut u32, budget: &mut usize) -> usize {
    let (bin, cold) = (&cache.bins[class], &cache.cold[class]);
    let is_mine = core::ptr::eq(tls::cache(), cache);
    let head = cold.head.load(Acquire);
    let mut tail = bin.tail.load(Acquire);
    if !is_mine && !cache.is_idle() && tail != head {
        tail = tail.wrapping_sub(1);
    }
    let queued = tail.wrapping_sub(head);
    if queued > bin.mask + 1 {
        return 0;
    }
    let mut damaged = 0;
    while *done < queued && *budget > 0 {
        let position = head.wrapping_add(*done);
        *done += 1;
        let entry = bin.entry(position);
        let slot = Slot { class, index: entry.slot as usize };
        if slot.index >= DEPOTS[class].bump() as usize {
            break;
        }
        spend(budget, slot.bytes());
        let mapped = DEPOTS[class].lock();
        let flags = slot.meta().load().flags();
        let is_suspect = flags & STATE == QUARANTINED && is_damaged(slot);
        drop(mapped);
        if !is_suspect {
            continue;
        }
        // The bytes first, then where the ring is.
        fence(Acquire);
        let left = cold.head.load(Acquire).wrapping_sub(head);
        let still_there = position.wrapping_sub(head) >= left;
        // Dropped when it leaves the ring, as everything retired.
        if still_there && slot.meta().swap_flags(flags, flags & REPORTED | RETIRED) {
            // Told first: who sees it counted may end the process.
            report::tell_stale(slot, entry.free_site, 0);
            counters::add(Counter::RetiredSlots, 1);
            damaged += 1;
        }
    }
    damaged
}

/// Verifies the calling thread's magazine; how many slots were damaged.
pub fn sweep_magazine(class: usize, budget: &mut usize) -> usize {
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

/// Verifies a depot's slots from `at` on; how many were damaged.
pub fn sweep_depot(class: usize, at: &mut u32, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    while *budget > 0 {
        let mut inner = depot.lock();
        if inner.free.len() == 0 {
            break;
        }
        let word = *at & !63;
        let Some((first, mut bits)) = inner.free.scan(word) else { break };
        if first == word {
            bits &= u64::MAX << (*at - word);
        }
        let mut stale = 0_u64;
        let mut read = 0;
        *at = first + 64;
        for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
            let slot = Slot { class, index: (first + bit) as usize };
            if read >= LOCKED_BYTES {
                *at = first + bit;
                break;
            }
            read += slot.bytes();
            if is_damaged(slot) {
                inner.free.remove(first + bit);
                slot.meta().set_flags(RETIRED);
                stale |= 1 << bit;
            }
        }
        depot.publish_count(&inner);
        drop(inner);
        spend(budget, read);
        for bit in (0..64).filter(|bit| stale & 1 << bit != 0) {
            report::tell_stale(Slot { class, index: (first + bit) as usize }, 0, 0);
            counters::add(Counter::RetiredSlots, 1);
            damaged += 1;
        }
    }
    damaged
}
