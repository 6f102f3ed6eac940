//! The verbs of a handler's thread: enter and leave, and the verdict at leave.
//!
//! Contexts: everything here may run in a signal handler. An enter/leave pair
//! of a handler on which nothing landed is one clock read and a handful of
//! atomic updates.

use core::sync::atomic::{
    Ordering::{AcqRel, Relaxed, SeqCst},
    fence,
};

use crate::core::Detector;
use crate::counters::Counter;
use crate::ladder::{Sample, WentOn, freed_while_running, landed_harmlessly, went_on};
use crate::options::DelPolicy;
use crate::platform::Platform;
use crate::record::layout::{FindingEntry, SiteEntry, StackRole, Verdict};
use crate::runs::{LandingNote, RunRef, RunSlot};
use crate::state::{State, Verb};
use crate::suspects::FEWEST;
use crate::timers::{TimerRef, TimerSlot};
use crate::{Consequence, Kind};

/// Marks the address of a mutex among the objects that hand over.
pub const MUTEX: usize = 1;

/// What a handler's thunk is to do.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The program's handler.
    pub handler: usize,
    /// Its argument.
    pub value: usize,
    /// Call it? A waiting delete that has returned suppresses it.
    pub call: bool,
    /// The run to leave, if it is counted.
    pub run: Option<RunRef>,
}

impl Detector {
    /// A handler of `timer` starts on this thread. `None`: the slot was given
    /// to another timer since; who the handler was is not known any more.
    pub fn enter(&self, timer: TimerRef) -> Option<Entry> {
        let platform = self.platform()?;
        let slot = self.registry.get(timer)?;
        self.record.count(Counter::TimersExpired, 1);
        let mut entry = Entry {
            handler: slot.handler.load(Relaxed) as usize,
            value: slot.value.load(Relaxed) as usize,
            call: true,
            run: None,
        };
        // The run is published before the state counts it, so that whoever sees
        // the count finds the run.
        let run = self.runs.begin(timer, platform.thread(), slot.block.load(Relaxed));
        // Due is the arming that is read together with its time, no later one.
        let arms = slot.state().arms;
        let due_ns = slot.due_ns.load(Relaxed);
        let due = due_ns == 0 || platform.now_ns() >= due_ns;
        let entered =
            slot.apply_by(timer.generation, |now| Verb::Enter { due: due && now.arms == arms });
        let Some((before, after, outcome)) = entered else {
            if let Some(run) = run {
                self.runs.end(run);
                self.runs.release(run);
            }
            return None;
        };
        self.phase_changed(slot, before, after);
        entry.call = !(outcome.after_del && self.policy() == DelPolicy::Sync);
        match run {
            Some(run) if outcome.after_del => self.cancel_landings(run, before),
            Some(_) => {}
            None => {
                // No room: its end will not be told, so it is over at once.
                self.record.count(Counter::DroppedEvents, 1);
                slot.apply(timer.generation, Verb::Leave);
            }
        }
        if !entry.call {
            self.record.count(Counter::TimersSuppressed, 1);
            if let Some(run) = run {
                self.leave(run);
            }
            return Some(entry);
        }
        entry.run = run;
        self.record.count(Counter::TimersHandlersRun, 1);
        // A handler that is just leaving is counted still, but not on.
        let overlaps = outcome.runs_before > 0
            && self.runs.each().any(|(r, slot)| Some(r) != run && slot.timer() == timer);
        self.judge_enter(platform, slot, outcome.after_del, overlaps);
        Some(entry)
    }

    /// The handler ended, however it did.
    pub fn leave(&self, run: RunRef) {
        let (Some(platform), Some((noted, slot))) = (self.platform(), self.runs.end(run)) else {
            return;
        };
        if noted {
            self.settle(platform, slot, run.generation);
        }
        let timer = slot.timer();
        if let Some(timer_slot) = self.registry.get(timer) {
            timer_slot.apply(timer.generation, Verb::Leave);
        }
        if noted {
            self.runs.release(run);
        } else {
            self.runs.give_back(run);
        }
    }

