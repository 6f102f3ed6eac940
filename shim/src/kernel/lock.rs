//! The exports of `deadwalk/spinlock.h`: spin locks that know their holder.
//!
//! `word` is 0 open, 1 held, 2 held and somebody may sleep; `owner` is the
//! holder's kernel thread id, for those who look for a deadlock, and stands only
//! after the lock was taken and until just before it is let go. Nothing is
//! decided by it: whoever unlocks, unlocks.
//!
//! ```text
//!   0 --lock--> 1 --unlock--> 0
//!   1 --waiter--> 2 --unlock, wakes one--> 0 --the woken waiter--> 2
//! ```
//!
//! Contexts: any, also signal handlers; no allocation, and no system call where
//! nobody waits.

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::kernel::futex::{self, LOOKS};
use crate::kernel::waiters::Waiter;
use crate::{jump, tls};

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// `spinlock_t` of the header.
#[repr(C)]
pub struct SpinLock {
    word: AtomicU32,
    owner: AtomicU32,
}

/// Where `owner` stands in a lock.
pub const OWNER_OFFSET: usize = core::mem::offset_of!(SpinLock, owner);

impl SpinLock {
    /// An open lock.
    pub const fn new() -> SpinLock {
        SpinLock { word: AtomicU32::new(OPEN), owner: AtomicU32::new(0) }
    }

    /// Does the calling thread hold it?
    pub fn is_mine(&self) -> bool {
        self.owner.load(Relaxed) == tls::tid()
    }

    /// Opens it, whoever held it.
    pub fn reset(&self) {
        self.owner.store(0, Relaxed);
        self.word.store(OPEN, Release);
    }

    fn try_take(&self) -> bool {
        let taken = self.word.compare_exchange(OPEN, HELD, Acquire, Relaxed).is_ok();
        if taken {
            self.owner.store(tls::tid(), Relaxed);
        }
        taken
    }

    #[cold]
    fn take_slowly(&self) {
        for _ in 0..LOOKS {
            if self.word.load(Relaxed) == OPEN && self.try_take() {
                return;
            }
            core::hint::spin_loop();
        }
        // SAFETY: errno is thread-local and always valid.
        let errno = unsafe { *libc::__errno_location() };
        let _waiter = Waiter::register((&raw const *self).addr());
        while self.word.swap(AWAITED, Acquire) != OPEN {
            futex::sleep(&self.word, AWAITED);
        }
        self.owner.store(tls::tid(), Relaxed);
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }

    fn release(&self) {
        self.owner.store(0, Relaxed);
        let word = self.word.as_ptr();
        // Whoever takes the lock now may free it: it is not touched again.
        if self.word.swap(OPEN, Release) == AWAITED {
            futex::wake(word, 1);
        }
    }
}

/// `spin_lock`: takes the lock; waits for it if need be.
///
/// # Safety
///
/// * `lock` is a lock that was initialised, and lives until it is released.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_spin_lock(lock: *const SpinLock) {
    jump::locking(lock.addr());
    // SAFETY: the caller's promise.
    let lock = unsafe { &*lock };
    if !lock.try_take() {
        lock.take_slowly();
    }
}

/// `spin_trylock`: takes the lock if it is open; 1 if it did, else 0.
///
/// # Safety
///
/// * As for [`deadwalk_spin_lock`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_spin_trylock(lock: *const SpinLock) -> i32 {
    jump::locking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.try_take().into()
}

/// `spin_unlock`: opens the lock and wakes one who waits.
///
/// # Safety
///
/// * `lock` is a lock that is held.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_spin_unlock(lock: *const SpinLock) {
    jump::unlocking(lock.addr());
    // SAFETY: the caller's promise.
    unsafe { &*lock }.release();
}

/// `spin_is_locked`: 1 if anybody holds the lock, else 0.
///
/// # Safety
///
/// * `lock` is a lock that was initialised.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn deadwalk_spin_is_locked(lock: *const SpinLock) -> i32 {
    // SAFETY: the caller's promise.
    (unsafe { &*lock }.word.load(Relaxed) != OPEN).into()
}
