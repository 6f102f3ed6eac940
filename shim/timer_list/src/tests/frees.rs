//! Memory and code that go, memory that is used again, and forks.

use deadwalk_detector::Kind;
use deadwalk_detector::options::DelPolicy::{Async, Running};

use super::host::{MAIN, OTHER, SITE, TIMERS, Verb, on, peek, poke};
use super::rig::{HANDLER, POLICIES, Rig, error, info, warning};
use crate::host::{Caller, Count, Trash};

#[test]
fn freeing_a_pending_timer_detaches_it() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        rig.add(timer, 1);
        assert!(rig.engine.host.is_watched(timer));
        rig.free(timer);
        let [found] = rig.engine.host.take_found().try_into().unwrap();
        assert_eq!((found.kind, found.caller), (Kind::FreeWhilePending, Caller::Free));
        assert_eq!((found.addr, found.block.base), (timer, timer));
        assert_eq!(rig.engine.books().auto_detached, 1);
        assert_eq!(rig.advance(2), 0);
    }
}

#[test]
fn freeing_an_inactive_timer_is_fine() {
    let rig = Rig::new(Async);
    let timer = rig.heap_timer();
    rig.add(timer, 1);
    rig.del(timer);
    rig.free(timer);
    assert_eq!(rig.engine.host.take_verbs(), []);
}

#[test]
fn every_timer_of_a_block_is_told_of() {
    let rig = Rig::new(Async);
    let block = rig.engine.host.alloc(256);
    for timer in [0, 64, 128].map(|offset| block + offset) {
        rig.setup(timer);
        rig.add(timer, 1);
    }
    rig.free(block);
    assert_eq!(rig.found(), [error(Kind::FreeWhilePending); 3]);
}

#[test]
fn freeing_under_another_thread_s_handler() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        let due = rig.run(timer);
        rig.free(timer);
        assert_eq!(rig.found(), [error(Kind::FreeWhileRunning)]);
        rig.leave(due);
    }
}

/// The zombie: the handler armed its timer after the delete, then it is freed.
#[test]
fn a_zombie_s_warning_becomes_an_error_at_the_free() {
    let rig = Rig::new(Async);
    let timer = rig.heap_timer();
    let due = rig.run(timer);
    rig.del(timer);
    rig.in_handler(|| rig.modify(timer, 1));
    rig.leave(due);
    rig.free(timer);
    assert_eq!(rig.found(), [warning(Kind::RearmAfterDel), error(Kind::FreeWhilePending)]);
    let verbs = rig.engine.host.take_verbs();
    assert!(verbs.iter().any(|verb| matches!(verb, Verb::Worsened(_))), "{verbs:?}");
}

#[test]
fn a_handler_whose_timer_went_cannot_arm_it() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.heap_timer();
        let due = rig.run(timer);
        rig.free(timer);
        assert_eq!(rig.in_handler(|| rig.modify(timer, 1)), 0);
        assert_eq!(rig.found(), [error(Kind::FreeWhileRunning), error(Kind::ApiUseAfterFree)]);
        rig.leave(due);
        assert_eq!(rig.engine.pending_count(), 0);
    }
}

/// Generation, not address: a delete of the new timer does not wait for the old
/// one's handler, which does not write into it either.
#[test]
fn storage_that_is_another_timer_s_while_the_old_handler_runs() {
    for policy in POLICIES {
        for by_handler in [false, true] {
            let rig = Rig::new(policy);
            let timer = rig.heap_timer();
            let due = rig.run(timer);
            on(if by_handler { TIMERS } else { MAIN }, || rig.free(timer));
            rig.found();
            rig.engine.host.reuse(timer);
            on(OTHER, || rig.setup(timer));
            let reused = if by_handler { info } else { error }(Kind::StorageReused);
            assert_eq!(rig.found(), [reused]);
            rig.add(timer, 1);
            assert_eq!(rig.del_sync(timer), 1);
            assert_eq!(rig.engine.host.last_deleted().waited_ns, None);
            poke(timer + 40, 1);
            rig.leave(due);
            assert_eq!(peek(timer + 40), 1, "`running = 0` is suppressed");
        }
    }
}

/// realloc moved the block of a pending timer.
#[test]
fn a_block_that_moved() {
    let rig = Rig::new(Async);
    let (timer, moved) = (rig.heap_timer(), rig.engine.host.alloc(192));
    rig.add(timer, 1);
    (0..48).step_by(8).for_each(|offset| poke(moved + offset, peek(timer + offset)));
    rig.free(timer);
    assert_eq!(rig.found(), [error(Kind::FreeWhilePending)]);
    assert_eq!(rig.del(moved), 0);
    assert_eq!(rig.found(), [error(Kind::TimerCopied)]);
}

