//! Safe timers under virtual time: which handler runs when is exact.

use deadwalk_timer::Settings;
use deadwalk_timer::front::{HZ, Timer, advance, configure};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Time is the process's.
fn alone() -> impl Drop {
    static ALONE: Mutex<()> = Mutex::new(());
    let guard = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    advance(0);
    guard
}

fn ticks(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / HZ
}

/// A timer that counts its expiries.
fn counting() -> (Timer, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let timer = Timer::new(move |_| {
        counter.fetch_add(1, SeqCst);
    });
    (timer, count)
}

#[test]
fn it_expires_once_at_its_tick() {
    let _alone = alone();
    let (timer, count) = counting();
    assert!(!timer.is_pending());
    assert!(!timer.arm(ticks(5)));
    assert!(timer.is_pending());
    assert_eq!((advance(4), advance(1), advance(100)), (0, 1, 0));
    assert!(!timer.is_pending());
    assert_eq!(count.load(SeqCst), 1);
}

#[test]
fn arming_again_moves_it_and_modify_only_what_is_pending() {
    let _alone = alone();
    let (timer, count) = counting();
    assert!(!timer.modify(ticks(1)), "not pending: left alone");
    assert_eq!(advance(10), 0);
    timer.arm(ticks(5));
    assert!(timer.arm(ticks(20)));
    assert!(timer.modify(ticks(8)));
    assert_eq!((advance(7), advance(1)), (0, 1));
    timer.arm(ticks(3));
    assert!(timer.cancel());
    assert!(!timer.cancel());
    assert!(!timer.cancel_and_wait());
    assert_eq!((advance(100), count.load(SeqCst)), (0, 1));
}

#[test]
fn a_handler_arms_and_cancels_its_own_timer() {
    let _alone = alone();
    let count = Arc::new(AtomicU32::new(0));
    let counter = count.clone();
    let timer = Timer::new(move |running| {
        assert!(!running.cancel());
        running.rearm(ticks(10));
        if counter.fetch_add(1, SeqCst) == 4 {
            assert!(running.cancel(), "it was armed the line above");
        }
    });
    timer.arm(ticks(10));
    assert_eq!(advance(1000), 5);
    assert_eq!(count.load(SeqCst), 5);
}

/// Settings that come too late are not taken: the timer would be lost.
#[test]
fn an_armed_timer_is_not_lost_by_settings() {
    let _alone = alone();
    let (timer, count) = counting();
    timer.arm(ticks(5));
    assert!(!configure(Settings { hz: 7, seed: 1, ..Settings::DEFAULT }));
    assert_eq!((advance(5), count.load(SeqCst)), (1, 1));
}

#[test]
fn a_dropped_timer_does_not_expire_and_its_closure_is_gone() {
    let _alone = alone();
    let (timer, count) = counting();
    timer.arm(ticks(5));
    assert_eq!(Arc::strong_count(&count), 2);
    drop(timer);
    assert_eq!(Arc::strong_count(&count), 1);
    assert_eq!(advance(100), 0);
}

/// A handler that lets time pass, whose timer is dropped by another one meanwhile.
#[test]
fn a_timer_that_is_dropped_under_its_handler_lives_until_that_has_ended() {
    let _alone = alone();
    let shelf = Arc::new(Mutex::new(None::<Timer>));
    let (taker, owned) = (shelf.clone(), Arc::new(()));
    let alive = Arc::downgrade(&owned);
    let seen = Arc::new(AtomicU32::new(0));
    let counter = seen.clone();
    let drops = Timer::new(move |_| drop(taker.lock().expect("not poisoned").take()));
    drops.arm(ticks(2));
    let outer = Timer::new(move |_| {
        assert_eq!(advance(5), 1);
        counter.store(Arc::strong_count(&owned) as u32, SeqCst);
    });
    outer.arm(ticks(1));
    *shelf.lock().expect("not poisoned") = Some(outer);
    assert_eq!(advance(1), 1);
    assert_eq!(seen.load(SeqCst), 1, "its closure was whole");
    assert!(alive.upgrade().is_none(), "and is gone");
    assert!(shelf.lock().expect("not poisoned").is_none());
}

#[test]
fn timers_expire_in_the_order_of_their_times() {
    let _alone = alone();
    let order = Arc::new(Mutex::new(Vec::new()));
    let timers: Vec<Timer> = [30, 10, 20, 10]
        .into_iter()
        .enumerate()
        .map(|(number, after)| {
            let order = order.clone();
            let timer = Timer::new(move |_| order.lock().expect("not poisoned").push(number));
            timer.arm(ticks(after));
            timer
        })
        .collect();
    assert_eq!(advance(30), 4);
    assert_eq!(*order.lock().expect("not poisoned"), [1, 3, 2, 0]);
    drop(timers);
}
