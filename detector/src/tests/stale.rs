//! Expiries that are another timer's: told, and blamed on nobody.

use super::host::Host;
use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::{Handle, NewTimer};
use crate::timers::REST_NS;
use crate::{HeapBlock, Kind, Notify, Op, TimerRef};

const HANDLER: u32 = 2;
const HANDLE: u64 = 77;
const BLOCK: HeapBlock = HeapBlock { base: 0x10_0000, size: 64, alloc_site: 0x5001 };
const FAR_NS: u64 = 1_000_000_000;
const INFO: [u32; 4] = [0, 1, 0, 0];
const NOTHING: [u32; 4] = [0; 4];

struct Scene {
    host: &'static Host,
    detector: &'static Detector,
}

impl Scene {
    fn new() -> Scene {
        let host = Host::new();
        Scene { host, detector: Box::leak(Box::new(host.detector())) }
    }

    fn unbound(&self) -> TimerRef {
        let new = NewTimer { handler: 0x4000, notify: Notify::Thread, ..NewTimer::default() };
        self.detector.init_timer(&NewTimer { block: Some(BLOCK), ..new }).unwrap()
    }

    fn timer(&self) -> TimerRef {
        let timer = self.unbound();
        self.detector.bind_timer(timer, HANDLE);
        timer
    }

    fn delete(&self, timer: TimerRef) -> u32 {
        let deletion = self.detector.begin_delete(timer, Op::TimerDelete, 0x3001).unwrap();
        self.detector.finish_delete(deletion).landed
    }

    /// A timer whose handle was an armed timer's.
    fn second(&self) -> TimerRef {
        let first = self.timer();
        self.detector.arm(first, false, 0, 0x6001).unwrap();
        self.delete(first);
        self.timer()
    }

    fn expire(&self, timer: TimerRef) -> crate::RunRef {
        let entry = self.host.on(HANDLER, || self.detector.enter(timer)).unwrap();
        assert!(entry.call, "libc would call it");
        entry.run.unwrap()
    }

    fn arm_in(&self, timer: TimerRef, ns: u64) {
        let due_ns = self.host.now_and(ns);
        self.detector.arm_not_before(timer, false, due_ns, 0x6001).unwrap();
    }

    fn leave(&self, run: crate::RunRef) {
        self.host.on(HANDLER, || self.detector.leave(run));
    }

    fn told(&self) -> [u32; 4] {
        self.host.verdicts(Kind::StaleExpiry)
    }
}

#[test]
fn a_timer_that_was_never_armed_does_not_expire() {
    let s = Scene::new();
    let run = s.expire(s.second());
    s.leave(run);
    assert_eq!((s.told(), s.host.kinds()), (INFO, vec![Kind::StaleExpiry]));
    assert_eq!(s.host.count(Counter::TimersHandlersRun), 1);
}

#[test]
fn nor_does_one_without_a_handle() {
    let s = Scene::new();
    s.expire(s.unbound());
    assert_eq!(s.told(), INFO);
}

/// Without an earlier timer of that handle no stray expiry can find it: it was armed
/// behind our back.
#[test]
fn a_handle_of_its_own_has_its_own_expiries() {
    let s = Scene::new();
    s.expire(s.timer());
    assert_eq!(s.told(), NOTHING);
}

#[test]
fn the_earliest_of_its_armings_counts() {
    for (waits_ns, told) in [(0, INFO), (FAR_NS, NOTHING)] {
        let s = Scene::new();
        let timer = s.second();
        s.arm_in(timer, FAR_NS);
        s.arm_in(timer, 2 * FAR_NS);
        s.host.pass(waits_ns);
        s.expire(timer);
        assert_eq!(s.told(), told, "{waits_ns}");
    }
}

#[test]
fn an_arming_of_unknown_time_may_be_due() {
    let s = Scene::new();
    let timer = s.second();
    s.detector.arm(timer, false, s.host.now_and(FAR_NS), 0x6001).unwrap();
    s.arm_in(timer, FAR_NS);
    s.expire(timer);
    assert_eq!(s.told(), NOTHING);
}

#[test]
fn its_own_expiry_is_still_to_come() {
    let s = Scene::new();
    let timer = s.second();
    s.arm_in(timer, FAR_NS);
    let run = s.expire(timer);
    s.leave(run);
    assert_eq!(s.host.count(Counter::TimersPending), 1);
    s.host.pass(FAR_NS);
    s.expire(timer);
    assert_eq!(s.host.count(Counter::TimersPending), 0);
    assert_eq!(s.told(), INFO);
}

#[test]
fn nobody_is_blamed_for_what_follows() {
    let s = Scene::new();
    let timer = s.second();
    let run = s.expire(timer);
    assert_eq!(s.delete(timer), 0);
    s.detector.freeing(&BLOCK, 0x2001);
    s.host.sleeps(HANDLER);
    s.leave(run);
    // Deleted and its data freed: this one arrives late besides.
    let run = s.expire(timer);
    let Handle::Stale(stale) = s.detector.handle(HANDLE) else { panic!("not stale") };
    s.host.on(HANDLER, || s.detector.stale_call(stale));
    s.leave(run);
    assert_eq!(s.host.verdicts(Kind::StaleHandle), INFO);
    assert_eq!(s.host.kinds(), [Kind::StaleHandle, Kind::StaleExpiry]);
}

#[test]
fn a_handler_beside_it_does_not_overlap_it() {
    let s = Scene::new();
    let timer = s.second();
    let stray = s.expire(timer);
    s.arm_in(timer, 0);
    let run = s.expire(timer);
    s.leave(stray);
    s.leave(run);
    assert_eq!(s.host.verdicts(Kind::OverlappingHandler), NOTHING);
}

/// A deleted timer that was never armed keeps its slot as long as a stray expiry may
/// come, so that it still finds its handler.
#[test]
fn its_slot_rests() {
    let s = Scene::new();
    let timer = s.second();
    s.delete(timer);
    for _ in 0..8 {
        let other = s.unbound();
        assert_ne!(other.index, timer.index);
        s.detector.abandon_timer(other);
    }
    let run = s.expire(timer);
    s.leave(run);
    assert_eq!(s.told(), INFO);
    s.host.pass(REST_NS + 1);
    assert_eq!(s.unbound().index, 0, "the first one's");
    assert_eq!(s.unbound().index, timer.index);
}
