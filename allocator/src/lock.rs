//! The one lock type of the heap: spins a little, then sleeps in the kernel.
//!
//! Ground rules: nothing is reported and no observer called while one is held;
//! a thread holds at most one of them, except `fork_prepare`, which takes all
//! in a fixed order (registry, depots by class, huge table). While it has them,
//! the forking thread passes through them freely: fork handlers of the program
//! may run on either side of ours, and allocate. Otherwise locks are not
//! re-entrant: who works for a signal handler that interrupted the heap asks
//! [`Lock::is_mine`] first, and goes elsewhere (see `signal.rs`). He never waits
//! for long either: the holder may be such a handler too, and wait for him.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU8, AtomicUsize};

use crate::sync::{AtomicU32, Ordering::*, const_fn, futex_wait, futex_wake, spin_loop};
use crate::{os, tls};

/// The word: who holds the lock, and the lowest bit if somebody sleeps on it.
const FREE: u32 = 0;
const CONTENDED: u32 = 1;
/// `Lock::kept`: it was free.
const BY_NOBODY: u8 = 0;
/// ... a call's that the forking signal handler interrupted; it goes on with it.
const BY_SELF: u8 = 1;
/// ... a thread's that does not go on: it waits, interrupted, for the forking one.
const BY_OTHER: u8 = 2;
/// Tries before sleeping; sections are a few hundred instructions long.
const SPINS: u32 = if cfg!(loom) { 1 } else { 100 };
/// Tries of who must not wait for ever; each but the first ones lets other
/// threads run.
const SOON: u32 = if cfg!(loom) { 1 } else { 1000 };

/// The thread that holds all locks that are held over a fork, 0 if none. Another
/// thread never reads its own identity here, so relaxed accesses do.
static FORKER: AtomicUsize = AtomicUsize::new(0);

/// Says that the calling thread has, or is about to give back, all locks made
/// by [`Lock::held_over_fork`].
pub fn set_forking(forking: bool) {
    FORKER.store(if forking { tls::thread() } else { 0 }, Relaxed);
}

/// Whether the calling thread has them.
pub fn is_forking() -> bool {
    FORKER.load(Relaxed) == tls::thread()
}

/// The calling thread in a lock's word. Two threads whose control blocks are a
/// multiple of 128 GiB apart look the same; a lock is then avoided in vain.
#[inline(always)]
fn me() -> u32 {
    ((tls::thread() >> 5) as u32 & !CONTENDED).max(2)
}

/// Between two tries for a lock.
fn pause(tries: u32) {
    if tries < SPINS { spin_loop() } else { os::yield_now() }
}

/// A value behind a lock.
pub struct Lock<T> {
    word: AtomicU32,
    over_fork: bool,
    /// Who had the lock already when it was to be taken for a fork.
    kept: AtomicU8,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached by one thread at a time, through a guard.
unsafe impl<T: Send> Sync for Lock<T> {}

impl<T> Lock<T> {
    const_fn! {
        /// An open lock.
        pub fn new(value: T) -> Self {
            Lock { word: AtomicU32::new(FREE), over_fork: false, kept: AtomicU8::new(BY_NOBODY), value: UnsafeCell::new(value) }
        }
    }

    const_fn! {
        /// An open lock, one of those `fork_prepare` takes.
        pub fn held_over_fork(value: T) -> Self {
            Lock { word: AtomicU32::new(FREE), over_fork: true, kept: AtomicU8::new(BY_NOBODY), value: UnsafeCell::new(value) }
        }
    }

    /// Whether the calling thread holds the lock because it forks.
    #[inline]
    fn is_held_for_fork(&self) -> bool {
        self.over_fork
            && FORKER.load(Relaxed) == tls::thread()
            && self.kept.load(Relaxed) == BY_NOBODY
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        self.acquire();
        Guard { lock: self }
    }

    /// Takes the lock if nobody has it.
    pub fn try_lock(&self) -> Option<Guard<'_, T>> {
        (self.is_held_for_fork() || self.try_acquire()).then(|| Guard { lock: self })
    }

    /// Whether nobody has the lock, or the calling thread because it forks.
    pub fn is_open(&self) -> bool {
        self.word.load(Relaxed) == FREE || self.is_held_for_fork()
    }

