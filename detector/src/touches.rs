//! Freed memory that a handler goes on to use: the certain harm.
//!
//! The allocator tells of the access; whose data it was is known by the runs of the
//! thread that made it.
//!
//! Contexts: a signal handler that stands where the access was made: nothing here
//! waits or allocates.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::Consequence;
use crate::core::Detector;
use crate::platform::Platform;
use crate::record::layout::Verdict;
use crate::runs::RunSlot;

/// What is known of freed memory that was accessed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Touch {
    /// Stack of the free, index + 1; 0 if unknown.
    pub free_stack: u32,
    /// Time since the free, ns; 0 if unknown.
    pub age_ns: u64,
}

impl Detector {
    /// The calling thread accessed the freed block at `base`, as `access_stack` has
    /// it: what that makes of its handlers' runs. `None` if none of them uses the
    /// block.
    pub(crate) fn touched(
        &self,
        platform: &dyn Platform,
        base: usize,
        access_stack: u32,
    ) -> Option<Touch> {
        let me = platform.thread().tid;
        let mut touch = None;
        for (run_ref, run) in self.runs.each().filter(|(_, run)| run.thread().tid == me) {
            let of_data = self.touch_of_data(platform, run, base);
            let is_harmed = mark_harms(run, run_ref.generation, base, access_stack);
            if of_data.is_none() && !is_harmed {
                continue;
            }
            self.handler_called(run_ref);
            // A run that began with freed data is told of once: now it is harm.
            if of_data.is_some()
                && let Some(finding) = run.began_freed.swap(0, AcqRel).checked_sub(1)
                && !run.is_stale()
            {
                self.record.reclassify(finding, Verdict::Warning, Verdict::Error);
            }
            touch = of_data.or(touch).or(Some(Touch::default()));
        }
        touch
    }

    /// If the block at `base` is the data of this run, and freed.
    fn touch_of_data(&self, platform: &dyn Platform, run: &RunSlot, base: usize) -> Option<Touch> {
        let block = self.blocks.get(run.block.load(Relaxed).checked_sub(1)?)?;
        let is_it = block.is_freed() && block.facts().base == base;
        is_it.then(|| Touch {
            free_stack: block.free_stack.load(Relaxed),
            age_ns: platform.now_ns().saturating_sub(block.freed_ns.load(Relaxed)),
        })
    }
}

/// Deletes that had landed on the run had memory freed that is now used.
fn mark_harms(run: &RunSlot, generation: u32, base: usize, access_stack: u32) -> bool {
    let mut any = false;
    for harm in &run.harms {
        if !harm.note.is_written(generation) || harm.block().base != base {
            continue;
        }
        let frees = [Consequence::DataFreed, Consequence::StorageFreed];
        if frees.contains(&harm.consequence()) {
            harm.access_stack.store(access_stack, Relaxed);
            harm.consequence.store(Consequence::Touched as u32, Relaxed);
        }
        any = true;
    }
    any
}
