//! The deletes: every row of the table, under every policy.

use deadwalk_detector::options::DelPolicy::{self, Async, Sync};
use deadwalk_detector::{Kind, Op};

use super::host::{OTHER, Verb, on};
use super::rig::{POLICIES, Rig, WAITING, error, info, warning};
use crate::host::Count;
use crate::{Due, Settings};

const ALL: [Op; 9] = [
    Op::DelTimer,
    Op::DelTimerAsync,
    Op::DelTimerSync,
    Op::TryToDelTimerSync,
    Op::TimerDelete,
    Op::TimerDeleteSync,
    Op::TimerDeleteSyncTry,
    Op::TimerShutdown,
    Op::TimerShutdownSync,
];

fn is_try(op: Op) -> bool {
    matches!(op, Op::TryToDelTimerSync | Op::TimerDeleteSyncTry)
}

fn waits(policy: DelPolicy, op: Op) -> bool {
    match op {
        Op::DelTimerSync | Op::TimerDeleteSync | Op::TimerShutdownSync => true,
        Op::DelTimer | Op::TimerDelete | Op::TimerShutdown => policy != Async,
        _ => false,
    }
}

/// Every function under every policy.
fn each(test: impl Fn(DelPolicy, Op)) {
    for policy in POLICIES {
        ALL.into_iter().for_each(|op| test(policy, op));
    }
}

/// A rig whose only timer's handler runs on timer thread 0.
fn running(policy: DelPolicy) -> (Rig, usize, Due<u32>) {
    let rig = Rig::new(policy);
    let timer = rig.timer();
    let due = rig.run(timer);
    (rig, timer, due)
}

#[test]
fn of_an_inactive_timer() {
    each(|policy, op| {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        assert_eq!(rig.delete(timer, op), 0);
        let deleted = rig.engine.host.last_deleted();
        assert_eq!((deleted.detaches, deleted.landed_on, deleted.waited_ns), (0, None, None));
    });
}

#[test]
fn of_a_pending_timer() {
    each(|policy, op| {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        assert_eq!(rig.delete(timer, op), 1);
        assert_eq!((rig.pending(timer), rig.words(timer)[0]), (0, 0));
        assert_eq!(rig.delete(timer, op), 0, "only once");
        assert_eq!(rig.advance(2), 0);
        assert_eq!(rig.engine.books().detached, 1);
    });
}

#[test]
fn under_a_running_handler() {
    each(|policy, op| {
        let (rig, timer, due) = running(policy);
        let kernel = *rig;
        let waits = waits(policy, op);
        if waits {
            rig.engine.host.at_pause(|| ());
            rig.engine.host.at_pause(move || kernel.leave(due));
        }
        assert_eq!(rig.delete(timer, op), if is_try(op) { -1 } else { 0 });
        if is_try(op) {
            assert_eq!(rig.engine.host.deletes(), 0, "nothing was done");
        } else {
            let deleted = rig.engine.host.last_deleted();
            assert_eq!(deleted.waited_ns, waits.then_some(2_000_000));
            assert_eq!(deleted.landed_on.is_some(), !waits);
            assert!(!deleted.gave_up && !deleted.is_own);
        }
        assert_eq!(rig.engine.host.counted(Count::SyncWait), usize::from(waits));
        if !waits {
            rig.leave(due);
        }
    });
}

#[test]
fn by_the_timer_s_own_handler() {
    each(|policy, op| {
        for is_pending in [false, true] {
            let (rig, timer, due) = running(policy);
            rig.in_handler(|| {
                if is_pending {
                    rig.modify(timer, 1);
                }
                let expected = if is_try(op) { -1 } else { i32::from(is_pending) };
                assert_eq!(rig.delete(timer, op), expected);
                assert_eq!(rig.pending(timer), i32::from(is_pending && is_try(op)));
            });
            if !is_try(op) {
                assert!(rig.engine.host.last_deleted().is_own);
                assert_eq!(rig.engine.host.last_deleted().waited_ns, None);
            }
            rig.leave(due);
            let is_sync = waits(Async, op);
            let found = if is_sync { vec![error(Kind::SyncDelFromHandler)] } else { vec![] };
            assert_eq!(rig.found(), found);
        }
    });
}

