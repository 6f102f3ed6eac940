//! Purging as a whole.

use super::*;
#[cfg(not(loom))]
use crate::class::SMALL_CLASSES;

/// At whatever point a jump leaves it: the slots are free ones again.
#[test]
#[cfg(not(loom))]
fn a_step_that_was_broken_off_is_mended() {
    const CLASS: usize = SMALL_CLASSES - 1;
    let depot = &DEPOTS[CLASS];
    for (is_zero, is_moved) in [(false, false), (true, false), (true, true)] {
        let mut inner = depot.lock();
        let (first, end) = depot.grow(CLASS, 8, &mut inner).expect("memory");
        assert!(inner.cover_purged(CLASS, end));
        let slots = || (first..end).map(|index| Slot { class: CLASS, index: index as usize });
        inner.free.insert_run(first..end);
        slots().for_each(take_back);
        inner.purging.set_giving(first..end);
        for slot in slots() {
            slot.meta().set_flags(NEVER);
            // SAFETY: free slots, whose lock is held.
            unsafe { (slot.base() as *mut u8).write_bytes(0, slot.bytes() * is_zero as usize) };
        }
        if is_moved {
            inner.free.remove_run(first..end);
            inner.purged.insert_run(first..end - 1);
        }
        core::mem::forget(inner);
        // SAFETY: this thread has the lock.
        unsafe { depot.repair(CLASS) };
        let mut inner = depot.lock();
        for slot in slots() {
            let index = slot.index as u32;
            assert!(inner.free.contains(index) && !inner.purged.contains(index));
            assert_eq!(slot.meta().load().state(), FREE);
            // SAFETY: as above.
            assert!(unsafe { poison::holds(slot.base() as *const u8, slot.bytes()) });
        }
        // Nobody else's, for what else this process tests.
        inner.free.remove_run(first..end);
    }
}

#[test]
fn what_is_taken_back_makes_wait() {
    let mut purging = Purging::new();
    assert!(purging.is_wise());
    (purging.given, purging.since) = (1 << 40, os::now_ns().expect("a clock"));
    assert!(purging.is_wise());
    purging.note_taken(1 << 38);
    assert!(!purging.is_wise());
    purging.since = 0;
    purging.given = 4;
    assert!(purging.is_wise() && purging.taken == 0);
}
