//! Each finding and each rung of the ladder, one event after the other.

use super::host::{Found, Host};
use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::{Deleted, Handle, NewTimer};
use crate::frees::HeapMisuse;
use crate::handlers::{Entry, MUTEX};
use crate::ladder::{CERTAIN, Sample};
use crate::options::DelPolicy;
use crate::record::layout::{FLAG_BYTES, FLAG_LATE, READY, StackRole};
use crate::timers::REST_NS;
use crate::{Consequence, HeapBlock, Kind, Notify, Op, RunRef, TimerRef};

const MAIN: u32 = 1;
const HANDLER: u32 = 2;
/// CPU time that no noise of scheduling is taken for, with a tail of 50 us.
const MUCH_NS: u64 = CERTAIN * 50_000 + 1;
const OTHER: u32 = 3;
const BLOCK: HeapBlock = HeapBlock { base: 0x10_0000, size: 64, alloc_site: 0x5001 };
const HANDLE: u64 = 77;
const NOTHING: [u32; 4] = [0; 4];
const TAIL: [u32; 4] = [1, 0, 0, 0];
const INFO: [u32; 4] = [0, 1, 0, 0];
const WARNING: [u32; 4] = [0, 0, 1, 0];
const ERROR: [u32; 4] = [0, 0, 0, 1];

/// One detector on one host.
struct Scene {
    host: &'static Host,
    detector: &'static Detector,
}

impl Scene {
    fn new() -> Scene {
        let host = Host::new();
        Scene { host, detector: Box::leak(Box::new(host.detector())) }
    }

    fn sync() -> Scene {
        let scene = Scene::new();
        scene.detector.configure(DelPolicy::Sync, 50, 1);
        scene
    }

    fn timer(&self, handle: u64) -> TimerRef {
        let new = NewTimer {
            handler: 0x4000,
            value: 0x10_0010,
            block: Some(BLOCK),
            notify: Notify::Thread,
            signal: 0,
        };
        let timer = self.detector.init_timer(&new).unwrap();
        self.detector.bind_timer(timer, handle);
        timer
    }

    fn armed(&self) -> TimerRef {
        let timer = self.timer(HANDLE);
        self.arm(timer);
        timer
    }

    fn arm(&self, timer: TimerRef) {
        self.detector.arm(timer, false, 0, 0x6001).unwrap();
    }

    fn enter(&self, timer: TimerRef) -> RunRef {
        self.enter_on(HANDLER, timer).run.unwrap()
    }

    fn enter_on(&self, tid: u32, timer: TimerRef) -> Entry {
        self.host.on(tid, || self.detector.enter(timer)).unwrap()
    }

    fn leave(&self, run: RunRef) {
        self.host.on(HANDLER, || self.detector.leave(run));
    }

    /// An armed timer whose handler runs.
    fn running(&self) -> (TimerRef, RunRef) {
        let timer = self.armed();
        (timer, self.enter(timer))
    }

    fn delete(&self, timer: TimerRef, op: Op) -> Deleted {
        let deletion = self.detector.begin_delete(timer, op, 0x3001).unwrap();
        self.detector.finish_delete(deletion)
    }

    fn delete_timer(&self, timer: TimerRef) -> Deleted {
        self.delete(timer, Op::TimerDelete)
    }

    /// An armed timer, deleted while its handler runs on.
    fn landed(&self) -> (TimerRef, RunRef) {
        let (timer, run) = self.running();
        assert_eq!(self.delete_timer(timer).landed, 1);
        (timer, run)
    }

    fn free(&self) {
        self.detector.freeing(&BLOCK, 0x2001);
    }

    fn goes_on(&self) {
        self.host.sleeps(HANDLER);
    }

    fn verdicts(&self, kind: Kind) -> [u32; 4] {
        self.host.verdicts(kind)
    }

    fn count(&self, counter: Counter) -> u64 {
        self.host.count(counter)
    }
}

