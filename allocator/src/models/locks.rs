//! The lock: one holder at a time, who sees what the last one wrote, and nobody
//! sleeps for ever.

use loom::cell::UnsafeCell;
use loom::model::Builder;
use loom::sync::Arc;
use loom::thread;

use crate::lock::{Lock, set_forking};

/// Adds one under the lock; loom tells if two were in there at once.
fn add(lock: &Lock<UnsafeCell<u32>>) {
    // SAFETY: the lock's holder is alone with the value; loom checks it.
    lock.lock().with_mut(|value| unsafe { *value += 1 });
}

fn total(lock: &Lock<UnsafeCell<u32>>) -> u32 {
    // SAFETY: as above.
    lock.lock().with(|value| unsafe { *value })
}

#[test]
fn loom_a_lock_has_one_holder_and_wakes_who_sleeps() {
    loom::model(|| {
        let lock = Arc::new(Lock::new(UnsafeCell::new(0)));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || (0..2).for_each(|_| add(&lock)))
        };
        add(&lock);
        other.join().unwrap();
        assert_eq!(total(&lock), 3);
    });
}

#[test]
fn loom_of_two_who_sleep_both_wake() {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(|| {
        let lock = Arc::new(Lock::new(UnsafeCell::new(0)));
        let others = [(); 2].map(|()| {
            let lock = lock.clone();
            thread::spawn(move || add(&lock))
        });
        add(&lock);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(total(&lock), 3);
    });
}

#[test]
fn loom_who_forks_passes_and_nobody_else() {
    loom::model(|| {
        let lock = Arc::new(Lock::held_over_fork(UnsafeCell::new(0)));
        let other = {
            let lock = lock.clone();
            thread::spawn(move || add(&lock))
        };
        lock.acquire();
        set_forking(true);
        // A fork handler of the program allocates.
        add(&lock);
        set_forking(false);
        lock.release();
        other.join().unwrap();
        assert_eq!(total(&lock), 2);
    });
}
