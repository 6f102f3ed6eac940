//! What becomes of a cache whose owner will not go on: it jumped out of a call of the
//! heap, or is a thread of a fork child's parent.

use super::Cache;
use super::threads::{ALL, IDLE, Idle, all};
use crate::counters::{self, Counter};
use crate::lock::Lock;
use crate::slot::QUARANTINED;
use crate::sync::Ordering::*;
use crate::{config, poison, signal};

impl Cache {
    /// Forgets what the cache holds: its owner was in the middle of a step, so
    /// nothing in it can be trusted. How many slots are lost.
    fn give_up(&mut self) -> u64 {
        let mut lost = 0;
        for (bin, cold) in self.bins.iter_mut().zip(&mut self.cold) {
            let (n, tail) = (bin.n.load(Relaxed), bin.tail.load(Relaxed));
            lost += n as u64 + tail.wrapping_sub(cold.head.load(Relaxed)) as u64;
            bin.n.store(0, Relaxed);
            cold.filled.fetch_sub(n as u64, Relaxed);
            cold.head.store(tail, Relaxed);
            bin.stop = tail.wrapping_add(cold.ring_limit);
            // The next fresh slot may have been handed out half-way.
            cold.fresh = (cold.fresh + 1).min(cold.fresh_end);
        }
        self.pending_count = 0;
        lost
    }

    /// Fills the newest slot of each ring if it is not all poison: it was being filled
    /// when its free was broken off, and would look written to, from the slot behind
    /// it too.
    fn finish_broken_free(&self) {
        for (bin, cold) in self.bins.iter().zip(&self.cold) {
            let newest = bin.tail.load(Relaxed).wrapping_sub(1);
            if newest.wrapping_add(1) == cold.head.load(Relaxed) || !config::poisons() {
                continue;
            }
            let (slot, bytes) = (bin.entry(newest).slot as usize, bin.slot as usize);
            // SAFETY: slots in the ring exist, and this one is the owner's.
            unsafe {
                if bin.meta_of(slot).load().state() == QUARANTINED
                    && !poison::holds(bin.address(slot), bytes)
                {
                    poison::fill(bin.address(slot), bytes - 1, bytes);
                }
            }
        }
    }
}

/// After the calling thread left a call of the heap by a jump: opens the locks
/// around caches that the call holds, and gives up what its cache holds if it was in a
/// slow path, else fills the slot that it may have been filling.
///
/// # Safety
///
/// * `cache` is the calling thread's, or null, and the call will not go on.
pub unsafe fn abandon_step(cache: *mut Cache, in_slow_path: bool) {
    if IDLE.is_mine() {
        IDLE.force_open();
    }
    for other in all() {
        if other.publish.is_mine() {
            other.publish.force_open();
        }
    }
    // SAFETY: the calling thread's.
    if let Some(cache) = unsafe { cache.as_mut() } {
        if in_slow_path {
            counters::add(Counter::RetiredSlots, cache.give_up());
        } else {
            cache.finish_broken_free();
        }
    }
}

/// In a fork child: forgets what other threads' caches hold. Their owners may
/// have been in the middle of a step, even of filling a slot, so nothing in them
/// can be trusted: the slots are given up, the caches reused. Not counted as
/// retired: nothing damaged them, and the totals still are the parent's.
///
/// # Safety
///
/// * The caller is the only thread of the process and holds the registry lock.
pub unsafe fn abandon_others(idle: &mut Idle) {
    let mut next = ALL.load(Relaxed);
    while !next.is_null() {
        // SAFETY: the only thread; nobody else uses any cache.
        let cache = unsafe { &mut *next };
        cache.publish = Lock::new(());
        if !signal::has_cache(next) && cache.in_use.load(Relaxed) {
            cache.give_up();
            cache.in_use.store(false, Relaxed);
            cache.next_free = idle.0;
            idle.0 = next;
        }
        next = cache.next_of_all;
    }
}
