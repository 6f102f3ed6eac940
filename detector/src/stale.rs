//! Expiries that are not the timer's own: glibc BZ 32833.
//!
//! glibc keeps a SIGEV_THREAD timer in a block of the heap and sends itself that
//! block's address with each expiry. One that is queued when `timer_delete` frees
//! the block finds whatever timer was created there since, and calls its handler
//! though it is not due, or was never armed.
//!
//! # Ground rules
//!
//! * Told only if it is certain: the timer's handle was an armed timer's before (or
//!   the timer has no handle yet), and none of its own armings can have fired by
//!   now. An arming of which that cannot be said counts as one that has.
//! * `earliest_ns` is lowered before the call into libc, so whoever runs because of
//!   an arming sees it.
//! * What such a run does, and what is done to it, is no fault of the program: no
//!   note is left on it.
//!
//! Contexts: as [`crate::handlers`].

use core::sync::atomic::Ordering::Relaxed;

use crate::core::Detector;
use crate::deletes::Arming;
use crate::platform::Platform;
use crate::record::layout::Verdict;
use crate::timers::{TimerRef, TimerSlot};
use crate::{Api, Kind};

/// `earliest_ns` of a timer that was never armed.
pub(crate) const NEVER_NS: u64 = u64::MAX;

/// Expiries this close to the timer's own time are its own: two processors' clocks
/// are not compared to the last nanosecond.
const CLOCK_NS: u64 = 1_000;

impl Detector {
    /// The timer runs on this clock, a number of the host's.
    pub fn set_clock(&self, timer: TimerRef, clock: u32) {
        if let Some(slot) = self.registry.get(timer) {
            slot.clock.store(clock, Relaxed);
        }
    }

    /// The clock that a timer runs on.
    #[inline]
    pub fn clock(&self, timer: TimerRef) -> Option<u32> {
        self.registry.get(timer).map(|slot| slot.clock.load(Relaxed))
    }

    /// As [`arm`](Self::arm), for an arming that certainly does not fire before
    /// `due_ns`.
    #[inline]
    pub fn arm_not_before(
        &self,
        timer: TimerRef,
        periodic: bool,
        due_ns: u64,
        site: usize,
    ) -> Option<Arming> {
        self.arm_as(timer, periodic, due_ns, due_ns, site)
    }

    /// Is an expiry that arrives now another timer's?
    pub(crate) fn is_stale_expiry(&self, platform: &dyn Platform, slot: &TimerSlot) -> bool {
        if !slot.may_get_stale_expiry() || slot.api() != Api::Posix {
            return false;
        }
        match slot.earliest_ns.load(Relaxed) {
            NEVER_NS => true,
            earliest_ns => platform.now_ns().saturating_add(CLOCK_NS) < earliest_ns,
        }
    }

    /// A handler starts by such an expiry.
    pub(crate) fn tell_stale_expiry(&self, platform: &dyn Platform, slot: &TimerSlot) {
        let spec = self.timer_finding(platform, Kind::StaleExpiry, slot);
        if let Some(finding) = self.record.finding(platform, &spec) {
            self.record.occurred(platform, finding, Verdict::Info);
        }
    }

    /// The verdict on what the calling thread did: info if it did it in a handler
    /// that should not have run.
    pub(crate) fn unless_stale(&self, platform: &dyn Platform, verdict: Verdict) -> Verdict {
        let me = platform.thread().tid;
        let is_mine = |run: &crate::runs::RunSlot| run.thread().tid == me && run.is_stale();
        if self.runs.each().any(|(_, run)| is_mine(run)) { Verdict::Info } else { verdict }
    }

    /// Are all handlers of the timer that run now such as should not?
    pub(crate) fn runs_are_stale(&self, timer: TimerRef) -> bool {
        self.runs.each().all(|(_, run)| run.timer() != timer || run.is_stale())
    }
}
