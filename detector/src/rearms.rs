//! A handler arms its own timer, though a disarm had landed on it.
//!
//! The timer that was disarmed expires again. That is harm only if it comes to
//! that: `disarm; wait for the handler; delete` is correct code, and so is a loop
//! of disarms. So the verdicts wait for what happens to the timer next.
//!
//! ```text
//!            armed by the handler              expires         Bad
//!   None -------------------------> Open ---------------------------
//!                                       `---> stopped, or armed by
//!                                             its owner        Good
//! ```
//!
//! # Ground rules
//!
//! * Who moves the fate from Open settles `rearm-after-del`.
//! * The landing is given in by the handler as it leaves, which may be before or
//!   after that: it stores the landing and then looks at the fate, the other moves
//!   the fate and then looks for a landing; whoever takes the landing settles it.
//! * A timer_list's engine tells of this by itself, at once.
//!
//! Contexts: as [`crate::handlers`].

use core::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{AcqRel, Relaxed, SeqCst},
    fence,
};

use crate::core::Detector;
use crate::deletes::Arming;
use crate::platform::Platform;
use crate::record::layout::{StackRole, Verdict};
use crate::run_notes::LandingNote;
use crate::runs::RunSlot;
use crate::timers::TimerSlot;
use crate::{Api, Consequence, Kind, Notify};

/// What became of a timer that its handler armed after a disarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// This thread stopped it, or armed it as its owner.
    Good(u32),
    /// It expired.
    Expired,
    /// Its data was freed while it was armed.
    Freed,
}

const NONE: u64 = 0;
const OPEN: u64 = 1;
const GOOD: u64 = 2;
const BAD: u64 = 3;

/// The part of a timer's slot that this file owns.
pub struct Rearm {
    /// A fate; of Good the thread in the upper half.
    fate: AtomicU64,
    /// The open `rearm-after-del`.
    finding: AtomicU32,
    /// 1: the cells below are a landing that waits for the fate.
    has_landing: AtomicU32,
    del_tid: AtomicU32,
    /// The finding of the landing as such, and its verdict.
    plain: AtomicU32,
    verdict: AtomicU32,
    /// Its finding with the consequence, open.
    worse: AtomicU32,
    site: AtomicU32,
}

impl Rearm {
    /// None.
    pub const fn new() -> Rearm {
        Rearm {
            fate: AtomicU64::new(NONE),
            finding: AtomicU32::new(0),
            has_landing: AtomicU32::new(0),
            del_tid: AtomicU32::new(0),
            plain: AtomicU32::new(0),
            verdict: AtomicU32::new(0),
            worse: AtomicU32::new(0),
            site: AtomicU32::new(0),
        }
    }

    /// Forgets it: the slot is another timer's.
    pub fn clear(&self) {
        self.fate.store(NONE, Relaxed);
        self.has_landing.store(0, Relaxed);
    }
}

/// A landing on a handler that then armed its timer.
pub(crate) struct UndoneLanding<'a> {
    pub note: &'a LandingNote,
    /// Its finding and verdict without that consequence.
    pub finding: u32,
    pub verdict: Verdict,
}

impl Detector {
    /// The system call has armed the timer: perhaps while its handler runs.
    pub fn arm_done(&self, arming: &Arming) {
        let Some(at_ns) = arming.under_handler_ns() else { return };
        let timer = arming.timer();
        let (Some(platform), Some(slot)) = (self.platform(), self.registry.get(timer)) else {
            return;
        };
        let me = platform.thread().tid;
        let mut landed = false;
        let mut is_own = false;
        for (run_ref, run) in self.runs.each().filter(|(_, run)| run.timer() == timer) {
            if run.thread().tid != me {
                run.owner_armed_ns.store(at_ns, Relaxed);
                continue;
            }
            is_own = true;
            run.rearmed_ns.store(at_ns, Relaxed);
            landed |= run.landings.iter().any(|landing| {
                landing.note.is_written(run_ref.generation)
                    && is_undone(run, landing.del_ns.load(Relaxed))
            });
        }
        if !is_own {
            self.settle_rearm(platform, slot, Fate::Good(me));
        } else if landed && !self.runs_are_stale(timer) {
            self.open_rearm(platform, slot);
        }
    }

    fn open_rearm(&self, platform: &dyn Platform, slot: &TimerSlot) {
        let mut spec = self.timer_finding(platform, Kind::RearmAfterDel, slot);
        // A signal handler's stack may not be captured.
        if slot.notify() == Notify::Thread {
            spec = spec.with(StackRole::Arm, self.record.capture(platform));
        }
        let Some(finding) = self.record.finding(platform, &spec) else { return };
        // One that is open still stands for this one too.
        if slot.rearm.fate.load(Relaxed) & 0xff != OPEN {
            self.record.open(platform, finding);
            slot.rearm.finding.store(finding, Relaxed);
            slot.rearm.fate.store(OPEN, SeqCst);
        }
    }

