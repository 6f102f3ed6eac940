//! Landings that did no harm and whose deleter may yet prove that it waited.
//!
//! `timer_delete(t); sem_wait(&done); free(data);` is correct if the handler
//! posts `done` when it no longer needs the data. The wait may come after the
//! handler has left; until then the landing stands as a warning, and here.
//!
//! # Ground rules
//!
//! `state` is a count of uses, and BUSY (being filled), READY or EMPTY. Whoever
//! moves it from READY to EMPTY settles the entry; the count tells them apart.
//! The oldest is overwritten when the ring is full (its warning then stands).

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::run_notes::OBJECTS;

const ENTRIES: usize = 256;
const EMPTY: u64 = 0;
const BUSY: u64 = 1;
const READY: u64 = 2;
const STATE: u64 = 3;
const USE: u64 = 4;

struct Entry {
    state: AtomicU64,
    del_tid: AtomicU32,
    finding: AtomicU32,
    posted: [AtomicU64; OBJECTS + 1],
}

/// The ring; see the module's head.
pub struct Aftermath {
    next: AtomicU32,
    entries: [Entry; ENTRIES],
}

impl Aftermath {
    /// An empty ring.
    pub const fn new() -> Aftermath {
        Aftermath {
            next: AtomicU32::new(0),
            entries: [const {
                Entry {
                    state: AtomicU64::new(EMPTY),
                    del_tid: AtomicU32::new(0),
                    finding: AtomicU32::new(0),
                    posted: [const { AtomicU64::new(0) }; OBJECTS + 1],
                }
            }; ENTRIES],
        }
    }

    /// Adds a landing by `del_tid` counted as a warning of `finding`, on a
    /// handler that posted these objects since.
    pub fn add(&self, del_tid: u32, finding: u32, posted: impl Iterator<Item = u64>) {
        let entry = &self.entries[self.next.fetch_add(1, Relaxed) as usize % ENTRIES];
        let state = entry.state.load(Relaxed);
        let uses = state & !STATE;
        if state & STATE == BUSY
            || entry.state.compare_exchange(state, uses | BUSY, AcqRel, Relaxed).is_err()
        {
            return;
        }
        let mut posted = posted;
        for cell in &entry.posted {
            cell.store(posted.next().unwrap_or(0), Relaxed);
        }
        entry.del_tid.store(del_tid, Relaxed);
        entry.finding.store(finding, Relaxed);
        entry.state.store(uses.wrapping_add(USE) | READY, Release);
    }

    /// Thread `tid` waits for `object`: calls `each` with the finding of every
    /// landing that is settled by it. Returns whether others of `tid` are left.
    pub fn waited(&self, tid: u32, object: u64, mut each: impl FnMut(u32)) -> bool {
        let mut left = false;
        for entry in &self.entries {
            let state = entry.state.load(Acquire);
            if state & STATE != READY || entry.del_tid.load(Relaxed) != tid {
                continue;
            }
            let finding = entry.finding.load(Relaxed);
            if !entry.posted.iter().any(|p| p.load(Relaxed) == object) {
                left = true;
            } else if entry
                .state
                .compare_exchange(state, state & !STATE | EMPTY, AcqRel, Relaxed)
                .is_ok()
            {
                each(finding);
            }
        }
        left
    }

    /// Forgets all, in a fork child.
    pub fn reset_after_fork(&self) {
        for entry in &self.entries {
            entry.state.store(EMPTY, Relaxed);
        }
    }
}

impl Default for Aftermath {
    fn default() -> Self {
        Aftermath::new()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_for_what_was_posted_settles_the_deleter_s_landings() {
        let ring = Aftermath::new();
        ring.add(1, 10, [7, 8].into_iter());
        ring.add(1, 11, [9].into_iter());
        ring.add(2, 12, [7].into_iter());
        let mut seen = vec![];
        assert!(ring.waited(1, 7, |f| seen.push(f)));
        assert_eq!(seen, [10]);
        assert!(!ring.waited(1, 9, |f| seen.push(f)));
        assert!(!ring.waited(3, 7, |f| seen.push(f)));
        assert_eq!(seen, [10, 11]);
    }
}
