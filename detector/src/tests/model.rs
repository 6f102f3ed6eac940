//! Random verbs of three threads against a reference of plain collections.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::host::Host;
use crate::counters::Counter;
use crate::deletes::NewTimer;
use crate::handlers::MUTEX;
use crate::options::DelPolicy;
use crate::record::layout::Verdict;
use crate::run_notes::OBJECTS;
use crate::runs::LANDINGS;
use crate::state::Phase;
use crate::{Consequence, HeapBlock, Kind, Notify, Op, RunRef, TimerRef};

#[derive(Clone, Copy, Debug)]
enum Verb {
    Init { base: usize },
    Arm { timer: usize, periodic: bool, due: Option<u64>, refused: bool },
    Delete { timer: usize, tid: u32, op: Op },
    Enter { timer: usize, tid: u32 },
    Leave { run: usize },
    Free { base: usize, tid: u32 },
    Post { run: usize, object: usize, signal: bool },
    Wait { tid: u32, object: usize },
    Call { run: usize },
    Sleep { tid: u32 },
    Pass { ns: u64 },
}

fn verb() -> impl Strategy<Value = Verb> {
    let timer = 0..6usize;
    let tid = 1..4u32;
    let base = 0..3usize;
    let op = prop_oneof![Just(Op::TimerDelete), Just(Op::TimerSettime)];
    let object = prop_oneof![Just(2usize), Just(4), Just(2 | MUTEX)];
    prop_oneof![
        1 => base.clone().prop_map(|base| Verb::Init { base }),
        4 => (timer.clone(), any::<bool>(), prop::option::of(0..50u64), prop::bool::weighted(0.2))
            .prop_map(|(timer, periodic, due, refused)| Verb::Arm { timer, periodic, due, refused }),
        4 => (timer.clone(), tid.clone(), op)
            .prop_map(|(timer, tid, op)| Verb::Delete { timer, tid, op }),
        6 => (timer, tid.clone()).prop_map(|(timer, tid)| Verb::Enter { timer, tid }),
        4 => (0..8usize).prop_map(|run| Verb::Leave { run }),
        1 => (base, tid.clone()).prop_map(|(base, tid)| Verb::Free { base, tid }),
        2 => (0..8usize, object.clone(), any::<bool>())
            .prop_map(|(run, object, signal)| Verb::Post { run, object, signal }),
        2 => (tid.clone(), object).prop_map(|(tid, object)| Verb::Wait { tid, object }),
        1 => (0..8usize).prop_map(|run| Verb::Call { run }),
        2 => tid.prop_map(|tid| Verb::Sleep { tid }),
        2 => (0..40u64).prop_map(|ns| Verb::Pass { ns }),
    ]
}

/// The last few (object, time).
type Ring = VecDeque<(usize, u64)>;

fn add(ring: &mut Ring, object: usize, now: u64) {
    ring.push_back((object, now));
    if ring.len() > OBJECTS {
        ring.pop_front();
    }
}

struct Timer {
    id: TimerRef,
    phase: Phase,
    periodic: bool,
    ever_armed: bool,
    due: u64,
    block: usize,
    freed_by: Option<u32>,
}

/// A thread's CPU time and the run's calls.
type At = (u64, u64);

struct Landing {
    tid: u32,
    del_ns: u64,
    at: At,
    waited: Ring,
    gave_up: bool,
}

struct Run {
    id: RunRef,
    timer: usize,
    tid: u32,
    calls: u64,
    handled: bool,
    signalled: bool,
    posted: Ring,
    landings: Vec<Landing>,
    freed: Option<(u64, At)>,
}

impl Run {
    fn posted_since(&self, ns: u64) -> BTreeSet<usize> {
        self.posted_between(ns, u64::MAX)
    }

    fn posted_between(&self, from: u64, to: u64) -> BTreeSet<usize> {
        let counts = |object: usize| self.signalled || object & MUTEX == 0;
        let posted = self.posted.iter().filter(|&&(o, at)| (from..=to).contains(&at) && counts(o));
        posted.map(|&(o, _)| o).collect()
    }

    /// Did a deleter get its word, before the data were freed at `ns`, that they may be?
    fn handed_over(&self, ns: u64) -> bool {
        self.landings.iter().any(|landing| {
            let posted = self.posted_between(landing.del_ns, ns);
            landing.waited.iter().any(|(o, at)| *at <= ns && posted.contains(o))
        })
    }
}

