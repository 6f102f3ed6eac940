//! The verbs of the thread that owns a timer: create, arm, disarm, delete.
//!
//! Contexts: normal; `arm` and `disarm` may run in a signal handler (no lock,
//! no allocation). The fast path of a delete is one look-up, one
//! compare-and-swap and the counters of its site; clocks and stacks only when
//! it lands on a handler.

use core::sync::atomic::Ordering::Relaxed;

use crate::blocks::HeapBlock;
use crate::core::Detector;
use crate::counters::Counter;
use crate::landings::LandingCall;
use crate::platform::Platform;
use crate::rearms::Fate;
use crate::record::layout::{SiteEntry, StackRole, Verdict};
use crate::record::writer::FindingSpec;
use crate::state::{Phase, State, Verb};
use crate::timers::{Notify, TimerRef, TimerSlot};
use crate::{Kind, Op};

/// A waiting delete looks this often (in pauses) at what the handler's thread is
/// blocked on.
const PROOF_EVERY: u32 = 16;

/// What is known of a timer when it is created.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewTimer {
    /// The program's handler, 0 if the API calls none.
    pub handler: usize,
    /// The program's value for it.
    pub value: usize,
    /// The heap block that `value` points into.
    pub block: Option<HeapBlock>,
    /// How its handler is called.
    pub notify: Notify,
    /// The signal by which it is called, 0 for none.
    pub signal: u32,
}

/// An arming that may still be taken back.
#[derive(Clone, Copy, Debug)]
pub struct Arming {
    timer: TimerRef,
    before: State,
    after: State,
    due_ns: u64,
    site: u64,
    under_handler_ns: u64,
}

impl Arming {
    /// What is armed.
    pub(crate) const fn timer(&self) -> TimerRef {
        self.timer
    }

    /// Did a handler of the timer run when it began?
    #[inline]
    pub const fn is_under_handler(&self) -> bool {
        self.under_handler_ns != 0
    }

    /// When it began, if a handler of the timer ran then.
    pub(crate) fn under_handler_ns(&self) -> Option<u64> {
        self.is_under_handler().then_some(self.under_handler_ns)
    }
}

/// A delete or disarm between its look-up and its effect.
#[derive(Clone, Copy, Debug)]
pub struct Deletion {
    timer: TimerRef,
    op: Op,
    seen_arms: u8,
    site_addr: usize,
}

impl Deletion {
    /// What is deleted.
    pub const fn timer(&self) -> TimerRef {
        self.timer
    }
}

/// What a delete or disarm found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "`landed` means that the deleting thread's waits are to be watched"]
pub struct Deleted {
    /// The timer was armed.
    pub was_pending: bool,
    /// Handlers on other threads that were still running when it returned.
    pub landed: u32,
    /// It waited for a handler.
    pub waited: bool,
}

/// What a handle is to the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handle {
    /// A timer that is watched.
    Known(TimerRef),
    /// A timer that was deleted; the handle was not given out again.
    Stale(TimerRef),
    /// Never seen.
    Unknown,
}

impl Detector {
    /// A new timer, not yet bound to a handle. `None`: no room, it is not watched.
    pub fn init_timer(&self, new: &NewTimer) -> Option<TimerRef> {
        let platform = self.platform()?;
        let now = platform.now_ns();
        let found = self.registry.init(now, |old| {
            if let Some(block) = old.block.load(Relaxed).checked_sub(1) {
                self.blocks.release(block);
            }
        });
        let Some((timer, slot)) = found else {
            self.record.count(Counter::DroppedTimers, 1);
            return None;
        };
        slot.handler.store(new.handler as u64, Relaxed);
        slot.value.store(new.value as u64, Relaxed);
        slot.notify.store(new.notify as u32, Relaxed);
        slot.signal.store(new.signal, Relaxed);
        if let Some(block) = &new.block {
            match self.blocks.acquire(block) {
                Some(index) => slot.block.store(index + 1, Relaxed),
                None => self.record.count(Counter::DroppedEvents, 1),
            }
        }
        Some(timer)
    }

    /// The timer's handler is this from now on: a signal's may change.
    #[inline]
    pub fn set_handler(&self, timer: TimerRef, handler: usize) {
        if let Some(slot) = self.registry.get(timer)
            && slot.handler.load(Relaxed) != handler as u64
        {
            slot.handler.store(handler as u64, Relaxed);
        }
    }

    /// The signal by which the timer's handler is called; 0 for none.
    #[inline]
    pub fn signal_of(&self, timer: TimerRef) -> u32 {
        self.registry.get(timer).map_or(0, |slot| slot.signal.load(Relaxed))
    }

    /// The API call succeeded: the timer is known by `handle` from now on.
    pub fn bind_timer(&self, timer: TimerRef, handle: u64) {
        self.registry.bind(timer, handle);
        self.record.count(Counter::TimersInited, 1);
    }

