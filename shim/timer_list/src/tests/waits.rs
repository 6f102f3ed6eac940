//! Waits that cannot end, the flag in the storage, and `sync_timers`.

use deadwalk_detector::options::DelPolicy::{self, Async, Running, Sync};
use deadwalk_detector::{Kind, Op};

use super::host::{MAIN, OTHER, SITE, TIMERS, on, peek, poke};
use super::rig::{POLICIES, Rig, WAITING, error, info};
use crate::{Due, Settings};

fn running(policy: DelPolicy) -> (Rig, usize, Due<u32>) {
    let rig = Rig::new(policy);
    let timer = rig.timer();
    let due = rig.run(timer);
    (rig, timer, due)
}

/// Milliseconds, as the mock host counts pauses.
fn waited_ms(rig: &Rig) -> u64 {
    rig.engine.host.last_deleted().waited_ns.expect("it waited") / 1_000_000
}

#[test]
fn a_handler_that_is_blocked_on_the_waiter_is_a_proven_deadlock() {
    for policy in WAITING {
        let (rig, timer, due) = running(policy);
        let host = &rig.engine.host;
        host.blocks_on(TIMERS, MAIN);
        assert_eq!(rig.del(timer), 0);
        let [found] = host.take_found().try_into().unwrap();
        assert_eq!((found.kind, found.blocked), (Kind::DelDeadlock, Some(TIMERS)));
        let deleted = host.last_deleted();
        assert!(deleted.gave_up && deleted.landed_on.is_some(), "it goes on as async");
        assert!(waited_ms(&rig) < 50, "no time is lost");
        rig.leave(due);
        assert_eq!(rig.del(timer), 0, "nothing is left of it");
    }
}

#[test]
fn a_deadlock_over_other_threads_is_proven_too() {
    let (rig, timer, due) = running(Sync);
    let host = &rig.engine.host;
    host.blocks_on(TIMERS, OTHER);
    host.blocks_on(OTHER, 3);
    host.blocks_on(3, MAIN);
    assert_eq!(rig.del_sync(timer), 0);
    assert_eq!(rig.found(), [error(Kind::DelDeadlock)]);
    assert!(waited_ms(&rig) < 50);
    rig.leave(due);
}

/// Threads that wait for each other, but not for the waiter, prove nothing: the
/// bound ends it.
#[test]
fn other_threads_deadlock_is_bounded() {
    for policy in WAITING {
        let (rig, timer, due) = running(policy);
        rig.engine.host.blocks_on(TIMERS, OTHER);
        rig.engine.host.blocks_on(OTHER, TIMERS);
        assert_eq!(rig.del_sync(timer), 0);
        assert_eq!(rig.found(), [error(Kind::DelDeadlock)]);
        assert!((2_000..2_100).contains(&waited_ms(&rig)), "{}", waited_ms(&rig));
        rig.leave(due);
    }
}

#[test]
fn loops_bound_a_wait_too() {
    let settings = Settings { deadlock_loops: 7, ..Settings::DEFAULT };
    let rig = Rig::with(Sync, settings);
    let timer = rig.timer();
    let due = rig.run(timer);
    assert_eq!(rig.del(timer), 0);
    assert_eq!(rig.found(), [error(Kind::DelDeadlock)]);
    assert_eq!(waited_ms(&rig), 7);
    rig.leave(due);
}

#[test]
fn a_blocked_handler_that_goes_on_is_no_deadlock() {
    let (rig, timer, due) = running(Sync);
    rig.engine.host.blocks_on(TIMERS, OTHER);
    let kernel = *rig;
    (0..40).for_each(|_| rig.engine.host.at_pause(|| ()));
    rig.engine.host.at_pause(move || kernel.leave(due));
    assert_eq!(rig.del(timer), 0);
    assert!(!rig.engine.host.last_deleted().gave_up);
}