#[test]
fn an_ordinary_life_finds_nothing() {
    let s = Scene::new();
    let (timer, run) = s.running();
    s.leave(run);
    s.arm(timer);
    assert!(s.delete(timer, Op::TimerSettime).was_pending);
    let deleted = s.delete_timer(timer);
    assert_eq!(deleted, Deleted::default());
    s.free();
    assert_eq!(s.host.findings(), []);
    let counts = [
        (Counter::TimersInited, 1),
        (Counter::TimersArmed, 2),
        (Counter::TimersExpired, 1),
        (Counter::TimersHandlersRun, 1),
        (Counter::TimersPending, 0),
        (Counter::DelCalls, 2),
        (Counter::DelReturnedPending, 1),
        (Counter::DelWhileRunning, 0),
        (Counter::DroppedEvents, 0),
    ];
    for (counter, want) in counts {
        assert_eq!(s.count(counter), want, "{counter:?}");
    }
    assert!(s.detector.begin_delete(timer, Op::TimerDelete, 1).is_some(), "rests");
}

#[test]
fn a_landing_is_a_warning_if_the_handler_went_on() {
    let s = Scene::new();
    let (timer, run) = s.landed();
    let open = s.host.found(Kind::DelWhileRunning, Consequence::None).unwrap();
    assert_eq!((open.unresolved, open.verdicts), (1, NOTHING));
    s.host.pass(5_000);
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING);
    assert_eq!(s.host.kinds(), [Kind::DelWhileRunning]);
    assert_eq!(s.count(Counter::DelWhileRunning), 1);
    let found = s.host.found(Kind::DelWhileRunning, Consequence::None).unwrap();
    let top = |role| s.host.top(&found, role);
    assert_eq!(top(StackRole::Del), 0x7000);
    assert_eq!(top(StackRole::Handler), 0x4000);
    assert_eq!(top(StackRole::Arm), 0x6000);
    assert_eq!(s.detector.handle(HANDLE), Handle::Stale(timer));
    let sites: Vec<_> = s.host.body().sites.iter().filter(|s| s.state.load(SEQ) == READY).collect();
    let [site] = sites[..] else { panic!("one site") };
    assert_eq!((site.calls.load(SEQ), site.while_running.load(SEQ)), (1, 1));
    assert_eq!(site.frame.load(SEQ), 0x3000);
    assert_eq!(site.handlers[0].load(SEQ), 0x4000);
    assert_eq!((site.window_count.load(SEQ), site.window_max_ns.load(SEQ)), (1, 5_000));
    assert_eq!(site.window_min_ns.load(SEQ), 5_000);
    assert_eq!((site.consequences[0].load(SEQ), site.in_tail.load(SEQ)), (1, 0));
}

const SEQ: core::sync::atomic::Ordering = core::sync::atomic::Ordering::SeqCst;

#[test]
fn each_sign_of_going_on_counts() {
    let signs: [fn(&Scene, RunRef); 2] =
        [|s, _| s.host.sleeps(HANDLER), |s, run| s.detector.handler_called(run)];
    for sign in signs {
        let s = Scene::new();
        let (_, run) = s.landed();
        sign(&s, run);
        s.leave(run);
        assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING);
    }
    let s = Scene::new();
    s.host.set_sample(HANDLER, Sample { asleep: true, ..Sample::default() });
    let (_, run) = s.landed();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING, "asleep at that moment");
}

#[test]
fn a_process_that_ends_before_the_verdict_has_the_consequence_on_record() {
    let s = Scene::new();
    let (_, run) = s.landed();
    s.free();
    assert!(s.host.found(Kind::DelWhileRunning, Consequence::None).is_none());
    let open = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!((open.unresolved, open.verdicts), (1, NOTHING));
    s.goes_on();
    s.leave(run);
    let given = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!((given.unresolved, given.verdicts), (0, ERROR));
}

#[test]
fn the_end_waits_for_tails_but_not_for_sleepers() {
    let s = Scene::new();
    let (_, run) = s.landed();
    let pauses = std::sync::Arc::new(core::sync::atomic::AtomicU32::new(0));
    let counted = pauses.clone();
    s.host.on_pause(move |_| {
        counted.fetch_add(1, SEQ);
    });
    s.host.set_sample(HANDLER, Sample { asleep: true, ..Sample::default() });
    s.detector.drain(1_000);
    assert_eq!(pauses.load(SEQ), 0);
    s.host.set_sample(HANDLER, Sample::default());
    let (counted, host) = (pauses.clone(), s.host);
    s.host.on_pause(move |_| {
        counted.fetch_add(1, SEQ);
        host.pass(400);
    });
    s.detector.drain(1_000);
    let waited = pauses.load(SEQ);
    assert!((1..=3).contains(&waited), "bounded, not {waited}");
    s.leave(run);
    s.detector.drain(1_000);
    assert_eq!(pauses.load(SEQ), waited);
}

