//! Verifying the retained slots.
//!
//! Ground rules. One slot at a time is verified, under its depot's lock: only who
//! allocates a block of the same class waits, for about a millisecond per 16 MiB.

use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::slot::FREE;

use super::canary::{poison_holds, retire_stale};
use super::meta::{TAKEN, meta};
use super::retain::count_retained;

/// Verifies the retained slots of a class from slot `at` on, as far as the budget
/// reaches; the number of damaged ones, which are told of and taken out of use.
pub fn sweep_retained(class: usize, at: &mut u32, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    while *budget > 0 {
        let mut inner = depot.lock();
        let word = *at & !63;
        let Some((first, mut bits)) = inner.free.scan(word) else { break };
        if first == word {
            bits &= u64::MAX << (*at - word);
        }
        if bits == 0 {
            *at = first + 64;
            continue;
        }
        let index = first + bits.trailing_zeros();
        *at = index + 1;
        let slot = Slot { class, index: index as usize };
        let (meta, dirty) = (meta(slot), meta(slot).dirty());
        *budget = budget.saturating_sub(dirty);
        // What was told of is dropped by who takes it.
        let looks = meta.flags() == FREE;
        // SAFETY: a free slot, held by the set whose lock is held.
        let holds = !looks || unsafe { poison_holds(slot, meta) };
        if holds || !meta.swap(FREE, TAKEN) {
            continue;
        }
        inner.free.remove(index);
        count_retained(meta, 0);
        depot.publish_count(&inner);
        drop(inner);
        damaged += 1;
        retire_stale(slot, meta);
    }
    damaged
}
