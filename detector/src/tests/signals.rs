//! Timers whose handlers are signal handlers.

use core::sync::atomic::Ordering::SeqCst;

use super::host::Host;
use crate::core::Detector;
use crate::deletes::NewTimer;
use crate::frees::HeapMisuse;
use crate::options::DelPolicy;
use crate::record::layout::StackRole;
use crate::{Consequence, HeapBlock, Kind, Notify, Op, TimerRef};

const HANDLER: u32 = 2;
const BLOCK: HeapBlock = HeapBlock { base: 0x10_0000, size: 64, alloc_site: 0x5001 };
const HANDLE: u64 = 0;
const SIGNAL: u32 = 34;

struct Scene {
    host: &'static Host,
    detector: &'static Detector,
    timer: TimerRef,
}

impl Scene {
    /// A timer that is armed.
    fn new() -> Scene {
        let host = Host::new();
        let detector: &Detector = Box::leak(Box::new(host.detector()));
        let new = NewTimer {
            value: 0x10_0010,
            block: Some(BLOCK),
            notify: Notify::Signal,
            signal: SIGNAL,
            ..NewTimer::default()
        };
        let timer = detector.init_timer(&new).unwrap();
        detector.bind_timer(timer, HANDLE);
        detector.arm(timer, false, 0, 0x6001).unwrap();
        Scene { host, detector, timer }
    }

    fn delete(&self) -> u32 {
        let deletion = self.detector.begin_delete(self.timer, Op::TimerDelete, 0x3001).unwrap();
        self.detector.finish_delete(deletion).landed
    }

    /// A handler starts and ends; whether it was called.
    fn runs(&self, sees_value: bool) -> bool {
        self.host.on(HANDLER, || {
            let entry = self.detector.enter_signal(self.timer, 0x4000, sees_value).unwrap();
            entry.run.is_none_or(|run| !self.detector.leave(run)) && entry.call
        })
    }
}

#[test]
fn a_signal_that_comes_late_is_legal() {
    let s = Scene::new();
    assert_eq!(s.delete(), 0);
    assert!(s.runs(true));
    assert_eq!(s.host.verdicts(Kind::ExpiryAfterDel), [0, 1, 0, 0]);
    let found = s.host.found(Kind::ExpiryAfterDel, Consequence::None).unwrap();
    assert_eq!(s.host.top(&found, StackRole::Handler), 0x4000, "known since it ran");
}

#[test]
fn a_waiting_delete_suppresses_it() {
    let s = Scene::new();
    s.detector.configure(DelPolicy::Sync, 50, 1);
    assert_eq!(s.delete(), 0);
    assert!(!s.runs(true));
}

#[test]
fn late_and_told_of_freed_data_is_an_error() {
    for (sees_value, want) in [(true, [0, 0, 0, 1]), (false, [0, 1, 0, 0])] {
        let s = Scene::new();
        s.delete();
        s.detector.freeing(&BLOCK, 0x2001);
        assert!(s.runs(sees_value));
        assert_eq!(s.host.verdicts(Kind::ExpiryAfterDel), want);
        let freed = s.host.found(Kind::EnterWithFreedData, Consequence::None);
        assert_eq!(freed.is_some(), sees_value);
    }
}

#[test]
fn data_that_no_handler_is_told_of_may_go() {
    for passes_value in [true, false] {
        let s = Scene::new();
        s.host.passes_value.store(passes_value, SeqCst);
        s.detector.freeing(&BLOCK, 0x2001);
        let pending = s.host.found(Kind::DataFreeWhilePending, Consequence::None);
        assert_eq!(pending.is_some(), passes_value);
    }
}

#[test]
fn a_run_that_is_told_nothing_uses_no_data() {
    for sees_value in [true, false] {
        let s = Scene::new();
        let run = s.host.on(HANDLER, || {
            s.detector.enter_signal(s.timer, 0x4000, sees_value).unwrap().run.unwrap()
        });
        s.detector.freeing(&BLOCK, 0x2001);
        s.host.sleeps(HANDLER);
        s.host.on(HANDLER, || s.detector.leave(run));
        let harmed = s.host.found(Kind::DataFreeWhileRunning, Consequence::None);
        assert_eq!(harmed.is_some(), sees_value);
    }
}

/// A handler that was not asleep as its data was freed frees it too: it has gone on.
#[test]
fn a_double_free_is_no_tail() {
    for (base, tid, is_its_own) in [
        (BLOCK.base, HANDLER, true),
        (BLOCK.base, HANDLER + 1, false),
        (BLOCK.base + 64, HANDLER, false),
    ] {
        let s = Scene::new();
        let run = s
            .host
            .on(HANDLER, || s.detector.enter_signal(s.timer, 0x4000, true).unwrap().run.unwrap());
        s.detector.freeing(&BLOCK, 0x2001);
        s.host.on(tid, || s.detector.heap_misuse(&double_free(base)));
        s.host.on(HANDLER, || s.detector.leave(run));
        let want = if is_its_own { [0, 0, 0, 1] } else { [1, 0, 0, 0] };
        assert_eq!(s.host.verdicts(Kind::DataFreeWhileRunning), want, "{base:#x} by {tid}");
    }
}

fn double_free(base: usize) -> HeapMisuse<'static> {
    HeapMisuse {
        kind: Kind::DoubleFree,
        addr: base,
        block: HeapBlock { base, ..BLOCK },
        offset: 0,
        free_site: 0x2001,
        late: false,
        caller: 0x4001,
        bytes: None,
        in_signal: true,
        stack: 0,
        age_ns: 0,
    }
}

/// Who joins the thread that the handler runs on waits for the handler, before it has
/// ended or after.
#[test]
fn a_join_is_a_wait() {
    for (joined, want) in [(0x9_0000 + HANDLER, [0, 1, 0, 0]), (0x9_0000, [0, 0, 1, 0])] {
        for is_early in [true, false] {
            let s = Scene::new();
            let run = s.host.on(HANDLER, || {
                s.detector.enter_signal(s.timer, 0x4000, true).unwrap().run.unwrap()
            });
            assert_eq!(s.delete(), 1);
            s.host.sleeps(HANDLER);
            if is_early {
                s.detector.deleter_waits(joined as usize);
            }
            s.host.on(HANDLER, || s.detector.leave(run));
            if !is_early {
                s.detector.deleter_waits(joined as usize);
            }
            assert_eq!(s.host.verdicts(Kind::DelWhileRunning), want);
        }
    }
}