/// A landing whose data is freed, on a handler that then uses this much CPU.
fn burn_after_a_free(s: &Scene, ns: u64) {
    let (_, run) = s.landed();
    s.free();
    s.host.burns(HANDLER, ns);
    s.leave(run);
}

#[test]
fn a_little_cpu_time_alone_leaves_the_verdict_open_until_tails_outweigh_it() {
    let s = Scene::new();
    burn_after_a_free(&s, 50_001);
    let both = [
        (Kind::DataFreeWhileRunning, Consequence::None),
        (Kind::DelWhileRunning, Consequence::DataFreed),
    ];
    for (kind, consequence) in both {
        let open = s.host.found(kind, consequence).unwrap();
        assert_eq!((open.unresolved, open.verdicts), (1, NOTHING), "{kind:?}");
    }
    let harm =
        |s: &Scene| s.host.body().sites.iter().map(|s| s.consequences[1].load(SEQ)).sum::<u32>();
    assert_eq!(harm(&s), 1);
    burn_after_a_free(&s, 10);
    for (kind, consequence) in both {
        let cleared = s.host.found(kind, consequence).unwrap();
        assert_eq!((cleared.unresolved, cleared.verdicts), (0, [2, 0, 0, 0]), "{kind:?}");
    }
    assert_eq!(harm(&s), 0);
    assert_eq!(s.host.body().sites.iter().map(|s| s.in_tail.load(SEQ)).sum::<u64>(), 2);
}

#[test]
fn a_few_open_verdicts_prove_nothing_at_the_end_and_more_stand() {
    for (rounds, stand) in [(2, 0), (3, 3)] {
        let s = Scene::new();
        for _ in 0..rounds {
            burn_after_a_free(&s, 50_001);
        }
        s.detector.drain(0);
        let found = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
        assert_eq!((found.unresolved, found.verdicts), (stand, [rounds - stand, 0, 0, 0]));
    }
}

#[test]
fn one_open_verdict_stands_beside_certain_ones() {
    let s = Scene::new();
    for ns in [MUCH_NS, MUCH_NS, 50_001] {
        burn_after_a_free(&s, ns);
    }
    s.detector.drain(0);
    let found = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!((found.unresolved, found.verdicts), (1, [0, 0, 0, 2]));
}

#[test]
fn much_cpu_time_is_certain() {
    let s = Scene::new();
    burn_after_a_free(&s, MUCH_NS);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), ERROR);
}

#[test]
fn in_the_tail_everything_is_info() {
    let s = Scene::new();
    let (_, run) = s.landed();
    s.free();
    s.host.burns(HANDLER, 50_000);
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), TAIL);
    let freed = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!(freed.verdicts, TAIL);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), NOTHING);
    assert_eq!(s.host.body().sites.iter().map(|s| s.in_tail.load(SEQ)).sum::<u64>(), 1);
    assert_eq!(s.count(Counter::DelWhileRunning), 1, "counted nevertheless");
}

#[test]
fn what_is_done_to_a_handler_that_is_held_up_is_never_in_its_tail() {
    let s = Scene::new();
    let (timer, run) = s.running();
    s.detector.hold(run, true);
    assert_eq!(s.delete(timer, Op::TimerDelete).landed, 1);
    s.free();
    s.detector.hold(run, false);
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), ERROR);
}

#[test]
fn a_handler_that_was_held_up_before_has_its_tail() {
    let s = Scene::new();
    let (timer, run) = s.running();
    s.detector.hold(run, true);
    s.host.sleeps(HANDLER);
    s.host.burns(HANDLER, 1_000_000);
    s.detector.hold(run, false);
    assert_eq!(s.delete(timer, Op::TimerDelete).landed, 1);
    s.free();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), TAIL);
}

#[test]
fn data_freed_under_a_landing_is_an_error() {
    let s = Scene::new();
    let (_, run) = s.landed();
    s.host.stack(0x7100);
    s.free();
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), NOTHING);
    let freed = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!((freed.unresolved, freed.verdicts), (0, ERROR));
    assert_eq!((freed.base, freed.size), (BLOCK.base as u64, 64));
    let top = |role| s.host.top(&freed, role);
    assert_eq!(top(StackRole::Free), 0x7100);
    assert_eq!(top(StackRole::Alloc), 0x5000);
    assert_eq!(top(StackRole::Del), 0x7000);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), ERROR);
    let consequences =
        |i: usize| -> u32 { s.host.body().sites.iter().map(|s| s.consequences[i].load(SEQ)).sum() };
    assert_eq!((consequences(0), consequences(1)), (0, 1));
    s.host.stack(0x7000);
}