#[test]
fn of_a_timer_that_its_handler_armed_again() {
    each(|policy, op| {
        // After the handler's end.
        let (rig, timer, due) = running(policy);
        rig.in_handler(|| rig.modify(timer, 1));
        rig.leave(due);
        assert_eq!(rig.delete(timer, op), 1);
        assert_eq!(rig.engine.host.last_deleted().waited_ns, None);
        // While it runs.
        let due = rig.run_again(timer, op);
        rig.in_handler(|| rig.modify(timer, 1));
        let kernel = *rig;
        if waits(policy, op) {
            rig.engine.host.at_pause(move || kernel.leave(due));
        }
        assert_eq!(rig.delete(timer, op), if is_try(op) { -1 } else { 1 });
        assert_eq!(rig.pending(timer), i32::from(is_try(op)), "a try changes nothing");
        if !is_try(op) {
            let deleted = rig.engine.host.last_deleted();
            assert_eq!((deleted.readds_by_handler, deleted.readds_by_other), (1, 0));
            assert_eq!(deleted.re_deletes, 0, "detached before the wait");
        }
        if !waits(policy, op) {
            rig.leave(due);
        }
    });
}

impl super::rig::Kernel {
    /// As `run`, also after a shutdown.
    fn run_again(&self, timer: usize, op: Op) -> Due<u32> {
        if matches!(op, Op::TimerShutdown | Op::TimerShutdownSync) {
            self.setup(timer);
        }
        self.run(timer)
    }
}

/// The old names return how often the timer was detached, the modern ones 0 or 1.
#[test]
fn of_a_timer_that_is_armed_again_under_the_waiter() {
    each(|policy, op| {
        if !waits(policy, op) || matches!(op, Op::TimerShutdown | Op::TimerShutdownSync) {
            return;
        }
        for by_handler in [true, false] {
            let (rig, timer, due) = running(policy);
            let kernel = *rig;
            on(OTHER, || rig.modify(timer, 9));
            rig.engine.host.at_pause(move || {
                let thread = if by_handler { super::host::TIMERS } else { OTHER };
                on(thread, || kernel.modify(timer, 1));
                kernel.leave(due);
            });
            let expected = if op == Op::TimerDeleteSync { 1 } else { 2 };
            assert_eq!(rig.delete(timer, op), expected, "{policy:?} {op:?}");
            assert_eq!(rig.pending(timer), 0);
            let deleted = rig.engine.host.last_deleted();
            assert_eq!((deleted.detaches, deleted.re_deletes), (2, 1));
            let by = (deleted.readds_by_handler, deleted.readds_by_other);
            assert_eq!(by, if by_handler { (1, 1) } else { (0, 2) });
        }
    });
}

/// It is detached again after the handler, which may yet delete it itself.
#[test]
fn armed_again_under_the_waiter_it_stays_armed_until_the_handler_ends() {
    for policy in WAITING {
        let (rig, timer, due) = running(policy);
        let kernel = *rig;
        rig.engine.host.at_pause(move || {
            assert_eq!(kernel.in_handler(|| kernel.modify(timer, 1)), 0);
        });
        rig.engine.host.at_pause(move || {
            assert_eq!(kernel.in_handler(|| kernel.modify(timer, 1)), 1);
            kernel.leave(due);
            // It is due before the waiter wakes; the waiter comes first.
            kernel.tick(1);
            assert!(kernel.enter(0).is_none());
        });
        assert_eq!(rig.del(timer), 1);
        assert_eq!(rig.pending(timer), 0);
        assert_eq!(rig.advance(9), 0);
    }
}

/// A shutdown keeps the handler from arming again.
#[test]
fn a_shutdown_ends_a_timer_that_arms_itself() {
    for policy in POLICIES {
        let (rig, timer, due) = running(policy);
        let kernel = *rig;
        rig.engine.host.at_pause(move || {
            assert_eq!(kernel.in_handler(|| kernel.modify(timer, 1)), 0);
            kernel.leave(due);
        });
        assert_eq!(rig.delete(timer, Op::TimerShutdownSync), 0);
        assert_eq!(rig.found(), [info(Kind::ArmAfterShutdown)]);
        assert_eq!(rig.advance(3), 0);
    }
}

#[test]
fn the_handler_arms_and_deletes_under_the_waiter() {
    for policy in WAITING {
        let (rig, timer, due) = running(policy);
        let kernel = *rig;
        rig.engine.host.at_pause(move || {
            kernel.in_handler(|| {
                kernel.modify(timer, 1);
                assert_eq!(kernel.del(timer), 1, "the inner one");
            });
            kernel.leave(due);
        });
        assert_eq!(rig.del(timer), 0, "the outer one");
    }
}