/// Two handlers, each of which deletes the other's timer.
#[test]
fn handlers_that_wait_for_each_other() {
    let rig = Rig::with(Sync, Settings { cpus: 2, ..Settings::DEFAULT });
    let timers = [rig.timer(), rig.timer()];
    let dues = [0, 1].map(|cpu: usize| {
        poke(timers[cpu] + 16, rig.engine.host.jiffies().wrapping_add(1) as usize);
        rig.arm(timers[cpu], crate::Arm::AddOn(cpu));
        rig.tick(1);
        rig.enter(cpu).unwrap()
    });
    let kernel = *rig;
    rig.engine.host.at_pause(move || {
        on(TIMERS + 1, || assert_eq!(kernel.del_sync(timers[0]), 0));
        on(TIMERS + 1, || kernel.engine.leave(dues[1].ticket));
    });
    rig.in_handler(|| assert_eq!(rig.del_sync(timers[1]), 0));
    assert_eq!(rig.found(), [error(Kind::DelDeadlock)], "one of them goes on, then the other");
    rig.leave(dues[0]);
}

/// The mail's alternative: the flag is in the structure.
#[test]
fn running_is_told_in_the_storage() {
    for policy in POLICIES {
        let (rig, timer, due) = running(policy);
        assert_eq!(rig.flag(timer), u32::from(policy == Running));
        rig.leave(due);
        assert_eq!(rig.flag(timer), 0);
    }
}

/// ... so whoever clears the flag lets the waiter go, under `running` only.
#[test]
fn a_cleared_flag_ends_the_wait() {
    let (rig, timer, due) = running(Running);
    rig.engine.host.at_pause(move || poke(timer + 40, 0));
    assert_eq!(rig.del(timer), 0);
    assert!(rig.engine.host.last_deleted().landed_on.is_some(), "the handler runs");
    rig.leave(due);

    let (rig, timer, due) = running(Sync);
    let kernel = *rig;
    rig.engine.host.at_pause(move || poke(timer + 40, 0));
    rig.engine.host.at_pause(move || kernel.leave(due));
    assert_eq!(rig.del(timer), 0);
    assert_eq!(waited_ms(&rig), 2);
}

/// Rows of section 5: re-added, deleted, freed by the handler under a waiter.
#[test]
fn the_handler_frees_its_timer_under_the_waiter() {
    for readds in [false, true] {
        for policy in WAITING {
            let rig = Rig::new(policy);
            let timer = rig.heap_timer();
            let due = rig.run(timer);
            let kernel = *rig;
            rig.engine.host.at_pause(move || {
                kernel.in_handler(|| {
                    if readds {
                        kernel.modify(timer, 1);
                        assert_eq!(kernel.del(timer), 1);
                    }
                    // From here on any access panics.
                    kernel.free(timer);
                });
            });
            rig.engine.host.at_pause(move || kernel.leave(due));
            assert_eq!(rig.del(timer), 0);
            let expected = match (policy, readds) {
                (Sync, false) => vec![info(Kind::FreeOwnHandler)],
                (Sync, true) => {
                    vec![info(Kind::FreeOwnHandler), info(Kind::ConfusedReaddDelFree)]
                }
                _ => vec![error(Kind::FreeOwnHandler), error(Kind::RunningFlagAfterFree)],
            };
            assert_eq!(rig.found(), expected, "{policy:?} {readds}");
        }
    }
}

#[test]
fn a_handler_that_frees_its_timer_is_not_touched_afterwards() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        let due = rig.run(timer);
        rig.in_handler(|| rig.free(timer));
        rig.leave(due);
        let expected = match policy {
            Running => error(Kind::FreeOwnHandler),
            _ => info(Kind::FreeOwnHandler),
        };
        assert_eq!(rig.found(), [expected]);
    }
}

