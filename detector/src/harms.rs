//! Harm done to a running handler by another thread: what it uses was freed,
//! initialised anew or unloaded.
//!
//! Contexts: inside `free`, no lock held; nothing here allocates or waits.

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use crate::blocks::HeapBlock;
use crate::core::Detector;
use crate::platform::Platform;
use crate::record::layout::StackRole;
use crate::record::writer::FindingSpec;
use crate::run_notes::{HarmNote, LandingNote};
use crate::run_word::News;
use crate::runs::{LANDINGS, RunRef, RunSlot};
use crate::timers::TimerSlot;
use crate::{Consequence, Kind, Subject};

/// A harm.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Harm {
    /// The finding that it is by itself.
    pub kind: Kind,
    /// What it makes of deletes that had landed on the run.
    pub consequence: Consequence,
    /// What is concerned: the timer, or the start of its data.
    pub addr: usize,
    /// The block that holds it; its start is 0 if there is none.
    pub block: HeapBlock,
}

impl Detector {
    /// Leaves word on a run of another thread; the verdict comes at its leave.
    /// `stack` is the calling thread's, captured when first needed. `false`:
    /// the handler had left already.
    pub(crate) fn harm(
        &self,
        platform: &dyn Platform,
        run_ref: RunRef,
        harm: &Harm,
        stack: &mut Option<u32>,
    ) -> bool {
        let Some(run) = self.runs.announce(run_ref, News::Freed) else { return false };
        let generation = run_ref.generation;
        let free = run.harms.iter().find(|h| h.note.claim(generation));
        let mut done = false;
        if let (Some(slot), Some(note)) = (self.registry.get(run.timer()), free) {
            note.at_ns.store(platform.now_ns(), Relaxed);
            note.sample.set(&self.sample_run(platform, run));
            let stack = *stack.get_or_insert_with(|| self.record.capture(platform));
            note.stack.store(stack, Relaxed);
            note.access_stack.store(0, Relaxed);
            note.set_block(&harm.block);
            note.consequence.store(harm.consequence as u32, Relaxed);
            let mut spec = self.block_finding(platform, harm.kind, slot, &harm.block, stack);
            spec.addr = harm.addr;
            if spec.base != 0 {
                spec.offset = harm.addr.wrapping_sub(spec.base) as isize;
            }
            let finding = self.record.finding(platform, &spec).unwrap_or(u32::MAX);
            note.finding.store(finding, Relaxed);
            self.record.open(platform, finding);
            let moved = self.worsen_landings(platform, run, generation, note);
            done = note.note.publish(generation);
            if !done {
                self.record.close(finding);
                self.undo_worsening(platform, run, moved);
            }
        }
        self.runs.release(run_ref);
        done
    }

    /// The landings of a run count under the harm's consequence from now on,
    /// should the process not live to the verdict. Returns the findings they
    /// counted under before.
    ///
    /// Whoever exchanges `landing.finding` (we, or the handler at its leave)
    /// answers for what is counted under it.
    fn worsen_landings(
        &self,
        platform: &dyn Platform,
        run: &RunSlot,
        generation: u32,
        harm: &HarmNote,
    ) -> [Option<(u32, u32)>; LANDINGS] {
        let mut moved = [None; LANDINGS];
        if harm.consequence() == Consequence::None {
            return moved;
        }
        for (landing, moved) in run.landings.iter().zip(&mut moved) {
            let before = landing.finding.load(Relaxed);
            if !landing.note.is_written(generation) {
                continue;
            }
            let worse = self.worsened(platform, run, landing, harm.consequence(), Some(harm));
            let Some(worse) = worse else { continue };
            if landing.finding.compare_exchange(before, worse, AcqRel, Relaxed).is_ok() {
                self.record.open(platform, worse);
                self.record.close(before);
                *moved = Some((before, worse));
            }
        }
        moved
    }

    /// The handler left before the harm: takes the worsening back.
    fn undo_worsening(
        &self,
        platform: &dyn Platform,
        run: &RunSlot,
        moved: [Option<(u32, u32)>; LANDINGS],
    ) {
        for (landing, moved) in run.landings.iter().zip(moved) {
            let Some((before, worse)) = moved else { continue };
            if landing.finding.compare_exchange(worse, before, AcqRel, Relaxed).is_ok() {
                self.record.open(platform, before);
                self.record.close(worse);
            }
        }
    }

    /// The finding of a landing that had a consequence.
    pub(crate) fn worsened(
        &self,
        platform: &dyn Platform,
        run: &RunSlot,
        landing: &LandingNote,
        consequence: Consequence,
        harm: Option<&HarmNote>,
    ) -> Option<u32> {
        let slot = self.registry.get(run.timer())?;
        let (block, stack) = match harm {
            Some(harm) => (harm.block(), harm.stack.load(Relaxed)),
            None => {
                let site = landing.releases.used_site().saturating_sub(1);
                (HeapBlock::default(), self.record.single(platform, site))
            }
        };
        let access = harm.map_or(0, |harm| harm.access_stack.load(Relaxed));
        let role = match consequence {
            Consequence::TextUnloaded | Consequence::ResourceClosed => StackRole::Access,
            _ => StackRole::Free,
        };
        let spec = self.timer_finding(platform, Kind::DelWhileRunning, slot);
        let mut spec = self
            .about_block(platform, spec, &block)
            .with(role, stack)
            .with(StackRole::Del, landing.del_stack.load(Relaxed));
        if consequence == Consequence::Touched {
            spec = spec.with(StackRole::Access, access);
        }
        spec.consequence = consequence;
        spec.flags |= landing.flags.load(Relaxed);
        self.record.finding(platform, &spec)
    }

    /// A finding about a timer and a block that it uses; `stack` is of the thread that
    /// freed it (or did the other harm).
    pub(crate) fn block_finding(
        &self,
        platform: &dyn Platform,
        kind: Kind,
        slot: &TimerSlot,
        block: &HeapBlock,
        stack: u32,
    ) -> FindingSpec {
        let spec = self.timer_finding(platform, kind, slot);
        let frees =
            !matches!(kind, Kind::ReinitRunning | Kind::StorageReused | Kind::UnloadWhileRunning);
        let role = if frees { StackRole::Free } else { StackRole::Access };
        let spec = self.about_block(platform, spec, block).with(role, stack);
        let holds_data = matches!(kind, Kind::DataFreeWhileRunning | Kind::DataFreeWhilePending);
        let subject = if holds_data { Subject::TimerData } else { Subject::Timer };
        FindingSpec { subject, ..spec }
    }

    fn about_block(
        &self,
        platform: &dyn Platform,
        spec: FindingSpec,
        block: &HeapBlock,
    ) -> FindingSpec {
        let alloc = self.record.single(platform, block.alloc_site.saturating_sub(1));
        let spec = spec.with(StackRole::Alloc, alloc);
        FindingSpec { base: block.base, size: block.size, addr: block.base, ..spec }
    }
}
