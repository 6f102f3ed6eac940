//! Free small slots whose memory was given back, as ranges of slot numbers.
//!
//! Ground rules. A hole's bounds are slots that begin on a page's boundary, so no
//! slot lies half in a hole. Its pages are not mapped but for the last one, at
//! which whoever frees the slot behind the hole looks: there is poison still. The
//! slots are in no other set, and as if never used: who takes some of them maps
//! them first. The depot's lock guards the list. It is short: without room in it,
//! memory is not given back.

use core::ops::Range;

use crate::os::PAGE;

/// Holes of one class.
const MOST: usize = 32;

/// A class's holes, in no order.
pub struct Holes {
    ranges: [Range<u32>; MOST],
    count: usize,
}

impl Holes {
    /// None.
    pub const fn new() -> Holes {
        Holes { ranges: [const { 0..0 }; MOST], count: 0 }
    }

    /// Whether the list takes no more.
    pub fn is_full(&self) -> bool {
        self.count == MOST
    }

    /// Whether there is a hole in front of this slot.
    pub fn any_ends_at(&self, slot: u32) -> bool {
        self.ranges[..self.count].iter().any(|hole| hole.end == slot)
    }

    /// Whether what [`first`](Self::first) returned is a hole up to its end.
    pub fn is_whole(&self, taken: &Range<u32>) -> bool {
        self.ranges[..self.count].last() == Some(taken)
    }

    /// Adds a hole, to the one that it goes on from if there is such a one. The
    /// list is not full.
    pub fn add(&mut self, hole: Range<u32>) {
        let ranges = &mut self.ranges[..self.count];
        if let Some(before) = ranges.iter_mut().find(|other| other.end == hole.start) {
            before.end = hole.end;
            return;
        }
        self.ranges[self.count] = hole;
        self.count += 1;
    }

    /// The start of some hole: up to `want` slots, in whole units of `unit` and
    /// one at least. They stay in the list.
    pub fn first(&self, want: u32, unit: u32) -> Option<Range<u32>> {
        let hole = self.ranges[..self.count].last()?;
        let len = want.next_multiple_of(unit).min(hole.end - hole.start);
        Some(hole.start..hole.start + len)
    }

    /// Removes what [`first`](Self::first) returned.
    pub fn remove_first(&mut self, taken: &Range<u32>) {
        let Some(hole) = self.ranges[..self.count].last_mut() else { return };
        debug_assert!(hole.start == taken.start && taken.end <= hole.end);
        hole.start = taken.end;
        if hole.start >= hole.end {
            self.count -= 1;
        }
    }
}

/// Slots after which a slot begins on a page's boundary again.
pub fn unit(slot_bytes: usize) -> u32 {
    let shared = slot_bytes.trailing_zeros().min(PAGE.trailing_zeros());
    (PAGE >> shared) as u32
}

/// The part of a run of free slots that may become a hole.
pub fn inside(run: Range<u32>, unit: u32) -> Range<u32> {
    let start = run.start.next_multiple_of(unit);
    start..(run.end / unit * unit).max(start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::{SLOT_SIZE, SMALL_CLASSES};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn units_are_whole_pages_and_no_larger_than_need_be() {
        for slot in &SLOT_SIZE[..SMALL_CLASSES] {
            let unit = unit(*slot) as usize;
            assert_eq!(unit * slot % PAGE, 0, "{slot}");
            assert!((1..unit).all(|fewer| fewer * slot % PAGE != 0), "{slot}");
        }
    }

    #[test]
    fn a_run_keeps_its_edges() {
        assert_eq!(inside(1..1000, 256), 256..768);
        assert_eq!(inside(256..1024, 256), 256..1024);
        assert!(inside(1..500, 256).is_empty());
        assert!(inside(0..0, 256).is_empty());
    }

    proptest! {
        #[test]
        fn matches_a_set(steps in prop::collection::vec((any::<bool>(), 1..2000_u32), 1..200)) {
            let unit = 16;
            let (mut holes, mut model, mut next) = (Holes::new(), BTreeSet::new(), 0);
            for (adds, number) in steps {
                if adds && !holes.is_full() {
                    // Adjacent to the hole before, or not.
                    next += number % 2 * unit;
                    let hole = next..next + (number / 100 + 1) * unit;
                    next = hole.end;
                    model.extend(hole.clone());
                    holes.add(hole);
                } else if let Some(taken) = holes.first(number, unit) {
                    let len = taken.end - taken.start;
                    prop_assert!(len > 0 && len % unit == 0 && len < number + unit);
                    prop_assert!(!holes.is_whole(&taken) || holes.any_ends_at(taken.end));
                    prop_assert!(taken.clone().all(|slot| model.remove(&slot)));
                    holes.remove_first(&taken);
                } else {
                    prop_assert!(model.is_empty());
                }
            }
            while let Some(taken) = holes.first(u32::MAX / 2, unit) {
                prop_assert!(taken.clone().all(|slot| model.remove(&slot)));
                holes.remove_first(&taken);
            }
            prop_assert!(model.is_empty());
        }
    }
}
