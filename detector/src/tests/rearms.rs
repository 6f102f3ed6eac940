//! A handler arms its timer after a disarm landed on it: what happens next decides,
//! before it leaves or after.

use super::host::Host;
use crate::core::Detector;
use crate::deletes::NewTimer;
use crate::{Consequence, HeapBlock, Kind, Notify, Op, RunRef, TimerRef};

const MAIN: u32 = 1;
const HANDLER: u32 = 2;
const OTHER: u32 = 3;
const BLOCK: HeapBlock = HeapBlock { base: 0x10_0000, size: 64, alloc_site: 0x5001 };
const TAIL: [u32; 4] = [1, 0, 0, 0];
const NOTHING: [u32; 4] = [0; 4];
const INFO: [u32; 4] = [0, 1, 0, 0];
const WARNING: [u32; 4] = [0, 0, 1, 0];
const ERROR: [u32; 4] = [0, 0, 0, 1];

struct Scene {
    host: &'static Host,
    detector: &'static Detector,
    timer: TimerRef,
    run: RunRef,
}

impl Scene {
    /// Disarmed by main while its handler runs.
    fn landed() -> Scene {
        let host = Host::new();
        let detector: &Detector = Box::leak(Box::new(host.detector()));
        let new = NewTimer {
            handler: 0x4000,
            value: BLOCK.base,
            block: Some(BLOCK),
            notify: Notify::Thread,
            ..NewTimer::default()
        };
        let timer = detector.init_timer(&new).unwrap();
        detector.bind_timer(timer, 77);
        detector.arm(timer, false, 0, 0x6001).unwrap();
        let run = host.on(HANDLER, || detector.enter(timer)).unwrap().run.unwrap();
        let scene = Scene { host, detector, timer, run };
        assert_eq!(scene.stop(MAIN), 1);
        host.pass(1);
        scene
    }

    fn stop(&self, tid: u32) -> u32 {
        self.host.on(tid, || {
            let deletion =
                self.detector.begin_delete(self.timer, Op::TimerSettime, 0x3001).unwrap();
            self.detector.finish_delete(deletion).landed
        })
    }

    fn arm(&self, tid: u32) {
        self.host.on(tid, || {
            let arming = self.detector.arm(self.timer, false, 0, 0x6002).unwrap();
            self.detector.arm_done(&arming);
        });
    }

    fn leave(&self) {
        self.host.sleeps(HANDLER);
        self.host.on(HANDLER, || self.detector.leave(self.run));
    }

    fn expire(&self) {
        self.host.on(OTHER, || self.detector.enter(self.timer)).unwrap();
    }

    fn verdicts(&self) -> [u32; 4] {
        self.host.verdicts(Kind::RearmAfterDel)
    }

    /// The errors, and those that are open, of the landing.
    fn rearmed(&self) -> (u32, u32) {
        let found = self.host.found(Kind::DelWhileRunning, Consequence::Rearmed);
        found.map_or((0, 0), |f| (f.verdicts[3], f.unresolved))
    }
}

#[test]
fn it_expires_again() {
    for leaves_first in [true, false] {
        let s = Scene::landed();
        s.arm(HANDLER);
        if leaves_first {
            s.leave();
            assert_eq!(s.rearmed(), (0, 1), "open");
        }
        s.expire();
        if !leaves_first {
            s.leave();
        }
        assert_eq!((s.rearmed(), s.verdicts()), ((1, 0), WARNING), "{leaves_first}");
    }
}

#[test]
fn it_is_stopped_again_in_time() {
    for leaves_first in [true, false] {
        let s = Scene::landed();
        s.arm(HANDLER);
        if leaves_first {
            s.leave();
            s.stop(MAIN);
        } else {
            s.host.pass(1);
            assert_eq!(s.stop(MAIN), 1, "which lands too");
            s.leave();
        }
        assert_eq!((s.rearmed(), s.verdicts()), ((0, 0), INFO), "{leaves_first}");
        if leaves_first {
            assert_eq!(s.host.verdicts(Kind::DelWhileRunning), INFO);
        }
    }
}

/// Stopped by another thread: the race stays what it is without the arming.
#[test]
fn somebody_else_stops_it() {
    let s = Scene::landed();
    s.arm(HANDLER);
    s.leave();
    s.stop(OTHER);
    assert_eq!((s.rearmed(), s.verdicts()), ((0, 0), INFO));
    assert_eq!(s.host.verdicts(Kind::DelWhileRunning), WARNING);
}

#[test]
fn its_owner_arms_it() {
    for handler_first in [true, false] {
        let s = Scene::landed();
        if handler_first {
            s.arm(HANDLER);
            s.arm(MAIN);
        } else {
            s.arm(MAIN);
            s.arm(HANDLER);
        }
        s.leave();
        s.expire();
        let told = if handler_first { INFO } else { NOTHING };
        assert_eq!((s.rearmed(), s.verdicts()), ((0, 0), told), "{handler_first}");
    }
}

#[test]
fn an_arming_that_was_refused_is_none() {
    let s = Scene::landed();
    s.host.on(HANDLER, || {
        let arming = s.detector.arm(s.timer, false, 0, 0x6002).unwrap();
        s.detector.arm_refused(arming);
    });
    s.leave();
    assert_eq!((s.rearmed(), s.verdicts()), ((0, 0), NOTHING));
}

/// The kernel may have done it before the disarm: that one may have stopped it.
#[test]
fn an_arming_that_began_before_the_disarm_undoes_nothing() {
    let s = Scene::landed();
    let arming = s.host.on(HANDLER, || s.detector.arm(s.timer, false, 0, 0x6002)).unwrap();
    s.host.pass(1);
    assert_eq!(s.stop(MAIN), 1);
    s.host.on(HANDLER, || s.detector.arm_done(&arming));
    s.leave();
    assert_eq!(s.rearmed(), (0, 0));
}

/// The owner waited for the handler and frees its data while that is in its last
/// instructions: the free is legal, the arming is what it was.
#[test]
fn its_data_is_freed_in_the_handlers_tail() {
    let s = Scene::landed();
    s.arm(HANDLER);
    s.host.pass(1);
    s.host.on(MAIN, || s.detector.freeing(&BLOCK, 0x2001));
    s.host.on(HANDLER, || s.detector.leave(s.run));
    assert_eq!(s.host.verdicts(Kind::DataFreeWhileRunning), TAIL);
    assert_eq!((s.rearmed(), s.verdicts()), ((1, 0), ERROR));
    assert_eq!(s.host.found(Kind::DelWhileRunning, Consequence::DataFreed), None);
}

/// The same, and its owner stops the timer in time.
#[test]
fn it_is_stopped_before_its_data_is_freed_in_the_tail() {
    let s = Scene::landed();
    s.arm(HANDLER);
    s.host.pass(1);
    s.stop(MAIN);
    s.host.on(MAIN, || s.detector.freeing(&BLOCK, 0x2001));
    s.host.on(HANDLER, || s.detector.leave(s.run));
    assert_eq!((s.rearmed(), s.verdicts()), ((0, 0), INFO));
    let all = s.host.findings();
    assert!(all.iter().all(|f| (f.unresolved, f.verdicts[2], f.verdicts[3]) == (0, 0, 0)));
}