/// `del_timer() == 1` does not mean that the handler does not run.
#[test]
fn async_lands_on_the_handler_of_a_timer_that_another_thread_armed() {
    let (rig, timer, due) = running(Async);
    on(OTHER, || rig.modify(timer, 3));
    assert_eq!(rig.del(timer), 1);
    let deleted = rig.engine.host.last_deleted();
    assert!(deleted.landed_on.is_some());
    assert_eq!(deleted.readds_by_other, 1);
    rig.leave(due);
}

#[test]
fn a_handler_that_arms_its_timer_after_the_delete_is_told_of() {
    let (rig, timer, due) = running(Async);
    rig.del(timer);
    rig.engine.host.take_verbs();
    rig.in_handler(|| rig.modify(timer, 1));
    assert_eq!(rig.found(), [warning(Kind::RearmAfterDel)]);
    assert!(rig.engine.host.take_verbs().contains(&Verb::Rearmed(1)));
    rig.leave(due);
    assert_eq!(rig.advance(1), 1, "the timer survives");
}

/// Two deleters of one pending timer, and of a running one: the returns add up
/// to the number of detaches.
#[test]
fn two_deleters() {
    for policy in WAITING {
        for readded in [false, true] {
            let (rig, timer, due) = running(policy);
            let kernel = *rig;
            let (send, other) = std::sync::mpsc::channel();
            // The second begins to wait while the first waits; then the handler
            // ends.
            rig.engine.host.at_pause(move || {
                send.send(on(OTHER, || kernel.del(timer))).unwrap();
            });
            rig.engine.host.at_pause(move || {
                if readded {
                    kernel.in_handler(|| kernel.modify(timer, 1));
                }
                kernel.leave(due);
            });
            let first = rig.del(timer);
            assert_eq!(first + other.recv().unwrap(), i32::from(readded));
            assert_eq!(rig.pending(timer), 0);
            assert_eq!(rig.engine.host.counted(Count::SyncWait), 2);
        }
    }
}

#[test]
fn a_hundred_futile_deletes_give_a_hint_once() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    let hints = |rig: &Rig| {
        let verbs = rig.engine.host.take_verbs();
        verbs.into_iter().filter(|v| *v == Verb::Futile(Op::DelTimer)).count()
    };
    (0..99).for_each(|_| assert_eq!(rig.del(timer), 0));
    assert_eq!(hints(&rig), 0);
    (0..500).for_each(|_| assert_eq!(rig.del(timer), 0));
    assert_eq!(hints(&rig), 1);
    // Something to delete in between: the count begins anew.
    rig.add(timer, 1);
    (0..100).for_each(|_| assert!(rig.del(timer) <= 1));
    assert_eq!(hints(&rig), 0);
    assert_eq!(rig.engine.host.deletes(), 699);
}

/// 2.3 kernels: only `timer_exit` ends a handler.
#[test]
fn timer_exit_releases_the_waiter_while_the_handler_is_on_the_cpu() {
    for policy in WAITING {
        let legacy = Settings { legacy_timer_exit: true, ..Settings::DEFAULT };
        let rig = Rig::with(policy, legacy);
        let timer = rig.timer();
        let due = rig.run(timer);
        let kernel = *rig;
        rig.engine.host.at_pause(move || {
            kernel.in_handler(|| kernel.engine.exit_handler(timer));
        });
        assert_eq!(rig.del_sync(timer), 0);
        assert!(!rig.engine.host.last_deleted().gave_up);
        rig.leave(due);
        assert_eq!(rig.del_sync(timer), 0, "nothing is missing");
        // A handler without it: a 2.3 kernel would hang here.
        let due = rig.run(timer);
        rig.leave(due);
        assert_eq!(rig.del_sync(timer), 0);
        assert_eq!(rig.found(), [error(Kind::MissingTimerExit)]);
        assert_eq!(rig.del_sync(timer), 0, "once");
    }
}

#[test]
fn timer_exit_does_nothing_elsewhere() {
    let (rig, timer, due) = running(Sync);
    rig.in_handler(|| rig.engine.exit_handler(timer));
    let kernel = *rig;
    rig.engine.host.at_pause(move || kernel.leave(due));
    assert_eq!(rig.del(timer), 0);
    assert_eq!(rig.engine.host.counted(Count::SyncWait), 1);
}
