//! Handlers that wait for who deleted their timers, while those wait for them: by
//! `pthread_join`, a semaphore, a condition variable, a loop on a flag.
//!
//! # Rules
//!
//! The deleter of a handler, its delete having landed, holds a lock that the handler
//! waits for, directly or by way of others. Then
//!
//! * if the deleter waits for the handler's thread (it joins it, or wants a lock that it
//!   holds; by way of others too), that is a cycle: an error, at once;
//! * if it sleeps until somebody wakes it, and so does every other thread of the process,
//!   nobody ever will: an error as well;
//! * if it sleeps so for `deadlock_ms`, or is busy as long, that is a warning. It is
//!   taken back should one of the two go on: what ended was no deadlock.
//!
//! A wait with a time limit ends by itself and is none of these.
//!
//! Contexts: one thread, which is none of the program's, and looks from time to time.

use core::sync::atomic::{
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
    fence,
};

use crate::Kind;
use crate::core::Detector;
use crate::counters::Counter;
use crate::ladder::Sample;
use crate::platform::{Platform, ThreadToken};
use crate::record::layout::{FLAG_OWN_WAIT, StackRole, Verdict};
use crate::record::writer::FindingSpec;
use crate::run_notes::LandingNote;
use crate::runs::{RunRef, RunSlot};
use crate::state::Phase;
use crate::timers::Notify;
use crate::waits::mix;

/// Handlers that are followed at a time.
const STUCK: usize = 16;
/// Looks in a row at which a process has to stand still: a thread that was not seen,
/// since it began after a look and ended before the next one, has woken somebody by then.
const STILLS: u32 = 3;
/// First pause between two looks, ns, and the longest: it doubles.
const FIRST_NS: u64 = 4_000_000;
const LONGEST_NS: u64 = 100_000_000;
/// Who loops on a flag is found awake at half of the looks at least, whether it gets a
/// processor or not; or it sleeps once in so many ns: a loop with naps.
const NAP_NS: u64 = 20_000_000;

/// How a deleter goes about its wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// It sleeps until it is woken; since which of its sleeps.
    Asleep { switches: u64 },
    /// It runs, or sleeps for a time.
    Awake,
}

/// A handler that waits for its timer's deleter.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    run: RunRef,
    deleter: u32,
    /// Names the handler's wait.
    wait: u64,
    mode: Mode,
    since_ns: u64,
    /// The deleter then.
    sample: Sample,
    /// Looks since, and those that found the deleter awake.
    looks: u32,
    awake: u32,
    /// How the process stood still at the last look, and how many in a row.
    still: (u64, u32),
    /// Told for good.
    is_proven: bool,
    /// Told as a warning.
    is_warned: bool,
}

/// What the looking thread keeps.
#[derive(Default)]
pub struct Watcher {
    stuck: [Option<Stuck>; STUCK],
    pause_ns: u64,
}

impl Detector {
    /// The handler of `run`, on the calling thread, is about to lock the mutex at `lock`,
    /// which is taken. Whether a delete has landed on it: then it is to be watched.
    pub fn handler_locks(&self, run: RunRef, lock: usize, site: usize) -> bool {
        let (Some(platform), Some(slot)) = (self.platform(), self.runs.get(run)) else {
            return false;
        };
        slot.lock_stack.store(self.record.capture(platform), Relaxed);
        slot.lock_site.store(site as u64, Relaxed);
        slot.lock.store(lock as u64, Release);
        // A deleter leaves its note and then looks at this, we the other way round: one
        // of the two sees the other.
        fence(SeqCst);
        slot.is_noted()
    }

    /// The handler of `run`, on the calling thread, unlocks the mutex at `lock`.
    pub fn handler_unlocks(&self, run: RunRef, lock: usize) {
        if let Some(slot) = self.runs.get(run)
            && slot.lock.load(Relaxed) == lock as u64
        {
            slot.lock.store(0, Relaxed);
            self.take_warning_back(slot);
        }
    }

    /// The handler of this run, or its deleter, went on: what was told of them as a
    /// warning was no deadlock.
    pub(crate) fn take_warning_back(&self, run: &RunSlot) {
        if let Some(finding) = run.warned.swap(0, AcqRel).checked_sub(1) {
            self.record.reclassify(finding, Verdict::Warning, Verdict::Info);
        }
    }

