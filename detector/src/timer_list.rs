//! The verbs of `timer_list` timers.
//!
//! Their engine decides, under a lock of its own, what is armed and what runs;
//! here it is counted, compared and told. So the state of a slot follows the
//! engine's, and a call names the one run that it found instead of looking.
//!
//! Contexts: normal, and inside `free`; never in a signal handler.

use core::sync::atomic::Ordering::Relaxed;

use crate::blocks::HeapBlock;
use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::{NewTimer, count_wait};
use crate::harms::Harm;
use crate::landings::LandingCall;
use crate::list_delete::ListDelete;
use crate::record::layout::{FLAG_DECLARED_ASYNC, StackRole, Verdict};
use crate::record::writer::{FindingSpec, add_locked};
use crate::run_word::News;
use crate::runs::RunRef;
use crate::state::{Phase, State, Verb};
use crate::timers::{TimerRef, TimerSlot};
use crate::{Api, Consequence, Kind, Op, Subject};

/// A timer as it is made known.
#[derive(Clone, Copy, Debug)]
pub struct ListTimer {
    /// Its address.
    pub addr: usize,
    /// Its handler.
    pub handler: usize,
    /// The handler's argument.
    pub value: usize,
    /// Return address of the call that armed it last, 0 for none.
    pub arm_site: usize,
    /// Return address of the last delete, 0 for none.
    pub del_site: usize,
}

/// A call that arms.
#[derive(Clone, Copy, Debug)]
pub struct ListArm {
    /// The handler.
    pub handler: usize,
    /// Its argument.
    pub value: usize,
    /// Return address.
    pub site: usize,
    /// The timer's running handler makes it.
    pub by_handler: bool,
}

/// Something found by the engine.
#[derive(Clone, Copy, Debug)]
pub struct ListFinding<'a> {
    /// What it is.
    pub kind: Kind,
    /// How bad.
    pub verdict: Verdict,
    /// The timer, if one is known.
    pub timer: Option<TimerRef>,
    /// The `timer_list`'s address.
    pub addr: usize,
    /// The heap block that holds it; its start is 0 if there is none.
    pub block: HeapBlock,
    /// Return address of that block's free, 0 if it is not freed.
    pub free_site: usize,
    /// As what the calling thread's stack is kept; `None`: nobody calls.
    pub caller: Option<StackRole>,
    /// Return address of the call, for when there is no stack.
    pub site: usize,
    /// The stack of a handler's thread, innermost first, if it was captured.
    pub handler_stack: &'a [usize],
}

impl Detector {
    /// Makes a timer_list timer known, as one that is not armed. `None`: no room, it
    /// is not watched.
    pub fn list_init(&self, known: &ListTimer) -> Option<TimerRef> {
        let &ListTimer { addr, handler, value, arm_site, del_site } = known;
        let timer = self.init_timer(&NewTimer { handler, value, ..NewTimer::default() })?;
        let slot = self.registry.get(timer)?;
        slot.api.store(Api::TimerList as u32, Relaxed);
        slot.handle.store(addr as u64, Relaxed);
        slot.arm_site.store(arm_site as u64, Relaxed);
        slot.del_site.store(del_site as u64, Relaxed);
        slot.uses.store(0, Relaxed);
        Some(timer)
    }

    /// The timer is armed. `block` finds the heap block of its value; it is
    /// asked only if that may have changed. Whether there is such a block.
    pub fn list_armed(
        &self,
        timer: TimerRef,
        arming: &ListArm,
        block: impl FnOnce() -> Option<HeapBlock>,
    ) -> bool {
        let &ListArm { handler, value, site, by_handler } = arming;
        let Some(slot) = self.registry.get(timer) else { return false };
        self.set_fields(slot, handler, value, block);
        slot.arm_site.store(site as u64, Relaxed);
        if !by_handler {
            slot.uses.fetch_add(1, Relaxed);
        }
        if let Some((before, after, _)) =
            slot.apply(timer.generation, Verb::Arm { periodic: false })
        {
            self.phase_changed(slot, before, after);
        }
        slot.block.load(Relaxed) != 0
    }

    /// Counts a delete from `site` of a timer with this handler. Under the engine's
    /// lock.
    pub fn list_count_delete(&self, op: Op, site: usize, handler: usize, was_pending: bool) {
        let Some(platform) = self.platform() else { return };
        self.record.count_locked(Counter::DelCalls, 1);
        if was_pending {
            self.record.count_locked(Counter::DelReturnedPending, 1);
        }
        if let Some((index, site)) = self.record.site_locked(platform, op, site) {
            add_locked(&site.calls, 1);
            add_locked(&site.returned_pending, u64::from(was_pending));
            self.record.site_handler(platform, index, handler);
        }
    }

