//! Jiffies, their wrap, far and past times, order, and several timer threads.

use deadwalk_detector::Kind;
use deadwalk_detector::options::DelPolicy::{Async, Sync};

use super::host::{TIMERS, on, poke};
use super::rig::{POLICIES, Rig, info};
use crate::engine::{DELAY_MAX, first_jiffies};
use crate::{Arm, Settings};

#[test]
fn jiffies_begin_five_minutes_before_their_wrap() {
    for hz in [1, 100, 250, 1000, 10_000] {
        assert_eq!(first_jiffies(hz).wrapping_add(300 * u64::from(hz)), 0);
        let rig = Rig::with(Async, Settings { hz, ..Settings::DEFAULT });
        assert_eq!(rig.engine.host.jiffies(), first_jiffies(hz));
        rig.tick(u64::from(hz));
        assert_eq!(rig.engine.host.jiffies(), first_jiffies(hz) + u64::from(hz));
        rig.tick(299 * u64::from(hz));
        assert_eq!(rig.engine.host.jiffies(), 0);
    }
}

#[test]
fn timers_expire_over_the_wrap() {
    for policy in POLICIES {
        let rig = Rig::new(policy);
        let timer = rig.timer();
        rig.tick(300 * 100 - 5);
        assert_eq!(rig.engine.host.jiffies(), 5u64.wrapping_neg());
        rig.add(timer, 10);
        assert_eq!(rig.words(timer)[2], 5, "expires is behind the wrap");
        assert_eq!(rig.advance(9), 0);
        assert_eq!(rig.advance(1), 1);
    }
}

#[test]
fn the_clock_does_not_go_back() {
    let rig = Rig::new(Async);
    rig.tick(10);
    rig.engine.clock(3);
    assert_eq!(rig.engine.now(), 10);
}

/// 2.4 lost timers of more than 2^32-1 jiffies for ever.
#[test]
fn long_delays_are_clamped() {
    for delay in [DELAY_MAX as i64, DELAY_MAX as i64 + 1, 1 << 40, i64::MAX] {
        let rig = Rig::new(Async);
        let timer = rig.timer();
        rig.modify(timer, delay);
        assert_eq!(rig.advance(DELAY_MAX - 1), 0, "{delay}");
        assert_eq!(rig.advance(1), 1, "{delay}");
    }
}

#[test]
fn past_and_present_times_expire_at_the_next_tick() {
    for delay in [0, -1, -1_000_000, i64::MIN + 1, i64::MIN] {
        let rig = Rig::new(Async);
        let timer = rig.timer();
        rig.tick(10);
        rig.modify(timer, delay);
        assert!(rig.enter(0).is_none(), "{delay}: not in this tick");
        assert_eq!(rig.advance(1), 1, "{delay}");
    }
}

/// 2.2 and 2.4 ran such a handler again in the same pass, for ever.
#[test]
fn a_handler_that_arms_at_or_before_now_runs_at_the_next_tick() {
    for delay in [0, -1, -50] {
        // The timer thread is on time, or late: the clock went on meanwhile.
        for late in [0, 1, 7, 1000] {
            let rig = Rig::new(Async);
            let timer = rig.timer();
            rig.add(timer, 3);
            rig.tick(3 + late);
            let due = rig.enter(0).unwrap();
            assert_eq!(rig.in_handler(|| rig.modify(timer, delay)), 0);
            assert_eq!(rig.found(), [info(Kind::RearmPast)]);
            rig.leave(due);
            assert!(rig.enter(0).is_none(), "late {late}: in the same pass");
            rig.tick(1);
            rig.leave(rig.enter(0).unwrap());
        }
    }
}

#[test]
fn timers_of_one_tick_expire_in_their_order() {
    let rig = Rig::new(Async);
    rig.tick(17);
    let timers: Vec<usize> = (0..20).map(|_| rig.timer()).collect();
    // Armed for the same tick from afar, near, and by a change of mind.
    timers.iter().step_by(2).for_each(|&t| assert_eq!(rig.modify(t, 5_000), 0));
    rig.tick(4_990);
    timers.iter().skip(1).step_by(2).for_each(|&t| assert_eq!(rig.modify(t, 10), 0));
    assert_eq!(rig.modify(timers[0], 10), 1);
    rig.tick(10);
    let mut order = vec![];
    while let Some(due) = rig.enter(0) {
        order.push(due.data);
        rig.leave(due);
    }
    let even = timers.iter().step_by(2).skip(1);
    let odd = timers.iter().skip(1).step_by(2);
    assert_eq!(order, Vec::from_iter(even.chain(odd).chain(&timers[..1]).copied()));
}