    /// Is one of the handlers that deletes of the calling thread landed on to be watched,
    /// since it waits for a lock, or is a signal's and could not say so later?
    pub fn is_to_be_watched(&self) -> bool {
        let Some(me) = self.platform().map(|platform| platform.thread().tid) else { return false };
        fence(SeqCst);
        self.runs.each().any(|(at, run)| {
            (run.lock.load(Relaxed) != 0 || run.joinable.load(Relaxed) != 0)
                && landings(at, run).any(|landing| landing.del_tid.load(Relaxed) == me)
        })
    }
}

/// The landings on a run that are on, but for those of deletes that told of a deadlock.
fn landings(at: RunRef, run: &RunSlot) -> impl Iterator<Item = &LandingNote> {
    run.landings.iter().filter(move |landing| {
        landing.note.is_written(at.generation) && landing.gave_up.load(Relaxed) == 0
    })
}

impl Watcher {
    /// Nothing seen yet.
    pub fn new() -> Watcher {
        Watcher::default()
    }

    /// Looks at the handlers that wait; returns after how long, ns, to look again, if
    /// that is to be soon.
    pub fn look(&mut self, detector: &Detector) -> Option<u64> {
        let platform = detector.platform()?;
        let mut seen = [false; STUCK];
        let mut is_open = false;
        for (at, run) in detector.runs.each() {
            if run.lock.load(Acquire) == 0 {
                continue;
            }
            for landing in landings(at, run) {
                // It found a mutex taken, and may be about to sleep.
                is_open = true;
                let Some(now) = observed(detector, platform, at, run, landing) else { continue };
                let place = self.place_of(&now, &seen).filter(|&place| !seen[place]);
                let Some(place) = place else { continue };
                seen[place] = true;
                let is_asleep = now.sample.asleep;
                self.follow(detector, place, now);
                if let Some(stuck) = &mut self.stuck[place]
                    && !stuck.is_proven
                {
                    stuck.looks = stuck.looks.saturating_add(1);
                    stuck.awake += u32::from(!is_asleep);
                    judge(detector, platform, stuck, run, landing);
                }
            }
        }
        for (stuck, _) in self.stuck.iter_mut().zip(seen).filter(|(_, seen)| !seen) {
            if let Some(run) = stuck.take().and_then(|stuck| detector.runs.get(stuck.run)) {
                detector.take_warning_back(run);
            }
        }
        self.pause_ns = match is_open {
            true => (2 * self.pause_ns).clamp(FIRST_NS, LONGEST_NS),
            false => 0,
        };
        is_open.then_some(self.pause_ns)
    }

    /// Where this handler and deleter stand, or a place for them.
    fn place_of(&self, now: &Stuck, seen: &[bool; STUCK]) -> Option<usize> {
        let is_same = |old: &Stuck| old.run == now.run && old.deleter == now.deleter;
        let known = self.stuck.iter().position(|old| old.as_ref().is_some_and(is_same));
        known.or_else(|| (0..STUCK).find(|&place| self.stuck[place].is_none() && !seen[place]))
    }

    /// What is seen now stands in for what was, unless both wait as they did.
    fn follow(&mut self, detector: &Detector, place: usize, now: Stuck) {
        match &mut self.stuck[place] {
            Some(old) if (old.wait, old.mode) == (now.wait, now.mode) => {}
            old => {
                *old = Some(now);
                self.pause_ns = 0;
                if let Some(run) = detector.runs.get(now.run) {
                    detector.take_warning_back(run);
                }
            }
        }
    }
}

/// The handler, if it waits for its deleter now.
fn observed(
    detector: &Detector,
    platform: &dyn Platform,
    at: RunRef,
    run: &RunSlot,
    landing: &LandingNote,
) -> Option<Stuck> {
    let deleter = landing.del_tid.load(Relaxed);
    let handler = run.thread();
    let before = platform.sample(handler);
    let wait = detector.leads_to(platform, handler.tid, deleter)?;
    let sample = platform.sample(ThreadToken { tid: deleter, probe: 0 });
    let needs_waking = sample.asleep && platform.needs_waking(deleter);
    let mode = match needs_waking {
        true => Mode::Asleep { switches: sample.voluntary_switches },
        false => Mode::Awake,
    };
    Some(Stuck {
        run: at,
        deleter,
        wait: mix(wait, before.voluntary_switches),
        mode,
        since_ns: platform.now_ns(),
        sample,
        looks: 0,
        awake: 0,
        still: (0, 0),
        is_proven: false,
        is_warned: false,
    })
}

