//! Initialising and arming: what the calls return, find and write.

use deadwalk_detector::options::DelPolicy::{Async, Running, Sync};
use deadwalk_detector::{Kind, Op};

use super::host::{MAIN, OTHER, SITE, TIMERS, Verb, on, peek, poke};
use super::rig::{BEYOND, HANDLER, POLICIES, Rig, error, info, warning};
use crate::host::Count;
use crate::layout::SELF;
use crate::{Arm, Settings};

#[test]
fn a_timer_is_added_expires_and_may_be_added_again() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        assert_eq!(rig.pending(timer), 0);
        rig.add(timer, 2);
        assert_eq!(rig.pending(timer), 1);
        assert_ne!(peek(timer), 0, "the inline timer_pending of old headers");
        assert_eq!(rig.advance(1), 0);
        rig.tick(1);
        let due = rig.enter(0).unwrap();
        assert_eq!((due.handler, due.data), (HANDLER, timer));
        assert_eq!((rig.pending(timer), peek(timer)), (0, 0));
        rig.leave(due);
        rig.add(timer, 1);
        assert_eq!(rig.advance(1), 1);
        assert_eq!(rig.engine.books().expired, 2);
    }
}

#[test]
fn mod_timer_says_whether_the_timer_was_pending() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    assert_eq!(rig.modify(timer, 5), 0);
    assert_eq!(rig.modify(timer, 2), 1);
    assert_eq!(peek(timer + 16), rig.engine.host.jiffies().wrapping_add(2) as usize, "expires");
    assert_eq!(rig.advance(2), 1);
    assert_eq!(rig.advance(9), 0, "it was moved");
    assert_eq!(rig.engine.books().queued, 1);
}

#[test]
fn mod_timer_pending_and_reduce_are_the_modern_ones() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    assert_eq!(rig.modify_pending(timer, 1), 0, "and stays inactive");
    assert_eq!(rig.pending(timer), 0);
    assert_eq!(rig.reduce(timer, 9), 0, "and is armed");
    assert_eq!(rig.reduce(timer, 12), 1, "and stays at 9");
    assert_eq!(rig.modify_pending(timer, 7), 1);
    assert_eq!(rig.reduce(timer, 3), 1);
    assert_eq!(rig.advance(2), 0);
    assert_eq!(rig.advance(1), 1);
}

#[test]
fn a_pending_timer_is_not_added_again() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        let before = rig.words(timer);
        poke(timer + 16, 77);
        rig.arm(timer, Arm::Add);
        poke(timer + 16, before[2]);
        assert_eq!(rig.words(timer), before);
        assert_eq!(rig.found(), [error(Kind::DoubleAdd)]);
        assert_eq!(rig.advance(1), 1, "as it was added first");
    }
}

#[test]
fn a_timer_without_handler_is_not_armed() {
    let rig = Rig::new(Async);
    let timer = rig.memory();
    rig.engine.init(timer, None, 0, SITE);
    let before = rig.words(timer);
    assert_eq!(rig.arm(timer, Arm::Add), 0);
    assert_eq!(rig.modify(timer, 1), 0);
    assert_eq!(rig.words(timer), before);
    assert_eq!(rig.found(), [error(Kind::NullHandler); 2]);
    assert_eq!(rig.engine.books().queued, 0);
    // A program may take the handler away while the timer is armed.
    poke(timer + 32, HANDLER);
    assert_eq!(rig.modify(timer, 1), 0);
    poke(timer + 32, 0);
    assert_eq!(rig.advance(1), 0);
    assert_eq!(rig.found(), [error(Kind::NullHandler)]);
    assert_eq!(rig.engine.books().refused, 1);
}

#[test]
fn zeroed_statics_are_told_of_once() {
    for call in [0, 1, 2] {
        let rig = Rig::new(Async);
        let timer = rig.legacy();
        match call {
            0 => assert_eq!(rig.modify(timer, 1), 0),
            1 => assert_eq!(rig.del(timer), 0),
            _ => assert_eq!(rig.pending(timer), 0),
        }
        assert_eq!(rig.found(), [info(Kind::StaticUninit)]);
        rig.modify(timer, 1);
        assert_eq!(rig.advance(1), 1);
    }
}

