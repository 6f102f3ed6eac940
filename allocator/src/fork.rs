//! fork in a process with threads.
//!
//! All locks are taken before the fork and opened on both sides, so the child finds
//! every shared structure whole. The other threads' caches are given up in the
//! child (`cache::abandon_others` says why).
//!
//! Who forks does not wait for ever for one lock with others in his hands: a thread
//! that has one may be in a signal handler that interrupted the heap, and look for others
//! itself. If such a handler forks, it goes around what its interrupted self holds,
//! which goes on on both sides; and if two of them stand in each other's way, the
//! lock is left to the other, and made whole in the child. While locks are being
//! taken or opened no handler runs: it could not tell which are its own thread's.

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

use crate::cache::{IDLE, abandon_others};
use crate::counters;
use crate::depot::DEPOTS;
use crate::huge::TABLE;
use crate::{lock, os, signal};

/// How often the forking thread prepared once more: a program may call what libc
/// calls, too. The outermost pair of calls is the one that counts.
static AGAIN: AtomicUsize = AtomicUsize::new(0);

/// Whether the calling thread ends an inner preparation.
fn is_inner_end() -> bool {
    let is_inner = lock::is_forking() && AGAIN.load(Relaxed) > 0;
    if is_inner {
        AGAIN.fetch_sub(1, Relaxed);
    }
    is_inner
}

/// How long who forks looks for a lock with others in his hands, in rounds of some
/// microseconds: busy threads pass a lock on from one to the other, and must not keep
/// him from it; a thread that stands in his way for good must not keep him for ever.
/// Doubled with every attempt.
const PATIENCE: usize = 1000;
const MOST_DOUBLINGS: usize = 6;

/// Before fork: takes all locks.
pub fn fork_prepare() {
    if lock::is_forking() {
        AGAIN.fetch_add(1, Relaxed);
        return;
    }
    let mask = os::block_signals();
    let mut tries = 0;
    while !take_all(tries) {
        tries += 1;
    }
    lock::set_forking(true);
    counters::remember();
    os::restore_signals(mask);
}

/// Takes all locks, or none: then the one that was missing is waited for, if that
/// is safe.
fn take_all(tries: usize) -> bool {
    let anyway = signal::is_nested() && tries >= signal::TRIES;
    let patience = PATIENCE << tries.min(MOST_DOUBLINGS);
    if !IDLE.take_for_fork(patience, anyway) {
        wait(tries, || drop(IDLE.lock()));
        return false;
    }
    for (taken, depot) in DEPOTS.iter().enumerate() {
        if !depot.take_for_fork(patience, anyway) {
            give_back(taken);
            wait(tries, || drop(depot.lock()));
            return false;
        }
    }
    if !TABLE.take_for_fork(patience, anyway) {
        give_back(DEPOTS.len());
        wait(tries, || drop(TABLE.lock()));
        return false;
    }
    true
}

/// Opens the first locks: that of the idle caches, and `depots` of the depots'.
fn give_back(depots: usize) {
    for depot in DEPOTS.iter().take(depots) {
        depot.release_after_fork();
    }
    IDLE.release_after_fork();
}

fn wait(tries: usize, for_lock: impl FnOnce()) {
    if signal::is_nested() { signal::pause(tries) } else { for_lock() }
}

/// After fork, in the parent: opens all locks.
pub fn fork_parent() {
    if !is_inner_end() {
        open_all();
    }
}

fn open_all() {
    let mask = os::block_signals();
    lock::set_forking(false);
    TABLE.release_after_fork();
    give_back(DEPOTS.len());
    os::restore_signals(mask);
}

/// After fork, in the child: gives up the other threads' caches and opens all
/// locks.
pub fn fork_child() {
    if is_inner_end() {
        return;
    }
    let mask = os::block_signals();
    for (class, depot) in DEPOTS.iter().enumerate().filter(|(_, depot)| depot.is_orphaned()) {
        // SAFETY: the only thread, and its holder is gone.
        unsafe { depot.repair(class) };
    }
    if IDLE.is_orphaned() {
        IDLE.force_open();
    }
    if TABLE.is_orphaned() {
        TABLE.force_open();
    }
    open_all();
    if IDLE.is_mine() {
        // The interrupted self is about to change the list: the others' caches
        // are lost, which is all.
        os::restore_signals(mask);
        return;
    }
    let mut idle = IDLE.lock();
    // SAFETY: a fork child has one thread, and the lock is held.
    unsafe { abandon_others(&mut idle) };
    drop(idle);
    os::restore_signals(mask);
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
