//! Two threads in the middle of each other, each order by hand: the host lets
//! the second thread in where the first one calls it.

use std::sync::{Arc, Mutex};

use super::host::{Host, Point};
use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::{Deleted, NewTimer};
use crate::ladder::Sample;
use crate::{HeapBlock, Kind, Notify, Op, RunRef, TimerRef};

const A: u32 = 2;
const B: u32 = 3;
const BLOCK: HeapBlock = HeapBlock { base: 0x10_0000, size: 64, alloc_site: 0x5001 };

fn scene() -> (&'static Host, &'static Detector, TimerRef) {
    let host = Host::new();
    let detector: &'static Detector = Box::leak(Box::new(host.detector()));
    let new = NewTimer {
        handler: 0x4000,
        value: 1,
        block: Some(BLOCK),
        notify: Notify::Thread,
        signal: 0,
    };
    let timer = detector.init_timer(&new).unwrap();
    detector.bind_timer(timer, 7);
    detector.arm(timer, true, 1, 0x6001).unwrap();
    (host, detector, timer)
}

fn enter(host: &Host, detector: &Detector, tid: u32, timer: TimerRef) -> RunRef {
    host.on(tid, || detector.enter(timer)).unwrap().run.unwrap()
}

fn delete(detector: &Detector, timer: TimerRef, op: Op) -> Deleted {
    detector.finish_delete(detector.begin_delete(timer, op, 0x3001).unwrap())
}

/// The handler leaves while the deleter fills its note, and the next handler
/// begins at once.
#[test]
fn a_handler_that_leaves_under_the_deleter_s_pen_was_not_landed_on() {
    let (host, detector, timer) = scene();
    let run = enter(host, detector, A, timer);
    let next = Arc::new(Mutex::new(None));
    let keep = next.clone();
    host.at(Point::Capture, move || {
        host.on(A, || detector.leave(run));
        *keep.lock().unwrap() = Some(enter(host, detector, B, timer));
    });
    let deleted = delete(detector, timer, Op::TimerSettime);
    let next = next.lock().unwrap().take().unwrap();
    assert_ne!(next.index, run.index, "the deleter still writes there");
    assert_eq!(deleted.landed, 0, "the second started after the disarm");
    host.on(B, || detector.leave(next));
    assert_eq!(host.verdicts(Kind::DelWhileRunning), [0; 4]);
    assert_eq!(host.verdicts(Kind::ExpiryAfterDel), [0, 0, 1, 0]);
    assert_eq!(host.verdicts(Kind::OverlappingHandler), [0; 4]);
    assert_eq!(host.count(Counter::DelWhileRunning), 0);
    assert_eq!(detector.runs.each_taken().count(), 0);
}

/// The timer is deleted, its data freed and its slot given to another timer
/// while a thread is about to enter its handler: that run never was.
#[test]
fn a_handler_whose_timer_is_gone_keeps_no_notes() {
    const C: u32 = 4;
    let (host, detector, timer) = scene();
    let other = enter(host, detector, B, timer);
    host.at(Point::Now, move || {
        let deleted = host.on(C, || delete(detector, timer, Op::TimerDelete));
        assert_eq!(deleted.landed, 2);
        host.on(C, || detector.freeing(&BLOCK, 0x2001));
        host.on(B, || detector.leave(other));
        host.pass(10_000_000_000);
        let new =
            NewTimer { handler: 0x4000, value: 1, block: None, notify: Notify::Thread, signal: 0 };
        assert_eq!(detector.init_timer(&new).unwrap().index, timer.index);
    });
    assert!(host.on(A, || detector.enter(timer)).is_none());
    let findings = host.findings();
    assert!(findings.len() >= 2 && findings.iter().all(|f| f.unresolved == 0), "{findings:?}");
    assert_eq!(host.count(Counter::DelWhileRunning), 1);
    assert_eq!(detector.runs.each_taken().count(), 0);
}

/// As the first, for the thread that frees.
#[test]
fn a_handler_that_leaves_while_its_data_is_freed_was_not_running() {
    let (host, detector, timer) = scene();
    let run = enter(host, detector, A, timer);
    assert_eq!(delete(detector, timer, Op::TimerDelete).landed, 1);
    host.at(Point::Capture, move || {
        host.on(A, || detector.leave(run));
    });
    detector.freeing(&BLOCK, 0x2001);
    assert_eq!(host.verdicts(Kind::DataFreeWhileRunning), [0; 4]);
    assert_eq!(host.verdicts(Kind::DelWhileRunning), [1, 0, 0, 0]);
    assert_eq!(detector.runs.each_taken().count(), 0);
}