/// What expired but has not run yet is pending: it may be deleted or moved.
#[test]
fn due_timers_may_be_taken_back() {
    let rig = Rig::new(Async);
    let [one, two, three] = [rig.timer(), rig.timer(), rig.timer()];
    [one, two, three].iter().for_each(|&timer| assert_eq!(rig.add(timer, 1), 0));
    rig.tick(1);
    let due = rig.enter(0).unwrap();
    assert_eq!(due.data, one);
    assert_eq!((rig.pending(one), rig.pending(two)), (0, 1));
    assert_eq!(rig.del(two), 1);
    assert_eq!(rig.modify(three, 2), 1);
    rig.leave(due);
    assert!(rig.enter(0).is_none());
    assert_eq!(rig.advance(2), 1);
}

fn two_cpus() -> Rig {
    Rig::with(Sync, Settings { cpus: 2, ..Settings::DEFAULT })
}

/// A running timer stays on its base, so it never overlaps itself.
#[test]
fn a_running_timer_stays_on_its_base() {
    let rig = two_cpus();
    let timer = rig.timer();
    poke(timer + 16, rig.engine.host.jiffies().wrapping_add(1) as usize);
    rig.arm(timer, Arm::AddOn(1));
    rig.tick(1);
    let due = rig.enter(1).unwrap();
    // Armed by the other timer thread, which would take it to its own.
    on(TIMERS, || rig.modify(timer, 1));
    assert_eq!(rig.engine.clock(rig.engine.now() + 1), 0b10);
    assert!(rig.enter(0).is_none());
    on(TIMERS + 1, || rig.engine.leave(due.ticket));
    let again = rig.enter(1).unwrap();
    on(TIMERS + 1, || rig.engine.leave(again.ticket));
    // Not running and not pending, it goes where it is armed.
    on(TIMERS, || rig.modify(timer, 1));
    assert_eq!(rig.engine.clock(rig.engine.now() + 1), 0b01);
    let last = rig.enter(0).unwrap();
    rig.leave(last);
}

/// Virtual time in the middle of a handler: its timer, armed again and due, is
/// not entered a second time.
#[test]
fn a_handler_that_lets_time_pass_does_not_overlap_itself() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    let due = rig.run(timer);
    assert_eq!(rig.in_handler(|| rig.modify(timer, 1)), 0);
    assert_eq!(rig.advance(3), 0);
    rig.leave(due);
    assert_eq!(rig.advance(1), 1);
}

#[test]
fn timers_are_spread_over_the_timer_threads() {
    let rig = two_cpus();
    (0..10).for_each(|_| assert_eq!(rig.modify(rig.timer(), 1), 0));
    assert_eq!(rig.engine.clock(1), 0b11);
    let runs = |cpu: usize| {
        std::iter::from_fn(|| {
            let due = rig.enter(cpu)?;
            on(TIMERS + cpu as u32, || rig.engine.leave(due.ticket));
            Some(due)
        })
        .count()
    };
    assert_eq!((runs(0), runs(1)), (5, 5));
}

#[test]
fn virtual_time_runs_handlers_of_every_timer_thread_in_the_order_of_their_ticks() {
    let rig = two_cpus();
    let timers: Vec<usize> = (0..6).map(|_| rig.timer()).collect();
    for (&timer, delay) in timers.iter().zip([3, 1, 2, 5, 4, 6]) {
        rig.modify(timer, delay);
    }
    let mut order = vec![];
    rig.in_handler(|| {
        rig.engine.advance(6, |due| {
            order.push((rig.engine.now(), due.data));
            rig.engine.leave(due.ticket);
        });
    });
    let expected = [(1, 1), (2, 2), (3, 0), (4, 4), (5, 3), (6, 5)].map(|(t, n)| (t, timers[n]));
    assert_eq!(order, expected);
    assert_eq!(rig.engine.now(), 6);
}

/// No number of ticks is too many.
#[test]
fn virtual_time_to_the_end_of_time() {
    let rig = Rig::new(Async);
    let timer = rig.timer();
    rig.add(timer, 5);
    assert_eq!(rig.advance(u64::MAX), 1);
    let end = rig.engine.now();
    assert_eq!(rig.advance(u64::MAX), 0);
    assert_eq!(rig.advance(0), 0);
    assert!(rig.engine.now() >= end);
    assert_eq!(rig.modify(timer, 5), 0, "it is armed, come what may");
    assert_eq!(rig.del(timer), 1);
}
