//! When the blocks of held slots were freed: an access tells how long ago that was.
//!
//! Ground rules. Of slots that share a place the one that was freed last is known; those
//! are far apart. Written by who frees, read by the trap at any time.

use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::os::{self, PAGE};
use crate::place::Slot;

/// Slots that are remembered; 256 KiB, of which only used pages are memory.
const PLACES: usize = 1 << 14;
/// Pages of the smallest slot.
const SLOT_PAGES: usize = 2;

struct Free {
    /// The slot's start; 0 for none.
    base: AtomicUsize,
    /// CLOCK_MONOTONIC.
    ns: AtomicU64,
}

static FREES: [Free; PLACES] =
    [const { Free { base: AtomicUsize::new(0), ns: AtomicU64::new(0) } }; PLACES];

fn place(base: usize) -> &'static Free {
    &FREES[base / PAGE / SLOT_PAGES % PLACES]
}

/// The slot's block is freed now.
pub fn note(slot: Slot) {
    let free = place(slot.base());
    free.base.store(0, Release);
    free.ns.store(os::exact_ns().unwrap_or(0), Release);
    free.base.store(slot.base(), Release);
}

/// When the slot's block was freed, ns of CLOCK_MONOTONIC; 0 if that is not known.
pub fn freed_ns(slot: Slot) -> u64 {
    let (free, base) = (place(slot.base()), slot.base());
    let is_it = free.base.load(Acquire) == base;
    let ns = free.ns.load(Acquire);
    if is_it && free.base.load(Relaxed) == base { ns } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::ALL_CLASSES;

    #[test]
    fn who_was_freed_last_in_a_place_is_known() {
        let slot = |index| Slot { class: ALL_CLASSES - 1, index };
        let before = os::exact_ns().expect("a clock");
        note(slot(5));
        assert!(freed_ns(slot(5)) >= before);
        assert_eq!(freed_ns(slot(6)), 0);
        // As many slots on: the same place.
        let pages = slot(0).bytes() / PAGE;
        let other = slot(5 + PLACES * SLOT_PAGES / pages);
        if place(other.base()).base.as_ptr() == place(slot(5).base()).base.as_ptr() {
            note(other);
            assert_eq!(freed_ns(slot(5)), 0);
            assert!(freed_ns(other) >= before);
        }
    }
}
