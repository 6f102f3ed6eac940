//! Handlers that wait for who deleted their timers, while those wait for them by calls
//! of their own: what is proven, what is a warning, and what is neither.

use super::host::Host;
use crate::core::Detector;
use crate::deletes::NewTimer;
use crate::ladder::Sample;
use crate::options::DelPolicy;
use crate::record::layout::StackRole;
use crate::watcher::Watcher;
use crate::{Consequence, Kind, Notify, Op, RunRef, TimerRef};

const MAIN: u32 = 1;
const HANDLER: u32 = 2;
const OTHER: u32 = 3;
const LOCK: usize = 0x5000;
const DEADLOCK_MS: u32 = 100;
const BOUND_NS: u64 = DEADLOCK_MS as u64 * 1_000_000;
const NONE: [u32; 4] = [0; 4];
const INFO: [u32; 4] = [0, 1, 0, 0];
const WARNING: [u32; 4] = [0, 0, 1, 0];
const ERROR: [u32; 4] = [0, 0, 0, 1];

struct Scene {
    host: &'static Host,
    detector: &'static Detector,
    watcher: Watcher,
    run: RunRef,
}

impl Scene {
    /// A delete of MAIN's landed on a handler that found its lock taken.
    fn new() -> Scene {
        Scene::with(DelPolicy::Async)
    }

    fn with(policy: DelPolicy) -> Scene {
        let host = Host::new();
        let detector: &Detector = Box::leak(Box::new(host.detector()));
        detector.configure(policy, 50, DEADLOCK_MS);
        let timer = armed(detector, 7);
        let run = host.on(HANDLER, || detector.enter(timer)).unwrap().run.unwrap();
        host.stack(0x6000);
        assert!(!host.on(HANDLER, || detector.handler_locks(run, LOCK, 0x4101)), "not landed");
        host.set_sample(HANDLER, Sample { asleep: true, ..Sample::default() });
        host.blocks(HANDLER, MAIN);
        host.stack(0x7000);
        if policy.waits() {
            host.on_pause(move |_| host.pass(BOUND_NS));
        }
        let deletion = detector.begin_delete(timer, Op::TimerDelete, 0x3001).unwrap();
        assert_eq!(host.on(MAIN, || detector.finish_delete(deletion)).landed, 1);
        Scene { host, detector, watcher: Watcher::new(), run }
    }

    /// The deleter sleeps until somebody wakes it.
    fn waits(&self) {
        self.host.stack(0x7100);
        self.host.on(MAIN, || self.detector.deleter_waits(0x8000));
        self.host.set_sample(MAIN, Sample { asleep: true, ..Sample::default() });
        self.host.needs_waking(MAIN, true);
    }

    fn look(&mut self) -> Option<u64> {
        self.watcher.look(self.detector)
    }

    /// Looks now, and when the bound is over.
    fn look_long(&mut self) {
        assert!(self.look().is_some());
        self.host.pass(BOUND_NS - 1);
        assert!(self.look().is_some());
        assert_eq!(self.verdicts(), NONE, "not yet");
        self.host.pass(1);
        assert!(self.look().is_some());
    }

    fn verdicts(&self) -> [u32; 4] {
        self.host.verdicts(Kind::DelDeadlock)
    }

    fn top(&self, role: StackRole) -> u64 {
        let found = self.host.found(Kind::DelDeadlock, Consequence::None).unwrap();
        self.host.top(&found, role)
    }
}

fn armed(detector: &Detector, handle: u64) -> TimerRef {
    let new = NewTimer { handler: 0x4000, notify: Notify::Thread, ..NewTimer::default() };
    let timer = detector.init_timer(&new).unwrap();
    detector.bind_timer(timer, handle);
    detector.arm(timer, false, 0, 0x6001).unwrap();
    timer
}

#[test]
fn who_joins_the_handler_s_thread_under_its_lock_is_proven_once() {
    let mut s = Scene::new();
    s.waits();
    s.host.blocks(MAIN, HANDLER);
    assert!(s.look().is_some());
    assert_eq!(s.verdicts(), ERROR);
    assert_eq!(s.top(StackRole::Del), 0x7100, "where it waits");
    assert_eq!(s.top(StackRole::Access), 0x6000, "where the handler does");
    s.look();
    assert_eq!(s.verdicts(), ERROR);
}

#[test]
fn by_way_of_a_third_thread() {
    let mut s = Scene::new();
    s.host.blocks(HANDLER, OTHER);
    s.host.blocks(OTHER, MAIN);
    s.waits();
    s.host.blocks(MAIN, OTHER);
    s.look();
    assert_eq!(s.verdicts(), NONE, "the third waits for who waits for it");
    s.host.blocks(OTHER, MAIN);
    s.host.blocks(MAIN, HANDLER);
    s.look();
    assert_eq!(s.verdicts(), ERROR);
}

#[test]
fn a_process_that_stands_still_is_proven_at_the_third_look() {
    let mut s = Scene::new();
    s.waits();
    for how in [Some(5), Some(5), Some(6), Some(6), None, Some(6), Some(6)] {
        s.host.stands_still(how);
        s.look();
        assert_eq!(s.verdicts(), NONE);
    }
    s.look();
    assert_eq!(s.verdicts(), ERROR);
}

