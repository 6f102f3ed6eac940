//! What a cache adds to the counters.

use super::{Cache, Progress};
use crate::config;
use crate::sync::{Ordering::*, OwnU64};

impl Cache {
    /// Differences since the last call; see `counters.rs` for the rules. Those of
    /// each class go to `each`: class, allocations, frees. None if somebody else is
    /// taking them, perhaps who was interrupted by the caller.
    pub fn take_progress(&self, mut each: impl FnMut(usize, u64, u64)) -> Option<Progress> {
        let _publishing = self.publish.lock_soon()?;
        let mut sum = Progress::default();
        let bins = self.bins.iter().zip(&self.cold).enumerate();
        for (class, (bin, cold)) in bins.filter(|(_, (bin, _))| bin.is_used()) {
            let swap = |old: &OwnU64, new: u64| new.wrapping_sub(old.swap(new, Relaxed));
            let (filled, n) = (cold.filled.load(Relaxed), bin.n.load(Relaxed));
            let (tail, head) = (bin.tail.load(Relaxed), cold.head.load(Relaxed));
            let queued = tail.wrapping_sub(head);
            if filled == 0 && tail == cold.counted.tail.load(Relaxed) {
                continue;
            }
            let slot = bin.slot as u64;
            let allocs = swap(&cold.counted.allocs, filled.wrapping_sub(n as u64));
            let frees = tail.wrapping_sub(cold.counted.tail.swap(tail, Relaxed)) as i32 as u64;
            let moved = queued.wrapping_sub(cold.counted.queued.swap(queued, Relaxed)) as i32;
            each(class, allocs, frees);
            sum.allocs = sum.allocs.wrapping_add(allocs);
            sum.frees = sum.frees.wrapping_add(frees);
            let live = allocs.wrapping_sub(frees).wrapping_mul(slot);
            sum.live_bytes = sum.live_bytes.wrapping_add(live);
            if config::poisons() {
                sum.poisoned_bytes = sum.poisoned_bytes.wrapping_add(frees.wrapping_mul(slot));
            }
            let verified = swap(&cold.counted.verified, cold.verified.load(Relaxed));
            sum.verified_bytes = sum.verified_bytes.wrapping_add(verified.wrapping_mul(slot));
            let moved = (moved as i64 as u64).wrapping_mul(slot);
            sum.quarantined_bytes = sum.quarantined_bytes.wrapping_add(moved);
        }
        Some(sum)
    }
}
