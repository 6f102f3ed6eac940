//! Random calls under virtual time against a plain reference: a list of timers,
//! each with the tick that it is pending for.
//!
//! After each step the engine's answer, its findings and every timer's pending
//! state are the reference's; at the end the books are.

use deadwalk_detector::options::DelPolicy;
use deadwalk_detector::{Kind, Op};
use proptest::prelude::*;

use super::host::{MAIN, TIMERS, on};
use super::rig::{POLICIES, Rig};
use crate::Due;
use crate::engine::{Books, DELAY_MAX};

const COUNT: usize = 6;

#[derive(Clone, Debug)]
enum Step {
    Add(i64),
    Mod(i64),
    ModPending(i64),
    Reduce(i64),
    Delete(Op, Under),
    Init,
    Tick(u64),
    /// The next due handler is entered, if none runs.
    Enter,
    Leave,
}

/// What a handler does before it ends, if the delete waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Under {
    Nothing,
    Arms,
    ArmsAndDeletes,
}

/// Which timer, on which thread: the handler's or another one.
type Call = (usize, bool, Step);

#[derive(Clone, Copy, Debug, Default)]
struct Timer {
    /// Tick, and which queueing of all.
    pending: Option<(u64, u64)>,
    /// `expires` as the program gave it, as a tick.
    asked: i128,
    is_shutdown: bool,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// `None`: initialised again since.
    timer: Option<usize>,
    is_deleted: bool,
}

#[derive(Debug, Default)]
struct Reference {
    now: u64,
    queueings: u64,
    timers: [Timer; COUNT],
    run: Option<Run>,
    books: Books,
    found: Vec<Kind>,
}

impl Reference {
    fn runs(&self, timer: usize) -> bool {
        self.run.is_some_and(|run| run.timer == Some(timer))
    }

    fn arm(&mut self, n: usize, in_handler: bool, step: &Step) -> i32 {
        let timer = self.timers[n];
        let was = i32::from(timer.pending.is_some());
        if timer.is_shutdown {
            self.found.push(Kind::ArmAfterShutdown);
            return 0;
        }
        let asked = |delay: i64| i128::from(self.now) + i128::from(delay);
        let delay = match *step {
            Step::Add(_) if was == 1 => {
                self.found.push(Kind::DoubleAdd);
                return 1;
            }
            Step::ModPending(_) if was == 0 => return 0,
            Step::Reduce(delay) if was == 1 && asked(delay) >= timer.asked => return 1,
            Step::Add(delay) | Step::Mod(delay) | Step::ModPending(delay) | Step::Reduce(delay) => {
                delay
            }
            _ => unreachable!("no arming"),
        };
        if in_handler && self.runs(n) {
            if delay <= 0 {
                self.found.push(Kind::RearmPast);
            }
            if self.run.unwrap().is_deleted {
                self.found.push(Kind::RearmAfterDel);
            }
        } else if self.runs(n) {
            // Somebody else wants it again: the delete is history.
            self.run.as_mut().unwrap().is_deleted = false;
        }
        let tick = self.now + (delay.max(1) as u64).min(DELAY_MAX);
        self.queueings += 1;
        self.books.queued += u64::from(was == 0);
        let asked = asked(delay);
        self.timers[n] = Timer { pending: Some((tick, self.queueings)), asked, ..timer };
        was
    }

    fn detach(&mut self, n: usize) -> i32 {
        let detached = self.timers[n].pending.take().is_some();
        self.books.detached += u64::from(detached);
        i32::from(detached)
    }

    /// Returns what the call does, and whether it waits for the handler.
    fn delete(&mut self, n: usize, in_handler: bool, op: Op, policy: DelPolicy) -> (i32, bool) {
        let is_try = matches!(op, Op::TryToDelTimerSync | Op::TimerDeleteSyncTry);
        let is_sync = matches!(op, Op::DelTimerSync | Op::TimerDeleteSync | Op::TimerShutdownSync);
        if is_try && self.runs(n) {
            return (-1, false);
        }
        let detached = self.detach(n);
        self.timers[n].is_shutdown |= matches!(op, Op::TimerShutdown | Op::TimerShutdownSync);
        let follows_policy = matches!(op, Op::DelTimer | Op::TimerDelete | Op::TimerShutdown);
        let waits = is_sync || follows_policy && policy != DelPolicy::Async;
        if self.runs(n) && in_handler && is_sync {
            self.found.push(Kind::SyncDelFromHandler);
        }
        if self.runs(n) && !in_handler && !waits {
            self.run.as_mut().unwrap().is_deleted = true;
        }
        (detached, waits && self.runs(n) && !in_handler)
    }

    fn init(&mut self, n: usize, in_handler: bool) {
        if self.timers[n].pending.is_some() {
            self.books.auto_detached += 1;
            self.found.push(Kind::ReinitPending);
        }
        // A handler that initialises its own timer goes on being that timer's.
        if self.runs(n) && !in_handler {
            self.run.as_mut().unwrap().timer = None;
            self.found.push(Kind::ReinitRunning);
        }
        self.timers[n] = Timer::default();
    }

    /// The timer that expires next, if one is due.
    fn enter(&mut self) -> Option<usize> {
        let due = |n: &usize| self.timers[*n].pending.is_some_and(|(tick, _)| tick <= self.now);
        let next = (0..COUNT).filter(due).min_by_key(|&n| self.timers[n].pending)?;
        self.timers[next].pending = None;
        self.books.expired += 1;
        self.run = Some(Run { timer: Some(next), is_deleted: false });
        Some(next)
    }
}

/// The engine and the reference side by side.
struct Pair {
    rig: Rig,
    policy: DelPolicy,
    timers: [usize; COUNT],
    due: Option<Due<u32>>,
    reference: Reference,
}