/// Tells what is certain, or has lasted.
fn judge(
    detector: &Detector,
    platform: &dyn Platform,
    stuck: &mut Stuck,
    run: &RunSlot,
    landing: &LandingNote,
) {
    if is_cycle(detector, platform, run.thread().tid, stuck.deleter)
        || stands_still(detector, platform, stuck)
    {
        detector.take_warning_back(run);
        stuck.is_proven = true;
        tell(detector, platform, stuck, run, landing, Verdict::Error);
    } else if !stuck.is_warned && has_lasted(detector, platform, stuck) {
        stuck.is_warned = true;
        let finding = tell(detector, platform, stuck, run, landing, Verdict::Warning);
        // One stands at a time: of two deleters the first one's is enough.
        detector.take_warning_back(run);
        run.warned.store(finding.map_or(0, |finding| finding + 1), Release);
        if detector.runs.get(stuck.run).is_none() {
            // It has left meanwhile, and may not have seen this.
            detector.take_warning_back(run);
        }
    }
}

/// Do the two wait for each other? Each chain is walked twice: what is the same in both
/// held all the time between.
fn is_cycle(detector: &Detector, platform: &dyn Platform, handler: u32, deleter: u32) -> bool {
    let walk = || {
        let there = detector.leads_to(platform, handler, deleter)?;
        Some((there, detector.leads_to(platform, deleter, handler)?))
    };
    let first = walk();
    first.is_some() && walk() == first
}

/// Has no thread of the process gone on for some looks, nor will one?
fn stands_still(detector: &Detector, platform: &dyn Platform, stuck: &mut Stuck) -> bool {
    let is_asleep = matches!(stuck.mode, Mode::Asleep { .. });
    // Such a timer's handler, on a thread that is none yet, may wake whom it likes.
    let may_start = || {
        detector.record.counter(Counter::DroppedTimers) != 0
            || detector.registry.each().any(|(_, timer)| {
                timer.notify() == Notify::Thread && timer.state().phase == Phase::Armed
            })
    };
    let how = if is_asleep && !may_start() { platform.standstill() } else { None };
    stuck.still = match (how, stuck.still) {
        (None, _) => (0, 0),
        (Some(how), (before, looks)) if how == before => (how, looks + 1),
        (Some(how), _) => (how, 1),
    };
    stuck.still.1 >= STILLS
}

/// Has the deleter waited, or been busy, for as long as is borne?
fn has_lasted(detector: &Detector, platform: &dyn Platform, stuck: &Stuck) -> bool {
    let lasted_ns = platform.now_ns().saturating_sub(stuck.since_ns);
    if lasted_ns < detector.deadlock_ns() {
        return false;
    }
    if stuck.mode != Mode::Awake {
        return true;
    }
    let now = platform.sample(ThreadToken { tid: stuck.deleter, probe: 0 });
    let naps = now.voluntary_switches.saturating_sub(stuck.sample.voluntary_switches);
    stuck.awake * 2 >= stuck.looks || naps >= lasted_ns / NAP_NS
}

/// Reports it: where the deleter waits, and where the handler does.
fn tell(
    detector: &Detector,
    platform: &dyn Platform,
    stuck: &Stuck,
    run: &RunSlot,
    landing: &LandingNote,
    verdict: Verdict,
) -> Option<u32> {
    let timer = detector.registry.get(run.timer())?;
    let known = |stack: u32| (stack != 0).then_some(stack);
    let is_asleep = matches!(stuck.mode, Mode::Asleep { .. });
    let wait = is_asleep.then(|| known(landing.wait_stack.load(Relaxed))).flatten();
    let site = (run.lock_site.load(Relaxed) as usize).saturating_sub(1);
    let blocked = known(run.lock_stack.load(Relaxed))
        .unwrap_or_else(|| detector.record.single(platform, site));
    let spec = detector
        .timer_finding(platform, Kind::DelDeadlock, timer)
        .with(StackRole::Del, wait.unwrap_or_else(|| landing.del_stack.load(Relaxed)))
        .with(StackRole::Access, blocked);
    let spec = FindingSpec { flags: FLAG_OWN_WAIT, ..spec };
    let finding = detector.record.finding(platform, &spec)?;
    detector.record.occurred(platform, finding, verdict);
    Some(finding)
}
