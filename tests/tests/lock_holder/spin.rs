//! Our own locks.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};

use deadwalk_tests::repeats;

use crate::kernel::holder::{stack_of_waiter, waits_for};
use crate::kernel::lock::{SpinLock, deadwalk_spin_lock, deadwalk_spin_unlock};
use crate::kernel::waiters::{Waiter, lock_of};
use crate::primitives::{Memory, Sleeper};
use crate::{stack, tls};

fn spin_lock_of(memory: &Memory) -> *const SpinLock {
    memory.at(0).cast_const().cast()
}

#[test]
fn the_holder_of_a_spin_lock_is_named_and_the_handlers_stack_kept() {
    for in_handler in [true, false] {
        for _ in 0..repeats(20, 200) {
            let memory = Memory::new();
            // SAFETY: zeroes are an open lock.
            unsafe { deadwalk_spin_lock(spin_lock_of(&memory)) };
            let theirs = memory.clone();
            let at = memory.at(0) as usize;
            let sleeper = Sleeper::start(
                move || {
                    if in_handler {
                        tls::set_in_handler();
                    }
                    // SAFETY: as above.
                    unsafe {
                        deadwalk_spin_lock(spin_lock_of(&theirs));
                        deadwalk_spin_unlock(spin_lock_of(&theirs));
                    }
                },
                |addr| addr == at,
            );
            assert_eq!(waits_for(sleeper.tid), Some(tls::tid()));
            let mut frames = [0; 24];
            let depth = stack_of_waiter(sleeper.tid, &mut frames);
            if in_handler {
                assert_eq!(frames[..depth], stack::FRAMES);
            } else {
                assert_eq!(depth, 1, "where it goes on");
            }
            assert_eq!(stack_of_waiter(sleeper.tid, &mut []), 0);
            let tid = sleeper.tid;
            // SAFETY: held by us.
            unsafe { deadwalk_spin_unlock(spin_lock_of(&memory)) };
            sleeper.join();
            assert_eq!(waits_for(tid), None);
            assert_eq!(lock_of(tid), None, "its slot is given back");
        }
    }
}

/// A signal handler jumped out of a wait: the table says what is not so.
#[test]
fn a_thread_that_runs_waits_for_nothing() {
    let memory = Memory::new();
    // SAFETY: zeroes are an open lock.
    unsafe { deadwalk_spin_lock(spin_lock_of(&memory)) };
    let stop = AtomicBool::new(false);
    let tid = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::mem::forget(Waiter::register(memory.at(0) as usize));
            tid.store(tls::tid(), SeqCst);
            while !stop.load(SeqCst) {
                std::hint::spin_loop();
            }
        });
        while tid.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        assert!(lock_of(tid.load(SeqCst)).is_some());
        for _ in 0..1000 {
            assert_eq!(waits_for(tid.load(SeqCst)), None);
        }
        stop.store(true, SeqCst);
    });
}