impl Pair {
    fn new(policy: DelPolicy) -> Pair {
        let rig = Rig::new(policy);
        let timers = [(); COUNT].map(|()| rig.timer());
        Pair { rig, policy, timers, due: None, reference: Reference::default() }
    }

    fn step(&mut self, (n, in_handler, step): &Call) {
        let (n, kernel, timer) = (*n, *self.rig, self.timers[*n]);
        let in_handler = *in_handler && self.due.is_some();
        let thread = if in_handler { TIMERS } else { MAIN };
        match *step {
            Step::Add(delay) => {
                let expected = self.reference.arm(n, in_handler, step);
                let expires = kernel.words(timer)[2];
                assert_eq!(on(thread, || kernel.add(timer, delay)), expected);
                if expected == 1 {
                    // What a refused add leaves in `expires` is honoured by nobody.
                    super::host::poke(timer + 16, expires);
                }
            }
            Step::Mod(delay) => {
                let expected = self.reference.arm(n, in_handler, step);
                assert_eq!(on(thread, || kernel.modify(timer, delay)), expected);
            }
            Step::ModPending(delay) => {
                let expected = self.reference.arm(n, in_handler, step);
                assert_eq!(on(thread, || kernel.modify_pending(timer, delay)), expected);
            }
            Step::Reduce(delay) => {
                let expected = self.reference.arm(n, in_handler, step);
                assert_eq!(on(thread, || kernel.reduce(timer, delay)), expected);
            }
            Step::Delete(op, under) => self.delete(n, in_handler, op, under),
            Step::Init => {
                self.reference.init(n, in_handler);
                on(thread, || kernel.setup(timer));
            }
            Step::Tick(ticks) => {
                self.reference.now += ticks;
                kernel.tick(ticks);
            }
            Step::Enter if self.due.is_none() => {
                let expected = self.reference.enter().map(|next| self.timers[next]);
                self.due = kernel.enter(0);
                assert_eq!(self.due.map(|due| due.data), expected, "order of expiries");
            }
            Step::Leave => self.leave(),
            Step::Enter => {}
        }
        let found: Vec<Kind> = kernel.found().into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(found, std::mem::take(&mut self.reference.found));
        for (timer, reference) in self.timers.iter().zip(&self.reference.timers) {
            assert_eq!(kernel.pending(*timer), i32::from(reference.pending.is_some()));
        }
    }

    fn leave(&mut self) {
        self.reference.run = None;
        if let Some(due) = self.due.take() {
            self.rig.leave(due);
        }
    }

    fn delete(&mut self, n: usize, in_handler: bool, op: Op, under: Under) {
        let (kernel, timer) = (*self.rig, self.timers[n]);
        let (mut expected, waits) = self.reference.delete(n, in_handler, op, self.policy);
        if waits {
            let due = self.due.take().expect("it runs");
            kernel.engine.host.at_pause(move || {
                if under != Under::Nothing {
                    kernel.in_handler(|| kernel.modify(timer, 5));
                }
                if under == Under::ArmsAndDeletes {
                    kernel.in_handler(|| kernel.del(timer));
                }
                kernel.leave(due);
            });
            if under != Under::Nothing {
                self.reference.arm(n, true, &Step::Mod(5));
                let again = self.reference.detach(n);
                expected += if under == Under::Arms { again } else { 0 };
            }
            self.reference.run = None;
        }
        if !matches!(op, Op::DelTimer | Op::DelTimerSync | Op::TimerDelete) {
            expected = expected.min(1);
        }
        let thread = if in_handler { TIMERS } else { MAIN };
        assert_eq!(on(thread, || kernel.delete(timer, op)), expected, "{op:?}");
    }

    fn finish(mut self) {
        self.leave();
        let pending = self.reference.timers.iter().filter(|timer| timer.pending.is_some()).count();
        assert_eq!(self.rig.engine.pending_count(), pending as u64);
        assert_eq!(self.rig.engine.books(), self.reference.books);
    }
}

fn delay() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 1i64..6, 2 => -3i64..1, 1 => 60i64..5_000, 1 => any::<i32>().prop_map(i64::from)]
}

fn step() -> impl Strategy<Value = Step> {
    let op = proptest::sample::select(vec![
        Op::DelTimer,
        Op::DelTimer,
        Op::DelTimerAsync,
        Op::DelTimerSync,
        Op::DelTimerSync,
        Op::TryToDelTimerSync,
        Op::TimerDelete,
        Op::TimerDeleteSync,
        Op::TimerDeleteSyncTry,
        Op::TimerShutdown,
        Op::TimerShutdownSync,
    ]);
    let under = proptest::sample::select(vec![Under::Nothing, Under::Arms, Under::ArmsAndDeletes]);
    prop_oneof![
        3 => delay().prop_map(Step::Add),
        5 => delay().prop_map(Step::Mod),
        1 => delay().prop_map(Step::ModPending),
        1 => delay().prop_map(Step::Reduce),
        5 => (op, under).prop_map(|(op, under)| Step::Delete(op, under)),
        1 => Just(Step::Init),
        4 => (0u64..4).prop_map(Step::Tick),
        1 => (4u64..9_000).prop_map(Step::Tick),
        6 => Just(Step::Enter),
        4 => Just(Step::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 700, failure_persistence: None, ..Default::default() })]

    /// About 140,000 steps, half of which come from a handler if one runs.
    #[test]
    fn the_engine_is_its_reference(
        policy in proptest::sample::select(POLICIES.to_vec()),
        calls in prop::collection::vec((0..COUNT, any::<bool>(), step()), 0..400),
    ) {
        let mut pair = Pair::new(policy);
        for call in &calls {
            pair.step(call);
        }
        pair.finish();
    }
}
