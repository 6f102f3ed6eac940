//! Verdicts that rest on CPU time alone, until statistics confirm them.
//!
//! A tail takes a microsecond of CPU, but an interrupt, a page fault or a
//! stolen virtual CPU is charged to whoever runs: measured in a correct program,
//! one landing in 6,000 used more than `tail_us`. So such a verdict stays open
//! (it counts as in the table meanwhile) and is taken back once at least
//! [`TAILS_PER_SUSPECT`] landings at the same place were tails: a handler that
//! really goes on does so more often than that.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::record::layout::FINDINGS;

/// Tails that outweigh one verdict by CPU time alone.
pub const TAILS_PER_SUSPECT: u64 = 50;

/// Open verdicts by finding.
pub struct Suspects([AtomicU32; FINDINGS]);

impl Suspects {
    /// None.
    pub const fn new() -> Suspects {
        Suspects([const { AtomicU32::new(0) }; FINDINGS])
    }

    /// One more at this finding.
    pub fn add(&self, finding: u32) {
        if let Some(cell) = self.0.get(finding as usize) {
            cell.fetch_add(1, Relaxed);
        }
    }

    /// Takes those of this finding if `tails` outweigh them; returns how many.
    pub fn take_if_noise(&self, finding: u32, tails: u64) -> u32 {
        let Some(cell) = self.0.get(finding as usize) else { return 0 };
        let count = cell.load(Relaxed);
        let noise = count > 0 && tails >= TAILS_PER_SUSPECT * u64::from(count);
        if noise && cell.compare_exchange(count, 0, Relaxed, Relaxed).is_ok() { count } else { 0 }
    }

    /// Forgets all, in a fork child.
    pub fn reset_after_fork(&self) {
        for cell in &self.0 {
            cell.store(0, Relaxed);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn enough_tails_clear_a_suspect_once() {
        let suspects = Suspects::new();
        assert_eq!(suspects.take_if_noise(3, 1_000), 0);
        suspects.add(3);
        suspects.add(3);
        assert_eq!(suspects.take_if_noise(3, 99), 0);
        assert_eq!(suspects.take_if_noise(3, 100), 2);
        assert_eq!(suspects.take_if_noise(3, 100), 0);
        suspects.add(u32::MAX);
        assert_eq!(suspects.take_if_noise(u32::MAX, 1_000), 0);
    }
}