#[test]
fn data_freed_before_the_delete_is_no_consequence_of_it() {
    let s = Scene::new();
    let (timer, run) = s.running();
    s.free();
    s.host.pass(10);
    assert_eq!(s.delete_timer(timer).landed, 1);
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), ERROR);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING);
    assert_eq!(s.host.found(Kind::DelWhileRunning, Consequence::DataFreed), None);
}

#[test]
fn a_handler_that_frees_its_own_data_or_deletes_its_timer_handles_it() {
    let s = Scene::new();
    let (_, run) = s.landed();
    s.host.on(HANDLER, || s.free());
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), INFO);
    assert_eq!(s.host.kinds(), [Kind::DelWhileRunning]);

    let s = Scene::new();
    let (timer, run) = s.running();
    assert_eq!(s.delete(timer, Op::TimerSettime).landed, 1);
    assert_eq!(s.host.on(HANDLER, || s.delete_timer(timer)).landed, 0);
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), INFO);
    assert_eq!((s.count(Counter::DelSelf), s.count(Counter::DelWhileRunning)), (1, 1));
}

#[test]
fn a_delete_from_the_own_handler_does_not_land() {
    let s = Scene::new();
    let (timer, run) = s.running();
    assert_eq!(s.host.on(HANDLER, || s.delete_timer(timer)), Deleted::default());
    s.leave(run);
    assert_eq!(s.host.findings(), []);
    assert_eq!((s.count(Counter::DelSelf), s.count(Counter::DelCalls)), (1, 1));
}

#[test]
fn a_deleter_that_waits_for_what_the_handler_posts_handles_it() {
    let (sem, cond, mutex) = (0x100, 0x200, 0x300 | MUTEX);
    // What the deleter waits for; whether the handler signals `cond`; handled?
    for (wait, signals, handled) in
        [(sem, false, true), (mutex, true, true), (mutex, false, false), (0x900, true, false)]
    {
        for wait_first in [true, false] {
            let s = Scene::new();
            let (_, run) = s.landed();
            let waits = || assert_eq!(s.detector.deleter_waits(wait), wait_first || !handled);
            if wait_first {
                waits();
            }
            s.host.pass(10);
            s.host.on(HANDLER, || {
                s.detector.handler_posted(run, sem);
                if signals {
                    s.detector.handler_signalled(run, cond);
                }
                s.detector.handler_posted(run, mutex);
            });
            s.goes_on();
            s.leave(run);
            if !wait_first {
                assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING, "until it waits");
                waits();
            }
            let want = if handled { INFO } else { WARNING };
            assert_eq!(s.verdicts(Kind::DelWhileRunning), want, "{wait:#x} {signals} {wait_first}");
        }
    }
}

#[test]
fn data_freed_after_the_handler_s_word_are_its_no_more() {
    let sem = 0x100;
    for (frees_first, want) in [(false, TAIL), (true, ERROR)] {
        let s = Scene::new();
        let (_, run) = s.landed();
        assert!(s.detector.deleter_waits(sem));
        s.host.pass(10);
        if frees_first {
            s.free();
            s.host.pass(10);
        }
        s.host.on(HANDLER, || s.detector.handler_posted(run, sem));
        s.host.pass(10);
        if !frees_first {
            s.free();
        }
        s.goes_on();
        s.leave(run);
        assert_eq!(s.verdicts(Kind::DataFreeWhileRunning), want, "{frees_first}");
        let landing = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
        assert_eq!(landing.verdicts, want, "{frees_first}");
    }
}

#[test]
fn another_thread_s_wait_or_an_earlier_post_settles_nothing() {
    let s = Scene::new();
    let (timer, run) = s.running();
    s.host.on(HANDLER, || s.detector.handler_posted(run, 0x100));
    s.host.pass(10);
    assert_eq!(s.delete_timer(timer).landed, 1);
    assert!(s.detector.deleter_waits(0x100));
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING, "posted before the delete");

    let s = Scene::new();
    let (_, run) = s.landed();
    s.host.on(HANDLER, || s.detector.handler_posted(run, 0x100));
    s.host.on(OTHER, || assert!(!s.detector.deleter_waits(0x100)));
    s.goes_on();
    s.leave(run);
    s.host.on(OTHER, || assert!(!s.detector.deleter_waits(0x100)));
    assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING, "another thread waited");
    assert!(!s.detector.deleter_waits(0x100));
    assert_eq!(s.verdicts(Kind::DelWhileRunning), INFO);
}

