//! When the blocks of held slots were freed: an access tells how long ago that was.
//!
//! Ground rules. Of slots that share a place the one that was freed last is known; those
//! are far apart. Written by who frees, read by the trap at any time.
//!
//! Who frees notes the processor's time-stamp counter, since the clock would be a system
//! call; how fast it counts is measured from time to time.

use core::arch::x86_64::_rdtsc;
use core::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::os::{self, PAGE};

/// Slots that are remembered; 256 KiB, of which only used pages are memory.
const PLACES: usize = 1 << 14;
/// Pages of the smallest slot.
const SLOT_PAGES: usize = 2;

struct Free {
    /// The start of the slot, or of the huge block; 0 for none.
    base: AtomicUsize,
    ticks: AtomicU64,
}

static FREES: [Free; PLACES] =
    [const { Free { base: AtomicUsize::new(0), ticks: AtomicU64::new(0) } }; PLACES];

/// The counter and CLOCK_MONOTONIC as the first block was freed; 0 before.
static START: [AtomicU64; 2] = [const { AtomicU64::new(0) }; 2];
/// How many ns a tick takes, in units of 2^-32, and the ticks from the start over which
/// that was measured; 0 before.
static TICK_NS: AtomicU64 = AtomicU64::new(0);
static MEASURED: AtomicU64 = AtomicU64::new(0);
const SHIFT: u32 = 32;

fn ticks() -> u64 {
    // SAFETY: reading the time-stamp counter has no precondition.
    unsafe { _rdtsc() }
}

fn place(base: usize) -> &'static Free {
    &FREES[base / PAGE / SLOT_PAGES % PLACES]
}

/// The block of the slot at `base`, or that block itself, is freed now.
pub fn note(base: usize) {
    let now = ticks();
    if START[0].load(Relaxed) == 0 {
        START[1].store(os::exact_ns().unwrap_or(0), Relaxed);
        START[0].store(now, Release);
    }
    let free = place(base);
    free.base.store(0, Release);
    free.ticks.store(now, Release);
    free.base.store(base, Release);
}

/// For how long it has been free, ns; 0 if that is not known.
pub fn age_ns(base: usize) -> u64 {
    let free = place(base);
    let is_it = free.base.load(Acquire) == base;
    let freed = free.ticks.load(Acquire);
    if !is_it || free.base.load(Relaxed) != base {
        return 0;
    }
    let now = ticks();
    // Two processors' counters may differ somewhat.
    let age = now.saturating_sub(freed).max(1);
    ((u128::from(age) * u128::from(tick_ns(now))) >> SHIFT) as u64
}

/// How many ns a tick takes, measured anew whenever twice as many have passed.
fn tick_ns(now: u64) -> u64 {
    let passed = now.saturating_sub(START[0].load(Acquire));
    if passed / 2 >= MEASURED.load(Relaxed)
        && let Some(ns) = os::exact_ns()
    {
        let ns = ns.saturating_sub(START[1].load(Relaxed));
        TICK_NS.store(ratio(ns, passed), Relaxed);
        MEASURED.store(passed, Relaxed);
    }
    TICK_NS.load(Relaxed)
}

fn ratio(ns: u64, ticks: u64) -> u64 {
    ((u128::from(ns) << SHIFT) / u128::from(ticks.max(1))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::ALL_CLASSES;
    use crate::place::Slot;

    #[test]
    fn who_was_freed_last_in_a_place_is_known_and_for_how_long() {
        let slot = |index| Slot { class: ALL_CLASSES - 1, index };
        let base = |index| slot(index).base();
        let clock = || os::exact_ns().expect("a clock");
        let before = clock();
        note(base(5));
        let after = clock();
        while clock() - after < 10_000_000 {}
        let (least, age, most) = (clock() - after, age_ns(base(5)), clock() - before);
        // What a preemption inside the first measurement may add or take.
        let slack = most - least + 5_000_000;
        assert!((least - slack.min(least)..most + slack).contains(&age), "{least} {age} {most}");
        assert_eq!(age_ns(base(6)), 0);
        // As many slots on: the same place.
        let pages = slot(0).bytes() / PAGE;
        let other = base(5 + PLACES * SLOT_PAGES / pages);
        if core::ptr::eq(place(other), place(base(5))) {
            note(other);
            assert_eq!(age_ns(base(5)), 0);
            assert!(age_ns(other) < age);
        }
    }

    #[test]
    fn a_tick_takes_as_long_as_was_measured() {
        assert_eq!(ratio(2_000, 4_000) >> (SHIFT - 1), 1);
        assert_eq!(ratio(u64::MAX, u64::MAX), 1 << SHIFT);
        assert_eq!(ratio(7, 0), 7 << SHIFT);
    }
}