/// The reference.
#[derive(Default)]
struct Model {
    sync: bool,
    timers: Vec<Timer>,
    runs: Vec<Run>,
    /// Blocks: base, freed?
    blocks: Vec<(usize, bool)>,
    sleeps: BTreeMap<u32, u64>,
    aftermath: Vec<(u32, BTreeSet<usize>)>,
    counters: BTreeMap<&'static str, u64>,
    /// (kind, consequence) -> verdicts.
    verdicts: BTreeMap<(Kind, Consequence), [u32; 4]>,
}

impl Model {
    fn count(&mut self, counter: Counter) {
        *self.counters.entry(counter.path()).or_default() += 1;
    }

    fn judge(&mut self, kind: Kind, consequence: Consequence, verdict: Verdict) {
        self.verdicts.entry((kind, consequence)).or_default()[verdict as usize] += 1;
    }

    fn find(&mut self, kind: Kind, verdict: Verdict) {
        self.judge(kind, Consequence::None, verdict);
    }

    fn at(&self, run: usize) -> At {
        let run = &self.runs[run];
        (self.sleeps.get(&run.tid).copied().unwrap_or(0), run.calls)
    }

    fn settle_free(&mut self, timer: usize, stopper: u32) {
        if let Some(freer) = self.timers[timer].freed_by.take() {
            let verdict = if freer == stopper { Verdict::Info } else { Verdict::Warning };
            self.find(Kind::DataFreeWhilePending, verdict);
        }
    }

    fn delete(&mut self, timer: usize, tid: u32, op: Op, now: u64) {
        let t = &mut self.timers[timer];
        let was_pending = t.phase == Phase::Armed;
        t.phase = if op == Op::TimerDelete { Phase::Retired } else { Phase::Disarmed };
        t.periodic = false;
        self.count(Counter::DelCalls);
        if was_pending {
            self.count(Counter::DelReturnedPending);
        }
        self.settle_free(timer, tid);
        let mine: Vec<usize> =
            (0..self.runs.len()).filter(|&r| self.runs[r].timer == timer).collect();
        if mine.is_empty() {
            return;
        }
        let own: Vec<_> = mine.iter().copied().filter(|&r| self.runs[r].tid == tid).collect();
        for &r in &own {
            self.runs[r].handled = true;
        }
        // Every wait of these verbs is in vain.
        let gave_up = self.sync && own.is_empty();
        if !own.is_empty() {
            self.count(Counter::DelSelf);
        } else if gave_up {
            self.count(Counter::DelSyncWaits);
            self.find(Kind::DelDeadlock, Verdict::Error);
        }
        let others: Vec<_> = mine.into_iter().filter(|&r| self.runs[r].tid != tid).collect();
        if !others.is_empty() {
            self.count(Counter::DelWhileRunning);
        }
        for r in others {
            let at = self.at(r);
            if self.runs[r].landings.len() == LANDINGS {
                self.count(Counter::DroppedEvents);
            } else {
                let landing = Landing { tid, del_ns: now, at, waited: Ring::new(), gave_up };
                self.runs[r].landings.push(landing);
            }
        }
    }

    /// Whether the program's handler is called.
    fn enter(&mut self, timer: usize, now: u64) -> bool {
        self.count(Counter::TimersExpired);
        let t = &mut self.timers[timer];
        let after_del = matches!(t.phase, Phase::Disarmed | Phase::Retired);
        if t.phase == Phase::Armed && !t.periodic && now >= t.due {
            t.phase = Phase::Idle;
        }
        if after_del && self.sync {
            self.count(Counter::TimersSuppressed);
            return false;
        }
        self.count(Counter::TimersHandlersRun);
        let freed = self.blocks[self.timers[timer].block].1;
        if freed {
            self.settle_free(timer, 0);
            self.find(Kind::EnterWithFreedData, Verdict::Warning);
        }
        if after_del {
            self.find(Kind::ExpiryAfterDel, if freed { Verdict::Error } else { Verdict::Warning });
        }
        if self.runs.iter().any(|r| r.timer == timer) {
            self.find(Kind::OverlappingHandler, Verdict::Info);
        }
        true
    }