#[test]
fn a_free_under_an_armed_timer_is_judged_by_who_stops_it() {
    for (stopper, op, want) in [
        (MAIN, Op::TimerDelete, INFO),
        (MAIN, Op::TimerSettime, INFO),
        (OTHER, Op::TimerDelete, WARNING),
        (OTHER, Op::TimerSettime, WARNING),
    ] {
        let s = Scene::new();
        let timer = s.armed();
        s.free();
        let open = s.host.found(Kind::DataFreeWhilePending, Consequence::None).unwrap();
        assert_eq!((open.unresolved, open.verdicts), (1, NOTHING));
        assert!(s.host.on(stopper, || s.delete(timer, op)).was_pending);
        assert_eq!(s.verdicts(Kind::DataFreeWhilePending), want);
        assert_eq!(s.host.kinds(), [Kind::DataFreeWhilePending]);
    }
}

#[test]
fn an_expiry_after_the_free_is_judged_at_enter() {
    let s = Scene::new();
    let timer = s.armed();
    s.free();
    s.host.pass(500);
    let run = s.enter(timer);
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DataFreeWhilePending), WARNING);
    assert_eq!(s.verdicts(Kind::EnterWithFreedData), WARNING);
    let found = s.host.found(Kind::EnterWithFreedData, Consequence::None).unwrap();
    assert_eq!((found.base, found.size, found.age_ns), (BLOCK.base as u64, 64, 500));
    assert_eq!(s.host.top(&found, StackRole::Alloc), 0x5000);
}

#[test]
fn a_free_under_a_timer_that_has_fired_or_is_disarmed_is_legal() {
    let s = Scene::new();
    let timer = s.armed();
    s.host.set_pending(HANDLE, false);
    s.free();
    assert_eq!(s.host.findings(), [], "the kernel says that it has fired");
    let run = s.enter(timer);
    s.leave(run);
    assert_eq!(s.host.kinds(), [Kind::EnterWithFreedData]);
    let found = s.host.found(Kind::EnterWithFreedData, Consequence::None).unwrap();
    assert_eq!(s.host.top(&found, StackRole::Free), 0x2000, "the caller of free");

    let s = Scene::new();
    let timer = s.armed();
    let _ = s.delete(timer, Op::TimerSettime);
    s.free();
    let _ = s.delete_timer(timer);
    assert_eq!(s.host.findings(), []);
}

#[test]
fn a_free_that_nothing_follows_stays_unresolved() {
    let s = Scene::new();
    s.armed();
    s.free();
    s.free();
    let open = s.host.found(Kind::DataFreeWhilePending, Consequence::None).unwrap();
    assert_eq!((open.unresolved, open.verdicts), (1, NOTHING));
}

#[test]
fn an_overtaken_disarm_judges_no_free() {
    let s = Scene::new();
    let timer = s.armed();
    s.free();
    let deletion = s.detector.begin_delete(timer, Op::TimerSettime, 1).unwrap();
    s.arm(timer);
    assert!(s.detector.finish_delete(deletion).was_pending);
    let open = s.host.found(Kind::DataFreeWhilePending, Consequence::None).unwrap();
    assert_eq!((open.unresolved, open.verdicts), (1, NOTHING));
    assert_eq!(s.count(Counter::TimersPending), 1);
    s.enter(timer);
    assert_eq!(s.verdicts(Kind::DataFreeWhilePending), WARNING);
}

#[test]
fn an_expiry_after_the_delete_is_a_warning_and_an_error_with_its_data_freed() {
    for op in [Op::TimerDelete, Op::TimerSettime] {
        for freed in [false, true] {
            let s = Scene::new();
            let timer = s.armed();
            let _ = s.delete(timer, op);
            if freed {
                s.free();
            }
            let entry = s.enter_on(HANDLER, timer);
            assert!(entry.call);
            s.leave(entry.run.unwrap());
            assert_eq!(s.verdicts(Kind::ExpiryAfterDel), if freed { ERROR } else { WARNING });
            assert_eq!(s.verdicts(Kind::EnterWithFreedData), if freed { WARNING } else { NOTHING });
            assert_eq!(s.count(Counter::DelWhileRunning), 0);
        }
    }
}