    /// The API call gave this handle to a timer that is not watched.
    pub fn unwatched_timer(&self, handle: u64) {
        self.registry.forget(handle);
    }

    /// The API call failed: the timer never was.
    pub fn abandon_timer(&self, timer: TimerRef) {
        if let Some(slot) = self.registry.get(timer) {
            slot.apply(timer.generation, Verb::Delete);
        }
    }

    /// What a handle is.
    #[inline]
    pub fn handle(&self, handle: u64) -> Handle {
        match self.registry.find(handle) {
            None => Handle::Unknown,
            Some((timer, slot)) if slot.state().phase == Phase::Retired => Handle::Stale(timer),
            Some((timer, _)) => Handle::Known(timer),
        }
    }

    /// The timer is about to be armed; before the system call, since a handler
    /// may start before that returns. `due_ns` 0 = unknown; it may fire earlier.
    #[inline]
    pub fn arm(&self, timer: TimerRef, periodic: bool, due_ns: u64, site: usize) -> Option<Arming> {
        self.arm_as(timer, periodic, due_ns, 0, site)
    }

    /// ... and before `earliest_ns` it certainly does not fire.
    #[inline]
    pub(crate) fn arm_as(
        &self,
        timer: TimerRef,
        periodic: bool,
        due_ns: u64,
        earliest_ns: u64,
        site: usize,
    ) -> Option<Arming> {
        let slot = self.registry.get(timer)?;
        if earliest_ns < slot.earliest_ns.load(Relaxed) {
            slot.earliest_ns.fetch_min(earliest_ns, Relaxed);
        }
        let arming_before = (slot.due_ns.load(Relaxed), slot.arm_site.load(Relaxed));
        slot.due_ns.store(due_ns, Relaxed);
        slot.arm_site.store(site as u64, Relaxed);
        let (before, after, _) = slot.apply(timer.generation, Verb::Arm { periodic })?;
        self.phase_changed(slot, before, after);
        self.record.count(Counter::TimersArmed, 1);
        let (due_ns, site) = arming_before;
        let now_ns = || self.platform().map_or(0, |platform| platform.now_ns());
        let under_handler_ns = if before.runs > 0 { now_ns() } else { 0 };
        Some(Arming { timer, before, after, due_ns, site, under_handler_ns })
    }

    /// The system call refused the arming: an earlier one stands.
    pub fn arm_refused(&self, arming: Arming) {
        self.record.count(Counter::TimersArmed, u64::MAX); // minus one
        let Some(slot) = self.registry.get(arming.timer) else { return };
        slot.due_ns.store(arming.due_ns, Relaxed);
        slot.arm_site.store(arming.site, Relaxed);
        if slot.undo_arm(arming.after, arming.before) {
            self.phase_changed(slot, arming.after, arming.before);
        }
    }

    /// A delete or disarm is about to be made from `site` (return address).
    #[inline]
    pub fn begin_delete(&self, timer: TimerRef, op: Op, site: usize) -> Option<Deletion> {
        let slot = self.registry.get(timer)?;
        Some(Deletion { timer, op, seen_arms: slot.state().arms, site_addr: site })
    }

    /// Do handlers of the timer run on threads that the C library makes?
    #[inline]
    pub fn has_thread(&self, timer: TimerRef) -> bool {
        self.registry.get(timer).is_some_and(|slot| slot.notify() == Notify::Thread)
    }

    /// Does a handler of the timer run now?
    #[inline]
    pub fn is_running(&self, timer: TimerRef) -> bool {
        self.registry.get(timer).is_some_and(|slot| slot.state().runs > 0)
    }

    /// The system call has succeeded: the delete takes effect here.
    pub fn finish_delete(&self, deletion: Deletion) -> Deleted {
        let Deletion { timer, op, seen_arms, site_addr } = deletion;
        let (Some(platform), Some(slot)) = (self.platform(), self.registry.get(timer)) else {
            return Deleted::default();
        };
        slot.del_site.store(site_addr as u64, Relaxed);
        let is_end = matches!(op, Op::TimerDelete | Op::Close);
        if is_end {
            slot.retired_ns.store(platform.coarse_ns(), Relaxed);
        }
        let verb = if is_end { Verb::Delete } else { Verb::Disarm { seen_arms } };
        let Some((before, after, outcome)) = slot.apply(timer.generation, verb) else {
            return Deleted::default();
        };
        self.phase_changed(slot, before, after);
        let me = platform.thread().tid;
        if after.phase != Phase::Armed {
            self.settle_freed_pending(platform, slot, me);
            self.settle_rearm(platform, slot, Fate::Good(me));
        }

        let site = self.count_delete(platform, slot, op, site_addr, outcome.was_pending);
        let mut deleted = Deleted { was_pending: outcome.was_pending, ..Deleted::default() };
        if outcome.runs_before > 0 {
            let own = self.note_self_delete(timer, site.map(|s| s.1), me);
            let mut waited = Waited::No;
            if own == 0 && self.policy().waits() {
                waited = self.wait_for_handlers(platform, timer, slot, site.map(|s| s.1));
            }
            deleted.waited = waited != Waited::No;
            let call = LandingCall::new(site, me, waited == Waited::InVain);
            deleted.landed = self.land(platform, timer, slot, before, call);
        }
        deleted
    }

