//! fork in a process with threads.
//!
//! All locks are taken before the fork, in one order (idle caches, depots by
//! class, huge table), and opened on both sides, so the child finds every shared
//! structure whole. The other threads' caches are given up in the child
//! (`cache::abandon_others` says why).

use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::cache::{IDLE, abandon_others};
use crate::counters;
use crate::depot::DEPOTS;
use crate::huge::TABLE;
use crate::lock;

/// Before fork: takes all locks.
pub fn fork_prepare() {
    IDLE.acquire();
    for depot in &DEPOTS {
        depot.acquire();
    }
    TABLE.acquire();
    lock::set_forking(true);
    counters::remember();
}

/// After fork, in the parent: opens all locks.
pub fn fork_parent() {
    lock::set_forking(false);
    TABLE.release();
    for depot in DEPOTS.iter().rev() {
        depot.release();
    }
    IDLE.release();
}

/// After fork, in the child: gives up the other threads' caches and opens all
/// locks.
pub fn fork_child() {
    fork_parent();
    let mut idle = IDLE.lock();
    // SAFETY: a fork child has one thread, and the lock is held.
    unsafe { abandon_others(&mut idle) };
}

/// Has the C library call the three functions above, once.
///
/// Done at the first allocation, so before most constructors. Handlers that were
/// registered earlier run while all locks are held; they may allocate all the
/// same (see `lock.rs`).
pub fn register_fork() {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    extern "C" fn prepare() {
        fork_prepare();
    }
    extern "C" fn parent() {
        counters::forget();
        fork_parent();
    }
    extern "C" fn child() {
        fork_child();
    }
    if !REGISTERED.load(Relaxed) && !REGISTERED.swap(true, Relaxed) {
        // SAFETY: three functions that live as long as the program.
        unsafe { libc::pthread_atfork(Some(prepare), Some(parent), Some(child)) };
    }
}