#[test]
fn a_delete_lands_on_a_handler_that_started_after_an_earlier_disarm() {
    for second in [Op::TimerDelete, Op::TimerSettime] {
        let s = Scene::new();
        let timer = s.armed();
        let _ = s.delete(timer, Op::TimerSettime);
        let run = s.enter(timer);
        assert_eq!(s.delete(timer, second).landed, 1, "{second:?}");
        s.goes_on();
        s.leave(run);
        assert_eq!(s.verdicts(Kind::ExpiryAfterDel), WARNING);
        assert_eq!(s.verdicts(Kind::DelWhileRunning), WARNING);
        assert_eq!(s.count(Counter::DelWhileRunning), 1);
        assert_eq!(s.count(Counter::DroppedEvents), 0);
    }
}

#[test]
fn overlapping_handlers_are_info_and_one_delete_lands_once() {
    let s = Scene::new();
    let timer = s.timer(HANDLE);
    s.detector.arm(timer, true, 0, 0x6001).unwrap();
    let a = s.enter(timer);
    let b = s.enter_on(OTHER, timer).run.unwrap();
    assert_eq!(s.verdicts(Kind::OverlappingHandler), INFO);
    assert_eq!(s.delete_timer(timer).landed, 2);
    assert_eq!(s.count(Counter::DelWhileRunning), 1);
    let open = s.host.found(Kind::DelWhileRunning, Consequence::None).unwrap();
    assert_eq!(open.unresolved, 2);
    s.goes_on();
    s.leave(a);
    s.host.on(OTHER, || s.detector.leave(b));
    assert_eq!(s.verdicts(Kind::DelWhileRunning), [1, 0, 1, 0]);
    let site = &s.host.body().sites.iter().find(|s| s.state.load(SEQ) == READY).unwrap();
    assert_eq!((site.calls.load(SEQ), site.while_running.load(SEQ)), (1, 1));
}

#[test]
fn more_landings_than_notes_are_counted_and_told() {
    let s = Scene::new();
    let (timer, run) = s.running();
    for _ in 0..6 {
        assert_eq!(s.delete(timer, Op::TimerSettime).landed, 1);
    }
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), [0, 0, 4, 0]);
    assert_eq!((s.count(Counter::DelWhileRunning), s.count(Counter::DroppedEvents)), (6, 2));
}

#[test]
fn a_stale_handle_is_an_error_only_where_libc_reads_freed_memory() {
    for (notify, want) in [(Notify::Thread, ERROR), (Notify::Signal, INFO)] {
        let s = Scene::new();
        let new = NewTimer { handler: 0x4000, notify, ..NewTimer::default() };
        let timer = s.detector.init_timer(&new).unwrap();
        s.detector.bind_timer(timer, HANDLE);
        assert_eq!(s.detector.handle(HANDLE), Handle::Known(timer));
        let _ = s.delete_timer(timer);
        let Handle::Stale(stale) = s.detector.handle(HANDLE) else { panic!("not stale") };
        s.detector.stale_call(stale);
        assert_eq!(s.verdicts(Kind::StaleHandle), want);
        let found = s.host.found(Kind::StaleHandle, Consequence::None).unwrap();
        assert_eq!(found.addr, HANDLE);
        assert_eq!(s.host.top(&found, StackRole::Access), 0x7000);
        assert_eq!(s.host.top(&found, StackRole::Del), 0x3000);
    }
}

#[test]
fn a_handle_given_out_again_is_the_new_timer() {
    let s = Scene::new();
    let old = s.armed();
    let _ = s.delete_timer(old);
    let new = s.timer(HANDLE);
    assert_eq!(s.detector.handle(HANDLE), Handle::Known(new));
    let run = s.enter(old);
    s.leave(run);
    assert_eq!(s.verdicts(Kind::ExpiryAfterDel), WARNING, "the late expiry is the old one's");
    assert_eq!(s.delete_timer(new).landed, 0);
    assert_eq!(s.detector.handle(HANDLE), Handle::Stale(new));
}

