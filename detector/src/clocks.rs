//! The process's three clocks of `setitimer`: timers that nobody creates or deletes,
//! and that two users may take from each other. And expiries that no handler gets.
//!
//! Contexts: as [`crate::deletes`]; also in a signal handler.

use core::sync::atomic::Ordering::Relaxed;

use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::NewTimer;
use crate::record::layout::{StackRole, Verdict};
use crate::state::{Phase, Verb};
use crate::timers::TimerRef;
use crate::{Api, Kind, Notify};

impl Detector {
    /// The timer of a clock that sends `signal`. `None`: no room, it is not watched.
    pub fn init_clock(&self, signal: u32) -> Option<TimerRef> {
        let new = NewTimer { notify: Notify::Signal, signal, ..NewTimer::default() };
        let timer = self.init_timer(&new)?;
        self.registry.get(timer)?.api.store(Api::Itimer as u32, Relaxed);
        Some(timer)
    }

    /// ... is used from now on.
    pub fn clock_is_used(&self) {
        self.record.count(Counter::TimersInited, 1);
    }

    /// Is an expiry of the timer to come?
    pub fn is_armed(&self, timer: TimerRef) -> bool {
        self.registry.get(timer).is_some_and(|slot| slot.state().phase == Phase::Armed)
    }

    /// A new timer that is a descriptor, of this number. `None`: no room, it is not
    /// watched.
    pub fn init_timerfd(&self, number: u64) -> Option<TimerRef> {
        let timer = self.inherit_timerfd(number)?;
        self.record.count(Counter::TimersInited, 1);
        Some(timer)
    }

    /// The same, of one that the process has from its parent.
    pub fn inherit_timerfd(&self, number: u64) -> Option<TimerRef> {
        let timer = self.init_timer(&NewTimer::default())?;
        let slot = self.registry.get(timer)?;
        slot.api.store(Api::Timerfd as u32, Relaxed);
        slot.handle.store(number, Relaxed);
        Some(timer)
    }

    /// So many expiries were taken by a call that waits for them, or reads them.
    pub fn consumed(&self, timer: TimerRef, expiries: u64) {
        let Some(slot) = self.registry.get(timer) else { return };
        let enter = Verb::Enter { due: true };
        if let Some((before, after, _)) = slot.apply(timer.generation, enter) {
            self.phase_changed(slot, before, after);
            slot.apply(timer.generation, Verb::Leave);
            self.record.count(Counter::TimersConsumed, expiries);
        }
    }

    /// The clock, armed at `arm_site` for `handler`, was taken by another user's call at
    /// `site`. The finding, whose verdict is to come.
    pub fn clock_taken(
        &self,
        timer: TimerRef,
        handler: usize,
        arm_site: usize,
        site: usize,
    ) -> Option<u32> {
        let platform = self.platform()?;
        let slot = self.registry.get(timer)?;
        let single = |addr: usize| self.record.single(platform, addr.saturating_sub(1));
        let spec = self
            .timer_finding(platform, Kind::ItimerClobbered, slot)
            .with(StackRole::Handler, self.record.single(platform, handler))
            .with(StackRole::Arm, single(arm_site))
            .with(StackRole::Access, single(site))
            .with(StackRole::Access, self.record.capture(platform));
        let finding = self.record.finding(platform, &spec)?;
        self.record.open(platform, finding);
        Some(finding)
    }

    /// What became of it: the first user's expiry was lost, or not.
    pub fn judge_taken(&self, finding: u32, is_lost: bool) {
        let Some(platform) = self.platform() else { return };
        self.record.close(finding);
        let verdict = if is_lost { Verdict::Warning } else { Verdict::Info };
        self.record.occurred(platform, finding, verdict);
    }
}