#[test]
fn timers_on_the_stack_are_destroyed() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        rig.engine.destroy_on_stack(timer, SITE);
        assert_eq!(rig.found(), [error(Kind::FreeWhilePending)]);
        let timer = rig.timer();
        let due = rig.run(timer);
        rig.engine.destroy_on_stack(timer, SITE);
        assert_eq!(rig.found(), [error(Kind::FreeWhileRunning)]);
        rig.engine.host.forbid(timer, 48);
        rig.leave(due);
        // As it should be.
        let timer = rig.timer();
        rig.add(timer, 1);
        rig.del_sync(timer);
        rig.engine.destroy_on_stack(timer, SITE);
    }
}

/// What is known to have been on a stack is not believed to be there still.
#[test]
fn a_frame_that_is_gone_is_found_at_the_expiry() {
    let rig = Rig::new(Running);
    let timer = rig.timer();
    rig.add(timer, 1);
    (0..48).step_by(8).for_each(|offset| poke(timer + offset, 0x7f00_1234_5678));
    assert_eq!(rig.advance(1), 0);
    assert_eq!(rig.found(), [error(Kind::TimerClobbered)]);
}

#[test]
fn unloading_handlers() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let (pending, running, idle) = (rig.timer(), rig.timer(), rig.timer());
        let due = rig.run(running);
        rig.add(pending, 1);
        rig.add(idle, 1);
        rig.del(idle);
        assert_eq!(rig.engine.unload(HANDLER + 1..HANDLER + 9, SITE), 0);
        assert_eq!(rig.engine.unload(HANDLER..HANDLER, SITE), 0, "an empty range");
        assert_eq!(rig.engine.unload(HANDLER..HANDLER + 9, SITE), 2);
        let found = rig.found();
        assert_eq!(found.len(), 2);
        assert!(found.contains(&error(Kind::UnloadWhilePending)), "{found:?}");
        assert!(found.contains(&error(Kind::UnloadWhileRunning)), "{found:?}");
        rig.leave(due);
        assert_eq!(rig.advance(2), 0, "nothing is called there any more");
        assert_eq!(rig.pending(pending), 0);
        assert_eq!(rig.engine.unload(HANDLER..HANDLER + 9, SITE), 0);
    }
}

#[test]
fn a_handler_that_unloads_itself() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    let due = rig.run(timer);
    rig.in_handler(|| assert_eq!(rig.engine.unload(HANDLER..HANDLER + 1, SITE), 1));
    assert_eq!(rig.found(), [error(Kind::UnloadWhileRunning)]);
    rig.leave(due);
}

/// The child has no timers, no findings, and may use the same storage anew.
#[test]
fn a_fork_child_begins_with_nothing() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let (pending, running) = (rig.heap_timer(), rig.timer());
        let due = rig.run(running);
        rig.add(pending, 1);
        let announced = rig.engine.arming.announce(MAIN, pending);
        let lock = rig.engine.lock();
        rig.engine.reset_after_fork();
        std::mem::forget(lock);
        rig.engine.arming.finish(announced);
        assert_eq!((rig.engine.pending_count(), rig.engine.books().queued), (0, 0));
        assert_eq!(rig.advance(5), 0);
        // The handler that this thread is in the middle of returns.
        rig.leave(due);
        rig.engine.sync(SITE);
        rig.free(pending);
        rig.setup(running);
        rig.add(running, 1);
        assert_eq!(rig.advance(1), 1);
    }
}

/// Nobody tells of the end of timers on stacks: idle ones are forgotten when
/// there are many, and taken up again when they are used.
#[test]
fn many_timers_outside_the_heap_are_forgotten() {
    const MANY: usize = 40_000;
    let rig = Rig::new(Async);
    let timers: Vec<usize> = (0..MANY).map(|_| rig.memory()).collect();
    for &timer in &timers {
        rig.setup(timer);
        rig.add(timer, 100);
        rig.del(timer);
    }
    assert!(rig.engine.lock().unwrap().table.used() < MANY);
    for &timer in &timers {
        assert_eq!(rig.modify(timer, 1), 0);
    }
    assert_eq!(rig.engine.pending_count(), MANY as u64);
    assert_eq!(rig.advance(1), MANY);
    assert_eq!(rig.engine.host.counted(Count::Trashed(Trash::Uninit)), 0);
}