    /// Lets handlers on which something landed end, when the process is about
    /// to: one that is in its last instructions has done nothing wrong, and its
    /// verdict should be given. Does not wait for a handler that sleeps, nor
    /// longer than `bound_ns`.
    pub fn drain(&self, bound_ns: u64) {
        let Some(platform) = self.platform() else { return };
        let start = platform.now_ns();
        let me = platform.thread().tid;
        let ends = |run: &RunSlot| {
            run.is_noted() && run.thread().tid != me && !platform.sample(run.thread()).asleep
        };
        let mut attempt = 0;
        while self.runs.each().any(|(_, run)| ends(run))
            && platform.now_ns().saturating_sub(start) < bound_ns
        {
            platform.pause(attempt);
            attempt += 1;
        }
        self.clear_noise(platform, FEWEST);
    }

    /// The handler's thread made a call that deadwalk sees.
    pub fn handler_called(&self, run: RunRef) {
        if let Some(slot) = self.runs.get(run) {
            slot.calls.fetch_add(1, Relaxed);
        }
    }

    /// The handler's thread posted `object`: a semaphore's or a condition
    /// variable's address, or a mutex's with [`MUTEX`] set.
    pub fn handler_posted(&self, run: RunRef, object: usize) {
        if let (Some(platform), Some(slot)) = (self.platform(), self.runs.get(run)) {
            slot.posted.add(object as u64, platform.now_ns());
        }
    }

    /// The handler's thread signalled a condition variable: mutexes that it
    /// unlocks in this run hand over too.
    pub fn handler_signalled(&self, run: RunRef, object: usize) {
        if let Some(slot) = self.runs.get(run) {
            slot.signalled.store(1, Relaxed);
        }
        self.handler_posted(run, object);
    }

    /// A thread whose delete had landed waits for `object` (as in
    /// [`handler_posted`](Self::handler_posted)). Returns whether its
    /// further waits matter.
    pub fn deleter_waits(&self, object: usize) -> bool {
        let Some(platform) = self.platform() else { return false };
        let me = platform.thread().tid;
        let mut left = false;
        for (_, run) in self.runs.each_taken() {
            for landing in &run.landings {
                if landing.del_tid.load(Relaxed) == me {
                    landing.waited.add(object as u64, platform.now_ns());
                    left = true;
                }
            }
        }
        // The handler looks at what was waited for after it went to the
        // aftermath, we the other way round: one of the two sees the other.
        fence(SeqCst);
        let more = self.aftermath.waited(me, object as u64, |finding| {
            self.record.reclassify(finding, Verdict::Warning, Verdict::Info);
        });
        left || more
    }

    /// Findings that an enter makes by itself.
    fn judge_enter(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        after_del: bool,
        overlaps: bool,
    ) {
        let block = slot.block.load(Relaxed).checked_sub(1).and_then(|b| self.blocks.get(b));
        let freed = block.filter(|b| b.is_freed());
        if !after_del && !overlaps && freed.is_none() {
            return;
        }
        let report = |kind, verdict| {
            let mut spec = self.timer_finding(platform, kind, slot);
            if let Some(block) = freed {
                let facts = block.facts();
                let alloc = self.record.single(platform, facts.alloc_site.saturating_sub(1));
                spec = spec
                    .with(StackRole::Alloc, alloc)
                    .with(StackRole::Free, block.free_stack.load(Relaxed));
                (spec.base, spec.size, spec.addr) = (facts.base, facts.size, facts.base);
                spec.age_ns = platform.now_ns().saturating_sub(block.freed_ns.load(Relaxed));
            }
            if let Some(finding) = self.record.finding(platform, &spec) {
                self.record.occurred(platform, finding, verdict);
            }
        };
        if freed.is_some() {
            self.settle_freed_pending(platform, slot, 0);
            report(Kind::EnterWithFreedData, Verdict::Warning);
        }
        if after_del {
            let verdict = if freed.is_some() { Verdict::Error } else { Verdict::Warning };
            report(Kind::ExpiryAfterDel, verdict);
        }
        if overlaps {
            report(Kind::OverlappingHandler, Verdict::Info);
        }
    }

