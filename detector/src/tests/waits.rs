//! Waiting deletes and handlers that wait for each other: proven, with both stacks,
//! long before the bound.

use super::host::Host;
use crate::core::Detector;
use crate::deletes::{Deleted, NewTimer};
use crate::options::DelPolicy;
use crate::record::layout::StackRole;
use crate::{Consequence, Kind, Notify, Op, RunRef, TimerRef};

const MAIN: u32 = 1;
const HANDLER: u32 = 2;
const OTHER: u32 = 3;
const LAST: u32 = 4;
const FAR_MS: u32 = 60_000;
/// The host's pause is 100 ns: what a proof takes at most.
const SOON_NS: u64 = 100 * 100;
const ERROR: [u32; 4] = [0, 0, 0, 1];
const STACK_OF_WAITER: u64 = 0x8000;

struct Scene {
    host: &'static Host,
    detector: &'static Detector,
}

impl Scene {
    fn new() -> Scene {
        let host = Host::new();
        let scene = Scene { host, detector: Box::leak(Box::new(host.detector())) };
        scene.detector.configure(DelPolicy::Sync, 50, FAR_MS);
        scene
    }

    /// A timer whose handler runs on `tid`.
    fn runs_on(&self, tid: u32, handle: u64) -> (TimerRef, RunRef) {
        let new = NewTimer { handler: 0x4000, notify: Notify::Thread, ..NewTimer::default() };
        let timer = self.detector.init_timer(&new).unwrap();
        self.detector.bind_timer(timer, handle);
        self.detector.arm(timer, false, 0, 0x6001).unwrap();
        (timer, self.host.on(tid, || self.detector.enter(timer)).unwrap().run.unwrap())
    }

    fn delete(&self, timer: TimerRef) -> Deleted {
        let deletion = self.detector.begin_delete(timer, Op::TimerDelete, 0x3001).unwrap();
        self.detector.finish_delete(deletion)
    }

    #[track_caller]
    fn assert_proven(&self, timer: TimerRef) {
        let start = self.host.now_and(0);
        let deleted = self.host.on(MAIN, || self.delete(timer));
        assert!(deleted.waited && deleted.landed == 1);
        assert!(self.host.now_and(0) - start < SOON_NS);
        assert_eq!(self.host.verdicts(Kind::DelDeadlock), ERROR);
    }

    fn access(&self) -> u64 {
        let found = self.host.found(Kind::DelDeadlock, Consequence::None).unwrap();
        self.host.top(&found, StackRole::Access)
    }
}

#[test]
fn the_handler_wants_the_deleter_s_lock() {
    let s = Scene::new();
    let (timer, _) = s.runs_on(HANDLER, 7);
    s.host.blocks(HANDLER, MAIN);
    s.assert_proven(timer);
    assert_eq!(s.access(), STACK_OF_WAITER);
}

#[test]
fn by_way_of_another_thread_s_lock() {
    let s = Scene::new();
    let (timer, _) = s.runs_on(HANDLER, 7);
    s.host.blocks(HANDLER, OTHER);
    s.host.blocks(OTHER, MAIN);
    s.assert_proven(timer);
}

/// Each handler deletes the other's timer.
#[test]
fn the_handler_waits_for_the_deleter_s_own() {
    let s = Scene::new();
    let (theirs, _) = s.runs_on(HANDLER, 7);
    let (ours, _) = s.runs_on(MAIN, 8);
    s.host.stack(0x9000);
    let stack = s.detector.record.capture(s.host);
    s.detector.waits.begin(HANDLER, ours, stack).unwrap();
    s.host.stack(0x7000);
    s.assert_proven(theirs);
    assert_eq!(s.access(), 0x9000, "where its delete was called");
}

#[test]
fn by_locks_and_deletes_in_turn() {
    let s = Scene::new();
    let (first, _) = s.runs_on(HANDLER, 7);
    let (second, _) = s.runs_on(LAST, 8);
    s.host.blocks(HANDLER, OTHER);
    s.detector.waits.begin(OTHER, second, 0).unwrap();
    s.host.blocks(LAST, MAIN);
    s.assert_proven(first);
}

#[test]
fn a_chain_that_ends_elsewhere_is_none() {
    for ends in [true, false] {
        let s = Scene::new();
        let (timer, run) = s.runs_on(HANDLER, 7);
        let (second, _) = s.runs_on(LAST, 8);
        s.host.blocks(HANDLER, OTHER);
        if ends {
            s.detector.waits.begin(OTHER, second, 0).unwrap();
        } else {
            // A cycle that the deleter is not in: somebody else's.
            s.host.blocks(OTHER, HANDLER);
        }
        let Scene { host, detector } = s;
        host.on_pause(move |attempt| {
            if attempt == 100 {
                host.on(HANDLER, || detector.leave(run));
            }
        });
        let deleted = host.on(MAIN, || s.delete(timer));
        assert_eq!(deleted, Deleted { was_pending: false, landed: 0, waited: true });
        assert_eq!(host.findings(), [], "{ends}");
    }
}

#[test]
fn a_wait_that_ended_is_no_edge() {
    let s = Scene::new();
    let (theirs, run) = s.runs_on(HANDLER, 7);
    let (ours, _) = s.runs_on(MAIN, 8);
    let wait = s.detector.waits.begin(HANDLER, ours, 0).unwrap();
    s.detector.waits.end(wait);
    let Scene { host, detector } = s;
    host.on_pause(move |attempt| {
        if attempt == 50 {
            host.on(HANDLER, || detector.leave(run));
        }
    });
    assert_eq!(host.on(MAIN, || s.delete(theirs)).landed, 0);
    assert_eq!(host.findings(), []);
}
