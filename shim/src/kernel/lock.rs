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
//! nobody waits. A waiter sleeps in FUTEX_WAIT_BITSET, which no pthread mutex
//! does without a time limit, so its sleep is not taken for one (`holder`).

use core::sync::atomic::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};

use crate::kernel::waiters::{self, Waiter};
use crate::{jump, tls};

const OPEN: u32 = 0;
const HELD: u32 = 1;
const AWAITED: u32 = 2;

/// How often a thread looks before it sleeps: a few microseconds, which is what
/// a short critical section on another processor takes.
const LOOKS: u32 = 200;

/// `spinlock_t` of the header.
#[repr(C)]
pub struct SpinLock {
    word: AtomicU32,
    owner: AtomicU32,
}

/// Where `owner` stands in a lock.
pub const OWNER_OFFSET: usize = core::mem::offset_of!(SpinLock, owner);

impl SpinLock {
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
            self.sleep();
        }
        self.owner.store(tls::tid(), Relaxed);
        // SAFETY: as above.
        unsafe { *libc::__errno_location() = errno };
    }

    /// Sleeps while the word says that somebody waits.
    fn sleep(&self) {
        let operation = libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG;
        let no_limit = core::ptr::null::<libc::timespec>();
        // SAFETY: the word is valid for as long as we are called with it.
        unsafe {
            libc::syscall(
                libc::SYS_futex,
                self.word.as_ptr(),
                operation,
                AWAITED,
                no_limit,
                core::ptr::null::<u32>(),
                libc::FUTEX_BITSET_MATCH_ANY,
            );
        }
    }

    fn release(&self) {
        self.owner.store(0, Relaxed);
        let word = self.word.as_ptr();
        // Whoever takes the lock now may free it: it is not touched again.
        if self.word.swap(OPEN, Release) == AWAITED {
            wake(word);
        }
    }
}

/// Wakes one who sleeps at an address, which may mean nothing any more: the
/// kernel bears with that, and its sleepers look again when they wake.
#[cold]
fn wake(word: *mut u32) {
    let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
    // SAFETY: errno is thread-local and always valid; the kernel only compares
    // the address.
    unsafe {
        let errno = *libc::__errno_location();
        libc::syscall(libc::SYS_futex, word, operation, 1);
        *libc::__errno_location() = errno;
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

/// A fork child's only thread waits for nothing.
pub fn reset_after_fork() {
    waiters::reset_after_fork();
}