#[test]
fn static_initialisers_are_as_good_as_calls() {
    let rig = Rig::new(Running);
    let timer = rig.defined();
    assert_eq!((peek(timer), rig.pending(timer)), (0, 0));
    poke(timer + 24, SELF);
    let due = rig.run(timer);
    assert_eq!(due.data, timer, "TIMER_INITIALIZER(fn) means the timer");
    assert_eq!(rig.flag(timer), 1, "our initialiser made the whole object");
    rig.leave(due);
    assert_eq!(rig.flag(timer), 0);
}

/// A 40-byte object ends there, under every policy and whatever is called.
#[test]
fn nothing_is_written_behind_a_legacy_object() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.legacy();
        rig.add(timer, 1);
        assert_eq!(rig.found(), [info(Kind::StaticUninit)]);
        assert_eq!(rig.del(timer), 1);
        rig.modify(timer, 4);
        rig.reduce(timer, 1);
        rig.tick(1);
        let due = rig.enter(0).unwrap();
        rig.in_handler(|| rig.modify(timer, 1));
        rig.leave(due);
        assert_eq!(rig.delete(timer, Op::TimerShutdownSync), 1);
        rig.modify(timer, 1);
        assert_eq!(rig.found(), [info(Kind::ArmAfterShutdown)]);
        assert_eq!(rig.words(timer)[5..], [BEYOND; 3]);
    }
}

#[test]
fn timer_setup_sets_handler_argument_and_flags() {
    let rig = Rig::new(Async);
    let timer = rig.memory();
    poke(timer + 40, usize::MAX);
    rig.engine.init(timer, Some(HANDLER), 9, SITE);
    let [next, _, _, data, function, rest, ..] = rig.words(timer);
    assert_eq!((next, data, function, rest), (0, timer, HANDLER, 9 << 32));
    assert_eq!(rig.engine.host.counted(Count::Inited), 1);
}

#[test]
fn initialising_a_pending_timer_detaches_it() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.add(timer, 1);
        rig.setup(timer);
        assert_eq!(rig.found(), [error(Kind::ReinitPending)]);
        assert_eq!(rig.pending(timer), 0);
        assert_eq!(rig.advance(2), 0);
        assert_eq!(rig.engine.books().auto_detached, 1);
        assert_eq!(rig.engine.host.counted(Count::AutoDetached), 1);
        rig.add(timer, 1);
        assert_eq!(rig.advance(1), 1);
    }
}

#[test]
fn initialising_a_running_timer_begins_another_one() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        let due = rig.run(timer);
        rig.setup(timer);
        assert_eq!(rig.found(), [error(Kind::ReinitRunning)]);
        // The new timer is not the one that runs: nobody waits.
        rig.add(timer, 1);
        assert_eq!(rig.del_sync(timer), 1);
        assert_eq!(rig.engine.host.last_deleted().landed_on, None);
        poke(timer + 40, 0xff);
        rig.leave(due);
        assert_eq!(peek(timer + 40), 0xff, "`running = 0` of the old run is not written");
    }
}

#[test]
fn a_handler_may_initialise_its_own_timer() {
    let rig = Rig::new(Sync);
    let timer = rig.timer();
    let due = rig.run(timer);
    rig.in_handler(|| {
        rig.setup(timer);
        rig.add(timer, 1);
    });
    rig.leave(due);
    assert_eq!(rig.advance(1), 1);
}

#[test]
fn arms_after_a_shutdown_are_dropped_until_the_next_init() {
    for policy in POLICIES {
        for op in [Op::TimerShutdown, Op::TimerShutdownSync] {
            let rig = Rig::new(policy);
            let timer = rig.timer();
            rig.add(timer, 1);
            assert_eq!(rig.delete(timer, op), 1);
            assert_eq!(rig.delete(timer, op), 0);
            rig.add(timer, 1);
            assert_eq!(rig.modify(timer, 1), 0);
            assert_eq!(rig.reduce(timer, 1), 0);
            assert_eq!(rig.found(), [info(Kind::ArmAfterShutdown); 3]);
            assert_eq!(rig.pending(timer), 0);
            rig.setup(timer);
            assert_eq!(rig.modify(timer, 1), 0);
            assert_eq!(rig.advance(1), 1);
        }
    }
}