    fn leave(&mut self, run: usize) {
        let (sleeps, calls) = self.at(run);
        let run = self.runs.remove(run);
        let went_on = |at: At| sleeps > at.0 || calls != at.1;
        let handed_over = run.freed.is_some_and(|(ns, _)| run.handed_over(ns));
        let freed_verdict =
            |at| if went_on(at) && !handed_over { Verdict::Error } else { Verdict::Tail };
        if let Some((_, at)) = run.freed {
            self.find(Kind::DataFreeWhileRunning, freed_verdict(at));
        }
        for landing in &run.landings {
            if let Some((freed_ns, at)) = run.freed
                && freed_ns >= landing.del_ns
            {
                self.judge(Kind::DelWhileRunning, Consequence::DataFreed, freed_verdict(at));
                continue;
            }
            let posted = run.posted_since(landing.del_ns);
            let waited = landing.waited.iter().any(|(o, _)| posted.contains(o));
            let handled = run.handled || waited || landing.gave_up;
            let verdict = match (went_on(landing.at), handled) {
                (false, _) => Verdict::Tail,
                (true, true) => Verdict::Info,
                (true, false) => {
                    self.aftermath.push((landing.tid, posted));
                    Verdict::Warning
                }
            };
            self.find(Kind::DelWhileRunning, verdict);
        }
    }

    fn free(&mut self, base: usize, tid: u32, now: u64) {
        let Some(block) = self.blocks.iter().position(|b| *b == (base, false)) else { return };
        self.blocks[block].1 = true;
        for r in 0..self.runs.len() {
            if self.timers[self.runs[r].timer].block != block {
                continue;
            }
            if self.runs[r].tid == tid {
                self.runs[r].handled = true;
            } else {
                self.runs[r].freed = Some((now, self.at(r)));
            }
        }
        for t in self.timers.iter_mut().filter(|t| t.block == block && t.phase == Phase::Armed) {
            t.freed_by = Some(tid);
        }
    }

    fn wait(&mut self, tid: u32, object: usize, now: u64) {
        for landing in self.runs.iter_mut().flat_map(|r| &mut r.landings) {
            if landing.tid == tid {
                add(&mut landing.waited, object, now);
            }
        }
        let before = self.aftermath.len();
        self.aftermath.retain(|(t, posted)| *t != tid || !posted.contains(&object));
        let settled = (before - self.aftermath.len()) as u32;
        if settled > 0 {
            let verdicts =
                self.verdicts.get_mut(&(Kind::DelWhileRunning, Consequence::None)).unwrap();
            verdicts[Verdict::Warning as usize] -= settled;
            verdicts[Verdict::Info as usize] += settled;
        }
    }

    fn check(&self, host: &Host) -> Result<(), TestCaseError> {
        for &counter in Counter::ALL {
            let want = match counter {
                Counter::TimersPending => {
                    self.timers.iter().filter(|t| t.phase == Phase::Armed).count() as u64
                }
                _ => self.counters.get(counter.path()).copied().unwrap_or(0),
            };
            prop_assert_eq!(host.count(counter), want, "{}", counter.path());
        }
        let mut open: BTreeMap<Kind, u32> = BTreeMap::new();
        let mut verdicts: BTreeMap<(Kind, Consequence), [u32; 4]> = BTreeMap::new();
        for found in host.findings() {
            *open.entry(found.kind).or_default() += found.unresolved;
            let sums = verdicts.entry((found.kind, found.consequence)).or_default();
            sums.iter_mut().zip(found.verdicts).for_each(|(sum, v)| *sum += v);
        }
        verdicts.retain(|_, v| *v != [0; 4]);
        prop_assert_eq!(&verdicts, &self.verdicts);
        for (kind, want) in [
            (Kind::DelWhileRunning, self.runs.iter().map(|r| r.landings.len()).sum()),
            (Kind::DataFreeWhileRunning, self.runs.iter().filter(|r| r.freed.is_some()).count()),
            (
                Kind::DataFreeWhilePending,
                self.timers.iter().filter(|t| t.freed_by.is_some()).count(),
            ),
        ] {
            prop_assert_eq!(open.remove(&kind).unwrap_or(0), want as u32, "open {:?}", kind);
        }
        prop_assert!(open.values().all(|&n| n == 0), "{:?}", open);
        Ok(())
    }
}

