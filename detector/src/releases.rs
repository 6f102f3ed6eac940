//! What is no heap and goes while a handler runs: a descriptor closed, a mapping
//! unmapped, a mutex, a semaphore or a condition variable destroyed, by another thread
//! after a delete had landed on the handler.
//!
//! That is legal as long as the handler is done with it, so word is left with the
//! landing, and only a later *use* by the handler's thread makes it a harm; the host
//! says whether the thing is really gone by then.
//!
//! Contexts: any thread, also in a signal handler: atomics only.

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

use crate::Consequence;
use crate::core::Detector;
use crate::run_notes::LandingNote;
use crate::runs::{RunRef, RunSlot};

/// Things remembered with a landing; the oldest is forgotten for a new one.
const RELEASES: usize = 8;

/// A thing that can be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// A descriptor.
    Descriptor(i32),
    /// A mutex, by its address.
    Mutex(usize),
    /// A semaphore.
    Semaphore(usize),
    /// A condition variable.
    Condition(usize),
    /// A mapping: its start and length.
    Mapping(usize, usize),
}

impl Resource {
    /// As two words: where, and how long; a descriptor has length 0.
    const fn pack(self) -> (u64, u64) {
        match self {
            Resource::Descriptor(number) => (number as u32 as u64 + 1, 0),
            Resource::Mutex(addr) => (addr as u64, 1),
            // No address of a semaphore is odd.
            Resource::Semaphore(addr) => (addr as u64 + 1, 1),
            // They lie at multiples of eight, mutexes at those of four.
            Resource::Condition(addr) => (addr as u64 + 2, 1),
            Resource::Mapping(start, len) => (start as u64, len as u64),
        }
    }
}

/// In a site: it was not the deleter who released it.
const BY_OTHER: u64 = 1 << 63;

/// The last things that were released after a landing.
pub struct Releases {
    next: AtomicU32,
    cells: [Released; RELEASES],
    /// Where what the handler then used was released; 0 for none.
    used_site: AtomicU64,
}

/// One of them; a start of 0 is none.
struct Released {
    start: AtomicU64,
    len: AtomicU64,
    site: AtomicU64,
}

impl Releases {
    /// None.
    pub const fn new() -> Releases {
        Releases {
            next: AtomicU32::new(0),
            cells: [const {
                Released {
                    start: AtomicU64::new(0),
                    len: AtomicU64::new(0),
                    site: AtomicU64::new(0),
                }
            }; RELEASES],
            used_site: AtomicU64::new(0),
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        for cell in &self.cells {
            cell.start.store(0, Relaxed);
        }
        self.used_site.store(0, Relaxed);
    }

    /// Where what the handler then used was released; 0 for none.
    pub fn used_site(&self) -> usize {
        (self.used_site.load(Relaxed) & !BY_OTHER) as usize
    }

    fn add(&self, what: Resource, site: u64) {
        let cell = &self.cells[self.next.fetch_add(1, Relaxed) as usize % RELEASES];
        let (start, len) = what.pack();
        cell.start.store(0, Relaxed);
        cell.len.store(len, Relaxed);
        cell.site.store(site, Relaxed);
        cell.start.store(start, Release);
    }

    fn find(&self, what: Resource) -> Option<&Released> {
        let (start, len) = what.pack();
        self.cells.iter().find(|cell| {
            let (from, held) = (cell.start.load(Acquire), cell.len.load(Relaxed));
            match what {
                // Any address in it.
                Resource::Mapping(..) => from != 0 && held > 1 && start.wrapping_sub(from) < held,
                _ => (from, held) == (start, len),
            }
        })
    }
}

impl Default for Releases {
    fn default() -> Self {
        Releases::new()
    }
}

impl Detector {
    /// The calling thread, a delete of which had landed, is about to release `what`
    /// at `site` (return address).
    pub fn deleter_releases(&self, what: Resource, site: usize) {
        let Some(platform) = self.platform() else { return };
        let me = platform.thread().tid;
        for (_, run) in self.runs.each_taken() {
            for landing in run.landings.iter().filter(|l| l.del_tid.load(Relaxed) == me) {
                landing.releases.add(what, site as u64);
            }
        }
    }

    /// The calling thread, no delete of which need have landed, is about to release
    /// `what` at `site`. Whether there is any landing on a handler that runs.
    pub fn other_releases(&self, what: Resource, site: usize) -> bool {
        let Some(platform) = self.platform() else { return false };
        let me = platform.thread().tid;
        let mut any = false;
        for (run_ref, run) in self.runs.each() {
            let is_on = |l: &&LandingNote| l.note.is_written(run_ref.generation);
            for landing in run.landings.iter().filter(is_on) {
                any = true;
                if run.thread().tid != me && landing.del_tid.load(Relaxed) != me {
                    landing.releases.add(what, site as u64 | BY_OTHER);
                }
            }
        }
        any
    }

    /// Is there any landing on a handler that runs?
    pub fn has_landings(&self) -> bool {
        self.runs.each().any(|(run_ref, run)| {
            run.landings.iter().any(|l| l.note.is_written(run_ref.generation))
        })
    }

    /// `what` is a new one, or somebody's own to release: no word on it counts.
    pub fn forget_release(&self, what: Resource) {
        for (_, run) in self.runs.each_taken() {
            for cell in run.landings.iter().filter_map(|landing| landing.releases.find(what)) {
                cell.start.store(0, Relaxed);
            }
        }
    }

    /// The handler of `run`, on the calling thread, uses `what`, or `releases` it too. If
    /// it was released under it, `is_gone` is asked; whether that is so.
    ///
    /// Who releases what others have released counts as its user only where that was the
    /// deleter: some close all numbers there are.
    pub fn handler_uses(
        &self,
        run_ref: RunRef,
        what: Resource,
        releases: bool,
        is_gone: impl FnOnce() -> bool,
    ) -> bool {
        let Some(run) = self.runs.get(run_ref) else { return false };
        let found = run.landings.iter().find_map(|landing| {
            let is_on = landing.note.is_written(run_ref.generation);
            let counts = |cell: &&Released| !releases || cell.site.load(Relaxed) & BY_OTHER == 0;
            landing.releases.find(what).filter(|_| is_on).filter(counts).map(|cell| (landing, cell))
        });
        let Some((landing, cell)) = found else { return false };
        if !is_gone() {
            return false;
        }
        landing.releases.used_site.store(cell.site.load(Relaxed), Relaxed);
        self.worsen_used(run, landing);
        true
    }

    /// The landing counts under what came of it from now on, should the process not
    /// live to the verdict.
    fn worsen_used(&self, run: &RunSlot, landing: &LandingNote) {
        let Some(platform) = self.platform() else { return };
        let before = landing.finding.load(Relaxed);
        let consequence = Consequence::ResourceClosed;
        let Some(worse) = self.worsened(platform, run, landing, consequence, None) else { return };
        if worse != before
            && landing.finding.compare_exchange(before, worse, AcqRel, Relaxed).is_ok()
        {
            self.record.open(platform, worse);
            self.record.close(before);
        }
    }
}