    /// The fate of a timer that its handler may have armed after a disarm.
    pub(crate) fn settle_rearm(&self, platform: &dyn Platform, slot: &TimerSlot, fate: Fate) {
        if slot.rearm.fate.load(Relaxed) != OPEN {
            return;
        }
        let (settled, verdict) = match fate {
            Fate::Good(tid) => (GOOD | u64::from(tid) << 32, Verdict::Info),
            Fate::Expired => (BAD, Verdict::Warning),
            Fate::Freed => (BAD, Verdict::Error),
        };
        if slot.rearm.fate.compare_exchange(OPEN, settled, SeqCst, Relaxed).is_err() {
            return;
        }
        let finding = slot.rearm.finding.load(Relaxed);
        self.record.close(finding);
        self.record.occurred(platform, finding, verdict);
        self.settle_undone(platform, slot);
    }

    /// The handler leaves: the verdict on a landing that it has undone, now or later.
    pub(crate) fn leave_undone(
        &self,
        platform: &dyn Platform,
        run: &RunSlot,
        undone: &UndoneLanding<'_>,
    ) {
        let UndoneLanding { note, finding, verdict } = *undone;
        let worse = self.worsened(platform, run, note, Consequence::Rearmed, None);
        let (Some(worse), Some(slot)) = (worse, self.registry.get(run.timer())) else {
            return self.record.occurred(platform, finding, verdict);
        };
        if slot.rearm.has_landing.load(Relaxed) != 0 {
            // Another handler's waits here.
            return self.record.occurred(platform, finding, verdict);
        }
        self.record.open(platform, worse);
        slot.rearm.worse.store(worse, Relaxed);
        slot.rearm.plain.store(finding, Relaxed);
        slot.rearm.verdict.store(verdict as u32, Relaxed);
        slot.rearm.site.store(note.site.load(Relaxed), Relaxed);
        slot.rearm.del_tid.store(note.del_tid.load(Relaxed), Relaxed);
        slot.rearm.has_landing.store(1, SeqCst);
        self.settle_undone(platform, slot);
    }

    /// Gives the landing's verdict if the fate is known.
    fn settle_undone(&self, platform: &dyn Platform, slot: &TimerSlot) {
        fence(SeqCst);
        let rearm = &slot.rearm;
        let fate = rearm.fate.load(Relaxed);
        if fate & 0xff == OPEN || rearm.has_landing.swap(0, AcqRel) == 0 {
            return;
        }
        let (worse, plain) = (rearm.worse.load(Relaxed), rearm.plain.load(Relaxed));
        self.record.close(worse);
        if fate & 0xff == BAD {
            self.record.occurred(platform, worse, Verdict::Error);
            let sites = self.record.body_if_any().map(|body| &body.sites);
            if let Some(site) = sites.and_then(|s| s.get(rearm.site.load(Relaxed) as usize)) {
                site.consequences[Consequence::None as usize].fetch_sub(1, Relaxed);
                site.consequences[Consequence::Rearmed as usize].fetch_add(1, Relaxed);
            }
            return;
        }
        let by_deleter = (fate >> 32) as u32 == rearm.del_tid.load(Relaxed);
        let verdict = match rearm.verdict.load(Relaxed) {
            warning if warning == Verdict::Warning as u32 && !by_deleter => Verdict::Warning,
            tail if tail == Verdict::Tail as u32 => Verdict::Tail,
            _ => Verdict::Info,
        };
        self.record.occurred(platform, plain, verdict);
    }
}

/// Has the handler, after a delete at that time, armed its timer, and nobody else?
pub(crate) fn is_undone(run: &RunSlot, del_ns: u64) -> bool {
    let since = |at: &AtomicU64| at.load(Relaxed) != 0 && at.load(Relaxed) >= del_ns;
    since(&run.rearmed_ns) && !since(&run.owner_armed_ns)
}

/// Is the landing the last on this run, and undone by its handler?
pub(crate) fn is_last_undone(
    slot: Option<&TimerSlot>,
    run: &RunSlot,
    landing: &LandingNote,
    last_ns: u64,
) -> bool {
    let del_ns = landing.del_ns.load(Relaxed);
    slot.is_some_and(|slot| slot.api() != Api::TimerList)
        && del_ns == last_ns
        && is_undone(run, del_ns)
}