fn play(sync: bool, verbs: &[Verb]) -> Result<(), TestCaseError> {
    let host = Host::new();
    let detector = host.detector();
    detector.configure(if sync { DelPolicy::Sync } else { DelPolicy::Async }, 50, 0);
    let mut model = Model { sync, ..Model::default() };
    let block = |base: usize| HeapBlock { base: 0x1000 * (base + 1), size: 32, alloc_site: 0x51 };
    for &verb in verbs {
        let timers = model.timers.len();
        let runs = model.runs.len();
        match verb {
            Verb::Init { base } => {
                if timers == 48 {
                    continue;
                }
                let new = NewTimer {
                    handler: 0x40,
                    value: 1,
                    block: Some(block(base)),
                    notify: Notify::Thread,
                    signal: 0,
                };
                let id = detector.init_timer(&new).unwrap();
                detector.bind_timer(id, timers as u64);
                model.count(Counter::TimersInited);
                let live = model.blocks.iter().position(|b| *b == (base, false));
                let block = live.unwrap_or_else(|| {
                    model.blocks.push((base, false));
                    model.blocks.len() - 1
                });
                model.timers.push(Timer {
                    id,
                    phase: Phase::Idle,
                    periodic: false,
                    ever_armed: false,
                    due: 0,
                    block,
                    freed_by: None,
                });
            }
            Verb::Arm { timer, periodic, due, refused } if timers > 0 => {
                // Mostly the newest timers.
                let timer = timers - 1 - timer % timers;
                let due = due.map_or(0, |d| host.now_and(d));
                let t = &mut model.timers[timer];
                let arming = detector.arm(t.id, periodic, due, 0x61);
                if t.phase == Phase::Retired {
                    prop_assert!(arming.is_none());
                    continue;
                }
                if refused {
                    detector.arm_refused(arming.unwrap());
                } else {
                    (t.phase, t.periodic, t.due, t.ever_armed) =
                        (Phase::Armed, periodic, due, true);
                    model.count(Counter::TimersArmed);
                }
            }
            Verb::Delete { timer, tid, op } if timers > 0 => {
                let timer = timers - 1 - timer % timers;
                let t = &model.timers[timer];
                let deletion = detector.begin_delete(t.id, op, 0x31);
                let waits_for = deletion.map(|d| host.on(tid, || detector.finish_delete(d)));
                if t.phase == Phase::Retired {
                    prop_assert_eq!(waits_for.unwrap_or_default(), Default::default());
                } else {
                    model.delete(timer, tid, op, host.now_and(0));
                }
            }
            Verb::Enter { timer, tid } if timers > 0 && runs < 40 => {
                let timer = timers - 1 - timer % timers;
                if !model.timers[timer].ever_armed {
                    continue;
                }
                let entry = host.on(tid, || detector.enter(model.timers[timer].id)).unwrap();
                prop_assert_eq!(entry.call, model.enter(timer, host.now_and(0)));
                if let Some(id) = entry.run {
                    model.runs.push(Run {
                        id,
                        timer,
                        tid,
                        calls: 0,
                        handled: false,
                        signalled: false,
                        posted: Ring::new(),
                        landings: vec![],
                        freed: None,
                    });
                }
            }
            Verb::Leave { run } if runs > 0 => {
                let run = run % runs;
                host.on(model.runs[run].tid, || detector.leave(model.runs[run].id));
                model.leave(run);
            }
            Verb::Free { base, tid } => {
                host.on(tid, || detector.freeing(&block(base), 0x21));
                model.free(base, tid, host.now_and(0));
            }
            Verb::Post { run, object, signal } if runs > 0 => {
                let run = &mut model.runs[run % runs];
                run.signalled |= signal;
                add(&mut run.posted, object, host.now_and(0));
                if signal {
                    detector.handler_signalled(run.id, object);
                } else {
                    detector.handler_posted(run.id, object);
                }
            }
            Verb::Wait { tid, object } => {
                host.on(tid, || detector.deleter_waits(object));
                model.wait(tid, object, host.now_and(0));
            }
            Verb::Call { run } if runs > 0 => {
                let run = &mut model.runs[run % runs];
                run.calls += 1;
                detector.handler_called(run.id);
            }
            Verb::Sleep { tid } => {
                host.sleeps(tid);
                *model.sleeps.entry(tid).or_default() += 1;
            }
            Verb::Pass { ns } => host.pass(ns),
            _ => continue,
        }
        model.check(host)?;
    }
    while !model.runs.is_empty() {
        host.on(model.runs[0].tid, || detector.leave(model.runs[0].id));
        model.leave(0);
        model.check(host)?;
    }
    prop_assert_eq!(detector.runs.each_taken().count(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn the_detector_is_as_the_model(
        sync in prop::bool::weighted(0.25), verbs in prop::collection::vec(verb(), 0..150)
    ) {
        play(sync, &verbs)?;
    }
}