#[test]
fn a_slot_given_to_another_timer_has_no_late_expiry() {
    let s = Scene::new();
    let old = s.armed();
    let _ = s.delete_timer(old);
    s.host.pass(REST_NS + 1);
    let new = s.timer(HANDLE + 1);
    assert_eq!(new.index, old.index);
    assert!(s.host.on(HANDLER, || s.detector.enter(old)).is_none());
    assert_eq!(s.detector.handle(HANDLE), Handle::Unknown);
    assert!(s.detector.arm(old, false, 0, 1).is_none());
    assert_eq!(s.count(Counter::TimersPending), 0);
}

#[test]
fn a_waiting_delete_waits_for_the_handler() {
    let s = Scene::sync();
    let (timer, run) = s.running();
    let detector = s.detector;
    let host = s.host;
    host.on_pause(move |attempt| {
        if attempt == 3 {
            host.on(HANDLER, || detector.leave(run));
        }
    });
    assert_eq!(s.delete_timer(timer), Deleted { was_pending: false, landed: 0, waited: true });
    assert_eq!(s.host.findings(), []);
    assert_eq!((s.count(Counter::DelSyncWaits), s.count(Counter::DelWhileRunning)), (1, 0));
    let site = &s.host.body().sites.iter().find(|s| s.state.load(SEQ) == READY).unwrap();
    assert_eq!((site.sync_waits.load(SEQ), site.sync_wait_max_ns.load(SEQ)), (1, 400));
    let late = s.enter_on(HANDLER, timer);
    assert!(!late.call && late.run.is_none(), "an expiry that starts later is suppressed");
    assert_eq!(s.count(Counter::TimersSuppressed), 1);
    assert_eq!(s.count(Counter::TimersHandlersRun), 1);
    assert_eq!(s.detector.runs.each().count(), 0);
    assert_eq!(s.host.findings(), []);
}

#[test]
fn a_waiting_delete_from_the_own_handler_does_not_wait() {
    let s = Scene::sync();
    let (timer, run) = s.running();
    s.host.on_pause(|_| panic!("waits for itself"));
    assert!(!s.host.on(HANDLER, || s.delete_timer(timer)).waited);
    s.leave(run);
    assert_eq!(s.host.findings(), []);
    assert_eq!((s.count(Counter::DelSelf), s.count(Counter::DelSyncWaits)), (1, 0));
}

#[test]
fn a_wait_without_end_is_a_deadlock_and_then_a_landing() {
    let s = Scene::sync();
    let (timer, run) = s.running();
    let deleted = s.delete_timer(timer);
    assert!(deleted.waited && deleted.landed == 1);
    assert_eq!(s.verdicts(Kind::DelDeadlock), ERROR);
    s.goes_on();
    s.leave(run);
    assert_eq!(s.verdicts(Kind::DelWhileRunning), INFO, "told as a deadlock");
    assert_eq!((s.count(Counter::DelSyncWaits), s.count(Counter::DelWhileRunning)), (1, 1));
}

#[test]
fn harm_after_a_wait_without_end_is_an_error() {
    let s = Scene::sync();
    let (timer, run) = s.running();
    assert_eq!(s.delete_timer(timer).landed, 1);
    s.free();
    s.goes_on();
    s.leave(run);
    let freed = s.host.found(Kind::DelWhileRunning, Consequence::DataFreed).unwrap();
    assert_eq!(freed.verdicts, ERROR);
}

#[test]
fn a_refused_arm_leaves_the_earlier_one() {
    let s = Scene::new();
    let timer = s.timer(HANDLE);
    let arming = s.detector.arm(timer, false, 9_000, 1).unwrap();
    assert_eq!(s.count(Counter::TimersPending), 1);
    s.detector.arm_refused(arming);
    assert_eq!((s.count(Counter::TimersPending), s.count(Counter::TimersArmed)), (0, 0));
    s.detector.arm(timer, false, 2_000, 0x6001).unwrap();
    let arming = s.detector.arm(timer, true, 900_000, 1).unwrap();
    let run = s.enter(timer);
    s.detector.arm_refused(arming);
    s.leave(run);
    assert_eq!(s.count(Counter::TimersPending), 1, "too early for the one that stands");
    s.host.pass(1_000);
    let run = s.enter(timer);
    s.leave(run);
    assert_eq!((s.count(Counter::TimersPending), s.count(Counter::TimersArmed)), (0, 1));
    assert!(!s.delete_timer(timer).was_pending);
}

