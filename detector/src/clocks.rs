//! The process's three clocks of `setitimer`: timers that nobody creates or deletes.
//!
//! Contexts: as [`crate::deletes`]; also in a signal handler.

use core::sync::atomic::Ordering::Relaxed;

use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::NewTimer;
use crate::timers::TimerRef;
use crate::{Api, Notify};

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
}
