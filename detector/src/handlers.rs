//! The verbs of a handler's thread: enter and leave, and what it calls between.
//! The verdicts stand in `verdicts.rs`.
//!
//! Contexts: everything here may run in a signal handler. An enter/leave pair
//! of a handler on which nothing landed is one clock read and a handful of
//! atomic updates.

use core::sync::atomic::{
    Ordering::{AcqRel, Relaxed, SeqCst},
    fence,
};

use crate::Kind;
use crate::core::Detector;
use crate::counters::Counter;
use crate::platform::Platform;
use crate::rearms::Fate;
use crate::record::layout::{StackRole, Verdict};
use crate::runs::{RunRef, RunSlot};
use crate::state::{Phase, State, Verb};
use crate::suspects::FEWEST;
use crate::timers::{Notify, TimerRef, TimerSlot};

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
        let slot = self.registry.get(timer)?;
        self.enter_with(timer, slot, slot.block.load(Relaxed))
    }

    /// As [`enter`](Self::enter), for a signal handler: which one it is, and
    /// whether it is told the timer's value, is known now only.
    pub fn enter_signal(&self, timer: TimerRef, handler: usize, sees_value: bool) -> Option<Entry> {
        let slot = self.registry.get(timer)?;
        self.set_handler(timer, handler);
        let used = if sees_value { slot.block.load(Relaxed) } else { 0 };
        let entry = self.enter_with(timer, slot, used)?;
        // Unlike libc's threads for timers, this one may be joined.
        if let (Some(platform), Some(run)) = (self.platform(), entry.run)
            && let Some(run) = self.runs.get(run)
        {
            run.joinable.store(platform.thread_object(), Relaxed);
        }
        Some(entry)
    }

    /// The handler starts; `used` is the block that it is told of, index + 1 or 0.
    fn enter_with(&self, timer: TimerRef, slot: &TimerSlot, used: u32) -> Option<Entry> {
        let platform = self.platform()?;
        self.record.count(Counter::TimersExpired, 1);
        let mut entry = Entry {
            handler: slot.handler.load(Relaxed) as usize,
            value: slot.value.load(Relaxed) as usize,
            call: true,
            run: None,
        };
        // The run is published before the state counts it, so that whoever sees
        // the count finds the run.
        let is_stale = self.is_stale_expiry(platform, slot);
        let run = self.runs.begin(timer, platform.thread(), used, is_stale);
        // Due is the arming that is read together with its time, no later one.
        let arms = slot.state().arms;
        let due_ns = slot.due_ns.load(Relaxed);
        let due = !is_stale && (due_ns == 0 || platform.now_ns() >= due_ns);
        let entered =
            slot.apply_by(timer.generation, |now| Verb::Enter { due: due && now.arms == arms });
        let Some((before, after, outcome)) = entered else {
            if let Some(run) = run {
                self.void(run);
            }
            return None;
        };
        if let (Some(run), Some(block)) = (run, used.checked_sub(1)) {
            // The timer may be given other data while this handler runs.
            if self.runs.get(run).is_some_and(|r| r.block.load(Relaxed) == block + 1) {
                self.blocks.retain(block);
            }
        }
        self.phase_changed(slot, before, after);
        if is_stale {
            self.tell_stale_expiry(platform, slot);
        } else if due && before.arms == arms && before.phase == Phase::Armed {
            self.settle_rearm(platform, slot, Fate::Expired);
        }
        let heals = self.heals_expiry(slot.api(), outcome.after_del, is_stale);
        let is_stopped = heals || outcome.after_del && self.policy().waits();
        entry.call = self.may_enter(platform, slot, is_stale) && !is_stopped;
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
            self.record.count(Counter::TimersSuppressed, u64::from(!heals));
            if let Some(run) = run {
                self.leave(run);
            }
            return Some(entry);
        }
        entry.run = run;
        self.record.count(Counter::TimersHandlersRun, 1);
        if is_stale {
            return Some(entry);
        }
        // A handler that is just leaving is counted still, but not on.
        let overlaps = outcome.runs_before > 0
            && self
                .runs
                .each()
                .any(|(r, slot)| Some(r) != run && slot.timer() == timer && !slot.is_stale());
        let freed = self.judge_enter(platform, slot, used, outcome.after_del, overlaps);
        if let (Some(freed), Some(run)) = (freed, run.and_then(|run| self.runs.get(run))) {
            run.began_freed.store(freed + 1, Relaxed);
        }
        Some(entry)
    }

    /// The handler ended, however it did. Was something noted on its run?
    pub fn leave(&self, run: RunRef) -> bool {
        let (Some(platform), Some((noted, slot))) = (self.platform(), self.runs.end(run)) else {
            return false;
        };
        if noted {
            self.settle(platform, slot, run.generation);
            self.take_warning_back(slot);
        }
        if let Some(block) = slot.block.swap(0, Relaxed).checked_sub(1) {
            self.blocks.release(block);
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
        noted
    }

    /// Calls `each` with the runs of signal handlers on the calling thread.
    pub fn each_signal_run_here(&self, each: &mut dyn FnMut(RunRef)) {
        let Some(me) = self.platform().map(|platform| platform.thread().tid) else { return };
        for (run, slot) in self.runs.each().filter(|(_, slot)| slot.thread().tid == me) {
            if self.registry.get(slot.timer()).is_some_and(|t| t.notify() == Notify::Signal) {
                each(run);
            }
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

    /// The handler's start is about to be held up, and then is not any more. What
    /// others do to the run meanwhile precedes all that the handler does, so it
    /// is never taken for the handler's tail; what they do later is judged by
    /// samples that are taken later.
    pub fn hold(&self, run: RunRef, is_held: bool) {
        if let Some(slot) = self.runs.get(run) {
            slot.is_held.store(is_held.into(), Relaxed);
        }
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
        let (mut left, mut stack) = (false, None);
        for (_, run) in self.runs.each_taken() {
            for landing in &run.landings {
                if landing.del_tid.load(Relaxed) == me {
                    let stack = *stack.get_or_insert_with(|| self.record.capture(platform));
                    landing.wait_stack.store(stack, Relaxed);
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

    /// Findings that an enter makes by itself; that of freed data, if it is one.
    fn judge_enter(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        used: u32,
        after_del: bool,
        overlaps: bool,
    ) -> Option<u32> {
        let block = used.checked_sub(1).and_then(|b| self.blocks.get(b));
        let freed = block.filter(|b| b.is_freed());
        if !after_del && !overlaps && freed.is_none() {
            return None;
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
            let finding = self.record.finding(platform, &spec);
            if let Some(finding) = finding {
                self.record.occurred(platform, finding, verdict);
            }
            finding
        };
        let mut with_freed = None;
        if freed.is_some() {
            self.settle_freed_pending(platform, slot, 0);
            with_freed = report(Kind::EnterWithFreedData, Verdict::Warning);
        }
        if after_del {
            let verdict = match slot.notify() {
                _ if freed.is_some() => Verdict::Error,
                // A signal that was sent is delivered, as POSIX has it.
                Notify::Signal => Verdict::Info,
                _ => Verdict::Warning,
            };
            report(Kind::ExpiryAfterDel, verdict);
        }
        if overlaps {
            report(Kind::OverlappingHandler, Verdict::Info);
        }
        with_freed
    }

    /// The handler starts after its timer was disarmed or deleted: the notes of
    /// those who found its run before that was known are void.
    fn cancel_landings(&self, run: RunRef, state: State) {
        if let Some(slot) = self.runs.start_late(run, state) {
            self.void_landings(slot, run.generation);
        }
    }

    /// The handler is not called after all: its timer is gone. What others
    /// noted on the run meanwhile is void.
    fn void(&self, run: RunRef) {
        if let Some((true, slot)) = self.runs.end(run) {
            for harm in slot.harms.iter().filter(|harm| harm.note.take(run.generation)) {
                self.record.close(harm.finding.load(Relaxed));
            }
            self.void_landings(slot, run.generation);
        }
        self.runs.release(run);
    }

    fn void_landings(&self, slot: &RunSlot, generation: u32) {
        for landing in slot.landings.iter().filter(|landing| landing.note.take(generation)) {
            let finding = landing.finding.swap(u32::MAX, AcqRel);
            let counted = landing.counted.load(Relaxed) != 0;
            self.uncount_landing(self.site_of(landing), Some(finding), counted);
            landing.del_tid.store(0, Relaxed);
        }
    }
}