    /// The handler starts after its timer was disarmed or deleted: the notes of
    /// those who found its run before that was known are void.
    fn cancel_landings(&self, run: RunRef, state: State) {
        let Some(slot) = self.runs.start_late(run, state) else { return };
        for landing in &slot.landings {
            if landing.note.take(run.generation) {
                let finding = landing.finding.swap(u32::MAX, AcqRel);
                let counted = landing.counted.load(Relaxed) != 0;
                self.uncount_landing(self.site_of(landing), Some(finding), counted);
                landing.del_tid.store(0, Relaxed);
            }
        }
    }

    /// The deleter may yet wait for what the handler has posted.
    fn leave_to_aftermath(&self, run: &RunSlot, landing: &LandingNote, finding: u32) {
        let (del_ns, del_tid) = (landing.del_ns.load(Relaxed), landing.del_tid.load(Relaxed));
        self.aftermath.add(del_tid, finding, posted(run, del_ns));
        fence(SeqCst);
        for object in posted(run, del_ns) {
            if landing.waited.since(del_ns).any(|waited| waited == object) {
                self.aftermath.waited(del_tid, object, |finding| {
                    self.record.reclassify(finding, Verdict::Warning, Verdict::Info);
                });
            }
        }
    }

    /// The verdicts on a run that others left notes on.
    fn settle(&self, platform: &dyn Platform, run: &RunSlot, generation: u32) {
        let sample = platform.sample_self();
        let activity = sample.activity.wrapping_add(run.calls.load(Relaxed));
        let sample = Sample { activity, ..sample };
        let now = platform.now_ns();
        let tail_ns = self.tail_ns.load(Relaxed);
        let freed = run.freed.note.take(generation);
        let freed_went_on = went_on(&run.freed.sample.get(), &sample, tail_ns);
        if freed {
            let finding = run.freed.finding.load(Relaxed);
            let verdict = freed_while_running(freed_went_on);
            self.record.close(finding);
            self.give(platform, (finding, u32::MAX), verdict, freed_went_on);
        }
        for landing in run.landings.iter().filter(|l| l.note.take(generation)) {
            let del_ns = landing.del_ns.load(Relaxed);
            let finding = landing.finding.swap(u32::MAX, AcqRel);
            self.record.close(finding);
            let data_freed = freed && run.freed.freed_ns.load(Relaxed) >= del_ns;
            let site = landing.site.load(Relaxed);
            let verdict = if data_freed {
                let worse = self.worsened(platform, run, landing).unwrap_or(u32::MAX);
                let verdict = freed_while_running(freed_went_on);
                self.give(platform, (worse, site), verdict, freed_went_on);
                verdict
            } else {
                let handled = run.handled.load(Relaxed) != 0 || waited_for(run, landing);
                let mut went_on = went_on(&landing.sample.get(), &sample, tail_ns);
                let verdict = landed_harmlessly(went_on, handled);
                let wait_may_come =
                    verdict == Verdict::Warning && posted(run, del_ns).next().is_some();
                if wait_may_come {
                    went_on = WentOn::Yes; // not open: the deleter's wait decides
                }
                self.give(platform, (finding, site), verdict, went_on);
                if wait_may_come {
                    self.leave_to_aftermath(run, landing, finding);
                }
                verdict
            };
            landing.del_tid.store(0, Relaxed);
            if let Some(site) = self.site_of(landing) {
                let harm = data_freed && verdict == Verdict::Error;
                count_window(site, now.saturating_sub(del_ns), verdict, harm);
            }
        }
        self.clear_noise(platform, 0);
    }

    /// Counts a verdict on (finding, delete site), or leaves it open if a little
    /// CPU time alone speaks for it.
    fn give(
        &self,
        platform: &dyn Platform,
        (finding, site): (u32, u32),
        verdict: Verdict,
        went_on: WentOn,
    ) {
        if went_on == WentOn::CpuOnly && matches!(verdict, Verdict::Warning | Verdict::Error) {
            self.record.open(platform, finding);
            self.suspects.add(finding, site);
        } else {
            self.record.occurred(platform, finding, verdict);
        }
    }

