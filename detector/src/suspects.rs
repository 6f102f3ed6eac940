//! Verdicts that rest on a little CPU time alone, until statistics confirm them.
//!
//! A tail takes some microseconds of CPU, but an interrupt, a page fault or a
//! stolen virtual CPU is charged to whoever runs, and it is just the delayed
//! handlers on which something lands: measured in a correct program, up to four
//! in ten landings used more than `tail_us` while the machine was disturbed.
//! So such a verdict stays open (it counts as in the table meanwhile) and is
//! taken back when as many landings on the same handler were tails: a handler
//! that really goes on does so more often than that. Fewer than
//! [`FEWEST`] are taken back at the process's end too.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::record::layout::FINDINGS;

/// Fewer open verdicts than this prove nothing.
pub const FEWEST: u32 = 3;

/// Open verdicts by finding, with the delete site they were counted at.
pub struct Suspects {
    counts: [AtomicU32; FINDINGS],
    sites: [AtomicU32; FINDINGS],
    total: AtomicU32,
}

impl Suspects {
    /// None.
    pub const fn new() -> Suspects {
        Suspects {
            counts: [const { AtomicU32::new(0) }; FINDINGS],
            sites: [const { AtomicU32::new(0) }; FINDINGS],
            total: AtomicU32::new(0),
        }
    }

    /// Is there any?
    pub fn any(&self) -> bool {
        self.total.load(Relaxed) != 0
    }

    /// One more at this finding, counted at a delete site (`u32::MAX`: none).
    pub fn add(&self, finding: u32, site: u32) {
        if let Some(cell) = self.counts.get(finding as usize) {
            self.sites[finding as usize].store(site, Relaxed);
            self.total.fetch_add(1, Relaxed);
            cell.fetch_add(1, Relaxed);
        }
    }

    /// How many there are at a finding.
    pub fn count(&self, finding: usize) -> u32 {
        self.counts[finding].load(Relaxed)
    }

    /// Takes those of a finding; how many, and their site.
    pub fn take(&self, finding: usize) -> (u32, u32) {
        let count = self.counts[finding].swap(0, Relaxed);
        self.total.fetch_sub(count, Relaxed);
        (count, self.sites[finding].load(Relaxed))
    }

    /// Forgets all, in a fork child.
    pub fn reset_after_fork(&self) {
        for cell in &self.counts {
            cell.store(0, Relaxed);
        }
        self.total.store(0, Relaxed);
    }
}