    /// The program changed the handler and value of an armed timer. `block` as in
    /// [`list_armed`](Self::list_armed).
    pub fn list_changed(
        &self,
        timer: TimerRef,
        handler: usize,
        value: usize,
        block: impl FnOnce() -> Option<HeapBlock>,
    ) {
        if let Some(slot) = self.registry.get(timer) {
            self.set_fields(slot, handler, value, block);
        }
    }

    fn set_fields(
        &self,
        slot: &TimerSlot,
        handler: usize,
        value: usize,
        block: impl FnOnce() -> Option<HeapBlock>,
    ) {
        slot.handler.store(handler as u64, Relaxed);
        let known = slot.block.load(Relaxed).checked_sub(1).and_then(|b| self.blocks.get(b));
        let stale = known.is_none_or(|known| known.is_freed());
        if slot.value.swap(value as u64, Relaxed) != value as u64 || stale {
            let new = block().and_then(|block| self.blocks.acquire(&block));
            let old = slot.block.swap(new.map_or(0, |index| index + 1), Relaxed);
            let is_armed = slot.state().phase == Phase::Armed;
            if let Some(entry) = new.and_then(|new| self.blocks.get(new)).filter(|_| is_armed) {
                entry.armed.fetch_add(1, Relaxed);
            }
            if let Some(old) = old.checked_sub(1) {
                if let Some(entry) = self.blocks.get(old).filter(|_| is_armed) {
                    entry.armed.fetch_sub(1, Relaxed);
                }
                self.blocks.release(old);
            }
        }
    }

    /// The timer is off the wheel. `by_caller`: the calling thread stopped it.
    pub fn list_detached(&self, timer: TimerRef, by_caller: bool) {
        let (Some(platform), Some(slot)) = (self.platform(), self.registry.get(timer)) else {
            return;
        };
        let disarm = |now: State| Verb::Disarm { seen_arms: now.arms };
        if let Some((before, after, _)) = slot.apply_by(timer.generation, disarm) {
            self.phase_changed(slot, before, after);
        }
        let stopper = if by_caller { platform.thread().tid } else { 0 };
        self.settle_freed_pending(platform, slot, stopper);
    }

    /// The timer is no more: freed, initialised anew, forgotten. Its slot may
    /// be used again at once, since no expiry of it is on its way.
    pub fn list_retired(&self, timer: TimerRef) {
        if let Some(slot) = self.registry.get(timer)
            && let Some((before, after, _)) = slot.apply(timer.generation, Verb::Delete)
        {
            self.phase_changed(slot, before, after);
        }
    }

    /// The calling thread, one of whose deletes had landed, deletes this timer:
    /// perhaps again, which makes the first good. Returns as
    /// [`deleter_waits`](Self::deleter_waits).
    pub fn list_deleted_again(&self, timer: TimerRef) -> bool {
        self.registry.get(timer).is_none_or(|slot| {
            self.deleter_waits(timer.as_object(slot.uses.load(Relaxed)) as usize)
        })
    }

    /// A delete, which was [counted](Self::list_count_delete), returned. Whether it
    /// landed on a handler that was still running.
    pub fn list_deleted(&self, delete: &ListDelete<TimerRef, RunRef>) -> bool {
        let Some(platform) = self.platform() else { return false };
        let me = platform.thread().tid;
        let slot = delete.timer.and_then(|timer| self.registry.get(timer));
        // What a handler deletes to arm it anew is not what its timer's end relied on.
        if let Some(slot) = slot.filter(|_| !delete.is_own) {
            slot.del_site.store(delete.site as u64, Relaxed);
        }
        let site = self.record.site(platform, Api::TimerList, delete.op, delete.site);
        let entry = site.map(|s| s.1);
        for (n, counter, cell) in [
            (delete.re_deletes, Counter::DelReDeletes, entry.map(|s| &s.re_deletes)),
            (
                delete.readds_by_handler,
                Counter::DelReaddsByHandler,
                entry.map(|s| &s.readds_by_handler),
            ),
            (delete.readds_by_other, Counter::DelReaddsByOther, entry.map(|s| &s.readds_by_other)),
        ] {
            if n > 0 {
                self.record.count(counter, u64::from(n));
                if let Some(cell) = cell {
                    cell.fetch_add(u64::from(n), Relaxed);
                }
            }
        }
        if delete.is_own
            && let Some(timer) = delete.timer
        {
            self.note_self_delete(timer, entry, me);
        }
        if let Some(waited_ns) = delete.waited_ns {
            count_wait(entry, waited_ns);
        }
        let (Some((run_ref, at_ns)), Some(slot)) = (delete.landed_on, slot) else { return false };
        let Some(run) = self.runs.announce(run_ref, News::Delete) else { return false };
        let flags = if delete.op == Op::DelTimerAsync { FLAG_DECLARED_ASYNC } else { 0 };
        let mut call = LandingCall {
            site,
            me,
            flags,
            gave_up: delete.gave_up,
            at_ns: Some(at_ns),
            stack: None,
        };
        let landed = self.land_on(platform, slot, run_ref, run, &mut call, true);
        self.runs.release(run_ref);
        landed
    }

