//! Verifying the retained slots, and what is behind live blocks.

use core::sync::atomic::Ordering::Relaxed;

use crate::depot::DEPOTS;
use crate::place::Slot;
use crate::slot::FREE;

use super::canary::{poison_holds, retire_stale};
use super::ends::sweep_ends;
use super::meta::{TAKEN, meta};
use super::retain::RETAINED;

/// Verifies the retained slots of a class and the ends of its live blocks, up to
/// `budget` bytes; the number of damaged ones, which are told of and taken out of
/// use.
pub fn sweep_class(class: usize, budget: &mut usize) -> usize {
    sweep_retained(class, budget) + sweep_ends(class, budget)
}

fn sweep_retained(class: usize, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    let mut at = 0;
    loop {
        let mut inner = depot.lock();
        let Some((first, bits)) = inner.free.scan(at) else { return damaged };
        at = first + 64;
        let mut stale = None;
        for bit in (0..64).filter(|bit| bits & 1 << bit != 0) {
            let slot = Slot { class, index: (first + bit) as usize };
            let meta = meta(slot);
            let dirty = meta.dirty();
            if *budget < dirty {
                return damaged;
            }
            *budget -= dirty;
            // What was told of is dropped by who takes it.
            let looks = meta.flags() == FREE;
            // SAFETY: a free slot, held by the set whose lock is held.
            let holds = !looks || unsafe { poison_holds(slot, meta) };
            if !holds && meta.swap(FREE, TAKEN) {
                inner.free.remove(first + bit);
                RETAINED.fetch_sub(dirty, Relaxed);
                stale = Some((slot, meta));
                // The rest of the word is looked at again.
                at = first;
                break;
            }
        }
        depot.publish_count(&inner);
        drop(inner);
        if let Some((slot, meta)) = stale {
            damaged += 1;
            retire_stale(slot, meta);
        }
    }
}