#[test]
fn an_armed_timer_s_handler_may_wake_anybody() {
    let mut s = Scene::new();
    s.waits();
    s.host.stands_still(Some(5));
    let other = armed(s.detector, 8);
    for _ in 0..5 {
        s.look();
    }
    assert_eq!(s.verdicts(), NONE);
    let deletion = s.detector.begin_delete(other, Op::TimerDelete, 0x3001).unwrap();
    let _ = s.host.on(OTHER, || s.detector.finish_delete(deletion));
    for _ in 0..3 {
        s.look();
    }
    assert_eq!(s.verdicts(), ERROR);
}

#[test]
fn a_long_wait_is_a_warning_until_it_ends() {
    let mut s = Scene::new();
    s.waits();
    s.look_long();
    assert_eq!(s.verdicts(), WARNING);
    assert_eq!(s.top(StackRole::Del), 0x7100);
    s.look();
    assert_eq!(s.verdicts(), WARNING, "once");
    s.host.sleeps(MAIN);
    s.look();
    assert_eq!(s.verdicts(), INFO, "it went on, and waits again");
    s.host.pass(BOUND_NS);
    s.look();
    assert_eq!(s.verdicts(), [0, 1, 1, 0]);
    s.host.unblocks(HANDLER);
    s.look();
    assert_eq!(s.verdicts(), [0, 2, 0, 0]);
}

#[test]
fn a_warning_becomes_an_error_once_it_is_proven() {
    let mut s = Scene::new();
    s.waits();
    s.look_long();
    s.host.stands_still(Some(5));
    for _ in 0..3 {
        s.look();
    }
    assert_eq!(s.verdicts(), [0, 1, 0, 1]);
}

#[test]
fn a_busy_deleter_is_a_warning_and_one_that_sleeps_for_a_time_is_none() {
    // Of eight looks those that find it awake, and its naps in all of the bound.
    for (awake, naps, verdicts) in
        [(8, 0, WARNING), (4, 0, WARNING), (0, 50, WARNING), (3, 0, NONE), (0, 4, NONE)]
    {
        let mut s = Scene::new();
        for look in 1..=8 {
            let voluntary_switches = if look == 8 { naps } else { 0 };
            let asleep = look > awake;
            s.host.set_sample(MAIN, Sample { asleep, voluntary_switches, ..Sample::default() });
            s.host.pass(if look == 8 { BOUND_NS } else { 0 });
            s.look();
        }
        assert_eq!(s.verdicts(), verdicts, "{awake} {naps}");
        if verdicts == WARNING {
            assert_eq!(s.top(StackRole::Del), 0x7000, "its delete: where it loops is not known");
        }
    }
}

#[test]
fn a_handler_that_gets_its_lock_takes_the_warning_back() {
    for unlocks in [true, false] {
        let mut s = Scene::new();
        s.waits();
        s.look_long();
        s.host.on(HANDLER, || match unlocks {
            true => s.detector.handler_unlocks(s.run, LOCK),
            false => _ = s.detector.leave(s.run),
        });
        assert_eq!(s.verdicts(), INFO, "{unlocks}");
        assert_eq!(s.look(), None, "nothing more to look at");
        assert_eq!(s.verdicts(), INFO);
    }
}

#[test]
fn a_handler_that_sleeps_again_and_again_is_not_stuck() {
    let mut s = Scene::new();
    s.waits();
    for _ in 0..5 {
        s.look();
        s.host.pass(BOUND_NS / 2);
        s.host.sleeps(HANDLER);
    }
    assert_eq!(s.verdicts(), NONE);
}

#[test]
fn one_that_waits_for_somebody_else_is_not() {
    let mut s = Scene::new();
    s.host.blocks(HANDLER, OTHER);
    s.waits();
    s.host.stands_still(Some(5));
    for _ in 0..5 {
        s.look();
        s.host.pass(BOUND_NS);
    }
    assert_eq!(s.verdicts(), NONE);
}

#[test]
fn a_delete_that_gave_up_has_told_already() {
    let mut s = Scene::with(DelPolicy::Sync);
    assert_eq!(s.verdicts(), ERROR);
    s.waits();
    s.host.blocks(MAIN, HANDLER);
    s.look();
    assert_eq!(s.verdicts(), ERROR);
}

#[test]
fn who_is_to_be_watched() {
    let s = Scene::new();
    let is_watched = |tid| s.host.on(tid, || s.detector.is_to_be_watched());
    assert!(is_watched(MAIN) && !is_watched(OTHER), "the deleter says so");
    assert!(s.host.on(HANDLER, || s.detector.handler_locks(s.run, LOCK, 1)), "and the handler");
    s.host.on(HANDLER, || s.detector.handler_unlocks(s.run, LOCK + 64));
    assert!(is_watched(MAIN), "another lock");
    s.host.on(HANDLER, || s.detector.handler_unlocks(s.run, LOCK));
    assert!(!is_watched(MAIN));
}