/// While the deleter lands on A, B enters: late.
#[test]
fn a_late_handler_is_not_landed_on_beside_another() {
    for op in [Op::TimerDelete, Op::TimerSettime] {
        let (host, detector, timer) = scene();
        let a = enter(host, detector, A, timer);
        let late = Arc::new(Mutex::new(None));
        let keep = late.clone();
        host.at(Point::Capture, move || {
            *keep.lock().unwrap() = Some(enter(host, detector, B, timer));
        });
        assert_eq!(delete(detector, timer, op).landed, 1, "{op:?}");
        let late = late.lock().unwrap().take().unwrap();
        host.on(B, || detector.leave(late));
        host.on(A, || detector.leave(a));
        assert_eq!(host.verdicts(Kind::DelWhileRunning), [1, 0, 0, 0]);
        assert_eq!(host.verdicts(Kind::ExpiryAfterDel), [0, 0, 1, 0]);
        assert_eq!(host.count(Counter::DelWhileRunning), 1);
    }
}

/// B has published its run and not yet entered when the delete takes effect.
#[test]
fn a_note_on_a_handler_that_had_not_started_is_void() {
    for op in [Op::TimerDelete, Op::TimerSettime] {
        let (host, detector, timer) = scene();
        let a = enter(host, detector, A, timer);
        let landed = Arc::new(Mutex::new(0));
        let keep = landed.clone();
        host.at(Point::Now, move || {
            *keep.lock().unwrap() = host.on(1, || delete(detector, timer, op).landed);
        });
        let b = enter(host, detector, B, timer);
        assert_eq!(*landed.lock().unwrap(), 2, "as far as the deleter can see");
        assert_eq!(host.count(Counter::DelWhileRunning), 1);
        host.on(B, || detector.leave(b));
        host.on(A, || detector.leave(a));
        assert_eq!(host.verdicts(Kind::DelWhileRunning), [1, 0, 0, 0]);
        assert_eq!(host.verdicts(Kind::ExpiryAfterDel), [0, 0, 1, 0]);
        assert_eq!(host.count(Counter::DelWhileRunning), 1);
    }
}

/// An old expiry enters while the timer is armed anew: it uses up the old one.
#[test]
fn an_arm_during_an_enter_stays() {
    let (host, detector, timer) = scene();
    detector.arm(timer, false, 1, 1).unwrap();
    host.at(Point::Now, move || {
        host.on(1, || detector.arm(timer, false, 900_000, 1)).unwrap();
    });
    let run = enter(host, detector, A, timer);
    host.on(A, || detector.leave(run));
    assert!(delete(detector, timer, Op::TimerDelete).was_pending);
    assert_eq!(host.count(Counter::TimersPending), 0);
}

/// The deleter's wait comes between the leaving handler's look at the waits and
/// its entry in the aftermath.
#[test]
fn a_wait_during_the_verdict_counts() {
    let (host, detector, timer) = scene();
    let run = enter(host, detector, A, timer);
    host.set_sample(A, Sample { asleep: true, ..Sample::default() });
    assert_eq!(delete(detector, timer, Op::TimerDelete).landed, 1);
    detector.handler_posted(run, 0x100);
    host.at(Point::Wake, move || {
        host.on(1, || assert!(detector.deleter_waits(0x100)));
    });
    host.on(A, || detector.leave(run));
    assert_eq!(host.verdicts(Kind::DelWhileRunning), [0, 1, 0, 0]);
    assert!(!detector.deleter_waits(0x100), "nothing is left to settle");
}

/// A fork in the middle of a delete, an enter and a free: the child's thread is
/// the forking one only, and nothing of the parent's is in its way.
#[test]
fn a_fork_in_the_middle_leaves_nothing_behind() {
    for point in [Point::Now, Point::Capture] {
        let (host, detector, timer) = scene();
        let run = enter(host, detector, A, timer);
        host.at(point, move || {
            detector.record.attach(super::host::empty_head());
            detector.reset_after_fork();
        });
        // In truth these threads stop at the fork; here they go on, which must
        // do no harm either.
        match point {
            Point::Now => detector.freeing(&BLOCK, 0x2001),
            _ => {
                let _ = delete(detector, timer, Op::TimerDelete);
            }
        }
        host.on(A, || detector.leave(run));
        assert!(host.on(A, || detector.enter(timer)).is_none());
        for _ in 0..3 {
            let new = NewTimer { block: Some(BLOCK), ..NewTimer::default() };
            let timer = detector.init_timer(&new).unwrap();
            detector.bind_timer(timer, 9);
            detector.arm(timer, false, 0, 1).unwrap();
            let run = enter(host, detector, B, timer);
            assert_eq!(delete(detector, timer, Op::TimerDelete).landed, 1);
            host.on(B, || detector.leave(run));
        }
        assert_eq!(detector.record.counter(Counter::DelCalls) % 3, 0);
        assert_eq!(detector.record.counter(Counter::TimersPending), 0);
    }
}
