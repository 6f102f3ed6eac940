//! What `heal=on` does about misuse, beside telling it: a stop-gap for production.
//!
//! Expiries that come after the delete, or are another timer's, are not called;
//! calls on stale handles are refused before libc reads freed memory; a block that
//! is freed under a handler of its timer is kept until no handler uses it. Each act
//! is counted.
//!
//! Contexts: as [`crate::handlers`].

use core::sync::atomic::Ordering::Relaxed;

use crate::core::Detector;
use crate::counters::Counter;
use crate::timers::TimerRef;
use crate::{Api, Notify};

impl Detector {
    /// Switches it on or off.
    pub fn set_heal(&self, on: bool) {
        self.heals.store(on, Relaxed);
    }

    /// Is it on?
    pub fn heals(&self) -> bool {
        self.heals.load(Relaxed)
    }

    /// Is an expiry not to be called: one after the delete, or another timer's? Then
    /// it is counted.
    pub(crate) fn heals_expiry(&self, api: Api, after_del: bool, is_stale: bool) -> bool {
        let acts = self.heals() && api != Api::TimerList && (after_del || is_stale);
        if acts {
            self.healed(Counter::HealedExpiries);
        }
        acts
    }

    /// Is a call on this deleted timer to be refused? Then it is counted. The kernel
    /// refuses those on its own handles by itself.
    pub fn heals_stale_call(&self, timer: TimerRef) -> bool {
        let is_libc_s = |slot: &crate::timers::TimerSlot| slot.notify() == Notify::Thread;
        let acts = self.heals() && self.registry.get(timer).is_some_and(is_libc_s);
        if acts {
            self.healed(Counter::HealedCalls);
        }
        acts
    }

    /// Does a handler on another thread use the block at `base`?
    pub fn is_in_use(&self, base: usize) -> bool {
        let Some(platform) = self.platform() else { return false };
        let me = platform.thread().tid;
        self.runs.each().any(|(_, run)| {
            let block = run.block.load(Relaxed).checked_sub(1).and_then(|b| self.blocks.get(b));
            run.thread().tid != me && block.is_some_and(|block| block.facts().base == base)
        })
    }

    /// The free of such a block was put off.
    pub fn healed_free(&self) {
        self.healed(Counter::HealedFrees);
    }

    fn healed(&self, act: Counter) {
        self.record.count(act, 1);
        self.record.count(Counter::TimersHealed, 1);
    }
}