    /// The handler of this run armed its own timer.
    pub fn list_rearmed(&self, run: RunRef) {
        if let (Some(platform), Some(slot)) = (self.platform(), self.runs.get(run)) {
            slot.rearmed_ns.store(platform.now_ns(), Relaxed);
            slot.calls.fetch_add(1, Relaxed);
        }
    }

    /// Another thread armed the timer of this run: deletes before that are undone
    /// by it, not by the handler.
    pub fn list_owner_armed(&self, run: RunRef) {
        if let (Some(platform), Some(slot)) = (self.platform(), self.runs.get(run)) {
            slot.owner_armed_ns.store(platform.now_ns(), Relaxed);
        }
    }

    /// The handler of this run freed or deleted its own timer.
    pub fn list_handled(&self, run: RunRef) {
        if let Some(slot) = self.runs.get(run) {
            slot.handled.store(1, Relaxed);
        }
    }

    /// Has a delete by another thread landed on this run?
    pub fn list_landed_on(&self, run: RunRef) -> bool {
        self.runs.get(run).is_some_and(|slot| {
            slot.landings.iter().any(|landing| landing.note.is_written(run.generation))
        })
    }

    /// What the handler of a run of the timer at `addr` uses is gone by this
    /// thread's doing: `kind` is
    /// `free-while-running`, `reinit-running`, `storage-reused` or
    /// `unload-while-running`. The verdict comes when the handler ends; `false`:
    /// it has ended.
    pub fn list_harmed(&self, run: RunRef, kind: Kind, addr: usize, block: HeapBlock) -> bool {
        let Some(platform) = self.platform() else { return false };
        let consequence = match kind {
            Kind::FreeWhileRunning => Consequence::StorageFreed,
            Kind::UnloadWhileRunning => Consequence::TextUnloaded,
            _ => Consequence::None,
        };
        self.harm(platform, run, &Harm { kind, consequence, addr, block }, &mut None)
    }

    /// Records a finding whose verdict is known; its index.
    pub fn list_finding(&self, found: &ListFinding<'_>) -> Option<u32> {
        let platform = self.platform()?;
        let single = |addr: usize| self.record.single(platform, addr.saturating_sub(1));
        let mut spec = match found.timer.and_then(|timer| self.registry.get(timer)) {
            Some(slot) => self.timer_finding(platform, found.kind, slot),
            None => FindingSpec::new(found.kind, Api::TimerList),
        };
        if found.block.base != 0 {
            spec = spec.with(StackRole::Alloc, single(found.block.alloc_site));
        }
        if found.free_site != 0 {
            spec = spec.with(StackRole::Free, single(found.free_site));
        }
        if let Some(role) = found.caller {
            let stack = self.record.capture(platform);
            spec = spec.with(role, if stack == 0 { single(found.site) } else { stack });
        }
        if !found.handler_stack.is_empty() {
            spec = spec.with(StackRole::Access, self.record.stack(platform, found.handler_stack));
        }
        spec.subject = Subject::Timer;
        spec.addr = found.addr;
        (spec.base, spec.size) = (found.block.base, found.block.size);
        spec.offset = if spec.base == 0 { 0 } else { found.addr as isize - spec.base as isize };
        let finding = self.record.finding(platform, &spec)?;
        self.record.occurred(platform, finding, found.verdict);
        Some(finding)
    }

    /// What was a warning turned out to do harm.
    pub fn list_worsened(&self, finding: u32) {
        self.record.reclassify(finding, Verdict::Warning, Verdict::Error);
    }
}