    fn try_acquire(&self) -> bool {
        self.word.compare_exchange(FREE, me(), Acquire, Relaxed).is_ok()
    }

    /// The lock, unless it is the calling thread's already, or is not opened soon.
    pub fn lock_soon(&self) -> Option<Guard<'_, T>> {
        for tries in 0..SOON {
            if self.try_acquire() {
                return Some(Guard { lock: self });
            }
            if self.is_mine() {
                return None;
            }
            pause(tries);
        }
        None
    }

    /// Takes the lock for a fork, looking for it `patience` times with a yield between;
    /// false if other threads have it all the time, unless `anyway`.
    pub fn take_for_fork(&self, patience: usize, anyway: bool) -> bool {
        let kept = if self.is_mine() {
            BY_SELF
        } else if (0..patience).any(|_| self.try_awhile()) {
            BY_NOBODY
        } else if anyway {
            BY_OTHER
        } else {
            return false;
        };
        self.kept.store(kept, Relaxed);
        true
    }

    fn try_awhile(&self) -> bool {
        let is_taken = (0..SPINS).any(|_| {
            spin_loop();
            self.try_acquire()
        });
        if !is_taken {
            os::yield_now();
        }
        is_taken
    }

    /// Gives the lock back after a fork.
    pub fn release_after_fork(&self) {
        if self.kept.swap(BY_NOBODY, Relaxed) == BY_NOBODY {
            self.release();
        }
    }

    /// Whether the lock was another thread's at the fork: in a child that thread is
    /// gone, in the middle of its section.
    pub fn is_orphaned(&self) -> bool {
        self.kept.load(Relaxed) == BY_OTHER
    }

    /// Takes the lock without a guard.
    #[inline]
    pub fn acquire(&self) {
        if self.word.compare_exchange(FREE, me(), Acquire, Relaxed).is_err() {
            self.acquire_slow();
        }
    }

    /// Whether the calling thread holds the lock: only in a signal handler that
    /// interrupted its holder. A thread that forks passes through instead.
    #[inline]
    pub fn is_mine(&self) -> bool {
        self.word.load(Relaxed) & !CONTENDED == me() && !self.is_held_for_fork()
    }

    #[cold]
    fn acquire_slow(&self) {
        if self.is_held_for_fork() {
            return;
        }
        for _ in 0..SPINS {
            if self.word.load(Relaxed) == FREE
                && self.word.compare_exchange(FREE, me(), Acquire, Relaxed).is_ok()
            {
                return;
            }
            spin_loop();
        }
        loop {
            let word = self.word.load(Relaxed);
            // Who slept cannot know whether others still do: marked, in case.
            let wanted = if word == FREE { me() | CONTENDED } else { word | CONTENDED };
            let is_marked = word == wanted
                || self.word.compare_exchange(word, wanted, Acquire, Relaxed).is_ok();
            if is_marked && word == FREE {
                return;
            }
            if is_marked {
                futex_wait(&self.word, wanted);
            }
        }
    }

    /// Opens the lock. Only for who holds it, and for the only thread of a fork
    /// child, whose parent thread held it.
    #[inline]
    pub fn release(&self) {
        if self.is_held_for_fork() {
            return;
        }
        self.force_open();
    }

    /// Opens the lock of a holder that will never do it.
    pub fn force_open(&self) {
        if self.word.swap(FREE, Release) & CONTENDED != 0 {
            futex_wake(&self.word);
        }
    }

    /// The value, for who [holds](Self::is_mine) the lock in a part of it that
    /// was given up.
    ///
    /// # Safety
    ///
    /// * The calling thread holds the lock, and no guard of it will be used.
    #[allow(clippy::mut_from_ref)] // The lock stands for the exclusive borrow.
    pub unsafe fn held(&self) -> &mut T {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.value.get() }
    }
}

/// Proof that the lock is held; opens it when dropped.
pub struct Guard<'a, T> {
    lock: &'a Lock<T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the guard exists, so this thread holds the lock.
        unsafe { &*self.lock.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the guard exists, so this thread holds the lock.
        unsafe { &mut *self.lock.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn two_threads_never_hold_it_at_once() {
        static COUNT: Lock<u64> = Lock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..50_000).for_each(|_| *COUNT.lock() += 1));
            }
        });
        assert_eq!(*COUNT.lock(), 200_000);
    }
}
