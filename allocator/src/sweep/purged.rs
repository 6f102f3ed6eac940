//! Free small slots whose memory was given back: what was written to them since.
//!
//! Ground rules. They are looked at under the class's lock, a few pages at a time.
//! Of their pages only those are read that have memory again: reading others would
//! touch them.

use super::spend;
use crate::counters::{self, Counter};
use crate::depot::DEPOTS;
use crate::fresh;
use crate::os::PAGE;
use crate::place::Slot;
use crate::slot::{REPORTED, RETIRED};

/// What is asked of the kernel with one call.
const MOST_PAGES: usize = 62;
/// What that costs, in bytes that could be read instead.
const BYTES_A_CALL: usize = 4 << 10;

/// Looks at a class's slots from `at` on; how many were damaged.
pub fn sweep_purged(class: usize, at: &mut u32, budget: &mut usize) -> usize {
    let depot = &DEPOTS[class];
    let mut damaged = 0;
    while *budget > 0 && depot.bump() > *at {
        let mut inner = depot.lock();
        let bytes = Slot { class, index: 0 }.bytes();
        let most = (MOST_PAGES * PAGE / bytes) as u32;
        let Ok(run) = inner.purged.find_run(*at, 1, most, &mut { usize::MAX }) else {
            *at = u32::MAX;
            break;
        };
        let slots = run.clone().map(|index| Slot { class, index: index as usize });
        let (found, read) = fresh::first_written(slots);
        *at = found.map_or(run.end, |slot| slot.index as u32 + 1);
        if let Some(slot) = found {
            inner.purged.remove(slot.index as u32);
            slot.meta().set_flags(REPORTED | RETIRED);
        }
        drop(inner);
        spend(budget, BYTES_A_CALL + read);
        if let Some(slot) = found {
            fresh::tell_stale(slot);
            counters::add(Counter::RetiredSlots, 1);
            damaged += 1;
        }
    }
    damaged
}