/// Two threads arm one inactive timer: the second came before the first was
/// done, so neither could know.
#[test]
fn arming_at_the_same_time_is_told_from_adding_twice() {
    let concurrent = [warning(Kind::ConcurrentArm), info(Kind::ConcurrentArm)];
    for (how, expected) in [Arm::Add, Arm::Mod(3)].into_iter().zip(concurrent) {
        let rig = Rig::new(Async);
        let timer = rig.timer();
        let announced = rig.engine.arming.announce(MAIN, timer);
        on(OTHER, || rig.arm(timer, how));
        assert_eq!(rig.engine.arm_announced(timer, how, SITE, announced), 1);
        rig.engine.arming.finish(announced);
        assert_eq!(rig.found(), [expected]);
        // Afterwards the same is what it looks like.
        rig.arm(timer, how);
        let after = if how == Arm::Add { vec![error(Kind::DoubleAdd)] } else { vec![] };
        assert_eq!(rig.found(), after);
        rig.del(timer);
    }
}

#[test]
fn another_timer_s_arming_is_nobody_s_business() {
    let rig = Rig::new(Async);
    let (timer, other) = (rig.timer(), rig.timer());
    let announced = rig.engine.arming.announce(MAIN, timer);
    on(OTHER, || rig.add(other, 1));
    assert_eq!(rig.engine.arm_announced(timer, Arm::Mod(1), SITE, announced), 0);
    assert!(!rig.engine.arming.is_overtaken(announced));
    rig.engine.arming.finish(announced);
}

/// Fields that the program changes while the timer is armed count as the kernel
/// counts them: at the expiry.
#[test]
fn changed_fields_are_honoured_and_counted() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    rig.add(timer, 1);
    poke(timer + 24, 0x77);
    poke(timer + 32, HANDLER + 8);
    rig.tick(1);
    let due = rig.enter(0).unwrap();
    assert_eq!((due.handler, due.data), (HANDLER + 8, 0x77));
    assert_eq!(rig.engine.host.counted(Count::FieldsChanged), 1);
    rig.leave(due);
}

#[test]
fn add_timer_on_chooses_the_timer_thread() {
    let settings = Settings { cpus: 3, ..Settings::DEFAULT };
    let rig = Rig::with(Async, settings);
    for cpu in [2, 0, 1, 5] {
        let timer = rig.timer();
        poke(timer + 16, rig.engine.host.jiffies().wrapping_add(1) as usize);
        rig.arm(timer, Arm::AddOn(cpu));
        assert_eq!(rig.engine.clock(rig.engine.now() + 1), 1 << (cpu % 3));
        let due = rig.enter(cpu % 3).unwrap();
        on(TIMERS + cpu as u32 % 3, || rig.engine.leave(due.ticket));
    }
}

/// The detector knows a timer while its handler runs, and no longer.
#[test]
fn the_detector_is_told_of_a_run() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    rig.add(timer, 1);
    rig.del(timer);
    assert_eq!(rig.engine.host.take_verbs(), []);
    let due = rig.run(timer);
    rig.in_handler(|| rig.modify(timer, 5));
    rig.leave(due);
    let run = [Verb::Init(1), Verb::Entered(1), Verb::Armed(1), Verb::Left(1), Verb::Retired(1)];
    assert_eq!(rig.engine.host.take_verbs(), run);
    rig.del(timer);
    assert_eq!(rig.engine.host.take_verbs(), []);
}

/// A timer whose argument lies in a heap block is known while it is armed.
#[test]
fn the_detector_is_told_of_data_in_the_heap() {
    let rig = Rig::new(Async);
    let (timer, data) = (rig.timer(), rig.engine.host.alloc(16));
    poke(timer + 24, data);
    rig.add(timer, 1);
    rig.modify(timer, 2);
    let armed = [Verb::Init(1), Verb::Armed(1), Verb::Armed(1)];
    assert_eq!(rig.engine.host.take_verbs(), armed);
    rig.del(timer);
    assert_eq!(rig.engine.host.take_verbs(), [Verb::Detached(1, true), Verb::Retired(1)]);
    rig.add(timer, 1);
    poke(timer + 24, timer);
    rig.modify(timer, 2);
    let other = [Verb::Init(2), Verb::Armed(2), Verb::Armed(2), Verb::Retired(2)];
    assert_eq!(rig.engine.host.take_verbs(), other);
}

/// A name that something hangs on is kept, until the timer ends.
#[test]
fn the_detector_s_name_is_kept_after_a_landing() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    let due = rig.run(timer);
    rig.del(timer);
    rig.engine.host.note(due.ticket.run.unwrap());
    rig.leave(due);
    rig.add(timer, 1);
    rig.del(timer);
    let verbs = rig.engine.host.take_verbs();
    assert_eq!(verbs.last(), Some(&Verb::Detached(1, true)));
    rig.setup(timer);
    assert_eq!(rig.engine.host.take_verbs(), [Verb::Retired(1)]);
}