#[test]
fn a_late_expiry_does_not_use_up_a_new_arming() {
    let s = Scene::new();
    let timer = s.timer(HANDLE);
    s.detector.arm(timer, false, 500, 1).unwrap();
    s.detector.arm(timer, false, 5_000, 1).unwrap();
    let run = s.enter(timer);
    s.leave(run);
    assert!(s.delete_timer(timer).was_pending);
    assert_eq!(s.count(Counter::TimersPending), 0);
}

#[test]
fn full_tables_count_what_they_drop() {
    let s = Scene::new();
    let timers: Vec<_> = (0..64).map(|i| s.timer(1_000 + i)).collect();
    assert_eq!(s.detector.init_timer(&NewTimer::default()), None);
    assert_eq!(s.count(Counter::DroppedTimers), 1);
    for &timer in &timers {
        s.arm(timer);
        s.enter(timer);
    }
    let more = timers[5];
    s.arm(more);
    assert_eq!(s.count(Counter::TimersPending), 1);
    let entry = s.enter_on(OTHER, more);
    assert!(entry.call && entry.run.is_none(), "the program's handler is called");
    assert_eq!((s.count(Counter::DroppedEvents), s.count(Counter::TimersPending)), (1, 0));
    assert_eq!(s.detector.registry.get(more).unwrap().state().runs, 1);
}

#[test]
fn a_timer_whose_creation_failed_never_was() {
    let s = Scene::new();
    for _ in 0..1_000 {
        let new = NewTimer { block: Some(BLOCK), ..NewTimer::default() };
        let timer = s.detector.init_timer(&new).expect("its slot is free at once");
        s.detector.abandon_timer(timer);
    }
    assert_eq!((s.count(Counter::TimersInited), s.count(Counter::DroppedTimers)), (0, 0));
}

#[test]
fn a_fork_child_starts_empty() {
    let s = Scene::new();
    let (timer, run) = s.landed();
    let other = s.timer(5);
    s.arm(other);
    s.free();
    let before = s.host.findings();
    // The child has the parent's memory and a record of its own.
    s.detector.record.attach(super::host::empty_head());
    s.detector.reset_after_fork();
    s.leave(run);
    assert_eq!(s.detector.runs.each().count(), 0);
    assert_eq!(s.detector.handle(5), Handle::Unknown);
    assert!(s.host.on(HANDLER, || s.detector.enter(timer)).is_none());
    for counter in [Counter::TimersPending, Counter::DelWhileRunning, Counter::TimersExpired] {
        assert_eq!(s.detector.record.counter(counter), 0, "{counter:?}");
    }
    let again = s.armed();
    assert_ne!(again, timer);
    let run = s.enter(again);
    s.leave(run);
    let _ = s.delete_timer(again);
    assert_eq!(s.detector.record.counter(Counter::TimersPending), 0);
    assert_eq!(s.host.findings(), before);
}

#[test]
fn heap_misuse_is_recorded_with_its_bytes() {
    let s = Scene::new();
    s.detector.heap_misuse(&HeapMisuse {
        kind: Kind::UseAfterFreeWrite,
        addr: 0x10_0008,
        block: BLOCK,
        offset: 8,
        free_site: 0x2001,
        late: true,
        caller: 0,
        bytes: Some((&[0x6b; 16], &[1; 16])),
        in_signal: false,
        stack: 0,
        age_ns: 0,
    });
    let found: Found = s.host.found(Kind::UseAfterFreeWrite, Consequence::None).unwrap();
    assert_eq!(found.verdicts, ERROR);
    assert_eq!((found.flags, found.offset), (FLAG_LATE | FLAG_BYTES, 8));
    assert_eq!(s.host.top(&found, StackRole::Free), 0x2000);
    assert_eq!(found.stacks[StackRole::Access as usize], 0, "the culprit is long gone");
    assert_eq!(s.host.wakes.load(SEQ), 1);
}

#[test]
fn two_sites_are_two_findings_and_one_site_is_one() {
    let s = Scene::new();
    for stack in [0x7000, 0x7000, 0x7200] {
        let (_, run) = s.running();
        s.host.stack(stack);
        let timer = s.detector.runs.get(run).unwrap().timer();
        assert_eq!(s.delete_timer(timer).landed, 1);
        s.host.stack(0x7000);
        s.goes_on();
        s.leave(run);
    }
    let mut verdicts: Vec<_> = s.host.findings().iter().map(|f| f.verdicts[2]).collect();
    verdicts.sort_unstable();
    assert_eq!(verdicts, [1, 2]);
}
