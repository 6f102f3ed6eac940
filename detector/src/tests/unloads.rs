//! Code that goes under armed timers and running handlers.

use super::host::Host;
use crate::core::Detector;
use crate::counters::Counter;
use crate::deletes::NewTimer;
use crate::timers::Notify;
use crate::{Consequence, Kind, Op, TimerRef};

const HANDLER: usize = 0x4000;
const TEXT: core::ops::Range<usize> = 0x4000..0x5000;
const ELSEWHERE: core::ops::Range<usize> = 0x5000..0x6000;
const NOTHING: [u32; 4] = [0; 4];
const ERROR: [u32; 4] = [0, 0, 0, 1];
const OWNER: u32 = 1;
const THREAD: u32 = 2;

fn scene() -> (&'static Host, &'static Detector) {
    let host = Host::new();
    (host, Box::leak(Box::new(host.detector())))
}

fn armed(detector: &Detector) -> TimerRef {
    let new = NewTimer { handler: HANDLER, notify: Notify::Thread, ..NewTimer::default() };
    let timer = detector.init_timer(&new).unwrap();
    detector.bind_timer(timer, 7);
    detector.arm(timer, true, 0, 0x6001).unwrap();
    timer
}

fn delete(detector: &Detector, timer: TimerRef) -> u32 {
    let deletion = detector.begin_delete(timer, Op::TimerDelete, 0x6002).unwrap();
    detector.finish_delete(deletion).landed
}

#[test]
fn an_armed_timer_is_told_once_and_not_called() {
    let (host, detector) = scene();
    let timer = armed(detector);
    detector.doubt_code(&TEXT);
    host.set_code(false);
    for _ in 0..2 {
        detector.code_gone(&TEXT);
        assert!(!detector.enter(timer).unwrap().call);
    }
    assert_eq!(host.verdicts(Kind::UnloadWhilePending), ERROR);
    assert_eq!(host.count(Counter::TimersAutoDetached), 1);
    assert_eq!(host.count(Counter::TimersSuppressed), 2);
    host.set_code(true);
    assert!(detector.enter(timer).unwrap().call, "the code was loaded again");
}

#[test]
fn code_elsewhere_and_code_that_stays() {
    let (host, detector) = scene();
    let timer = armed(detector);
    detector.doubt_code(&TEXT);
    detector.code_gone(&ELSEWHERE);
    detector.trust_code(&TEXT);
    host.set_code(false);
    assert!(detector.enter(timer).unwrap().call, "nobody asks about code that stays");
    assert_eq!(host.kinds(), []);
}

#[test]
fn a_destructor_stops_its_timer() {
    let (host, detector) = scene();
    let timer = armed(detector);
    detector.doubt_code(&TEXT);
    assert_eq!(delete(detector, timer), 0);
    host.set_code(false);
    detector.code_gone(&TEXT);
    assert_eq!(host.kinds(), []);
    assert_eq!(host.count(Counter::TimersAutoDetached), 0);
}

/// Deleted, but an expiry was under way: it is found when it comes.
#[test]
fn an_expiry_under_way() {
    let (host, detector) = scene();
    let timer = armed(detector);
    delete(detector, timer);
    host.set_code(false);
    detector.code_gone(&TEXT);
    assert_eq!(host.verdicts(Kind::UnloadWhilePending), NOTHING);
    assert!(!detector.enter(timer).unwrap().call);
    assert_eq!(host.verdicts(Kind::UnloadWhilePending), ERROR);
}

/// The last shot fires after the loader forgot the code and before it says so.
#[test]
fn an_expiry_in_the_gap() {
    let (host, detector) = scene();
    let timer = armed(detector);
    detector.doubt_code(&TEXT);
    host.set_code(false);
    assert!(!detector.enter(timer).unwrap().call);
    assert_eq!(host.kinds(), []);
    detector.code_gone(&TEXT);
    assert_eq!(host.verdicts(Kind::UnloadWhilePending), ERROR);
}

#[test]
fn a_running_handler_and_the_delete_before() {
    let (host, detector) = scene();
    let timer = armed(detector);
    let run = host.on(THREAD, || detector.enter(timer)).unwrap().run.unwrap();
    assert_eq!(delete(detector, timer), 1);
    host.pass(10);
    detector.code_gone(&TEXT);
    host.sleeps(THREAD);
    host.on(THREAD, || detector.leave(run));
    assert_eq!(host.verdicts(Kind::UnloadWhileRunning), ERROR);
    let landing = host.found(Kind::DelWhileRunning, Consequence::TextUnloaded).unwrap();
    assert_eq!(landing.verdicts, ERROR);
}

#[test]
fn a_handler_unloads_itself() {
    let (host, detector) = scene();
    let timer = armed(detector);
    host.on(OWNER, || detector.enter(timer)).unwrap();
    host.on(OWNER, || delete(detector, timer));
    host.on(OWNER, || detector.code_gone(&TEXT));
    assert_eq!(host.verdicts(Kind::UnloadWhileRunning), ERROR);
}