    /// Turns open verdicts into tails where as many landings on the same handler
    /// were tails, or where there are fewer than `fewest`.
    pub(crate) fn clear_noise(&self, platform: &dyn Platform, fewest: u32) {
        if !self.suspects.any() {
            return;
        }
        let Some(body) = self.record.body_if_any() else { return };
        let handler_of = |f: &FindingEntry| f.stacks[StackRole::Handler as usize].load(Relaxed);
        for (index, finding) in body.findings.iter().enumerate() {
            if self.suspects.count(index) == 0 {
                continue;
            }
            let same = || {
                let all = body.findings.iter().enumerate();
                all.filter(|(_, f)| handler_of(f) == handler_of(finding))
            };
            let tail = |f: &FindingEntry| f.verdicts[Verdict::Tail as usize].load(Relaxed);
            let tails = same().map(|(_, f)| tail(f)).max().unwrap_or(0);
            let suspects = same().map(|(i, _)| self.suspects.count(i)).max().unwrap_or(0);
            if tails >= suspects || suspects < fewest {
                self.acquit(platform, index, finding);
            }
        }
    }

    /// The open verdicts of a finding were the noise of scheduling.
    fn acquit(&self, platform: &dyn Platform, index: usize, finding: &FindingEntry) {
        let (count, site) = self.suspects.take(index);
        for _ in 0..count {
            self.record.close(index as u32);
            self.record.occurred(platform, index as u32, Verdict::Tail);
        }
        let sites = self.record.body_if_any().map(|body| &body.sites);
        let Some(site) = sites.and_then(|sites| sites.get(site as usize)) else { return };
        site.in_tail.fetch_add(u64::from(count), Relaxed);
        if finding.consequence.load(Relaxed) == Consequence::DataFreed as u8 {
            site.consequences[Consequence::DataFreed as usize].fetch_sub(count, Relaxed);
            site.consequences[Consequence::None as usize].fetch_add(count, Relaxed);
        }
    }

    /// The finding of a landing whose data was freed.
    pub(crate) fn worsened(
        &self,
        platform: &dyn Platform,
        run: &RunSlot,
        landing: &LandingNote,
    ) -> Option<u32> {
        let slot = self.registry.get(run.timer())?;
        let mut spec = self
            .timer_finding(platform, Kind::DelWhileRunning, slot)
            .with(StackRole::Del, landing.del_stack.load(Relaxed))
            .with(StackRole::Free, run.freed.free_stack.load(Relaxed));
        spec.consequence = Consequence::DataFreed;
        if let Some(block) = run.block.load(Relaxed).checked_sub(1).and_then(|b| self.blocks.get(b))
        {
            let facts = block.facts();
            let alloc = self.record.single(platform, facts.alloc_site.saturating_sub(1));
            spec = spec.with(StackRole::Alloc, alloc);
            (spec.base, spec.size, spec.addr) = (facts.base, facts.size, facts.base);
        }
        self.record.finding(platform, &spec)
    }

    fn site_of(&self, landing: &LandingNote) -> Option<&'static SiteEntry> {
        self.record.body_if_any()?.sites.get(landing.site.load(Relaxed) as usize)
    }
}

/// Did the deleter, after its delete, wait for something that the handler then
/// posted?
fn waited_for(run: &RunSlot, landing: &LandingNote) -> bool {
    let del_ns = landing.del_ns.load(Relaxed);
    posted(run, del_ns).any(|posted| landing.waited.since(del_ns).any(|w| w == posted))
}

/// What the handler posted since. A mutex counts only if it signalled a
/// condition variable too: only then does its unlock announce something.
fn posted(run: &RunSlot, since_ns: u64) -> impl Iterator<Item = u64> + '_ {
    let signalled = run.signalled.load(Relaxed) != 0;
    run.posted.since(since_ns).filter(move |&object| signalled || object & MUTEX as u64 == 0)
}

fn count_window(site: &SiteEntry, window_ns: u64, verdict: Verdict, data_freed: bool) {
    site.window_count.fetch_add(1, Relaxed);
    site.window_min_ns.fetch_min(window_ns, Relaxed);
    site.window_max_ns.fetch_max(window_ns, Relaxed);
    site.window_buckets[crate::histogram::bucket(window_ns)].fetch_add(1, Relaxed);
    if verdict == Verdict::Tail {
        site.in_tail.fetch_add(1, Relaxed);
    }
    let consequence = if data_freed { Consequence::DataFreed } else { Consequence::None };
    site.consequences[consequence as usize].fetch_add(1, Relaxed);
}
