//! The engine's lock.
//!
//! Sections are some hundred nanoseconds long, so waiters spin and then let
//! time pass as the host does it. It knows its owner, so that a thread that
//! comes back while it has the lock (a signal handler that calls on a timer, or
//! frees one) is refused instead of waiting for itself. In a fork child
//! [`Lock::break_open`] opens it: its owner does not exist there.

#[cfg(not(loom))]
pub use open::{Guard, Lock};

#[cfg(loom)]
pub use modelled::{Guard, Lock};

#[cfg(not(loom))]
#[allow(unsafe_code)]
mod open {
    use core::cell::UnsafeCell;
    use core::ops::{Deref, DerefMut};

    use crate::sync::{AtomicU32, Ordering};

    /// Tries before the host's pause.
    const SPINS: u32 = 200;

    /// A value behind the lock.
    #[derive(Debug)]
    pub struct Lock<T> {
        owner: AtomicU32,
        value: UnsafeCell<T>,
    }

    // SAFETY: the value is reached by one thread at a time, through a guard.
    unsafe impl<T: Send> Sync for Lock<T> {}

    impl<T> Lock<T> {
        /// An open lock.
        pub const fn new(value: T) -> Self {
            Lock { owner: AtomicU32::new(0), value: UnsafeCell::new(value) }
        }

        /// Takes it as thread `me` (not 0); `None` if that thread has it.
        pub fn lock(&self, me: u32, pause: impl Fn(u32)) -> Option<Guard<'_, T>> {
            let mut tries = 0u32;
            loop {
                let owner = self.owner.load(Ordering::Relaxed);
                if owner == me {
                    return None;
                }
                let taken = owner == 0
                    && self
                        .owner
                        .compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed)
                        .is_ok();
                if taken {
                    return Some(Guard(self));
                }
                if tries < SPINS {
                    core::hint::spin_loop();
                } else {
                    pause(tries - SPINS);
                }
                tries = tries.saturating_add(1);
            }
        }

        /// Takes it as thread `me` if nobody has it.
        #[inline]
        pub fn try_lock(&self, me: u32) -> Option<Guard<'_, T>> {
            let (success, failure) = (Ordering::Acquire, Ordering::Relaxed);
            match self.owner.compare_exchange(0, me, success, failure) {
                Ok(_) => Some(Guard(self)),
                Err(_) => None,
            }
        }

        /// Opens it, whoever has it: in a fork child, before anything else.
        /// What its owner was in the middle of must be thrown away.
        pub fn break_open(&self) {
            self.owner.store(0, Ordering::Release);
        }
    }

    /// The lock, taken.
    pub struct Guard<'a, T>(&'a Lock<T>);

    impl<T> Deref for Guard<'_, T> {
        type Target = T;

        fn deref(&self) -> &T {
            // SAFETY: the guard is the only one.
            unsafe { &*self.0.value.get() }
        }
    }

    impl<T> DerefMut for Guard<'_, T> {
        fn deref_mut(&mut self) -> &mut T {
            // SAFETY: the guard is the only one.
            unsafe { &mut *self.0.value.get() }
        }
    }

    impl<T> Drop for Guard<'_, T> {
        fn drop(&mut self) {
            self.0.owner.store(0, Ordering::Release);
        }
    }
}

#[cfg(loom)]
mod modelled {
    use loom::sync::{Mutex, MutexGuard};

    /// A value behind loom's lock.
    #[derive(Debug)]
    pub struct Lock<T>(Mutex<T>);

    /// The lock, taken.
    pub type Guard<'a, T> = MutexGuard<'a, T>;

    impl<T> Lock<T> {
        /// An open lock.
        pub fn new(value: T) -> Self {
            Lock(Mutex::new(value))
        }

        /// Takes it.
        pub fn lock(&self, _me: u32, _pause: impl Fn(u32)) -> Option<Guard<'_, T>> {
            self.0.lock().ok()
        }

        /// Takes it if nobody has it.
        pub fn try_lock(&self, _me: u32) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok()
        }

        /// Does not happen in a model.
        pub fn break_open(&self) {}
    }
}
