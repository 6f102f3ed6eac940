//! Things released after a landing, used by the handler or not.

use super::host::Host;
use crate::core::Detector;
use crate::deletes::NewTimer;
use crate::releases::Resource;
use crate::timers::Notify;
use crate::{Consequence, Kind, Op, RunRef};

const ERROR: [u32; 4] = [0, 0, 0, 1];
const DELETER: u32 = 1;
const THREAD: u32 = 2;
const DESCRIPTOR: Resource = Resource::Descriptor(0);
const SITE: usize = 0x7771;

/// A handler on which a delete landed.
fn landed() -> (&'static Host, &'static Detector, RunRef) {
    let host = Host::new();
    let detector: &Detector = Box::leak(Box::new(host.detector()));
    let new = NewTimer { handler: 0x4000, notify: Notify::Thread, ..NewTimer::default() };
    let timer = detector.init_timer(&new).unwrap();
    detector.bind_timer(timer, 7);
    detector.arm(timer, true, 0, 0x6001).unwrap();
    let run = host.on(THREAD, || detector.enter(timer)).unwrap().run.unwrap();
    let deletion = detector.begin_delete(timer, Op::TimerDelete, 0x6002).unwrap();
    assert_eq!(detector.finish_delete(deletion).landed, 1);
    (host, detector, run)
}

fn is_closed(host: &Host, detector: &Detector, run: RunRef) -> bool {
    host.sleeps(THREAD);
    host.on(THREAD, || detector.leave(run));
    let found = host.found(Kind::DelWhileRunning, Consequence::ResourceClosed);
    found.is_some_and(|found| found.verdicts == ERROR && found.unresolved == 0)
}

fn uses(host: &Host, detector: &Detector, run: RunRef, what: Resource, is_gone: bool) -> bool {
    host.on(THREAD, || detector.handler_uses(run, what, false, || is_gone))
}

#[test]
fn what_is_gone_and_used() {
    for what in [
        DESCRIPTOR,
        Resource::Mutex(0x9000),
        Resource::Semaphore(0x9000),
        Resource::Condition(0x9000),
    ] {
        let (host, detector, run) = landed();
        detector.deleter_releases(what, SITE);
        assert!(uses(host, detector, run, what, true));
        assert!(is_closed(host, detector, run), "{what:?}");
    }
}

#[test]
fn every_address_of_a_mapping() {
    for (addr, is_in) in [(0x9000, true), (0x9fff, true), (0xa000, false), (0x8fff, false)] {
        let (host, detector, run) = landed();
        detector.deleter_releases(Resource::Mapping(0x9000, 0x1000), SITE);
        assert_eq!(uses(host, detector, run, Resource::Mapping(addr, 0), true), is_in);
        assert_eq!(is_closed(host, detector, run), is_in, "{addr:#x}");
    }
}

#[test]
fn what_is_not_used_or_not_gone() {
    let (host, detector, run) = landed();
    detector.deleter_releases(DESCRIPTOR, SITE);
    assert!(!uses(host, detector, run, Resource::Descriptor(1), true), "another one");
    assert!(!uses(host, detector, run, Resource::Mutex(1), true), "another kind of thing");
    assert!(!uses(host, detector, run, DESCRIPTOR, false), "open again");
    host.on(THREAD, || detector.forget_release(DESCRIPTOR));
    assert!(!uses(host, detector, run, DESCRIPTOR, true), "the handler's own doing");
    assert!(!is_closed(host, detector, run));
}

#[test]
fn what_another_thread_releases_or_was_released_before() {
    let (host, detector, run) = landed();
    host.on(DELETER + 5, || detector.deleter_releases(DESCRIPTOR, SITE));
    assert!(!uses(host, detector, run, DESCRIPTOR, true));
    assert!(!is_closed(host, detector, run));
}

/// Neither the deleter nor the handler closes it.
#[test]
fn what_a_third_thread_releases() {
    for (by, releases_too, counts) in
        [(THREAD + 5, false, true), (THREAD + 5, true, false), (THREAD, false, false)]
    {
        let (host, detector, run) = landed();
        assert!(detector.has_landings());
        assert!(host.on(by, || detector.other_releases(DESCRIPTOR, SITE)));
        let used =
            host.on(THREAD, || detector.handler_uses(run, DESCRIPTOR, releases_too, || true));
        assert_eq!(used, counts, "{by} {releases_too}");
        assert_eq!(is_closed(host, detector, run), counts);
        assert!(!detector.has_landings());
        assert!(!host.on(by, || detector.other_releases(DESCRIPTOR, SITE)));
    }
}

/// The handler dies of it: the landing counts already.
#[test]
fn the_process_ends_first() {
    let (host, detector, run) = landed();
    detector.deleter_releases(Resource::Mapping(0x9000, 0x1000), SITE);
    assert!(uses(host, detector, run, Resource::Mapping(0x9000, 0), true));
    let found = host.found(Kind::DelWhileRunning, Consequence::ResourceClosed).unwrap();
    assert_eq!(found.unresolved, 1);
    assert!(host.found(Kind::DelWhileRunning, Consequence::None).is_none());
}
