//! Landings: a delete takes effect under a running handler.
//!
//! Contexts: as [`crate::deletes`]; clocks and stacks are taken here, and only
//! when there is a handler.

use core::sync::atomic::Ordering::Relaxed;

use crate::core::Detector;
use crate::counters::Counter;
use crate::platform::Platform;
use crate::record::layout::{SiteEntry, StackRole};
use crate::run_notes::LandingNote;
use crate::run_word::News;
use crate::runs::{RunRef, RunSlot};
use crate::state::State;
use crate::timers::{TimerRef, TimerSlot};
use crate::{Api, Kind};

/// The delete call behind a landing.
pub(crate) struct LandingCall<'a> {
    /// Its site, with the index.
    pub site: Option<(u32, &'a SiteEntry)>,
    /// The deleting thread.
    pub me: u32,
    /// `FLAG_*` of the finding.
    pub flags: u32,
    /// It had waited in vain.
    pub gave_up: bool,
    /// When it took effect, ns, if that was before now.
    pub at_ns: Option<u64>,
    /// The deleter's stack, once captured.
    pub stack: Option<u32>,
}

impl<'a> LandingCall<'a> {
    /// A delete that takes effect now.
    pub(crate) fn new(site: Option<(u32, &'a SiteEntry)>, me: u32, gave_up: bool) -> Self {
        LandingCall { site, me, flags: 0, gave_up, at_ns: None, stack: None }
    }
}

impl LandingNote {
    /// Was it left on this run by an earlier call of the same thread at the same site?
    fn is_of(&self, generation: u32, call: &LandingCall<'_>) -> bool {
        self.note.is_written(generation)
            && self.del_tid.load(Relaxed) == call.me
            && self.site.load(Relaxed) == call.site.map_or(u32::MAX, |s| s.0)
    }
}

impl Detector {
    /// Leaves a note on every run of the timer on another thread; those that
    /// were still on when they got it are the landings. A delete that lands on
    /// two overlapping handlers is one delete: the first landing counts it.
    pub(crate) fn land(
        &self,
        platform: &dyn Platform,
        timer: TimerRef,
        slot: &TimerSlot,
        before: State,
        mut call: LandingCall<'_>,
    ) -> u32 {
        let mut landed = 0;
        for (run_ref, run) in self.runs.each() {
            if run.timer() != timer || run.thread().tid == call.me {
                continue;
            }
            let Some(run) = self.runs.announce(run_ref, News::Delete) else { continue };
            if !run.is_stale()
                && !run.started_after(before)
                && self.land_on(platform, slot, run_ref, run, &mut call, landed == 0)
            {
                landed += 1;
            }
            self.runs.release(run_ref);
        }
        landed
    }

    /// Leaves a note on an announced run; whether it was still on when it got it.
    pub(crate) fn land_on(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        run_ref: RunRef,
        run: &RunSlot,
        call: &mut LandingCall<'_>,
        counted: bool,
    ) -> bool {
        let generation = run_ref.generation;
        let site = call.site.map(|s| s.1);
        if slot.api() == Api::TimerList
            && let Some(own) = run.landings.iter().find(|l| l.is_of(generation, call))
        {
            // A loop that retries: one note a run, judged as its last delete.
            own.waited.clear();
            self.count_landing(platform, site, None, counted);
            return true;
        }
        let Some(landing) = run.landings.iter().find(|l| l.note.claim(generation)) else {
            // It landed, but there is no room for its verdict.
            self.record.count(Counter::DroppedEvents, 1);
            self.count_landing(platform, site, None, counted);
            return true;
        };
        landing.del_ns.store(call.at_ns.unwrap_or_else(|| platform.now_ns()), Relaxed);
        landing.sample.set(&self.sample_run(platform, run));
        let again = match slot.api() {
            Api::TimerList => run.timer().as_object(slot.uses.load(Relaxed)),
            _ => 0,
        };
        landing.again.store(again, Relaxed);
        landing.waited.clear();
        landing.wait_stack.store(0, Relaxed);
        landing.releases.clear();
        let stack = *call.stack.get_or_insert_with(|| self.record.capture(platform));
        let mut spec =
            self.timer_finding(platform, Kind::DelWhileRunning, slot).with(StackRole::Del, stack);
        spec.flags = call.flags;
        let finding = self.record.finding(platform, &spec);
        landing.site.store(call.site.map_or(u32::MAX, |s| s.0), Relaxed);
        landing.del_tid.store(call.me, Relaxed);
        landing.del_stack.store(stack, Relaxed);
        landing.finding.store(finding.unwrap_or(u32::MAX), Relaxed);
        landing.counted.store(counted as u32, Relaxed);
        landing.gave_up.store(call.gave_up as u32, Relaxed);
        landing.flags.store(call.flags, Relaxed);
        self.count_landing(platform, site, finding, counted);
        if landing.note.publish(generation) {
            return true;
        }
        landing.del_tid.store(0, Relaxed);
        self.uncount_landing(site, finding, counted);
        false
    }

    fn count_landing(
        &self,
        platform: &dyn Platform,
        site: Option<&SiteEntry>,
        finding: Option<u32>,
        counted: bool,
    ) {
        if counted {
            self.record.count(Counter::DelWhileRunning, 1);
            if let Some(site) = site {
                site.while_running.fetch_add(1, Relaxed);
            }
        }
        if let Some(finding) = finding {
            self.record.open(platform, finding);
        }
    }

    /// Takes back a landing: the handler left first, or had not started.
    pub(crate) fn uncount_landing(
        &self,
        site: Option<&SiteEntry>,
        finding: Option<u32>,
        counted: bool,
    ) {
        if counted {
            self.record.count(Counter::DelWhileRunning, u64::MAX); // minus one
            if let Some(site) = site {
                site.while_running.fetch_sub(1, Relaxed);
            }
        }
        if let Some(finding) = finding {
            self.record.close(finding);
        }
    }
}