    /// A call on a handle that was deleted.
    pub fn stale_call(&self, timer: TimerRef) {
        let (Some(platform), Some(slot)) = (self.platform(), self.registry.get(timer)) else {
            return;
        };
        let spec = self
            .timer_finding(platform, Kind::StaleHandle, slot)
            .with(StackRole::Access, self.record.capture(platform));
        let spec = FindingSpec { addr: slot.handle.load(Relaxed) as usize, ..spec };
        let verdict = match slot.notify() {
            Notify::Thread => Verdict::Error,
            _ => Verdict::Info,
        };
        let verdict = self.unless_stale(platform, verdict);
        if let Some(finding) = self.record.finding(platform, &spec) {
            self.record.occurred(platform, finding, verdict);
        }
    }

    /// Counts a delete that took effect; its site with the index.
    pub(crate) fn count_delete(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        op: Op,
        site_addr: usize,
        was_pending: bool,
    ) -> Option<(u32, &'static SiteEntry)> {
        self.record.count(Counter::DelCalls, 1);
        let site = self.record.site(platform, slot.api(), op, site_addr);
        if let Some((index, site)) = site {
            site.calls.fetch_add(1, Relaxed);
            self.record.site_handler(platform, index, slot.handler.load(Relaxed) as usize);
        }
        if was_pending {
            self.record.count(Counter::DelReturnedPending, 1);
            if let Some((_, site)) = site {
                site.returned_pending.fetch_add(1, Relaxed);
            }
        }
        site
    }

    /// Counts a delete from the timer's own handler; returns how many of the
    /// timer's runs are this thread's.
    pub(crate) fn note_self_delete(
        &self,
        timer: TimerRef,
        site: Option<&SiteEntry>,
        me: u32,
    ) -> usize {
        let mut own = 0;
        for (_, run) in self.runs.each() {
            if run.timer() == timer && run.thread().tid == me {
                run.handled.store(1, Relaxed);
                own += 1;
            }
        }
        if own > 0 {
            self.record.count(Counter::DelSelf, 1);
            if let Some(site) = site {
                site.self_deletes.fetch_add(1, Relaxed);
            }
        }
        own
    }

    /// The waiting delete: returns when no handler of the timer runs, or the
    /// bound is reached.
    fn wait_for_handlers(
        &self,
        platform: &dyn Platform,
        timer: TimerRef,
        slot: &TimerSlot,
        site: Option<&SiteEntry>,
    ) -> Waited {
        let running = || {
            let state = slot.state();
            state.generation == timer.generation && state.runs > 0
        };
        if !running() {
            return Waited::No;
        }
        self.record.count(Counter::DelSyncWaits, 1);
        let start = platform.now_ns();
        let (bound, spent) = (self.deadlock_ns.load(Relaxed), self.provoke.spent_ns());
        let me = platform.thread().tid;
        let (mut wait, mut waited) = (None, Waited::ToTheEnd);
        let mut attempt = 0;
        while running() {
            let mut cycle = None;
            if attempt % PROOF_EVERY == PROOF_EVERY - 1 {
                wait = wait.or_else(|| self.waits.begin(me, timer, self.record.capture(platform)));
                cycle = self.proven_cycle(platform, timer, me);
            }
            let bound = bound + self.provoke.stretch_ns(spent, bound);
            if cycle.is_some() || platform.now_ns().saturating_sub(start) > bound {
                self.tell_deadlock(platform, timer, slot, cycle);
                waited = Waited::InVain;
                break;
            }
            platform.pause(attempt);
            attempt += 1;
        }
        if let Some(wait) = wait {
            self.waits.end(wait);
        }
        count_wait(site, platform.now_ns().saturating_sub(start));
        waited
    }
}

/// How a delete waited for handlers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waited {
    /// There was none.
    No,
    /// Until none ran any more.
    ToTheEnd,
    /// It gave up.
    InVain,
}

/// Counts a waiting delete that found the handler running.
pub(crate) fn count_wait(site: Option<&SiteEntry>, waited_ns: u64) {
    let Some(site) = site else { return };
    site.sync_waits.fetch_add(1, Relaxed);
    site.sync_wait_total_ns.fetch_add(waited_ns, Relaxed);
    site.sync_wait_max_ns.fetch_max(waited_ns, Relaxed);
}
