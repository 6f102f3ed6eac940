//! Code that is unloaded while timers may still call it, or do.
//!
//! Destructors of an unloaded object may legally stop its timers, so the verdict
//! comes when the loader has let the object go. Until that is known, the timers
//! with handlers there are *doubtful*: each expiry asks the host whether the code
//! may be called ([`Platform::may_call`]). They stay so if it is gone: the handler
//! is not called, as long as nothing is loaded in its place.
//!
//! `timer_list` timers are their engine's: it calls no handler that is gone.
//!
//! Contexts: normal; nothing here waits.

use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use crate::blocks::HeapBlock;
use crate::core::Detector;
use crate::counters::Counter;
use crate::harms::Harm;
use crate::platform::Platform;
use crate::record::layout::{StackRole, Verdict};
use crate::runs::RunRef;
use crate::state::Phase;
use crate::timers::TimerSlot;
use crate::{Api, Consequence, Kind, Subject};

/// What is known of the code of a timer's handler: it is there ...
const SOUND: u32 = 0;
/// ... it may be going ...
const DOUBTFUL: u32 = 1;
/// ... the same, and an expiry found that it is gone ...
const REFUSED: u32 = 2;
/// ... it is gone ...
const GONE: u32 = 3;
/// ... and that was reported.
const TOLD: u32 = 4;

impl Detector {
    /// Calls `each` with the handler of every timer that is armed or runs, and
    /// whether it runs.
    pub fn each_live_handler(&self, each: &mut dyn FnMut(usize, bool)) {
        for (_, slot) in self.registry.each() {
            let state = slot.state();
            let handler = slot.handler.load(Relaxed) as usize;
            let is_live = state.phase == Phase::Armed || state.runs > 0;
            if is_live && handler != 0 && slot.api() != Api::TimerList {
                each(handler, state.runs > 0);
            }
        }
    }

    /// Looks at which handlers the signals of timers call now: `handler_of` says.
    /// A run keeps the one that it began with.
    pub fn look_at_signals(&self, handler_of: &dyn Fn(i32) -> usize) {
        for (timer, slot) in self.registry.each() {
            let (state, signal) = (slot.state(), slot.signal.load(Relaxed));
            let is_live = !matches!(state.phase, Phase::Vacant | Phase::Retired);
            if signal != 0 && is_live && state.runs == 0 {
                self.set_handler(timer, handler_of(signal as i32));
            }
        }
    }

    /// The code in `text` may be about to go: its handlers' expiries ask first.
    pub fn doubt_code(&self, text: &Range<usize>) {
        for slot in self.timers_in(text) {
            let _ = slot.code.compare_exchange(SOUND, DOUBTFUL, Relaxed, Relaxed);
        }
    }

    /// The code in `text` stays.
    pub fn trust_code(&self, text: &Range<usize>) {
        for slot in self.timers_in(text) {
            let _ = slot.code.compare_exchange(DOUBTFUL, SOUND, Relaxed, Relaxed);
        }
    }

    /// The code in `text` is gone, by a call of this thread: armed timers and
    /// running handlers there are reported.
    pub fn code_gone(&self, text: &Range<usize>) {
        let Some(platform) = self.platform() else { return };
        let mut stack = None;
        for slot in self.timers_in(text) {
            let before = slot.code.load(Relaxed);
            if matches!(before, GONE | TOLD) {
                continue;
            }
            slot.code.store(GONE, Relaxed);
            if slot.state().phase == Phase::Armed || before == REFUSED {
                slot.code.store(TOLD, Relaxed);
                self.tell_unloaded(platform, slot, Kind::UnloadWhilePending, &mut stack);
                self.record.count(Counter::TimersAutoDetached, 1);
            }
        }
        let me = platform.thread().tid;
        for (run_ref, run) in self.runs.each() {
            let Some(slot) = self.registry.get(run.timer()) else { continue };
            let handler = slot.handler.load(Relaxed) as usize;
            if slot.api() == Api::TimerList || !text.contains(&handler) {
                continue;
            }
            if run.thread().tid == me {
                self.tell_unloaded(platform, slot, Kind::UnloadWhileRunning, &mut stack);
                continue;
            }
            let harm = Harm {
                kind: Kind::UnloadWhileRunning,
                consequence: Consequence::TextUnloaded,
                addr: handler,
                block: HeapBlock::default(),
            };
            self.harm(platform, run_ref, &harm, &mut stack);
        }
    }

    /// The calling thread, in `run`, dies for want of its code, which nobody could
    /// report yet. In a signal handler.
    pub fn code_missing(&self, run_ref: RunRef) {
        let (Some(platform), Some(run)) = (self.platform(), self.runs.get(run_ref)) else { return };
        let is_noted = run.harms.iter().any(|harm| harm.note.is_written(run_ref.generation));
        if let (Some(slot), false) = (self.registry.get(run.timer()), is_noted) {
            self.tell_unloaded(platform, slot, Kind::UnloadWhileRunning, &mut Some(0));
        }
    }

    /// May the handler of this timer be called? An expiry of a timer that was not
    /// armed when its code went had been under way then, and is reported here, unless
    /// it is another timer's (`is_stale`).
    pub(crate) fn may_enter(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        is_stale: bool,
    ) -> bool {
        let code = slot.code.load(Relaxed);
        if code == SOUND || platform.may_call(slot.handler.load(Relaxed) as usize) {
            return true;
        }
        match code {
            _ if is_stale => {}
            DOUBTFUL => {
                // Who unloads it reports it.
                let _ = slot.code.compare_exchange(DOUBTFUL, REFUSED, Relaxed, Relaxed);
            }
            GONE if slot.code.swap(TOLD, Relaxed) == GONE => {
                self.tell_unloaded(platform, slot, Kind::UnloadWhilePending, &mut Some(0));
            }
            _ => {}
        }
        false
    }

    fn timers_in<'a>(&'a self, text: &'a Range<usize>) -> impl Iterator<Item = &'a TimerSlot> + 'a {
        let timers = self.registry.each().map(|(_, slot)| slot);
        timers.filter(|slot| {
            slot.state().phase != Phase::Vacant
                && slot.api() != Api::TimerList
                && text.contains(&(slot.handler.load(Relaxed) as usize))
        })
    }

    fn tell_unloaded(
        &self,
        platform: &dyn Platform,
        slot: &TimerSlot,
        kind: Kind,
        stack: &mut Option<u32>,
    ) {
        let stack = *stack.get_or_insert_with(|| self.record.capture(platform));
        let mut spec = self.timer_finding(platform, kind, slot).with(StackRole::Access, stack);
        spec.subject = Subject::Timer;
        spec.addr = slot.handler.load(Relaxed) as usize;
        if let Some(finding) = self.record.finding(platform, &spec) {
            self.record.occurred(platform, finding, Verdict::Error);
        }
    }
}