/// Not a byte changes between entry and end, but `running` under its policy.
#[test]
fn nothing_is_written_after_the_handler_was_entered() {
    for policy in POLICIES {
        let (rig, timer, due) = running(policy);
        let before = rig.words(timer);
        if policy != Running {
            rig.engine.host.forbid(timer, 48);
        }
        rig.leave(due);
        let mut after = rig.words(timer);
        after[5] = before[5];
        assert_eq!(before, after);
        assert_eq!(peek(timer + 40), 0);
    }
}

/// A new timer takes the place of the old one while the waiter sleeps: the
/// waiter's timer is over, the new one is none of its business.
#[test]
fn a_waiter_does_not_take_another_generation_for_its_own() {
    for policy in WAITING {
        let (rig, timer, due) = running(policy);
        let kernel = *rig;
        rig.engine.host.at_pause(move || {
            kernel.leave(due);
            on(OTHER, || {
                kernel.setup(timer);
                kernel.add(timer, 1);
            });
        });
        assert_eq!(rig.del(timer), 0);
        assert_eq!(rig.pending(timer), 1, "not detached blindly");
        assert_eq!(rig.advance(1), 1);
    }
}

#[test]
fn sync_timers_waits_for_the_handlers_that_run_now() {
    for policy in POLICIES {
        let (rig, _, due) = running(policy);
        let (kernel, next) = (*rig, rig.timer());
        rig.engine.host.at_pause(|| ());
        rig.engine.host.at_pause(move || {
            kernel.leave(due);
            // A run that begins now is not waited for.
            assert_eq!(kernel.run(next).data, next);
        });
        rig.engine.sync(SITE);
        assert_eq!(rig.engine.host.deletes(), 0);
        assert_eq!(rig.delete(next, Op::TryToDelTimerSync), -1);
    }
}

#[test]
fn sync_timers_without_handlers_returns() {
    let rig = Rig::new(Async);
    rig.engine.sync(SITE);
    rig.add(rig.timer(), 1);
    rig.engine.sync(SITE);
}

#[test]
fn sync_timers_from_a_handler_does_not_wait() {
    for policy in POLICIES {
        let (rig, _, due) = running(policy);
        rig.in_handler(|| rig.engine.sync(SITE));
        assert_eq!(rig.found(), [error(Kind::SyncDelFromHandler)]);
        rig.leave(due);
    }
}

/// A handler that deletes another timer, whose handler runs elsewhere, waits as
/// anybody does.
#[test]
fn a_handler_waits_for_another_timer() {
    let rig = Rig::with(Sync, Settings { cpus: 2, ..Settings::DEFAULT });
    let (one, two) = (rig.timer(), rig.timer());
    for (cpu, timer) in [one, two].into_iter().enumerate() {
        poke(timer + 16, rig.engine.host.jiffies().wrapping_add(1) as usize);
        rig.arm(timer, crate::Arm::AddOn(cpu));
    }
    rig.tick(1);
    let (first, second) = (rig.enter(0).unwrap(), rig.enter(1).unwrap());
    let kernel = *rig;
    rig.engine.host.at_pause(move || on(TIMERS + 1, || kernel.engine.leave(second.ticket)));
    rig.in_handler(|| assert_eq!(rig.del_sync(two), 0));
    assert_eq!(waited_ms(&rig), 1);
    rig.leave(first);
}

/// A signal handler that calls while its thread has the lock is refused.
#[test]
fn a_call_in_the_middle_of_a_call_is_refused() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    rig.add(timer, 1);
    let lock = rig.engine.lock().unwrap();
    assert_eq!(rig.pending(timer), 0);
    assert_eq!(rig.del(timer), 0);
    assert_eq!(rig.modify(timer, 5), 0);
    assert!(rig.enter_here().is_none());
    drop(lock);
    assert_eq!(rig.pending(timer), 1, "nothing was changed");
}

impl super::rig::Kernel {
    fn enter_here(&self) -> Option<Due<u32>> {
        self.engine.next_due(0)
    }
}
